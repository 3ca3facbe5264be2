#!/usr/bin/env python3
"""Builds, runs every test and counts. tests/run is the entry; it installs the packages first.

Counts are never written down by hand: unit tests are counted from GoogleTest's XML, lint checks and system
tests from the JSON their runners write. What a unit test printed stays in BUILD/test-logs.
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNIT_TIMEOUT_S = 300
SYSTEM_TIMEOUT_S = 3600
FUZZ_TIMEOUT_S = 1800
SIMULATION_TIMEOUT_S = 1200
MODEL_TIMEOUT_S = 1800
SEEDS = 1000
SIM = "tests/simulation/world/holdfast-sim"
PARTS = ["unit", "lint", "simulation", "model", "fuzz", "system"]
SLOW = ("simulation", "model", "fuzz", "system")


class Tally:
    """What was counted. A part that could not run at all counts as one failure."""

    def __init__(self):
        self.passed, self.failed, self.skipped = 0, 0, 0
        self.failures = []

    def add(self, passed, failed, skipped=0):
        self.passed += passed
        self.failed += failed
        self.skipped += skipped

    def fail(self, what):
        self.failed += 1
        self.failures.append(what)

    def line(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def say(text):
    print(text, flush=True)


def build(folder, tally):
    """Configures once and compiles. Warnings are errors here."""
    started = time.monotonic()
    if not (folder / "build.ninja").exists():
        if subprocess.run(["meson", "setup", "--werror", str(folder), str(ROOT)]).returncode != 0:
            tally.fail("build: meson setup")
            return False
    if subprocess.run(["ninja", "-C", str(folder)]).returncode != 0:
        tally.fail("build: ninja")
        return False
    say(f"build: done in {time.monotonic() - started:.0f} s")
    return True


def count_gtest(xml):
    """(passed, failed, skipped, names of what failed) from GoogleTest's XML."""
    passed, failed, skipped, names = 0, 0, 0, []
    for case in ElementTree.parse(xml).getroot().iter("testcase"):
        if case.find("failure") is not None:
            failed += 1
            names.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped, names


def run_unit(test, results):
    """One executable of Meson's list: its result as a dict."""
    xml = results / (test["name"].replace("/", "_") + ".xml")
    environment = {**os.environ, **(test["env"] or {}), "GTEST_OUTPUT": f"xml:{xml}"}
    started = time.monotonic()
    try:
        process = subprocess.run(test["cmd"], cwd=test["workdir"] or None, env=environment, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                                 timeout=max(test["timeout"], UNIT_TIMEOUT_S), stdin=subprocess.DEVNULL)
        code, output = process.returncode, process.stdout
    except subprocess.TimeoutExpired as late:
        code, output = None, (late.stdout or b"").decode(errors="replace")
    took = time.monotonic() - started
    if test["protocol"] == "gtest" and xml.exists():
        passed, failed, skipped, names = count_gtest(xml)
        if code != 0 and failed == 0:  # died after its last case: a sanitizer, a leak
            failed, names = 1, [f"exit code {code}"]
    elif code == 77:
        passed, failed, skipped, names = 0, 0, 1, []
    else:
        ok = code == 0
        passed, failed, skipped = int(ok), int(not ok), 0
        names = [] if ok else ["timeout" if code is None else f"exit code {code}"]
    return {"name": test["name"], "passed": passed, "failed": failed, "skipped": skipped,
            "names": names, "output": output, "took": took}


