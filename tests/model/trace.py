#!/usr/bin/env python3
"""Holds simulated clusters against the model: their nodes' epochs, claims and views must change as the model's can.

    tests/model/trace.py SIM            the first seeds of three nodes with two copies
    tests/model/trace.py SIM --seed 7   one of them, and where the model cannot follow

For each seed spin looks for a run of the model that shows what was seen of the cluster, in the same order. Two traces
that no cluster may show must be refused, or this would prove nothing.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.checks import Checks  # noqa: E402

MODEL = Path(__file__).resolve().parent / "takeover.pml"
BOUNDS = {"ROUNDS": 20, "ITEMS": 0, "VIEWS": 60, "SKIPS": 4, "FAULTS": 20, "HANDOVERS": 20}
NODES, SEEDS = 3, 20
TIMEOUT_S = 300
UP, HELD, EPOCH, _, ANNOUNCED, _ = range(6)


def build(folder):
    defines = [f"-D{k}={v}" for k, v in BOUNDS.items()]
    subprocess.run(["spin", "-a", "-DTRACE", *defines, MODEL], cwd=folder, check=True, capture_output=True, text=True)
    subprocess.run(["cc", "-O2", "-w", "-DSAFETY", "-DHC4", "-DMEMLIM=4000", "-o", "pan", "pan.c"], cwd=folder, check=True,
                   capture_output=True, text=True)
    return folder / "pan"


def record(sim, seed, folder):
    file = folder / f"seed-{seed}"
    done = subprocess.run([sim, "--seed", str(seed), "--nodes", str(NODES), "--copies", "2", "--sessions", "3", "--temper",
                           "orderly", "--trace", file], capture_output=True, text=True, timeout=TIMEOUT_S)
    if done.returncode != 0:
        raise RuntimeError(f"seed {seed} failed by itself: {done.stdout[-500:]}")
    return file.read_text().splitlines()


def states_of(lines):
    """The model's terms: whoever holds at first is node 0, its first view number 1; each holder counts its views from 1."""
    nodes, numbers, states = [None] * NODES, [0] * NODES, []

    def renamed(members):
        return sum(1 << names[n] for n in range(NODES) if members >> n & 1)

    rows = [[int(word) for word in line.split()][1:] for line in lines]
    first = next(row[0] for row in rows[:NODES] if row[2])
    names = {old: (old - first) % NODES for old in range(NODES)}
    epoch_0 = rows[first][3] - 1
    for old, up, held, count, of, number, announced, counting in rows:
        n = names[old]
        if held and not (nodes[n] and nodes[n][HELD]):
            numbers[n] = number - 1
        nodes[n] = (up, held, (count - epoch_0) * NODES + names[of] if up else 0, number - numbers[n] if held else 0,
                    renamed(announced), renamed(counting))
        if None not in nodes and (not states or states[-1] != tuple(nodes)):
            states.append(tuple(nodes))
    return states


def followed(pan, states):
    """Whether the model can show all of these one after the other."""
    with tempfile.NamedTemporaryFile("w", suffix=".trace") as file:
        file.write("\n".join(" ".join(str(v) for node in state for v in node) for state in states))
        file.flush()
        said = subprocess.run([pan, "-E", "-m200000"], env={**os.environ, "HOLDFAST_TRACE": file.name}, cwd=pan.parent,
                              capture_output=True, text=True, timeout=TIMEOUT_S)
    errors = re.search(r"errors: (\d+)", said.stdout)
    if not errors:
        raise RuntimeError(said.stdout[-1000:] + said.stderr[-1000:])
    if "assertion violated" in said.stdout:
        return True
    if "Search not completed" in said.stdout or "max search depth too small" in said.stdout:
        raise RuntimeError("the search ended early: " + said.stdout[:300])
    return False


def furthest(pan, states):
    """The first state that cannot be followed."""
    low, high = 1, len(states)
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if followed(pan, states[:middle]) else (low, middle)
    return low


def forgeries(states):
    """What must not be: a second holder in one epoch, and an adopter whom nobody voted for."""
    at, n = next((i, n) for i in range(1, len(states)) for n in range(NODES) if states[i][n][HELD] and not states[i - 1][n][HELD])
    other = (n + 1) % NODES
    twice = list(states[at])
    twice[other] = (1, 1, twice[n][EPOCH], 1, twice[n][ANNOUNCED], 0)
    yield "two holders of one epoch", states[:at + 1] + [tuple(twice)]
    voters = [m for m in range(NODES) if m != n and states[at][m][UP]]
    begun = next(i for i in range(at) if states[i][n][EPOCH] == states[at][n][EPOCH])
    unmoved = []
    for state in states[:at + 1]:
        changed = list(state)
        for m in voters:
            if len(unmoved) >= begun and changed[m][UP] and changed[m][EPOCH] == states[at][n][EPOCH]:
                changed[m] = (1, 0, states[begun - 1][m][EPOCH], 0, 0, 0)
        if not unmoved or unmoved[-1] != tuple(changed):
            unmoved.append(tuple(changed))
    yield "an adopter without a vote", unmoved


def main():
    parser = argparse.ArgumentParser(prog="tests/model/trace.py", description=__doc__.split("\n")[0])
    parser.add_argument("sim", help="the simulator: build/tests/simulation/world/holdfast-sim")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"the first so many ({SEEDS})")
    parser.add_argument("--json", help="write what was counted here")
    arguments = parser.parse_args()
    checks = Checks("trace")

    with tempfile.TemporaryDirectory(prefix="holdfast-trace-") as name:
        folder = Path(name)
        pan = build(folder)
        tried = False
        for seed in [arguments.seed] if arguments.seed else range(1, arguments.seeds + 1):
            began = time.monotonic()
            states = states_of(record(Path(arguments.sim).resolve(), seed, folder))
            good = followed(pan, states)
            text = f"{len(states)} states, " + ("the model follows" if good else "")
            if not good:
                last = furthest(pan, states)
                text += f"the model cannot go from {states[last - 1]} to {states[last]}" if last < len(states) else \
                    f"the model does not begin with {states[0]}"
            checks.add(f"seed {seed}", good, text, began)
            if tried or not any(s[n][HELD] for s in states for n in (1, 2)):
                continue
            tried = True
            for what, forged in forgeries(states):
                began = time.monotonic()
                checks.add(f"forged, {what}", not followed(pan, forged), "the model does not follow", began)
    if not arguments.seed and not tried:
        checks.add("forged", False, "no seed of these had an adopter to forge from", began)
    return checks.finish(arguments.json)


if __name__ == "__main__":
    sys.exit(main())
