"""The demo: transfers of a real client through four nodes, of which two are killed one after the other.

deploy/demo installs, builds and runs this. Everything shown is measured: by the client, by the servers, or told by the
nodes over their control API.
"""
import argparse
import contextlib
import hashlib
import json
import os
import signal
import statistics
import sys
import time

from tools.lab import plan, state
from tools.lab.netns import LabError
from tools.lab.world import ROOT, Lab, Options

NAME = "demo"
MEGA = 1_000_000
DOWNLOAD_BYTES, UPLOAD_BYTES = 200 * MEGA, 40 * MEGA
SECONDS = 20.0  # how long they take undisturbed: nginx paces the download
KILL_AT_S = (5.0, 12.0)  # after everything moves
OTHERS = dict(downloads=30, uploads=30)
NODE_TIMEOUT_S = 20


class Story:
    """What happened when, in seconds since the client began."""

    def __init__(self, quiet):
        self.quiet, self.zero, self.live = quiet, time.monotonic(), not quiet and sys.stdout.isatty()

    def say(self, text="", at=None):
        if self.quiet:
            return
        stamp = "         " if at is None else f"{at - self.zero:7.2f} s"
        print(f"\r\033[K{stamp}  {text}" if self.live else f"{stamp}  {text}", flush=True)

    def progress(self, counts):
        if self.live:
            done = ", ".join(f"{name} {count / MEGA:.0f} MB" for name, count in counts.items() if count >= MEGA)
            print(f"\r\033[K{time.monotonic() - self.zero:7.2f} s  {done}", end="", flush=True)


