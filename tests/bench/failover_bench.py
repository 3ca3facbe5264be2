#!/usr/bin/env python3
"""What connections see when the box that carries them is gone from one moment to the next (all its links are unplugged and
its processes killed), beside others: the kernel's DNAT with conntrackd (FTFW) and keepalived, and HAProxy with keepalived.
The same clients, servers and pace for all, IPv4, frames as on a wire. A fresh lab for each time.

"handover": our holder is told to end (SIGTERM) instead, and ends write every 5 ms, not every 20. keepalived is given the
30 ms between two advertisements with which it notices a dead box as soon as we do (some 100 ms), and the second that is
its default.

    HOLDFAST_BUILD=build tests/bench/failover_bench.py [--kills 5] [--connections 20] [--kinds NAME,...]
"""
import argparse
import contextlib
import json
import signal
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.bench import rivals  # noqa: E402
from tests.system.harness import Lab, Options, Traffic, plan, wait_new_holder  # noqa: E402

TARGETS = [f"{plan.VIP4}:{plan.STREAM_PORT}"]
RATE, STEP_MS = 200_000, 20


@contextlib.contextmanager
def holdfast():
    """Each of these: a lab, and the box that is active in it."""
    with Lab.up("fail", Options()) as lab:
        yield lab, lab.holder()


def kernel(advert_s):
    @contextlib.contextmanager
    def make():
        with rivals.boxes("fail", 2) as lab:
            for node in lab.nodes():
                rivals.dnat(lab, node)
            rivals.conntrackd(lab)
            rivals.keepalived(lab, advert_s, notify=True)
            yield lab, lab.nodes()[0]
    return make


def haproxy(advert_s):
    @contextlib.contextmanager
    def make():
        with rivals.boxes("fail", 2) as lab:
            for node in lab.nodes():
                rivals.haproxy(lab, node)
            rivals.keepalived(lab, advert_s)
            yield lab, lab.nodes()[0]
    return make


# How it is made; how long the connections go on (longer than the stall that is to be expected); ms between two writes.
KINDS = {"holdfast": (holdfast, 4, STEP_MS), "conntrackd, 30 ms": (kernel("0.03"), 4, STEP_MS),
         "conntrackd, 1 s": (kernel("1"), 12, STEP_MS), "haproxy, 30 ms": (haproxy("0.03"), 4, STEP_MS),
         "handover": (holdfast, 4, 5)}
SLOW = ["conntrackd, 1 s"]  # once is enough


def gone(lab, node):
    rivals.unplug(lab, node)
    for key in [k for k in lab.state.processes if k == node or k.startswith(f"{node}/")]:
        if lab.state.pid(key):
            lab.state.signal(key, 9)


def taken_over(lab, node):
    if lab.running("b") or lab.running("c"):
        wait_new_holder(lab, node)
    else:
        lab.wait_for("the other box has the VIP", lambda: rivals.has_vip(lab, lab.nodes()[1]), 20)


def one(kind, connections):
    make, seconds, step_ms = KINDS[kind]
    with make() as (lab, active):
        traffic = Traffic(lab, targets=TARGETS, downloads=connections // 2, uploads=connections - connections // 2,
                          seconds=seconds, rate=RATE, step_ms=step_ms)
        traffic.wait_moving()
        if kind == "handover":
            lab.stop(active)
        else:
            gone(lab, active)
        taken_over(lab, active)
        result = traffic.result()
    return {"stalls_ms": sorted(r["longest_gap_ms"] for r in result.records if r["outcome"] == "ok"),
            "survived": result.survivors(), "connections": len(result.records), "outcomes": result.outcomes(),
            "lag_ms": result.lag_ms}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--kinds", help=f"some of: {'; '.join(KINDS)} (split by ';')")
    parser.add_argument("--json", help="write all figures here")
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so through every finally
    kinds = a.kinds.split(";") if a.kinds else list(KINDS)
    found = {kind: [] for kind in kinds}
    for number in range(a.kills):
        for kind in kinds:
            if number > 0 and kind in SLOW:
                continue
            found[kind].append(r := one(kind, a.connections))
            stall = f"median stall {statistics.median(r['stalls_ms']):.0f} ms" if r["stalls_ms"] else "nothing goes on"
            print(f"# {number + 1} {kind}: {r['survived']} of {r['connections']} survive, {stall}; {r['outcomes']}",
                  flush=True)
    print("| box | survive | longest stall of a connection, ms: min | median | max |\n|---|---|---|---|---|")
    for kind, rounds in found.items():
        stalls = sorted(s for r in rounds for s in r["stalls_ms"])
        told = [f"{x:.0f}" for x in (stalls[0], statistics.median(stalls), stalls[-1])] if stalls else ["-"] * 3
        survived, connections = (sum(r[k] for r in rounds) for k in ("survived", "connections"))
        print(f"| {kind} | {survived} of {connections} | {' | '.join(told)} |")
    if a.json:
        Path(a.json).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
