"""Single steps, by Google Benchmark."""
import json
import re
import subprocess

from tests.bench.board.figures import cell, ratio, spread, table
from tests.bench.board.running import Failed

NAME = "micro"
ABOUT = "single steps of the packet path, of replication and of TLS records"
PACKAGES = []
MICRO = ("BM_(Buzhash|Owners|StoreFind|SessionTableFind|WorkerBurst/1000(000)?$|Fragment.*code|ChecksumUpdate|"
         "GateHoldAndOpen|SegmentReceive|Ring)")
SUITE = 0x1301  # TLS 1.3, AES-128-GCM
TLS = f"BM_(Seal|BareSeal|Open)/{SUITE}/|BM_FirstRecordAfterAdoption/{SUITE}$"
WORDS = {  # benchmark: (what it is, what of its time is one of)
    "BM_Buzhash/13": "BUZhash of an IPv4 session's key", "BM_Buzhash/37": "BUZhash of an IPv6 session's key",
    "BM_Owners": "a slot's owners, R = 2, three standbys",
    "BM_SessionTableFind/1000": "session found, of 1,000", "BM_SessionTableFind/1000000": "session found, of 1,000,000",
    "BM_SessionTableFind/4000000": "session found, of 4,000,000",
    "BM_WorkerBurst/1000": "64-byte frame through a worker, 1,000 sessions",
    "BM_WorkerBurst/1000000": "64-byte frame through a worker, 1,000,000 sessions",
    "BM_ChecksumUpdate": "checksum updated, address and port",
    "BM_SegmentReceive/64": "TCP segment received in order, 64 octets",
    "BM_SegmentReceive/1400": "TCP segment received in order, 1,400 octets",
    f"BM_Seal/{SUITE}/1400/1/256": "TLS record sealed, AES-128-GCM, 1,400 octets",
    f"BM_Open/{SUITE}/1400": "TLS record opened, 1,400 octets",
    f"BM_BareSeal/{SUITE}/1400": "the EVP calls of sealing alone, 1,400 octets",
    f"BM_Seal/{SUITE}/16384/1/256": "TLS record sealed, 16,384 octets",
    f"BM_Open/{SUITE}/16384": "TLS record opened, 16,384 octets",
    f"BM_BareSeal/{SUITE}/16384": "the EVP calls of sealing alone, 16,384 octets",
    f"BM_FirstRecordAfterAdoption/{SUITE}": "the first TLS record after an adoption",
    "BM_FragmentEncode": "fragment encoded", "BM_FragmentDecode": "fragment decoded",
    "BM_StoreFind/1000": "fragment found in the store, of 1,000 sessions",
    "BM_StoreFind/1000000": "fragment found in the store, of 1,000,000 sessions",
    "BM_Ring/0/manual_time": "message of 256 bytes sent on the ring, one receiver",
    "BM_Ring/1/manual_time": "message of 256 bytes received from the ring",
    "BM_GateHoldAndOpen": "packet held in the gate and released",
}
BURST = 32  # frames of one iteration of BM_WorkerBurst
RING_BURST = 256


def run_one(run, program, pattern):
    words = [run.program(program), f"--benchmark_filter={pattern}", "--benchmark_format=json",
             f"--benchmark_min_time={run.pick(0.05, 0.02)}", f"--benchmark_repetitions={run.pick(3, 1)}"]
    run.say(f"   {program}, {pattern}")
    run.commands.append(" ".join(["build/tests/bench/" + program, *words[1:]]))
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{program}: {done.stderr[-500:]}")
    found = json.loads(done.stdout)["benchmarks"]
    if bad := [b["error_message"] for b in found if b.get("error_occurred")]:
        raise Failed(f"{program}: {bad[0]}")
    return [b for b in found if b["run_type"] == "iteration"]


def measure(run):
    times, copies = {}, {}
    for program, pattern in (("micro_bench", MICRO), ("tls_bench", TLS)):
        for b in run_one(run, program, pattern):
            name = re.sub(r"/repeats:\d+", "", b["name"])
            each = BURST if "WorkerBurst" in name else RING_BURST if "BM_Ring" in name else 1
            times.setdefault(name, []).append(b["real_time" if "manual_time" in name else "cpu_time"] / each)
            for counter in ("bytes_per_copy", "bytes_per_session"):
                if counter in b:
                    copies.setdefault((name, counter), []).append(b[counter])
    rows = {name: {"ns": spread(values)} for name, values in times.items() if name in WORDS}
    for (name, counter), values in copies.items():
        if name in rows:
            rows[name][counter] = spread(values)
    # More is better: what the bare calls take, of what we take around them.
    ratios = {f"TLS record sealed, {size} octets, of the bare EVP calls": ratio(
        times[f"BM_BareSeal/{SUITE}/{size}"], times[f"BM_Seal/{SUITE}/{size}/1/256"]) for size in (1400, 16384)}
    return rows, ratios


def tables(part):
    return table(["step, one thread", "ns"], [[WORDS[name], cell(part["rows"][name]["ns"])] for name in WORDS
                                              if name in part["rows"]])
