#!/usr/bin/env python3
"""What grows with a cluster: what a message costs the ring's sender by the number of standbys (simulated: every end is
ours, in one process and on one core, the network being memory), and how long an adoption takes by the number of sessions (four
production workers in one process, likewise; the sum of all their work, from the acquisition until all is gathered). All in
processor time.

    tests/bench/growth_bench.py --build build/tests/bench [--rounds 3] [--standbys 8] [--sessions 1000,...]
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

ONCE = 500_000  # sessions from which on one round is enough


def one(program, *words):
    done = subprocess.run([program, *(str(w) for w in words)], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        sys.exit(f"growth_bench {' '.join(str(w) for w in words)}: {done.stderr.strip() or done.returncode}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=3, help=f"of adoptions; of {ONCE:,} sessions and more: one")
    parser.add_argument("--ring-rounds", type=int, default=5)
    parser.add_argument("--standbys", type=int, default=8, help="from one to so many")
    parser.add_argument("--messages", type=int, default=300_000, help="of the ring, each round")
    parser.add_argument("--sessions", default="1000,10000,100000,1000000")
    parser.add_argument("--json", help="write all figures here")
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    program = os.path.join(a.build, "growth_bench")
    ring = {str(n): [] for n in range(1, a.standbys + 1)}
    takeover = {n: [] for n in a.sessions.split(",")}
    for number in range(a.ring_rounds):
        for standbys, rounds in ring.items():
            rounds.append(one(program, "ring", standbys, a.messages))
        told = ", ".join(f"{rounds[-1]['sender_ns']:.0f}" for rounds in ring.values())
        print(f"# {number + 1} ring: {told} ns a message at its sender, 1 to {a.standbys} standbys", flush=True)
    for number in range(a.rounds):
        for sessions, rounds in takeover.items():
            if number == 0 or int(sessions) < ONCE:
                rounds.append(r := one(program, "takeover", sessions))
                print(f"# {number + 1} adoption of {int(sessions):,} sessions: {r['ms']:.0f} ms", flush=True)
    middle = lambda rounds, key: statistics.median(r[key] for r in rounds)
    print("| standbys | ns a message: sender | each receiver |\n|---|---|---|")
    for standbys, rounds in ring.items():
        print(f"| {standbys} | {middle(rounds, 'sender_ns'):.0f} | {middle(rounds, 'receiver_ns'):.0f} |")
    print("\n| sessions | ms until all is gathered | of which the adopter's work | its longest call |\n|---|---|---|---|")
    for sessions, rounds in takeover.items():
        print(f"| {int(sessions):,} | {middle(rounds, 'ms'):.1f} | {middle(rounds, 'adopter_ms'):.1f} | "
              f"{middle(rounds, 'longest_call_ms'):.1f} |")
    if a.json:
        Path(a.json).write_text(json.dumps({"ring": ring, "takeover": takeover}))


if __name__ == "__main__":
    main()
