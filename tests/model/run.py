#!/usr/bin/env python3
"""Has spin search the model of adoption and commit: nothing may be violated, and without any one mechanism something is.

    tests/model/run.py            what holds, then each mechanism taken out
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.checks import Checks  # noqa: E402

MODEL = Path(__file__).resolve().parent / "takeover.pml"
TIMEOUT_S = 900
MEMORY_MB = 6000
RIVALS = {"ROUNDS": 2, "ITEMS": 1, "VIEWS": 0, "SKIPS": 0, "FAULTS": 0}
VIEWS = {"ROUNDS": 1, "ITEMS": 1, "VIEWS": 1, "SKIPS": 1, "FAULTS": 0}
DEATH = {"ROUNDS": 1, "ITEMS": 1, "VIEWS": 1, "SKIPS": 1, "FAULTS": 1}
HOLDS = {
    "an attempt while the view changes and somebody dies": DEATH,
    "two attempts to adopt": RIVALS,
    "an attempt while the view changes": VIEWS,
}
# What is taken out, and where that shows.
WITHOUT = {
    "FORGETFUL": ("a voter makes no promise", VIEWS),
    "NO_GATE": ("nothing waits for the owners", VIEWS),
    "ACK_FIRST": ("a status counts whatever epochs it brings", RIVALS),
    "SKIPPED_COUNTS": ("who follows anew counts at once", VIEWS),
    "NO_RENEW": ("what waits is not published again for a new view", VIEWS),
}


def search(bounds, without=None):
    """What spin found: (violated, exhausted, states, depth, text)."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-model-"))
    try:
        shutil.copy(MODEL, folder)
        defines = [f"-D{k}={v}" for k, v in bounds.items()] + ([f"-D{without}"] if without else [])
        subprocess.run(["spin", "-a", *defines, MODEL.name], cwd=folder, check=True, capture_output=True, text=True)
        # Hash compaction, 64 bits a state: that any two of 2.4e7 states share one has a chance of 2.4e7^2 / 2^65 = 2e-5.
        subprocess.run(["cc", "-O3", "-w", "-DSAFETY", "-DHC4", f"-DMEMLIM={MEMORY_MB}", "-o", "pan", "pan.c"], cwd=folder,
                       check=True, capture_output=True, text=True)
        text = subprocess.run(["./pan", "-E", "-w26", "-m1000000"], cwd=folder, capture_output=True, text=True,
                              timeout=TIMEOUT_S).stdout
    finally:
        shutil.rmtree(folder)
    found = {name: re.search(pattern, text) for name, pattern in
             (("errors", r"errors: (\d+)"), ("states", r"(\d+) states, stored"), ("depth", r"depth reached (\d+)"))}
    if not all(found.values()):
        raise RuntimeError(text[-2000:])
    numbers = {name: int(match.group(1)) for name, match in found.items()}
    complete = "Search not completed" not in text and "max search depth too small" not in text
    return numbers["errors"] > 0, complete, numbers["states"], numbers["depth"], text


def timed_search(*what):
    began = time.monotonic()
    return *search(*what), time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", help="write what was counted here")
    arguments = parser.parse_args()
    checks = Checks("model")

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the longest first
        holds = {what: pool.submit(timed_search, bounds) for what, bounds in HOLDS.items()}
        without = {what: pool.submit(timed_search, bounds, define) for define, (what, bounds) in WITHOUT.items()}
        for what, found in holds.items():
            violated, complete, states, depth, text, seconds = found.result()
            verdict = next((l for l in text.splitlines() if "assertion violated" in l), "all explored, nothing violated")
            checks.add(what, complete and not violated, f"{states} states, depth {depth}: {verdict}",
                       time.monotonic() - seconds)
        for what, found in without.items():
            violated, _, states, _, _, seconds = found.result()
            checks.add(f"when {what}", violated, f"{'violated' if violated else 'NOT NOTICED'} after {states} states",
                       time.monotonic() - seconds)
    return checks.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
