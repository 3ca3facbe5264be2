"""The goals with what was found, and the short table that README shows."""
from tests.bench.board.figures import middle, number, table


def ratio_of(part, name):
    """A ratio's median, or none."""
    def find(found):
        known = found["parts"].get(part, {}).get("ratios", {}).get(name)
        return known["median"] if known else None
    return find


# (goal, what is found, at least or at most, of how much)
GOALS = [
    ("`forward`, 64-byte frames, 1 M sessions, of testpmd macswap on the same device",
     ratio_of("forward", "forward, 1 M sessions, of testpmd"), "at least", 0.70),
    ("the rate with 4 M sessions, of that with 1 k", ratio_of("forward", "forward, 4 M sessions, of 1 k"), "at least", 0.80),
]


def met(value, how, bound):
    if value is None:
        return "?"
    return "yes" if (value >= bound if how == "at least" else value <= bound) else "no"


def goals(found):
    rows = []
    for goal, find, how, bound in GOALS:
        value = find(found)
        rows.append([goal, f"{how} {number(bound)}", number(value) if value is not None else "not measured",
                     met(value, how, bound)])
    return table(["goal", "wanted", "found", "met"], rows)


def scoreboard(found):
    rows = []
    forward = found["parts"].get("forward")
    if forward:
        ratios = forward["ratios"]
        rows.append(["64-byte frames a second, 1 M sessions, of dpdk-testpmd's macswap",
                     middle(ratios["forward, 1 M sessions, of testpmd"])])
    return table(["Holdfast beside others", "ratio"], rows) if rows else "Not measured yet: `make scoreboard`."
