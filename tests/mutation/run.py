#!/usr/bin/env python3
"""Takes one mechanism after the other out of the product and demands that something notices.

    tests/mutation/run.py              all of tests/mutation/breakages.py, in a copy of the tree
    tests/mutation/run.py no-gate ...  only these

Works in BUILD/source and BUILD/build; the tree itself is never touched. Ends with a table, and with 0 only if the
product as it is passes what is asked of it and every breakage is noticed.
"""
import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from breakages import BREAKAGES  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
SIM = "tests/simulation/world/holdfast-sim"
SEEDS = 1000
BUILD_TIMEOUT_S, RUN_TIMEOUT_S = 1800, 600


@dataclass
class Finding:
    noticed: bool
    by: str


def log(text):
    print(text, flush=True)


def copy_tree(to):
    """What git knows of the tree as it stands; unchanged files keep their age, so that little is built again."""
    names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, target = ROOT / name, to / name
        if not source.is_file():
            continue
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def run(command, timeout, cwd=None):
    """(exit code or None when it took too long, output)."""
    process = subprocess.Popen(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    try:
        output, _ = process.communicate(timeout=timeout)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        subprocess.run(["pkill", "-KILL", "-g", str(process.pid)])
        return None, process.communicate()[0]
    except BaseException:
        subprocess.run(["pkill", "-KILL", "-g", str(process.pid)])
        raise


class Workshop:
    def __init__(self, folder, seeds):
        self.source, self.build, self.seeds = folder / "source", folder / "build", seeds

    def prepare(self):
        copy_tree(self.source)
        if not (self.build / "build.ninja").exists():
            code, output = run(["meson", "setup", str(self.build), str(self.source)], 300)
            if code != 0:
                raise RuntimeError(output[-3000:])

    def compile(self, target):
        code, output = run(["ninja", "-C", str(self.build), target], BUILD_TIMEOUT_S)
        if code != 0:
            raise RuntimeError(f"does not build: {output[-3000:]}")

    def ask(self, breakage):
        """Whether what should notice it complains now, and how."""
        if breakage.test:
            self.compile(breakage.test)
            code, output = run([str(self.build / breakage.test), f"--gtest_filter={breakage.case}"], RUN_TIMEOUT_S)
            if re.search(r"^\[==========\] Running 0 tests", output, re.M):
                raise RuntimeError(f"{breakage.test} has no {breakage.case}")
            return Finding(code != 0, f"test {breakage.case}")
        self.compile(SIM)
        if breakage.trace:
            code, output = run([sys.executable, str(ROOT / "tests/model/trace.py"), str(self.build / SIM), "--seeds", "50"],
                               RUN_TIMEOUT_S)
            lost = re.search(r"^FAIL trace (seed \d+)", output, re.M)
            if code not in (0, 1) or (code == 1 and not lost):
                raise RuntimeError(output[-1000:])
            return Finding(code == 1, f"the model cannot follow {lost.group(1)}" if lost else "the model")
        code, output = run([str(self.build / SIM), "--seeds", str(self.seeds), "--until-failure"],
                           RUN_TIMEOUT_S)
        if code is None:
            return Finding(True, f"hangs: not done after {RUN_TIMEOUT_S} s")
        after = re.search(r"^failed after (\d+) seeds$", output, re.M)
        how = re.search(r"^  \d+ us: (.*)$|^  (streams: .*)$|^seed \d+: (CRASHED)$|^  (\S+: .*)$", output, re.M)
        if code == 0 or not after:
            return Finding(False, f"{self.seeds} seeds" if code == 0 else output[-300:])
        what = next((g for g in how.groups() if g), "") if how else ""
        return Finding(True, f"after {after.group(1)} seeds: {what[:70]}")

    def try_one(self, breakage):
        file = self.source / breakage.file
        whole = file.read_text()
        try:
            file.write_text(breakage.apply(whole))
            return self.ask(breakage)
        finally:
            file.write_text(whole)


def way_of(breakage):
    return breakage.trace, breakage.test, breakage.case


def main():
    parser = argparse.ArgumentParser(prog="tests/mutation/run.py", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="only these (all)")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"at most so many for each ({SEEDS})")
    parser.add_argument("--build", default=str(ROOT / "build-mutation"), help="where to work (build-mutation)")
    parser.add_argument("--json", help="write what was counted here")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("mutation: terminated"))
    unknown = set(arguments.names) - {b.name for b in BREAKAGES}
    if unknown:
        parser.error(f"no such breakage: {', '.join(sorted(unknown))}")
    wanted = [b for b in BREAKAGES if not arguments.names or b.name in arguments.names]

    for b in BREAKAGES:
        b.apply((ROOT / b.file).read_text())
    workshop = Workshop(Path(arguments.build).resolve(), arguments.seeds)
    workshop.prepare()
    rows, failures = [], []
    for way in dict.fromkeys(way_of(b) for b in wanted):
        b = next(b for b in wanted if way_of(b) == way)
        found = workshop.ask(b)
        log(f"{'FAIL' if found.noticed else 'ok':4} mutation: the product as it is, {b.case or ('the model follows' if b.trace else 'seeds')}")
        if found.noticed:
            failures.append(f"as it is: {found.by}")
    for b in wanted:
        began = time.monotonic()
        try:
            found = workshop.try_one(b)
        except RuntimeError as problem:
            found = Finding(False, str(problem))
        log(f"{'ok' if found.noticed else 'FAIL':4} mutation {b.name}: "
            f"{'noticed' if found.noticed else 'NOT NOTICED'}, {found.by} ({time.monotonic() - began:.0f} s)")
        rows.append((b, found))
        if not found.noticed:
            failures.append(b.name)
    log("\n| breakage | what | noticed |\n|---|---|---|")
    for b, found in rows:
        log(f"| {b.name} | {b.what} | {found.by if found.noticed else 'NO'} |")
    noticed = sum(found.noticed for _, found in rows)
    log(f"mutation: {noticed} of {len(rows)} noticed")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"passed": noticed, "failed": len(failures), "skipped": 0,
                                                    "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
