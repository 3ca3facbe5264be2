"""Counts checks as they are made, a line each, for the runners that tests/suite.py asks with --json."""
import json
import time
from pathlib import Path


class Checks:
    def __init__(self, what):
        self.what, self.passed, self.failures = what, 0, []

    def add(self, name, good, text, began):
        print(f"{'ok' if good else 'FAIL':4} {self.what} {name}: {text} ({time.monotonic() - began:.1f} s)", flush=True)
        self.passed += good
        if not good:
            self.failures.append(name)

    def finish(self, file):
        """The exit code; what was counted goes to `file`, if there is one."""
        print(f"{self.what}: {self.passed} passed, {len(self.failures)} failed")
        if file:
            Path(file).write_text(json.dumps({"passed": self.passed, "failed": len(self.failures), "skipped": 0,
                                              "failures": self.failures}))
        return 1 if self.failures else 0
