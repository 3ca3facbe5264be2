#!/usr/bin/env python3
"""What a client's connections see when the holder is killed: the longest stall of each, over many kills, with and
without waking the senders. Default timers (20 ms x 5). Real kernel clients and servers, paced at the server.

    HOLDFAST_BUILD=build tests/bench/stall_bench.py [--kills 30] [--connections 20]
"""
import argparse
import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.system.harness import Lab, Options, Traffic, adoptions, wait_new_holder  # noqa: E402

KILLS_A_LAB = 5  # then the senders' path MTU has been lowered often enough to begin afresh


def one_kill(lab, connections):
    traffic = Traffic(lab, downloads=connections // 2, uploads=connections - connections // 2, seconds=4, rate=200_000)
    traffic.wait_moving()
    holder = lab.holder()
    lab.kill(holder)
    successor = wait_new_holder(lab, holder)
    result = traffic.result()
    took = adoptions(lab, successor)[-1]
    for r in result.records:
        if r["outcome"] != "ok":
            print(f"# lost: {r['kind']} v{r['family']} {r['local']} {r['outcome']} {r['detail']}; adoption: {took}", flush=True)
    lab.start(holder)
    lab.wait_for(f"{holder} is back", lab.whole, 20)
    return {"stalls_ms": result.stalls(), "lost": len(result.records) - result.survivors(),
            "first_packet_ms": took.get("first_packet_ms")}


def measure(nudge, kills, connections):
    rounds = []
    while len(rounds) < kills:
        with Lab.up(f"stall{'on' if nudge else 'off'}", Options(nudge=nudge)) as lab:
            for _ in range(min(KILLS_A_LAB, kills - len(rounds))):
                rounds.append(one_kill(lab, connections))
                print(f"# nudge {'on ' if nudge else 'off'} kill {len(rounds)}: median "
                      f"{statistics.median(rounds[-1]['stalls_ms']):.0f} ms, worst {rounds[-1]['stalls_ms'][-1]:.0f} ms, "
                      f"{rounds[-1]['lost']} lost", flush=True)
    return rounds


def row(name, values):
    values = sorted(values)
    at = lambda q: values[min(len(values) - 1, int(q * len(values)))]
    return f"| {name} | {values[0]:.0f} | {at(.1):.0f} | {statistics.median(values):.0f} | {at(.9):.0f} | {values[-1]:.0f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="with nudge on; half as many with it off (30)")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--json", help="write all figures here")
    arguments = parser.parse_args()
    found = {"on": measure(True, arguments.kills, arguments.connections),
             "off": measure(False, max(1, arguments.kills // 2), arguments.connections)}
    print("| longest stall of a connection, ms | min | p10 | median | p90 | max |")
    print("|---|---|---|---|---|---|")
    for nudge, rounds in found.items():
        every = [s for r in rounds for s in r["stalls_ms"]]
        print(row(f"nudge {nudge}: all {len(every)} connections of {len(rounds)} kills", every))
        print(row(f"nudge {nudge}: the median connection of each kill",
                  [statistics.median(r["stalls_ms"]) for r in rounds]))
    lost = sum(r["lost"] for rounds in found.values() for r in rounds)
    print(f"{lost} connections lost")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found))
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
