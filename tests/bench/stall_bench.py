#!/usr/bin/env python3
"""What a client's connections see when the holder is killed: the longest stall of each, over many kills, in each mode;
in forward mode also without waking the senders. Default timers (20 ms x 5). Real kernel clients and servers, paced at
the server. Ends with 1 if a connection was lost; the logs of that lab are kept then.

    HOLDFAST_BUILD=build tests/bench/stall_bench.py [--kills 30] [--connections 20] [--kinds forward,proxy,tls,no-nudge]

The kinds proxy-payload and tls-payload have `durability = payload`.
"""
import argparse
import json
import signal
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.system.harness import Lab, Options, Traffic, adoptions, wait_new_holder  # noqa: E402

KILLS_A_LAB = 5  # then the senders' path MTU has been lowered often enough to begin afresh


KINDS = {"forward": {"mode": "forward"}, "proxy": {"mode": "proxy"}, "tls": {"mode": "tls"},
         "proxy-payload": {"mode": "proxy", "durability": "payload"}, "tls-payload": {"mode": "tls", "durability": "payload"},
         "no-nudge": {"mode": "forward", "nudge": False}}


WAYS = ("download", "upload")


def tell_lost(lab, records, took):
    for r in records:
        if r["outcome"] != "ok":
            print(f"# lost: {r['kind']} v{r['family']} {r['local']} {r['outcome']} {r['detail']}", flush=True)
    (lab.folder / "statuses.json").write_text(json.dumps(lab.statuses(), indent=1))
    print(f"# adoption: {took}; logs: {lab.keep_logs()}", flush=True)


def one_kill(lab, connections, step_ms):
    traffic = Traffic(lab, downloads=connections // 2, uploads=connections - connections // 2, seconds=4, rate=200_000,
                      step_ms=step_ms)
    traffic.wait_moving()
    holder = lab.holder()
    lab.kill(holder)
    successor = wait_new_holder(lab, holder)
    result = traffic.result()
    took = adoptions(lab, successor)[-1]
    lost = len(result.records) - result.survivors()
    if lost:
        tell_lost(lab, result.records, took)
    lab.start(holder)
    lab.wait_for(f"{holder} is back", lab.whole, 20)
    well = [r for r in result.records if r["outcome"] == "ok"]
    by_way = {way: [r["longest_gap_ms"] for r in well if r["kind"] == way] for way in WAYS}
    return {"stalls_ms": sorted(r["longest_gap_ms"] for r in well), **by_way, "lost": lost,
            "connections": len(result.records), "first_packet_ms": took.get("first_packet_ms"), "lag_ms": result.lag_ms}


def measure(kind, kills, connections, step_ms):
    rounds = []
    while len(rounds) < kills:
        name = f"s_{kind.replace('-', '')}{len(rounds)}"  # its own, so that the logs of several are kept
        with Lab.up(name, Options(**KINDS[kind])) as lab:
            for _ in range(min(KILLS_A_LAB, kills - len(rounds))):
                rounds.append(one_kill(lab, connections, step_ms))
                r = rounds[-1]
                print(f"# {kind} kill {len(rounds)}: median {statistics.median(r['stalls_ms']):.0f} ms, worst "
                      f"{r['stalls_ms'][-1]:.0f} ms, {r['lost']} lost; the clients ran {r['lag_ms']:.0f} ms late at worst",
                      flush=True)
    return rounds


def row(name, values):
    values = sorted(values)
    at = lambda q: values[min(len(values) - 1, int(q * len(values)))]
    return " | ".join([f"| {name}", f"{values[0]:.0f}", *(f"{at(q):.0f}" for q in (.1, .5, .9, .99)), f"{values[-1]:.0f} |"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="in each mode; half as many without nudge (30)")
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--step-ms", type=int, default=20,
                        help="a write each so often: half of it, on average, had passed in silence at the kill (20)")
    parser.add_argument("--kinds", default=",".join(KINDS), help=f"some of {','.join(KINDS)}")
    parser.add_argument("--json", help="write all figures here")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so through every finally
    found = {kind: measure(kind, max(1, arguments.kills // (2 if kind == "no-nudge" else 1)), arguments.connections,
                           arguments.step_ms)
             for kind in arguments.kinds.split(",")}
    print("| longest stall of a connection, ms | min | p10 | median | p90 | p99 | max |")
    print("|---|---|---|---|---|---|---|")
    for kind, rounds in found.items():
        every = [s for r in rounds for s in r["stalls_ms"]]
        print(row(f"{kind}: {len(every)} connections of {len(rounds)} kills", every))
        for way in WAYS:
            print(row(f"{kind}: {way}s", [s for r in rounds for s in r[way]]))
        print(row(f"{kind}: the median connection of each kill", [statistics.median(r["stalls_ms"]) for r in rounds]))
    for kind, rounds in found.items():
        print(f"{kind}: {sum(r['lost'] for r in rounds)} of {sum(r['connections'] for r in rounds)} connections lost")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found))
    return 1 if any(r["lost"] for rounds in found.values() for r in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
