#!/usr/bin/env python3
"""Every fuzzer for a while, from the corpus in the tree, as many at once as there are cores: one line for each.

    tests/fuzz/run.py [--seconds 60] [--seed N] [--build build-fuzz] [--json FILE] [NAME...]   NAME: part of a fuzzer's name

With a seed every run tries the same inputs in the same order, as many as there is time for; without one it goes
where none went before. Places are edges of the code that were taken; features also count how often, and what was compared.

What a fuzzer finds new stays in BUILD/found/NAME; make it part of the corpus by copying it to tests/fuzz/corpus/NAME.
An input that breaks it is kept there too (crash-..., timeout-..., oom-...), told, and printed in base64, with how to
play it again.
"""
import argparse
import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = ROOT / "tests/fuzz"
LONGEST_INPUT = 4096
ONE_INPUT_S = 10  # then it hangs
GRACE_S = 60      # beyond --seconds: to read the corpus on a slow machine
SEED_FILES = {"config_fuzz": ROOT / "docs/operating/holdfast.toml"}


def fuzzers():
    """A fuzzer is a file tests/fuzz/*_fuzz.cc."""
    return sorted(f.stem for f in HERE.glob("*_fuzz.cc"))


def build(folder, names):
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", "--werror", "-Dfuzz=true", str(folder), str(ROOT)], check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(folder), *(f"tests/fuzz/{n}" for n in names)], check=True)


def kept(name):
    """The corpus in the tree."""
    folder = HERE / "corpus" / name
    return [str(folder)] if folder.is_dir() else []


def argv_of(name, folder, seconds, seed):
    found = folder / "found" / name
    found.mkdir(parents=True, exist_ok=True)
    seeds = [f"-seed_inputs={SEED_FILES[name]}"] if name in SEED_FILES else []
    return [str(folder / "tests/fuzz" / name), f"-max_total_time={seconds}", f"-seed={seed}", "-reload=0",
            f"-max_len={LONGEST_INPUT}", f"-timeout={ONE_INPUT_S}", "-print_final_stats=1", f"-artifact_prefix={found}/",
            *seeds, str(found), *kept(name)]


def how_it_broke(name, folder, output):
    """The end of what it said, the input that broke it, and what to type."""
    told = ["\n".join(output.split("\n")[-60:])]
    for artifact in re.findall(r"Test unit written to (\S+)", output):
        path = Path(artifact)
        told += [f"{name}: broken by {path} ({path.stat().st_size} bytes), in base64:",
                 base64.encodebytes(path.read_bytes()).decode(),
                 f"to play it again: base64 -d > {path}; {folder / 'tests/fuzz' / name} {path}",
                 f"once mended: cp {path} tests/fuzz/corpus/{name}/"]
    return "\n".join(told)


def run_one(name, folder, seconds, seed, running):
    began = time.monotonic()
    process = subprocess.Popen(argv_of(name, folder, seconds, seed), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               stdin=subprocess.DEVNULL, cwd=folder)
    running.append(process)
    try:
        output, ended = process.communicate(timeout=seconds + GRACE_S)[0], True
    except subprocess.TimeoutExpired:
        process.kill()
        output, ended = process.communicate()[0], False
    output = output.decode(errors="replace")
    inputs = re.search(r"number_of_executed_units:\s*(\d+)", output)
    new = re.search(r"new_units_added:\s*(\d+)", output)
    cover = re.findall(r"cov: (\d+) ft: (\d+)", output)
    ok = ended and process.returncode == 0 and inputs is not None
    text = f"exit code {process.returncode}"
    if ok:
        text = (f"{inputs[1]} inputs from {sum(len(os.listdir(c)) for c in kept(name))} kept ones, {new[1]} new ones kept"
                + (f", {cover[-1][0]} places reached, {cover[-1][1]} features" if cover else ""))
    print(f"{'ok' if ok else 'FAIL':4} fuzz {name}: {text} ({time.monotonic() - began:.1f} s)", flush=True)
    if not ok:
        print(how_it_broke(name, folder, output) if ended else f"{name} did not end in time", flush=True)
    return ok


def run_all(names, folder, seconds, seed):
    """Whether each ended well, in the order of their names. Stopped, it leaves none running."""
    pool, running = ThreadPoolExecutor(os.cpu_count()), []
    try:
        return list(pool.map(lambda name: run_one(name, folder, seconds, seed, running), names))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in running:
            if process.poll() is None:
                process.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="each (60)")
    parser.add_argument("--seed", type=int, default=0, help="0: a fresh one (0)")
    parser.add_argument("--build", default="build-fuzz")
    parser.add_argument("--json", help="write the counts there")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tests/fuzz/run.py: terminated"))
    folder = (ROOT / arguments.build).resolve()
    wanted = [f for f in fuzzers() if not arguments.names or any(n in f for n in arguments.names)]
    began = time.monotonic()
    build(folder, wanted)
    print(f"fuzz: built in {time.monotonic() - began:.0f} s", flush=True)
    well = run_all(wanted, folder, arguments.seconds, arguments.seed)
    failures = [name for name, ok in zip(wanted, well) if not ok]
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(
            {"passed": len(wanted) - len(failures), "failed": len(failures), "skipped": 0, "failures": failures}))
    return 1 if failures or not wanted else 0


if __name__ == "__main__":
    sys.exit(main())
