#!/usr/bin/env python3
"""Frames per second of `forward` over memif, by the number of sessions, next to dpdk-testpmd macswap on the same
device: 64-byte frames, one core each for the source and for what is measured, in turns.

    tests/bench/forward_bench.py --build build/tests/bench [--rounds 5] [--seconds 3] [--sessions 1000,4000000]
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCE_CPU, MEASURED_CPU = 0, 1


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def device(role, socket):
    return f"net_memif0,role={role},id=0,socket-abstract=no,socket={socket}"


def start_testpmd(socket):
    return subprocess.Popen(
        ["dpdk-testpmd", "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--file-prefix", f"hfbench{os.getpid()}",
         "--lcores", f"0@{MEASURED_CPU},1@{MEASURED_CPU}", "--vdev", device("server", socket), "--",
         "--forward-mode=macswap", "--nb-cores=1", "--total-num-mbufs=32768", "--auto-start"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # ends with its input


def start_node(program, socket, sessions):
    process = subprocess.Popen([program, "node", device("server", socket), str(MEASURED_CPU), str(sessions)],
                               stdout=subprocess.PIPE, text=True)
    told = process.stdout.readline().split()
    if len(told) != 2 or told[0] != "ready":
        end(process)
        sys.exit(f"{program} node did not start")
    process.bytes = int(told[1])
    return process


def one(program, start, sessions, seconds):
    with tempfile.TemporaryDirectory() as folder:
        socket = os.path.join(folder, "memif.sock")
        measured = start(socket)
        try:
            until = time.monotonic() + 20
            while not os.path.exists(socket) and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(2)  # testpmd makes its socket before it forwards
            done = subprocess.run([program, "source", device("client", socket), str(SOURCE_CPU), str(sessions),
                                   str(seconds)], capture_output=True, text=True, timeout=seconds + 180, check=False)
            if done.returncode != 0:
                sys.exit(f"source: {done.stderr.strip()}")
            return {"rate": float(done.stdout.split()[-1]), "bytes": getattr(measured, "bytes", None)}
        finally:
            end(measured)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--sessions", default="1000,1000000,4000000", help="to forward with, one after the other")
    parser.add_argument("--json", help="write all figures here")
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so through every finally
    program = os.path.join(a.build, "forward_bench")
    kinds = {"testpmd macswap": (start_testpmd, 1000)}
    for sessions in (int(n) for n in a.sessions.split(",")):
        kinds[f"forward, {sessions:,} sessions"] = (lambda s, n=sessions: start_node(program, s, n), sessions)
    found = {k: [] for k in kinds}
    for number in range(a.rounds):
        for kind, (start, sessions) in kinds.items():
            found[kind].append(one(program, start, sessions, a.seconds))
            print(f"# {number + 1} {kind}: {found[kind][-1]['rate'] / 1e6:.2f} million a second", flush=True)
    rates = {kind: [r["rate"] for r in rounds] for kind, rounds in found.items()}
    base = statistics.median(rates["testpmd macswap"])
    print("| 64-byte frames over memif | million a second: min | median | max | of testpmd |\n|---|---|---|---|---|")
    for kind, each in rates.items():
        m = statistics.median(each)
        print(f"| {kind} | {min(each) / 1e6:.2f} | {m / 1e6:.2f} | {max(each) / 1e6:.2f} | {m / base:.2f} |")
    if a.json:
        Path(a.json).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
