"""What grows with the number of standbys and of sessions, with the slope of a straight line through it."""
import math

from tests.bench.board.figures import cell, line, middle, number, rounded, spread, table

NAME = "growth"
ABOUT = "the ring's sender by the number of standbys, an adoption by the number of sessions (both simulated)"
PACKAGES = []
STANDBYS = 8


def measure(run):
    raw = run.bench("growth_bench.py", "--build", run.build / "tests/bench", "--rounds", run.pick(2, 1), "--ring-rounds",
                    run.pick(5, 1), "--standbys", STANDBYS, "--messages", run.pick(300_000, 100_000), "--sessions",
                    ",".join(run.pick(["1000", "10000", "100000", "1000000"], ["1000", "10000", "100000"])))
    rows = {f"ring, {n} standbys": {k: spread([r[k] for r in rounds]) for k in ("sender_ns", "receiver_ns")}
            for n, rounds in raw["ring"].items()}
    rows |= {f"adoption, {n} sessions": {k: spread([r[k] for r in rounds]) for k in ("ms", "adopter_ms", "longest_call_ms")}
             for n, rounds in raw["takeover"].items()}
    ring, takeover = points(rows, "ring", "sender_ns"), points(rows, "adoption", "ms")
    at_zero, slope = line(*zip(*ring))
    _, power = line([math.log(x) for x, _ in takeover], [math.log(y) for _, y in takeover])
    rows["fit"] = {"ring_ns_at_zero": spread([at_zero]), "ring_ns_a_standby": spread([slope]),
                   "adoption_power": spread([rounded(power)]),
                   "adoption_us_a_session": spread([takeover[-1][1] * 1000 / takeover[-1][0]])}
    return rows, {"the ring's sender with one standby, of that with eight":
                  spread([b["sender_ns"] / a["sender_ns"] for a, b in zip(raw["ring"][str(STANDBYS)], raw["ring"]["1"])])}


def points(rows, what, measure_name):
    return [(int(name.split()[1]), r[measure_name]["median"]) for name, r in rows.items() if name.startswith(what + ",")]


def tables(part):
    rows, fit = part["rows"], part["rows"]["fit"]
    ring = [[name.split()[1], cell(r["sender_ns"]), middle(r["receiver_ns"])] for name, r in rows.items()
            if name.startswith("ring,")]
    adoption = [[f"{int(name.split()[1]):,}", cell(r["ms"]), middle(r["adopter_ms"]), middle(r["longest_call_ms"])]
                for name, r in rows.items() if name.startswith("adoption,")]
    slope = fit["ring_ns_a_standby"]["median"]
    return "\n\n".join([
        table(["standbys (simulated)", "ns of processor time for a message of 256 bytes: sender", "each receiver"], ring),
        f"A straight line: {number(fit['ring_ns_at_zero']['median'])} ns and {number(slope)} for each standby.",
        table(["sessions adopted (simulated)", "ms of work of all nodes until all is gathered", "of that the adopter",
               "its longest call"], adoption),
        f"It grows with the sessions to the power of {number(fit['adoption_power']['median'])}; at most sessions, "
        f"{number(fit['adoption_us_a_session']['median'])} us for each."])
