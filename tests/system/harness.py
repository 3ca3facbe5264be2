"""What the system tests stand on: a case with a lab of its own, traffic in its client, captures, and the judges.

A test is a function `test_*(case)` in a file test_*.py. It returns its figures as a string, and fails by an exception.
"""
import contextlib
import json
import statistics
import struct
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from tools.lab import netns, plan  # noqa: E402
from tools.lab.netns import LabError  # noqa: E402
from tools.lab.world import Lab, Options  # noqa: E402

VIRTUAL_MAC = bytes.fromhex("00005e000101")  # of group 1
VIPS = [f"{plan.VIP4}:{plan.STREAM_PORT}", f"[{plan.VIP6}]:{plan.STREAM_PORT}"]
DETECTION_MS = 100  # 20 ms x 5


class Failure(Exception):
    """What was promised did not happen."""


class Skip(Exception):
    """This cannot be tested here, and why."""


def accept(item, promise, part="forward"):
    """Marks the test of one numbered promise; `run.py --accept=PART` prints these."""
    def mark(function):
        function.accept, function.accept_part = (item, promise), part
        return function
    return mark


def limit(seconds):
    """How long a test may take at most."""
    def mark(function):
        function.limit = seconds
        return function
    return mark


def check(condition, why):
    if not condition:
        raise Failure(why)


class Case:
    """One run of one test: its labs have names that belong to it, so that whatever it leaves is found."""

    def __init__(self, name, prefix):
        self.name, self.prefix, self.labs = name, prefix, 0

    @contextlib.contextmanager
    def lab(self, **options):
        self.labs += 1
        lab = Lab.up(f"{self.prefix}{self.labs}", Options(**options))
        try:
            yield lab
        except BaseException:
            with contextlib.suppress(Exception):
                (lab.folder / "statuses.json").write_text(json.dumps(lab.statuses(), indent=1))
            tell(lab)
            raise
        finally:
            lab.down()


def tell(lab, lines=12):
    """What a failure leaves to be read: each node's role and the end of its log; everything else in a folder."""
    for node in lab.nodes():
        status = lab.status(node) if lab.running(node) else None
        roles = ", ".join(f"group {g['id']} {g['role']} in epoch {g['epoch']}" for g in status["groups"]) if status \
            else "runs, does not answer" if lab.running(node) else "dead"
        print(f"#    {node}: {roles}")
        with contextlib.suppress(OSError):
            for line in lab.log(node).read_text(errors="replace").splitlines()[-lines:]:
                print(f"#      {line[:200]}")
    print(f"#    logs: {lab.keep_logs()}", flush=True)


class Traffic:
    """tools/lab/traffic.py in the lab's client."""

    def __init__(self, lab, client="c1", targets=VIPS, **options):
        self.lab, self.seconds = lab, options.get("seconds", 5)
        self.key = f"{client}/traffic{len(lab.state.processes)}"
        self.out = lab.folder / (self.key.replace("/", ".") + ".json")
        argv = ["python3", ROOT / "tools/lab/traffic.py", "--out", self.out]
        for target in targets:
            argv += ["--target", target]
        if lab.options.mode == "tls":
            argv += ["--ca", lab.ca]
        for name, value in options.items():
            argv += [f"--{name.replace('_', '-')}", str(value)]
        self.began = time.monotonic()
        self.process = lab.spawn(client, argv, key=self.key)

    def said(self, word):
        check(self.process.poll() in (None, 0), f"traffic ended with {self.process.poll()}: {self.log()[-800:]}")
        return word in self.lab.lines(self.key)

    def log(self):
        return self.lab.log(self.key).read_text(errors="replace")

    def wait_moving(self, seconds=15):
        self.lab.wait_for("every connection carries data", lambda: self.said("ready"), seconds)

    def result(self):
        self.lab.wait_for("traffic ends", lambda: self.said("done"), self.seconds + 60)
        return Result(json.loads(self.out.read_text()))


class Result:
    """What the connections saw."""

    def __init__(self, data):
        self.records = data["records"]
        self.lag_ms = data["loop_lag_ms"]

    def outcomes(self):
        counted = {}
        for r in self.records:
            counted[r["outcome"]] = counted.get(r["outcome"], 0) + 1
        return counted

    def survivors(self):
        return sum(r["outcome"] == "ok" for r in self.records)

    def all_well(self):
        bad = [r for r in self.records if r["outcome"] != "ok"]
        check(not bad, f"{len(bad)} of {len(self.records)} connections did not survive: {self.outcomes()}; first: "
              + "; ".join(f"{r['kind']} v{r['family']} {r['local']} {r['outcome']} {r['detail']}" for r in bad[:5]))

    def stalls(self):
        return sorted(r["longest_gap_ms"] for r in self.records)

    def stall_text(self):
        stalls = self.stalls()
        return f"longest stall median {statistics.median(stalls):.0f} ms, worst {stalls[-1]:.0f} ms"