@contextmanager
def stopping_pool():
    """A pool that starts nothing more once we are stopped."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def unit(folder, tally):
    """Every test Meson knows, two at a time."""
    listed = subprocess.run(["meson", "introspect", "--tests", str(folder)], check=True,
                            capture_output=True, text=True)
    tests = [t for t in json.loads(listed.stdout) if "bench" not in t["suite"]]
    if not tests:
        tally.fail("unit: no tests were built")
    logs = folder / "test-logs"
    logs.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as results, stopping_pool() as pool:
        for r in pool.map(lambda t: run_unit(t, Path(results)), tests):
            (logs / f"{r['name'].replace('/', '_')}.log").write_text(r["output"])
            tally.add(r["passed"], r["failed"], r["skipped"])
            word = "FAIL" if r["failed"] else "ok"
            say(f"{word:4} unit {r['name']}: {r['passed']} passed, {r['failed']} failed, "
                f"{r['skipped']} skipped ({r['took']:.1f} s)")
            if r["failed"]:
                tally.failures += [f"unit {r['name']}: {n}" for n in r["names"]]
                say(r["output"][-8000:])


def run_counted(command, tally, what, timeout):
    """A runner of ours that writes {"passed": , "failed": , "skipped": , "failures": []} with --json."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        process = subprocess.Popen(command + ["--json", str(result)], stdin=subprocess.DEVNULL)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            tally.fail(f"{what}: not done after {timeout} s")
        finally:
            if process.poll() is None:  # SIGTERM: it cleans up after itself
                process.terminate()
                process.wait(60)
        try:
            counted = json.loads(result.read_text())
        except (OSError, ValueError):
            tally.fail(f"{what}: its runner ended with {process.returncode} and no result")
            return
    tally.add(counted["passed"], counted["failed"], counted["skipped"])
    tally.failures += [f"{what} {name}" for name in counted["failures"]]


def simulation(folder, tally):
    """Whole clusters from the first seeds; one test, which names the seeds that fail."""
    program = folder / SIM
    try:
        code = subprocess.run([program, "--seeds", str(SEEDS)], stdin=subprocess.DEVNULL,
                              timeout=SIMULATION_TIMEOUT_S).returncode
    except subprocess.TimeoutExpired:
        code = None
    say(f"{'ok' if code == 0 else 'FAIL':4} simulation: {SEEDS} seeds")
    if code == 0:
        tally.add(1, 0)
    else:
        tally.fail(f"simulation: {'timeout' if code is None else f'exit code {code}'}")


def model(folder, tally):
    run_counted([sys.executable, str(ROOT / "tests/model/run.py")], tally, "model", MODEL_TIMEOUT_S)
    run_counted([sys.executable, str(ROOT / "tests/model/trace.py"), str(folder / SIM)], tally, "trace", MODEL_TIMEOUT_S)


def lint(tally):
    run_counted([sys.executable, str(ROOT / "tests/lint/lint.py")], tally, "lint", 600)


def fuzz(folder, seconds, tally):
    """In a build of its own, with clang, beside the other; from one seed, for a test must not depend on luck."""
    run_counted([sys.executable, str(ROOT / "tests/fuzz/run.py"), "--build", f"{folder}-fuzz", "--seconds", str(seconds),
                 "--seed", "1"], tally, "fuzz", FUZZ_TIMEOUT_S)


def system(folder, names, tally):
    if os.geteuid() != 0:
        say("skip system: namespaces need root")
        tally.add(0, 0, 1)
        return
    os.environ["HOLDFAST_BUILD"] = str(folder)
    run_counted([sys.executable, str(ROOT / "tests/system/run.py"), *names], tally, "system",
                SYSTEM_TIMEOUT_S)


def main():
    parser = argparse.ArgumentParser(prog="tests/run", description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="unit tests and lint only")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--build", default="build", help="build folder (build)")
    parser.add_argument("--fuzz-seconds", type=int, default=60, help="for each fuzzer (60)")
    parser.add_argument("tests", nargs="*", help="system tests by name; default: all")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("tests/run: terminated"))
    folder = (ROOT / arguments.build).resolve()
    wanted = lambda part: arguments.only in (None, part) and not (arguments.quick and part in SLOW)

    tally, started = Tally(), time.monotonic()
    try:
        built = arguments.only in ("lint", "fuzz") or build(folder, tally)
        if built and wanted("unit"):
            unit(folder, tally)
        if wanted("lint"):
            lint(tally)
        if built and wanted("simulation") and not arguments.tests:
            simulation(folder, tally)
        if built and wanted("model") and not arguments.tests:
            model(folder, tally)
        if wanted("fuzz") and not arguments.tests:
            fuzz(folder, arguments.fuzz_seconds, tally)
        if built and wanted("system"):
            system(folder, arguments.tests, tally)
    except (SystemExit, KeyboardInterrupt) as stop:
        tally.fail(f"stopped: {stop}")
    for name in tally.failures:
        say(f"FAILED {name}")
    say(f"all in {time.monotonic() - started:.0f} s")
    say(tally.line())
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
