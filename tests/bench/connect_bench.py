#!/usr/bin/env python3
"""New connections per second through a node over memif: replicated to two standbys with commit = all, any and none
(R = 2), and not replicated, in turns; and what the commit adds to the time until a client has its SYN-ACK.

A connection is SYN, SYN-ACK, ACK and RST. The holder has a core of its own; clients, backend and both standbys share
the other, which is what bounds the rate when it is replicated. So two figures: the rate there, and how many
connections a second of the holder's core is good for.

    tests/bench/connect_bench.py --build build/tests/bench [--rounds 5] [--seconds 3] [--rate 20000]
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
from pathlib import Path

WORLD_CPU, HOLDER_CPU = 0, 1
KINDS = {"off (one node)": ("none", 1), "commit = none": ("none", 3), "commit = any": ("any", 3), "commit = all": ("all", 3)}


def end(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def running(words):
    process = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        end(process)


def line(process, wanted=None):
    text = process.stdout.readline().strip()
    if not text or (wanted and text != wanted):
        sys.exit(f"{process.args[1]}: expected {wanted or 'a result'}, got {text!r}")
    return text


def counters(holder):
    holder.send_signal(signal.SIGUSR1)
    return json.loads(line(holder))


def one(program, kind, rate, seconds):
    commit, nodes = KINDS[kind]
    with tempfile.TemporaryDirectory() as folder:
        def devices(role):
            # 4096 descriptors for the ring, as an ordinary NIC has; the front's window is smaller than its 1024.
            return [f"net_memif{i},role={role},id={i},rsize={size},socket-abstract=no,socket={folder}/{i}.sock"
                    for i, size in ((0, 10), (1, 12))]
        with running([program, "holder", HOLDER_CPU, commit, nodes, *devices("server")]) as holder:
            line(holder, "ready")
            with running([program, "world", WORLD_CPU, nodes, rate, seconds, *devices("client")]) as world:
                line(world, "measuring")
                before = counters(holder)
                line(world, "measured")
                after = counters(holder)
                result = json.loads(line(world))
                end(holder)  # before the memory that it polls goes away
    used = {k: after[k] - before[k] for k in after}
    result["holder"] = used
    # What the machine's other work took from the core is not the holder's.
    share = used["cpu_ns"] / max(used["now_ns"], 1)
    result["ns"] = share * used["busy_ns"] / max(used["sessions"], 1)
    result["busy"] = used["busy_ns"] / max(used["busy_ns"] + used["idle_ns"], 1)
    return result


def row(kind, full, paced, off, off_paced):
    median = lambda runs, key: statistics.median(r[key] for r in runs)
    rate, ns = median(full, "rate"), median(full, "ns")
    lost = sum(r["lost"] + r["no_room"] for r in full + paced)
    opened = sum(r["opened"] for r in full + paced)
    return (f"| {kind} | {rate / 1000:.0f} | {rate / median(off, 'rate'):.2f} | {1e6 / ns:.0f} | {median(off, 'ns') / ns:.2f} | "
            f"{100 * median(full, 'busy'):.0f} % | {median(paced, 'p50_us'):.1f} | {median(paced, 'p99_us'):.1f} | "
            f"{median(paced, 'p50_us') - median(off_paced, 'p50_us'):.1f} | {lost} of {opened} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=20_000, help="connections a second while latency is measured")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--json", help="write all figures here")
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so through every finally
    program = os.path.join(a.build, "connect_bench")
    full, paced = {k: [] for k in KINDS}, {k: [] for k in KINDS}
    for _ in range(a.rounds):
        for kind in KINDS:
            full[kind].append(one(program, kind, 0, a.seconds))
            paced[kind].append(one(program, kind, a.rate, a.seconds))
            print(f"# {kind}: {full[kind][-1]['rate'] / 1000:.0f} thousand a second, {1e6 / full[kind][-1]['ns']:.0f} of the "
                  f"holder's core; SYN to SYN-ACK {paced[kind][-1]['p50_us']:.1f} us", flush=True)
            if a.verbose:
                print(f"# {kind}: {full[kind][-1]}\n# {kind}, paced: {paced[kind][-1]}", flush=True)
    print("| replication | thousand connections a second | of off | thousand a second of the holder's core | of off "
          f"| its core busy | SYN-ACK p50 us at {a.rate // 1000} k/s | p99 us | added, p50 us | lost |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    off = next(iter(KINDS))
    for kind in KINDS:
        print(row(kind, full[kind], paced[kind], full[off], paced[off]))
    if a.json:
        Path(a.json).write_text(json.dumps({kind: {"full": full[kind], "paced": paced[kind]} for kind in KINDS}))


if __name__ == "__main__":
    main()
