#!/usr/bin/env python3
"""Reliable multicast between network namespaces: our ring (sealed) beside NORM and OpenPGM; and our ring over a DPDK
device (net_memif) as it runs on a ring port of its own: there both ends poll on a core each, receivers share theirs, and
loss is made by our loss transport instead of the kernel.

Messages per second, latency, the last message under heavy loss, and what a healthy receiver sees
while another is stopped for 3 s. Needs root; makes namespaces of its own, with a bridge in one, and
removes them. Every figure is a median of --runs runs, and the systems take turns within each.
"""
import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PREFIX = "hf-ringbench-"
HERE = os.path.dirname(os.path.abspath(__file__))
NODES = 3


def sh(*words, **kw):
    return subprocess.run(words, check=True, **kw)


@contextlib.contextmanager
def network(offloads=False):
    """A switch and three nodes with eth0 and 203.0.113.1 to .3."""
    names = [PREFIX + "switch"] + [f"{PREFIX}{i}" for i in range(NODES)]
    try:
        for name in names:
            sh("ip", "netns", "add", name)
        switch = names[0]
        sh("ip", "-n", switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        sh("ip", "-n", switch, "link", "set", "br0", "up")
        for i, name in enumerate(names[1:]):
            sh("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", f"port{i}", "netns", switch)
            sh("ip", "-n", switch, "link", "set", f"port{i}", "master", "br0", "up")
            sh("ip", "-n", name, "addr", "add", f"203.0.113.{i + 1}/24", "dev", "eth0")
            sh("ip", "-n", name, "link", "set", "lo", "up")
            sh("ip", "-n", name, "link", "set", "eth0", "up")
            sh("ip", "-n", name, "route", "add", "224.0.0.0/4", "dev", "eth0")
            if not offloads:
                off = [x for feature in ("gso", "gro", "tx-udp-segmentation") for x in (feature, "off")]
                sh("ip", "netns", "exec", name, "ethtool", "-K", "eth0", *off)
        time.sleep(1)
        yield names[1:]
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)


class Lab:
    def __init__(self, namespaces, peers, scratch):
        self.namespaces, self.peers, self.scratch = namespaces, peers, scratch
        self.loss = self.runs = 0
        self.found = []  # every run, for --json

    def set_loss(self, percent):
        """In every receiver, of every UDP datagram, whoever sent it."""
        self.loss = percent
        for name in self.namespaces[1:]:
            subprocess.run(["tc", "-n", name, "qdisc", "del", "dev", "eth0", "clsact"], stderr=subprocess.DEVNULL)
        if percent == 0:
            return
        program = os.path.join(self.scratch, f"loss{percent}.o")
        sh("clang", "-O2", "-target", "bpf", f"-DPERCENT={percent}", "-c", os.path.join(HERE, "loss.bpf.c"), "-o", program)
        for name in self.namespaces[1:]:
            sh("tc", "-n", name, "qdisc", "add", "dev", "eth0", "clsact")
            sh("tc", "-n", name, "filter", "add", "dev", "eth0", "ingress", "bpf", "da", "obj", program, "sec", "classifier")

    def words(self, system, node, receivers):
        if system != "memif":
            return ["ip", "netns", "exec", self.namespaces[node], self.peers[system]]
        role = "client" if node == 0 else "server"
        return ["taskset", "-c", str(min(node, 1)), self.peers[system], "--loss", str(self.loss), "--device",
                f"net_memif0,role={role},id=0,socket-abstract=no,socket={self.scratch}/{self.runs}.sock"]

    def run(self, system, receivers=1, stop=None, **options):
        """One run; what the sender printed, and each receiver. stop: (receiver, at, for seconds)."""
        def start(node, role):
            words = self.words(system, node, receivers) + ["--role", role, "--node", str(node), "--nodes", str(receivers + 1)]
            for key, value in options.items():
                words += ["--" + key, str(value)]
            return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

        self.runs += 1
        programs = 1 if system == "memif" else receivers
        processes = []
        try:
            processes = [start(n + 1, "rx") for n in range(programs)]
            time.sleep(1 if system == "memif" else 0.3)
            sender = start(0, "tx")
            processes.append(sender)
            if stop:
                victim, at, duration = stop
                time.sleep(at)
                processes[victim].send_signal(signal.SIGSTOP)
                time.sleep(duration)
                processes[victim].send_signal(signal.SIGCONT)
            timer = threading.Timer(options["seconds"] + 30, sender.kill)
            timer.start()
            sent = sender.stdout.readline()
            timer.cancel()
            out = []
            for p in processes[:programs]:
                p.terminate()
                out.append(p.communicate(timeout=10)[0])
            sent, got = json.loads(sent), [json.loads(o) for o in out]
            self.found.append({"system": system, "loss": self.loss, "receivers": receivers, "size": options["size"],
                               "paced": options.get("rate", 0), "stopped": stop is not None,
                               "rate": min(g["rate"] for g in got), "p50": got[0]["p50"], "p99": got[0]["p99"],
                               "arrived": min(g["received"] for g in got) / max(sent["sent"], 1),
                               "cpu_us": 1e6 * (sent["cpu"] + sum(g["cpu"] for g in got)) / max(sent["sent"], 1)})
            print(f"# {system}, {receivers} receivers, {options['size']} bytes, {self.loss} % loss: "
                  f"{self.found[-1]['rate'] / 1000:,.0f} thousand a second", flush=True)
            return sent, got
        except (subprocess.TimeoutExpired, json.JSONDecodeError):
            return None, []
        finally:
            for p in processes:
                if p.poll() is None:
                    p.kill()
                    p.wait()


