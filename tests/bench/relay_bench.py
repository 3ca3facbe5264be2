#!/usr/bin/env python3
"""Plain TCP through one box: new connections (a request and its answer each) and bulk, through the kernel's DNAT, HAProxy in
`mode tcp`, nginx `stream`, and Holdfast; one client (wrk), one nginx behind, the same namespaces, in turns, each frame on
its own as on a wire. "direct" is the same without a box.

On two cores the clock says as much about client and backend as about the box, and what the kernel forwards is charged to
whoever sent it. So the second figure: how much processor time of the whole machine a connection or a gigabit takes more than
direct ones do, and how many of them a second of that would be. Needs a machine that does nothing else.

    HOLDFAST_BUILD=build tests/bench/relay_bench.py [--rounds 3] [--seconds 3] [--boxes NAME;...]
"""
import argparse
import contextlib
import json
import os
import signal
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.bench import rivals  # noqa: E402
from tests.system.harness import Lab, Options, plan  # noqa: E402

MEASURES = {"new": ("/", 32), "bulk": ("/bulk", 8)}
BULK_SIZE = 32 << 20
SESSIONS = 1 << 17  # those that ended are remembered for some twenty seconds
TICK = os.sysconf("SC_CLK_TCK")
BUSY = (0, 1, 2, 5, 6)  # of /proc/stat: user, nice, system, irq, softirq

# What wrk counted, as JSON; errors are refused, reset and cut connections, and answers that are none.
SCRIPT = """done = function(summary, latency, requests)
    local e = summary.errors
    io.write(string.format('{"us": %d, "requests": %d, "octets": %d, "errors": %d}\\n', summary.duration, summary.requests,
                           summary.bytes, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@contextlib.contextmanager
def direct():
    """Each of these: a lab, and the address that is served."""
    with Lab.up("relay", Options(direct=True, backends=1)) as lab:
        yield lab, lab.hosts["b1"].address(4)


def box(start):
    @contextlib.contextmanager
    def make():
        with rivals.boxes("relay", 1, backends=1) as lab:
            rivals.take_vip(lab, "a")
            start(lab, "a")
            yield lab, plan.VIP4
    return make


def holdfast(mode, nodes):
    @contextlib.contextmanager
    def make():
        options = Options(nodes=nodes, backends=1, mode=mode, solo="deny" if nodes > 1 else "allow", sessions=SESSIONS)
        with Lab.up("relay", options) as lab:
            yield lab, plan.VIP4
    return make


DIRECT = "direct"
BOXES = {DIRECT: direct, "kernel DNAT": box(rivals.dnat), "haproxy": box(rivals.haproxy), "nginx": box(rivals.nginx),
         "holdfast forward": holdfast("forward", 1), "holdfast forward, two standbys": holdfast("forward", 3),
         "holdfast proxy": holdfast("proxy", 1)}


def busy_seconds():
    """Of the whole machine, since it started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(int(fields[i]) for i in BUSY) / TICK


def one(lab, address, measure, seconds):
    path, connections = MEASURES[measure]
    core = plan.core_of(0, 1)  # the box's is the other
    script = lab.folder / "count.lua"
    script.write_text(SCRIPT)
    headers = ["-H", "Connection: close"] if measure == "new" else []
    argv = ["taskset", "-c", str(core), "wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "20s",
            *headers, "-s", script, f"http://{address}:{plan.WEB_PORT}{path}"]
    before, began = busy_seconds(), time.monotonic()
    told = lab.exec("c1", argv, timeout=seconds + 30).stdout
    used, took = busy_seconds() - before, time.monotonic() - began
    result = json.loads(told.strip().splitlines()[-1])
    count = result["requests"] if measure == "new" else result["octets"] * 8e-9
    if result["errors"] * 100 > result["requests"] + 100 or not count:
        sys.exit(f"{measure}: {result}; logs: {lab.keep_logs()}")
    return {"rate": count / (result["us"] * 1e-6), "busy": used / took, "each_s": used / count, "errors": result["errors"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--boxes", help=f"some of: {'; '.join(BOXES)} (split by ';')")
    parser.add_argument("--json", help="write all figures here")
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so through every finally
    boxes = a.boxes.split(";") if a.boxes else list(BOXES)
    found = {b: {m: [] for m in MEASURES} for b in boxes}
    for number in range(a.rounds):
        for name in boxes:
            with BOXES[name]() as (lab, address):
                lab.make_file("bulk", BULK_SIZE)
                for measure in MEASURES:
                    found[name][measure].append(r := one(lab, address, measure, a.seconds))
                    print(f"# {number + 1} {name}, {measure}: {r['rate']:,.2f} a second, {r['busy']:.2f} cores busy",
                          flush=True)
    for measure in MEASURES:
        unit = "Gbit/s" if measure == "bulk" else "a second"
        print(f"\n{measure}:\n\n| box | {unit} by the clock | cores busy | us of processor time each | errors |")
        print("|---|---|---|---|---|")
        for name, measures in found.items():
            middle = lambda key: statistics.median(r[key] for r in measures[measure])
            print(f"| {name} | {middle('rate'):,.2f} | {middle('busy'):.2f} | {middle('each_s') * 1e6:,.1f} | "
                  f"{sum(r['errors'] for r in measures[measure])} |")
    if a.json:
        Path(a.json).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
