#!/usr/bin/env python3
"""Runs the system tests, as root: each in a process of its own, bounded in time, its namespaces removed afterwards and
looked for; a leftover is a failure.

    run.py [--accept[=PART]] [--json FILE] [--list] [NAME...]      NAME: part of a test's name; PART: forward, tls, differential,
                                                                   dataplane
"""
import argparse
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))

from tests.system.harness import Case, Failure, LabError, Skip  # noqa: E402
from tools.lab import state  # noqa: E402
from tools.lab.world import Lab, build_folder, daemon_path  # noqa: E402

DEFAULT_LIMIT_S = 60
GRACE_S = 25  # to clean up after a time-out
TOLD_AT_THE_END = 300  # characters of why a test failed, once more
ORDER = ["test_lab", "test_forward", "test_failover", "test_forged", "test_sanitized"]


def collect(names):
    """(file, function) of every test wanted, in the order of the files and within them."""
    files = sorted((p.stem for p in HERE.glob("test_*.py")), key=lambda f: (ORDER + [f]).index(f))
    found = []
    for file in files:
        module = importlib.import_module(f"tests.system.{file}")
        for name, function in vars(module).items():
            if name.startswith("test_") and callable(function) and function.__module__ == module.__name__:
                found.append((file, function))
    return [(f, t) for f, t in found if not names or any(n in t.__name__ or n == f for n in names)]


def run_one(file, name, prefix):
    """In the child: the test itself. Its last line is its verdict, as JSON."""
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    function = getattr(importlib.import_module(f"tests.system.{file}"), name)
    verdict = {"result": "failed", "text": ""}
    try:
        verdict = {"result": "ok", "text": function(Case(name, prefix)) or ""}
    except Skip as why:
        verdict = {"result": "skipped", "text": str(why)}
    except (Failure, LabError) as why:
        verdict["text"] = str(why)
    except KeyboardInterrupt:
        verdict["text"] = "stopped: out of time"
    except BaseException:
        verdict["text"] = traceback.format_exc()
    print(json.dumps(verdict), flush=True)


def leftovers(prefix):
    """Removes what a test left behind, and says what it was."""
    found = [n for n in state.names() if n.startswith(prefix)]
    for name in found:
        with state.locked(name):
            Lab.open(name).down()
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    return [f"lab {n}" for n in found] + re.findall(rf"^(hf-{prefix}\S*)", listed, re.M)


def run_child(argv, seconds):
    """(output, whether it was in time). SIGTERM first: it cleans up."""
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, errors="replace")
    try:
        return child.communicate(timeout=seconds)[0], True
    except subprocess.TimeoutExpired:
        child.terminate()
    except BaseException:
        child.terminate()
        child.wait(GRACE_S)
        raise
    try:
        return child.communicate(timeout=GRACE_S)[0], False
    except subprocess.TimeoutExpired:
        child.kill()
        return child.communicate()[0], False


class Tally:
    def __init__(self):
        self.counts = {"ok": 0, "failed": 0, "skipped": 0}
        self.failures, self.left = [], []

    def add(self, result, name, text, took):
        self.counts[result] += 1
        if result == "failed":
            self.failures.append(f"{name}: {' '.join(text.split())[:TOLD_AT_THE_END]}")
        word = {"ok": "ok", "failed": "FAIL", "skipped": "skip"}[result]
        print(f"{word:4} system {name}: {text} ({took:.1f} s)", flush=True)


def run_tests(tests, tally, accepting):
    for number, (file, function) in enumerate(tests):
        prefix = f"t{os.getpid()}x{number}y"
        began = time.monotonic()
        seconds = getattr(function, "limit", DEFAULT_LIMIT_S)
        output, in_time = run_child([sys.executable, str(HERE / "run.py"), "--one", f"{file}:{function.__name__}",
                                     prefix], seconds)
        lines = output.rstrip("\n").split("\n")
        try:
            verdict = json.loads(lines[-1])
        except ValueError:
            verdict = {"result": "failed", "text": f"died: {output[-500:]}"}
        if not in_time:
            verdict = {"result": "failed", "text": f"not done after {seconds} s. {verdict['text']}"}
        if verdict["result"] == "failed":
            print("\n".join(lines[:-1]), flush=True)
        tally.left += leftovers(prefix)
        name = function.__name__.removeprefix("test_")
        if accepting:
            item, promise = function.accept
            name = f"{item}. {promise} [{name}]"
        tally.add(verdict["result"], name, verdict["text"], time.monotonic() - began)


def run_port_tests(names, tally):
    """The ports' own world: scripts that print "ok what" or "not ok what: why"."""
    for script in sorted(HERE.glob("port_*.py")):
        if script.stem == "port_world" or (names and not any(n in script.stem for n in names)):
            continue
        if not (build_folder() / "dataplane/port/port_reflect").exists():
            tally.add("skipped", script.stem, "port_reflect is not built", 0)
            continue
        began = time.monotonic()
        output, in_time = run_child([sys.executable, str(script)], 180)
        lines = [l for l in output.split("\n") if l.startswith(("ok ", "not ok "))]
        for line in lines:
            what = line.removeprefix("not ").removeprefix("ok ")
            tally.add("failed" if line.startswith("not") else "ok", f"{script.stem}: {what}", "", 0)
        if not in_time or not lines:
            tally.add("failed", script.stem, "not done in 180 s" if not in_time else f"said nothing: {output[-300:]}",
                      time.monotonic() - began)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--accept", nargs="?", const="forward", metavar="PART",
                        help="only the numbered promises of that part (forward), one line each")
    parser.add_argument("--json", help="write the counts there")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    if arguments.one:
        run_one(*arguments.one[0].split(":"), arguments.one[1])
        return 0
    tests = collect(arguments.names)
    if arguments.accept:
        parts = {function.accept_part for _, function in tests if hasattr(function, "accept_part")}
        if arguments.accept not in parts:
            parser.error(f"no promises of part {arguments.accept}; there are {', '.join(sorted(parts))}")
        tests = sorted((t for t in tests if getattr(t[1], "accept_part", None) == arguments.accept), key=lambda t: t[1].accept[0])
    if arguments.list:
        for _, test in tests:
            print(f"{test.__name__.removeprefix('test_'):32} {(test.__doc__ or '').strip()}")
        return 0
    if os.geteuid() != 0 or not daemon_path().exists():
        sys.exit("run.py: needs root" if os.geteuid() else f"run.py: {daemon_path()} is not built: make")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("run.py: terminated"))
    tally, began = Tally(), time.monotonic()
    try:
        run_tests(tests, tally, arguments.accept)
        if not arguments.accept:
            run_port_tests(arguments.names, tally)
        tally.add("failed" if tally.left else "ok", "nothing is left behind",
                  ", ".join(tally.left) or "no lab, no namespace", 0)
    finally:
        if arguments.json:
            Path(arguments.json).write_text(json.dumps(
                {"passed": tally.counts["ok"], "failed": tally.counts["failed"], "skipped": tally.counts["skipped"],
                 "failures": tally.failures}))
    counts = tally.counts
    print(f"system: {counts['ok']} passed, {counts['failed']} failed, {counts['skipped']} skipped in "
          f"{time.monotonic() - began:.0f} s")
    return 1 if counts["failed"] or not tests else 0


if __name__ == "__main__":
    sys.exit(main())
