"""Runs one benchmark of a part, tells how it goes, and hands back what it found."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.board.figures import ROOT

ENDING_S = 60  # a benchmark removes its namespaces


class Failed(Exception):
    """A benchmark that did not come to its end, in words."""


class Run:
    """What the parts are told: where the programs are, whether to be quick, and how to say what goes on."""

    def __init__(self, build, quick):
        self.build, self.quick = Path(build).resolve(), quick
        self.began = time.monotonic()
        self.commands = []

    def say(self, text):
        at = int(time.monotonic() - self.began)
        print(f"[{at // 60:2}:{at % 60:02}] {text}", flush=True)

    def pick(self, full, quick):
        return quick if self.quick else full

    def program(self, name):
        path = self.build / "tests/bench" / name
        if not path.exists():
            raise Failed(f"{path} is not there: make")
        return path

    def bench(self, script, *words):
        """A script of tests/bench that knows --json."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "figures.json"
            self.listen([sys.executable, ROOT / "tests/bench" / script, *words, "--json", file])
            told = [str(w) if w != self.build / "tests/bench" else "build/tests/bench" for w in words]
            self.commands.append(" ".join(["tests/bench/" + script, *told]))
            return json.loads(file.read_text())

    def listen(self, words):
        """Says each line that begins with "# "; the rest is the benchmark's own table, shown when it fails."""
        environment = {**os.environ, "HOLDFAST_BUILD": str(self.build)}
        # In a session of its own: Ctrl-C is for us, who then tell it once to remove what it made.
        process = subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace", env=environment, start_new_session=True)
        told = []
        try:
            for line in process.stdout:
                told.append(line.rstrip())
                if line.startswith("# "):
                    self.say("   " + line[1:].strip())
            code = process.wait()
        except BaseException:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
        if code != 0:
            raise Failed("\n".join([f"{Path(str(words[1])).name} ended with {code}", *told[-15:]]))
        return told