class Client:
    """demo_client.py in the client's namespace, read as it goes."""

    def __init__(self, lab):
        argv = ["python3", ROOT / "tools/lab/demo_client.py", plan.VIP4, plan.VIP6, plan.VIP4,
                f"/rate/{int(DOWNLOAD_BYTES / SECONDS)}/200m", UPLOAD_BYTES, SECONDS]
        self.process = lab.spawn("c1", argv, key="c1/demo")
        self.file = lab.log("c1/demo")
        self.read, self.counts, self.moving, self.connections = 0, {}, None, None

    def poll(self):
        with open(self.file, "rb") as file:
            file.seek(self.read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.read += len(line)
                self.take(line)
        if self.connections is None and self.process.poll() is not None:
            raise LabError(f"the client died: {self.file.read_text(errors='replace')[-800:]}")

    def take(self, line):
        try:
            told = json.loads(line)
        except ValueError:
            return  # a traceback; poll() shows it when the process ends
        if told["event"] == "moving":
            self.moving = told["at"]
        elif told["event"] == "at":
            self.counts = told["bytes"]
        elif told["event"] == "end":
            self.connections = told["connections"]


class Others:
    """More connections beside the three that are watched: tools/lab/traffic.py, every byte checked."""

    def __init__(self, lab):
        self.lab, self.out = lab, lab.folder / "others.json"
        argv = ["python3", ROOT / "tools/lab/traffic.py", "--out", self.out, "--seconds", SECONDS + 2, "--rate", 10_000,
                "--target", f"{plan.VIP4}:{plan.STREAM_PORT}", "--target", f"[{plan.VIP6}]:{plan.STREAM_PORT}"]
        for name, count in OTHERS.items():
            argv += [f"--{name}", count]
        lab.spawn("c1", argv, key="c1/others")

    def said(self, word):
        return word in self.lab.log("c1/others").read_text(errors="replace").split("\n")

    def result(self):
        self.lab.wait_for("the other connections end", lambda: self.said("done"), SECONDS + 60)
        return json.loads(self.out.read_text())["records"]


def wait(story, client, done, seconds):
    """Follows the client until done() gives something."""
    deadline = time.monotonic() + seconds
    while True:
        client.poll()
        answer = done()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise LabError(f"nothing for {seconds:.0f} s; the client has {client.counts}")
        story.progress(client.counts)
        time.sleep(0.02)


def new_holder(lab, gone):
    """(node, its takeover) once a node that was not killed holds and has passed a packet on."""
    for node in lab.nodes():
        if node in gone:
            continue
        status = lab.status(node)
        if status and any(g["role"] == "holder" for g in status["groups"]):
            taken = [a for a in status["adoptions"] if a["first_packet_ms"] is not None and a["sweep_done_ms"] is not None]
            if taken:
                return node, taken[-1]
    return None


def kill_holder(story, lab, client, gone):
    """Kills whoever holds; the takeover that followed, told as it happened."""
    victim = lab.holder()
    if not victim:
        raise LabError("no node holds the addresses")
    pid, live = lab.state.pid(victim), (lab.status(victim) or {}).get("sessions", {}).get("live", 0)
    wall = time.time() - time.monotonic()
    killed = lab.kill(victim)
    gone.add(victim)
    got = client.counts.get("download", 0)
    story.say(f"kill -9 {pid}: {victim} is dead, with {live} connections and the download at {got // MEGA} MB", killed)
    node, taken = wait(story, client, lambda: new_holder(lab, gone), NODE_TIMEOUT_S)
    detected = taken["detected_unix_ms"] / 1000 - wall
    won = detected + taken["epoch_won_ms"] / 1000
    first = detected + taken["first_packet_ms"] / 1000
    swept = detected + taken["sweep_done_ms"] / 1000
    pulled = {peer: count for peer, count in taken["pulled"].items() if count}
    peers = ", ".join(f"{count} from {peer}" for peer, count in sorted(pulled.items())) or "none needed from peers"
    told = [
        (detected, f"{node} notices, {(detected - killed) * 1000:.0f} ms after the kill"),
        (won, f"{node} has won epoch {taken['epoch']} and announces the addresses as its own"),
        (first, f"{node} passes on its first packet, {(first - killed) * 1000:.0f} ms after the kill"),
        (swept, f"{node} has everything: {taken['sessions']} sessions carried on, {taken['lost']} lost; of their "
                f"fragments it had {taken['own']} itself, {peers}"),
    ]
    for at, text in sorted(told, key=lambda event: event[0]):
        story.say(text, at)
    return {"victim": victim, "node": node, "killed": killed, "pulled": sum(pulled.values()), "lost": taken["lost"]}


def longest_after(pauses, at, window):
    """The longest pause that was going on or began within `window` seconds of `at`."""
    return max((ms for began, ms in pauses if began <= at + window and began + ms / 1000 >= at), default=0.0)


def published():
    """What docs/performance.md says of the same thing, beside what others do in our place; nothing where it does not lie."""
    try:
        rows = json.loads((ROOT / "docs/performance/figures.json").read_text())["parts"]["failover"]["rows"]
    except (OSError, ValueError, KeyError):
        return
    print("\nAs measured for docs/performance.md, of connections that write every 20 ms if not said otherwise (handed over: 5):")
    for name, row in rows.items():
        stall = f"longest pause: median {row['stall_ms']['median']:.0f} ms" if row["stall_ms"] else "none goes on"
        print(f"  {name.replace('`', ''):70} {row['survive']['median']} of {row['connections']['median']} survive; {stall}")


def summary(connections, others, deaths, sent_download):
    """Prints what arrived; True when all of it did."""
    windows = [b["killed"] - a["killed"] for a, b in zip(deaths, deaths[1:])] + [60.0]
    print(f"\n{'':21}{'bytes':>12}  {'sha256 sent':14}{'arrived':14}longest pause after each death")
    good = True
    for c in connections:
        sent, arrived = c.get("sent", sent_download), c.get("arrived")
        same = c["error"] is None and sent == arrived
        good = good and same
        pauses = " / ".join(f"{longest_after(c['pauses'], d['killed'], w):.0f} ms" for d, w in zip(deaths, windows))
        family = "IPv6" if ":" in c["host"] else "IPv4"
        print(f"  {c['name'] + ', ' + family:19}{c['bytes']:>12,}  {(sent or '?')[:12]:14}{(arrived or 'nothing')[:12]:14}"
              f"{pauses}  {'same' if same else c['error'] or 'DIFFERENT'}")
    whole = [r for r in others if r["outcome"] == "ok"]
    stalls = sorted(r["longest_gap_ms"] for r in others)
    print(f"  {len(others)} others: {len(whole)} whole, every byte checked; longest pause: median "
          f"{statistics.median(stalls):.0f} ms, worst {stalls[-1]:.0f} ms")
    survived = sum(c["error"] is None for c in connections) + len(whole)
    total = len(connections) + len(others)
    print(f"\n{survived} of {total} connections survived the deaths of {' and '.join(d['victim'] for d in deaths)}; "
          f"{sum(d['pulled'] for d in deaths)} fragments came from peers. No client noticed more than a pause."
          if good and survived == total else
          f"\n{total - survived} of {total} connections did NOT survive.")
    return good and survived == total


def play(story):
    """The whole demo; 0 when everything survived."""
    if not story.quiet:
        print("\n  client ── VIP", plan.VIP4, "and", plan.VIP6, "── one of the nodes a b c d ── nginx b1, b2\n")
    with contextlib.suppress(LabError):  # of a demo that was itself killed: the lock is ours
        Lab.open(NAME).down()
    with Lab.up(NAME, Options(nodes=4)) as lab:
        file = lab.make_file("200m", DOWNLOAD_BYTES)
        with open(file, "rb") as source:
            sent_download = hashlib.file_digest(source, "sha256").hexdigest()
        lab.wait_steady()
        story.zero = time.monotonic()
        holder = lab.holder()
        story.say(f"{holder} holds both addresses; the others stand by, each connection is kept by two of them", story.zero)
        others, client = Others(lab), Client(lab)
        wait(story, client, lambda: client.moving and others.said("ready"), NODE_TIMEOUT_S)
        story.say(f"the client downloads {DOWNLOAD_BYTES // MEGA} MB, uploads {UPLOAD_BYTES // MEGA} MB, types into an "
                  f"interactive connection,", time.monotonic())
        story.say(f"and has {sum(OTHERS.values())} more connections open")
        began, gone, deaths = time.monotonic(), set(), []
        for at in KILL_AT_S:
            wait(story, client, lambda: time.monotonic() >= began + at, SECONDS)
            deaths.append(kill_holder(story, lab, client, gone))
        wait(story, client, lambda: client.connections is not None, SECONDS + 90)
        story.say("everything has ended", time.monotonic())
        good = summary(client.connections, others.result(), deaths, sent_download)
        published()
        return 0 if good else 1


def main():
    parser = argparse.ArgumentParser(prog="deploy/demo")
    parser.add_argument("--quiet", action="store_true")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("deploy/demo: needs root, to make network namespaces")

    def interrupted(*_):
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        with state.locked(NAME):
            return play(Story(arguments.quiet))
    except LabError as error:
        print(f"\ndeploy/demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndeploy/demo: interrupted, everything removed", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
