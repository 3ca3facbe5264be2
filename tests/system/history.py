"""The history of a run: every stream at the client's and at the backend's end, captured by tcpdump in their namespaces, and
judged afterwards by tests/history (holdfast-history), which knows neither the tool nor Holdfast.

Captures have no names: they are files in memory, given on by descriptor and gone with their last reader, however that
ends. One that outgrows its bound ends its tcpdump, which is told. The history itself, a line for each block of each
stream, lies in the lab's folder, or in $HOLDFAST_HISTORY, where it stays.
"""
import contextlib
import json
import os
import re
import resource
import signal
import subprocess
from pathlib import Path

from tests.system.harness import Failure, check, netns, plan
from tools.lab.world import build_folder

MOST = 256 << 20       # octets of a capture: both, and the streams in them, are in memory at once
RING_KIB = 32 << 10    # what the kernel keeps for a tcpdump that does not run
LEAST_SHARE = 0.95     # of the connections must have been judged
QUIET_S = 10
# Not those half open: a server keeps one for a minute that its client began anew.
LIVE = ("established", "fin-wait-1", "close-wait", "last-ack", "closing")
COUNTS = ("captured", "received by filter", "dropped by kernel")


class Place:
    """tcpdump on a host's own interface."""

    def __init__(self, lab, host, link):
        self.lab, self.key = lab, f"{host}/history"
        self.log = lab.log(self.key)
        self.log.unlink(missing_ok=True)
        self.file = os.memfd_create(f"history-{host}")
        # Without a filter: what came before it was set would have been received, and never captured.
        argv = ["tcpdump", "-i", link, "-s", "0", "-w", "-", "-Z", "root", "-B", str(RING_KIB), "--immediate-mode"]
        with open(self.log, "ab") as said:
            self.process = subprocess.Popen(
                netns.argv_inside(lab.state.owned(host), argv), stdin=subprocess.DEVNULL, stdout=self.file, stderr=said,
                start_new_session=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST)))
        lab.state.record(self.key, self.process.pid, "tcpdump")
        lab.wait_for(f"a capture at {host}", lambda: "listening on" in self.said(), 10)

    def said(self, known=0):
        return self.log.read_text(errors="replace")[known:]

    def alive(self):
        check(self.process.poll() is None, f"the capture at {self.key} ended before its time, with {self.process.poll()} "
              f"({os.fstat(self.file).st_size} octets, {MOST} at most): {self.said()[-500:]}")
        return True

    def counts(self, number):
        """Captured, received, dropped: what tcpdump says to a signal."""
        self.alive()
        known = len(self.said())
        self.process.send_signal(number)

        def told():
            found = [re.search(rf"(\d+) packets? {what}", self.said(known)) for what in COUNTS]
            return tuple(int(f.group(1)) for f in found) if all(found) else None
        return self.lab.wait_for(f"{self.key} tells its counts", told, 10)

    def has_all(self):
        captured, received, dropped = self.counts(signal.SIGUSR1)
        return captured + dropped >= received

    def stop(self):
        """How many frames were missed."""
        captured, received, dropped = self.counts(signal.SIGTERM)
        self.process.wait(10)
        return max(dropped, received - captured)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.file)

    def keep(self, path):
        os.lseek(self.file, 0, os.SEEK_SET)
        with open(path, "wb") as file:
            while block := os.read(self.file, 1 << 20):
                file.write(block)


class History:
    """Recorded while the block runs; `judge` is its last word. What fails leaves its captures beside the lab's logs."""

    def __init__(self, lab, name):
        self.lab, self.name, self.places, self.stack = lab, name, {}, contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for end, host, link in (("clients", "c1", plan.FRONT), ("backends", "b1", plan.BACK)):
                self.places[end] = Place(self.lab, host, link)
                stack.callback(self.places[end].close)
            self.stack = stack.pop_all()
        return self

    def __exit__(self, kind, *_):
        with self.stack:
            if kind:
                self.keep()

    def keep(self):
        for end, place in self.places.items():
            place.keep(self.lab.folder / f"{self.name}-{end}.pcap")

    def quiet(self):
        """No connection lives at either end."""
        words = ["ss", "-Hnt", *(word for state in LIVE for word in ("state", state))]
        return not any(self.lab.exec(host, words).stdout.strip() for host in ("c1", "b1"))

    def judge(self):
        """What the judge found: its figures, and in `wrong` its words."""
        with contextlib.suppress(netns.LabError):  # what still goes on is judged as far as it has come
            self.lab.wait_for("connections end", self.quiet, QUIET_S)
        folder = Path(os.environ.get("HOLDFAST_HISTORY", self.lab.folder))
        argv = [build_folder() / "tests/history/holdfast-history", "--mode", self.lab.options.mode, "--least-share",
                LEAST_SHARE, "--rows", folder / f"{self.lab.options.mode}-{self.name}.csv"]
        for end, place in self.places.items():
            self.lab.wait_for(f"the capture at the {end} has all", place.has_all, 10)
            argv += [f"--{end}", f"/proc/self/fd/{place.file}", f"--missed-at-{end}", place.stop()]
        done = subprocess.run([str(a) for a in argv], pass_fds=[p.file for p in self.places.values()], capture_output=True,
                              text=True, timeout=60)
        check(done.returncode in (0, 1), f"{self.name}: {done.stderr.strip()}")
        found = json.loads(done.stdout)
        if found["wrong"]:
            self.keep()
        return found


def recorded(lab, host, tools):
    """The tools' verdicts, and of each what its history says."""
    verdicts, histories = {}, {}
    for tool in tools:
        name = tool.__name__
        with History(lab, name) as history:
            try:
                verdicts[name] = tool(lab, host)
            except Failure as why:
                raise Failure("; ".join([str(why), *wrong_in({name: history.judge()})])) from why
            histories[name] = history.judge()
    return verdicts, histories


def wrong_in(histories):
    return [f"history of {tool}: {found['found_wrong']} things wrong: {'; '.join(found['wrong'][:3])}"
            for tool, found in histories.items() if found["wrong"]]


def figures(histories):
    total = {word: sum(found[word] for found in histories.values()) for word in ("connections", "judged", "octets")}
    missed = sum(found[end]["missed"] for found in histories.values() for end in ("clients", "backends"))
    return (f"{total['judged']} of {total['connections']} connections judged by their history, "
            f"{total['octets'] / 1e6:.0f} million octets, {missed} frames missed")