def median(values):
    return statistics.median(values) if values else float("nan")


def table(title, columns, rows):
    print(f"\n### {title}\n")
    print("| | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, cells in rows:
        print(f"| {name} | " + " | ".join(cells) + " |")
    sys.stdout.flush()


def throughput(lab, systems, runs, seconds, sizes):
    results = {}
    for loss in (0, 1):
        lab.set_loss(loss)
        for _ in range(runs):
            for receivers in (1, 2):
                for size in sizes:
                    for system in [s for s in systems if loss == 0 or s != "raw"]:  # which repairs nothing
                        sent, got = lab.run(system, receivers, size=size, seconds=seconds)
                        if got:  # the slowest receiver counts
                            results.setdefault((loss, receivers, size, system), []).append(
                                (min(g["rate"] for g in got), min(g["received"] for g in got) / max(sent["sent"], 1),
                                 1e6 * (sent["cpu"] + sum(g["cpu"] for g in got)) / max(sent["sent"], 1)))
    columns = [f"{size} B, {r} rx" for r in (1, 2) for size in sizes]
    for loss in (0, 1):
        rows = []
        for system in systems:
            cells = []
            for r in (1, 2):
                for size in sizes:
                    got = results.get((loss, r, size, system), [])
                    text = f"{median([x[0] for x in got]) / 1000:.0f}" if got else "-"
                    arrived = median([x[1] for x in got])
                    cells.append(text + (f" ({100 * arrived:.0f} % arrived)" if arrived < 0.999 else ""))
            rows.append((system, cells))
        table(f"Thousand messages a second, {loss} % loss, at the slowest receiver", columns, rows)
        rows = [(system, [f"{median([x[2] for x in results.get((loss, r, size, system), [])]):.2f}" for r in (1, 2) for size in sizes])
                for system in systems if system != "memif"]  # which never rests
        if rows:
            table(f"Processor time for a message in us, sender and receivers together, {loss} % loss", columns, rows)


def latencies(lab, systems, runs, title, loss, receivers, **options):
    lab.set_loss(loss)
    figures = {system: [] for system in systems}
    for _ in range(runs):
        for system in systems:
            sent, got = lab.run(system, receivers, **options)
            if got:
                figures[system].append((got[0]["p50"], got[0]["p99"], got[0]["max"], got[0]["received"] / max(sent["sent"], 1)))
    rows = []
    for system in systems:
        f = figures[system]
        rows.append((system, [f"{median([x[i] for x in f]):.0f}" for i in range(3)] + [f"{100 * median([x[3] for x in f]):.1f} %"]))
    table(title, ["p50 us", "p99 us", "max us", "delivered"], rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="folder with ring_peer_holdfast, _norm, _pgm, _raw, _memif")
    parser.add_argument("--systems", default="holdfast,norm,pgm,raw,memif",
                        help="raw: sendmmsg alone, for a ceiling (holdfast,norm,pgm,raw,memif)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--sizes", default="64,256,1400")
    parser.add_argument("--offloads", action="store_true",
                        help="leave the cables' on: what goes to the kernel as one passes as one, as on no wire")
    parser.add_argument("--parts", default="throughput,latency,tail,frozen")
    parser.add_argument("--latency-seconds", type=float, default=4)
    parser.add_argument("--json", help="write all figures here")
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so through every finally
    systems = a.systems.split(",")
    peers = {s: os.path.join(os.path.abspath(a.build), "ring_peer_" + s) for s in systems}
    parts = a.parts.split(",")
    if missing := [p for p in peers.values() if not os.access(p, os.X_OK)]:
        sys.exit(f"not built: {', '.join(missing)}; see --systems")
    with network(a.offloads) as namespaces, tempfile.TemporaryDirectory() as scratch:
        lab = Lab(namespaces, peers, scratch)
        if "throughput" in parts:
            throughput(lab, systems, a.runs, a.seconds, [int(s) for s in a.sizes.split(",")])
        systems = [s for s in systems if s != "raw"]
        if "latency" in parts:
            for loss in (0, 1):
                latencies(lab, systems, a.runs, f"Latency of 256 bytes at 10,000 a second, 2 receivers, {loss} % loss", loss, 2,
                          size=256, rate=10000, seconds=a.latency_seconds)
        if "tail" in parts:
            latencies(lab, systems, a.runs, "The last message of a burst: single ones, 25 ms apart, 20 % loss", 20, 1,
                      size=256, rate=40, seconds=10)
        if "frozen" in parts:
            lab.set_loss(0)
            systems = [s for s in systems if s != "memif"]  # its receivers are one process
            latencies(lab, systems, a.runs, "A healthy receiver at 20,000 a second while another is stopped for 3 s", 0, 2,
                      size=256, rate=20000, seconds=7, stop=(1, 2, 3))
        if a.json:
            Path(a.json).write_text(json.dumps(lab.found))


if __name__ == "__main__":
    main()
