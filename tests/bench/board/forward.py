"""Frames a second over memif beside testpmd, and what more sessions cost."""
import math

from tests.bench.board.figures import cell, line, middle, number, ratio, spread, table

NAME = "forward"
ABOUT = "forwarding of 64-byte frames beside testpmd, 1 k to 4 M sessions"
PACKAGES = ["dpdk"]
TESTPMD = "testpmd macswap"
SESSIONS = [1_000, 10_000, 100_000, 1_000_000, 4_000_000]


def row(sessions):
    return f"forward, {sessions:,} sessions"


def measure(run):
    raw = run.bench("forward_bench.py", "--build", run.build / "tests/bench", "--rounds", run.pick(3, 1), "--seconds",
                    1, "--sessions", ",".join(str(n) for n in run.pick(SESSIONS, [1_000, 1_000_000, 4_000_000])))
    rates = {kind: [r["rate"] for r in rounds] for kind, rounds in raw.items()}
    rows, ratios = {}, {}
    for kind, rounds in raw.items():
        rows[kind] = {"mpps": spread([r / 1e6 for r in rates[kind]]), "ns": spread([1e9 / r for r in rates[kind]]),
                      "of testpmd": ratio(rates[kind], rates[TESTPMD])}
        if rounds[0]["bytes"]:
            rows[kind]["bytes"] = spread([r["bytes"] for r in rounds])
    ratios["forward, 1 M sessions, of testpmd"] = rows[row(1_000_000)]["of testpmd"]
    ratios["forward, 4 M sessions, of 1 k"] = ratio(rates[row(4_000_000)], rates[row(1_000)])
    return rows, ratios


def by_sessions(part):
    """[(sessions, row)]"""
    return [(int(name.split(",", 1)[1].replace(",", "").split()[0]), found) for name, found in part["rows"].items()
            if name != TESTPMD]


def tables(part):
    sessions = {row(n): n for n, _ in by_sessions(part)}
    lines = [[name, middle(found["of testpmd"]), cell(found["mpps"]), middle(found["ns"]), middle(found.get("bytes"), 2**-20),
              middle(found["bytes"], 1 / sessions[name]) if sessions.get(name, 0) >= 100_000 else "-"]
             for name, found in part["rows"].items()]
    points = by_sessions(part)
    _, slope = line([math.log10(n) for n, _ in points], [r["ns"]["median"] for _, r in points])
    _, octets = line([n for n, _ in points], [r["bytes"]["median"] for _, r in points])
    return "\n\n".join([
        table(["64-byte frames", "of testpmd", "million a second", "ns a frame", "MiB", "octets a session"], lines),
        f"Straight lines: ten times the sessions cost {number(slope)} ns a frame, and each session {number(octets)} octets."])