# --- what nodes tell ---


def adoptions(lab, node):
    """This node's takeovers, over all its workers."""
    status = lab.status(node)
    check(status, f"{node} does not answer")
    return status["adoptions"]


def wait_new_holder(lab, *gone, seconds=10):
    """The one node that holds the group and is none of those gone."""
    def found():
        held = [n for n in lab.holders() if n not in gone]
        return held[0] if len(held) == 1 else None
    return lab.wait_for("another node holds the group", found, seconds)


def pulled(found):
    """Fragments by peer, summed over the workers' adoptions."""
    total = {}
    for adoption in found:
        for peer, count in adoption["pulled"].items():
            total[peer] = total.get(peer, 0) + count
    return total


def counters(lab, node, module):
    """A module's counters, summed over the workers."""
    _, ring = lab.ask(node, "/v1/ring")
    check(ring, f"{node} does not answer")
    total = {}
    for worker in ring["workers"]:
        for name, value in worker["counters"].get(module, {}).items():
            total[name] = total.get(name, 0) + value
    return total


def sessions_at(lab, node):
    status = lab.status(node)
    return status["sessions"]["live"] if status else 0


# --- captures ---


class Capture:
    """tcpdump at the bridge's end of a host's link: what the host sent (`in` to the bridge), or all."""

    def __init__(self, lab, host, link, sent_only=True, snap=96):
        self.lab = lab
        port = plan.bridge_port(host, link) if host else link
        self.file = lab.folder / f"{port}.pcap"
        self.key = f"net/capture-{port}"
        argv = ["tcpdump", "-i", port, "-s", str(snap), "-U", "-w", self.file, "-Z", "root", "-B", "16384",
                "--immediate-mode"]
        lab.spawn(plan.NET, argv + (["-Q", "in"] if sent_only else []), key=self.key)
        lab.wait_for(f"capture on {port}", lambda: b"listening on" in lab.log(self.key).read_bytes(), 5)

    def stop(self):
        """Frames as (wall time, bytes), in order."""
        time.sleep(0.3)
        pid = self.lab.state.signal(self.key, 15)
        netns.wait_gone(pid, self.lab.state.processes[self.key]["start"], 5)
        return read_pcap(self.file)


def read_pcap(path):
    data = Path(path).read_bytes()
    magic, = struct.unpack_from("<I", data)
    scale = {0xA1B2C3D4: 1e-6, 0xA1B23C4D: 1e-9}[magic]
    frames, at = [], 24
    while at + 16 <= len(data):
        seconds, fraction, kept, _ = struct.unpack_from("<IIII", data, at)
        if at + 16 + kept > len(data):
            break
        frames.append((seconds + fraction * scale, data[at + 16:at + 16 + kept]))
        at += 16 + kept
    return frames


def from_virtual_mac(frames):
    return [(t, f) for t, f in frames if f[6:12] == VIRTUAL_MAC]


def turns(by_node):
    """Who sent under the virtual MAC, in order: a node appears again if it did so after another had."""
    sent = sorted((t, node) for node, frames in by_node.items() for t, _ in from_virtual_mac(frames))
    order = []
    for _, node in sent:
        if not order or order[-1] != node:
            order.append(node)
    return order


def check_turns(by_node, first, epochs, where):
    """One holder in an epoch: whoever sends as the holder has a turn for each epoch it won, and no other."""
    order = turns(by_node)
    check(order and order[0] == first, f"on the {where}, {first} held first, but the senders were {order}")
    check(len(order) <= epochs, f"on the {where}, {epochs} epochs, but senders under the virtual MAC took turns: {order}")
    return order


__all__ = ["Capture", "Case", "DETECTION_MS", "Failure", "Lab", "LabError", "Options", "ROOT", "Result", "Skip",
           "Traffic", "VIPS", "accept", "adoptions", "check", "check_turns", "counters", "from_virtual_mac", "limit", "netns",
           "plan", "pulled", "read_pcap", "sessions_at", "turns", "wait_new_holder"]
