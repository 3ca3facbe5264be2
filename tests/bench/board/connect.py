"""New connections through a node that replicates them, over memif."""
from tests.bench.board.figures import cell, middle, ratio, spread, table

NAME = "connect"
ABOUT = "new connections by commit mode"
PACKAGES = []
OFF, ALL = "off (one node)", "commit = all"


def measure(run):
    raw = run.bench("connect_bench.py", "--build", run.build / "tests/bench", "--rounds", run.pick(3, 1), "--seconds", 1)
    rate = {kind: [r["rate"] for r in found["full"]] for kind, found in raw.items()}
    core = {kind: [1e9 / r["ns"] for r in found["full"]] for kind, found in raw.items()}
    p50 = {kind: [r["p50_us"] for r in found["paced"]] for kind, found in raw.items()}
    rows = {kind: {"k_per_s": spread([r / 1000 for r in rate[kind]]), "of off": ratio(rate[kind], rate[OFF]),
                   "k_per_core_s": spread([r / 1000 for r in core[kind]]), "of off, by core": ratio(core[kind], core[OFF]),
                   "p50_us": spread(p50[kind]), "p99_us": spread([r["p99_us"] for r in found["paced"]]),
                   "added_us": spread([a - b for a, b in zip(p50[kind], p50[OFF])]),
                   "lost": spread([sum(r["lost"] + r["no_room"] for r in found["full"] + found["paced"])])}
            for kind, found in raw.items()}
    return rows, {"new connections, commit = all, of no replication, by the holder's core": rows[ALL]["of off, by core"],
                  "new connections, commit = all, of no replication, in rate on two cores": rows[ALL]["of off"]}


def tables(part):
    return table(["replication", "of off, by the holder's core", "of off, in rate", "thousand a second of the holder's core",
                  "thousand a second", "SYN to SYN-ACK at 20,000 a second: median, us", "p99, us", "added, us"],
                 [[kind, middle(r["of off, by core"]), middle(r["of off"]), cell(r["k_per_core_s"]), cell(r["k_per_s"]),
                   cell(r["p50_us"]), middle(r["p99_us"]), middle(r["added_us"])] for kind, r in part["rows"].items()])
