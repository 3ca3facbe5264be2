"""A run's ratios beside those that landed last. Information, never a gate: of ratios, since times are the machine's."""
from tests.bench.board.figures import middle, table

SLACK = 0.10  # runs on one machine differ by a tenth


def verdict(now, before):
    """Apart only when their ranges do not touch and their medians differ by more than runs do."""
    change = now["median"] / before["median"] - 1 if before["median"] else 0
    apart = now["min"] > before["max"] or now["max"] < before["min"]
    if not apart or abs(change) < SLACK:
        return "as before"
    return f"better by {100 * change:.0f} %" if change > 0 else f"WORSE by {-100 * change:.0f} %"


def compare(found, landed):
    lines = []
    for part, measured in found["parts"].items():
        known = landed["parts"].get(part, {}).get("ratios", {})
        for name, now in measured["ratios"].items():
            before = known.get(name)
            if now and before:
                lines.append([name, middle(before), middle(now), verdict(now, before)])
    return table(["ratio (more is better)", "landed", "now", ""], lines) if lines else "nothing that landed is of these parts"
