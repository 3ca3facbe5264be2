"""The ring beside NORM and OpenPGM, and below raw sendmmsg."""
from tests.bench.board.figures import cell, middle, ratio, spread, table

NAME = "ring"
ABOUT = "the ring beside NORM and OpenPGM: 64, 256 and 1400 bytes, 0 and 1 percent of loss, 1 and 2 receivers"
PACKAGES = ["libnorm1", "libpgm-5.3-0"]
SYSTEMS = {"holdfast": "ours", "norm": "NORM", "pgm": "OpenPGM", "raw": "raw `sendmmsg`", "memif": "ours over memif"}
SIZES, RECEIVERS, LOSSES = [64, 256, 1400], [1, 2], [0, 1]
RIVALS = ["norm", "pgm"]


def key(system, size, receivers, loss):
    return f"{system}, {size} B, {receivers} rx, {loss} % loss"


def measure(run):
    words = ["--build", run.build / "tests/bench", "--parts", "throughput,latency", "--systems", ",".join(SYSTEMS)]
    words += run.pick(["--runs", 2, "--seconds", 0.5, "--latency-seconds", 1.5],
                      ["--runs", 1, "--seconds", 0.5, "--sizes", "256", "--latency-seconds", 1.5])
    found = {}
    for r in run.bench("ring_bench.py", *words):
        found.setdefault(key(r["system"], r["size"], r["receivers"], r["loss"]) + (", paced" if r["paced"] else ""),
                         []).append(r)
    rows, ratios = {}, {}
    for name, rounds in found.items():
        measured = ("p50", "p99") if name.endswith("paced") else ("rate", "arrived", "cpu_us")
        rows[name] = {m: spread([r[m] for r in rounds]) for m in measured}
    for size, receivers, loss in every():
        ours = found.get(key("holdfast", size, receivers, loss))
        for rival in RIVALS:
            theirs = found.get(key(rival, size, receivers, loss))
            if ours and theirs:
                ratios[f"ring, {size} B, {receivers} rx, {loss} % loss, of {SYSTEMS[rival]}"] = ratio(
                    [r["rate"] for r in ours], [r["rate"] for r in theirs])
    return rows, ratios


def every():
    return [(size, receivers, loss) for loss in LOSSES for receivers in RECEIVERS for size in SIZES]


def arrived(found):
    share = found["arrived"]["median"]
    return "" if share >= 0.999 else f", {100 * share:.0f} % arrived"


def grid(part, columns, write):
    lines = []
    for loss in LOSSES:
        for system, name in SYSTEMS.items():
            cells = [part["rows"].get(key(system, s, r, loss)) for s, r in columns]
            if any(cells):
                lines.append([name + (", 1 % loss" if loss else ""), *(write(c) if c else "-" for c in cells)])
    return lines


def tables(part):
    columns = [(s, r) for r in RECEIVERS for s in SIZES]
    heads = [f"{s} B, {r} rx" for s, r in columns]
    of = [[f"of {SYSTEMS[rival]}" + (", 1 % loss" if loss else ""),
           *(middle(part["ratios"].get(f"ring, {s} B, {r} rx, {loss} % loss, of {SYSTEMS[rival]}")) for s, r in columns)]
          for loss in LOSSES for rival in RIVALS]
    latency = [[SYSTEMS[system] + (", 1 % loss" if loss else ""), cell(found["p50"]), middle(found["p99"])]
               for loss in LOSSES for system in SYSTEMS
               if (found := part["rows"].get(key(system, 256, 2, loss) + ", paced"))]
    return "\n\n".join([
        "Ours as multiples of theirs, at the slowest receiver:", table(["", *heads], of),
        "Thousand messages a second:",
        table(["", *heads], grid(part, columns, lambda c: cell(c["rate"], 1e-3) + arrived(c))),
        "Processor time for a message in us, sender and receivers together (memif polls and never rests):",
        table(["", *heads], grid(part, columns, lambda c: middle(c["cpu_us"]))),
        "From one end to the other, 256 bytes at 10,000 a second to 2 receivers, us:",
        table(["", "median", "p99"], latency)])
