"""What a run of the scoreboard finds, and how it is written.

figures.json: {"run": where and when, "parts": {name: a part}}. A part has its own stamp (date, commit, load, command), so
that one may be measured again without the others; its "rows": {row: {measure: spread}} and its "ratios": {name: spread}.
A spread is the median of several rounds with the least and the greatest: {"median", "min", "max", "n"}.
"""
import hashlib
import json
import math
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent.parent
LANDED = ROOT / "docs/performance/figures.json"


def spread(values):
    values = [v for v in values if v is not None and not math.isnan(v)]
    if not values:
        return None
    return {"median": rounded(statistics.median(values)), "min": rounded(min(values)), "max": rounded(max(values)),
            "n": len(values)}


def quantiles(values):
    """Of many samples of one thing: the same, and what most of them are below."""
    values = sorted(values)
    if not values:
        return None
    at = lambda q: rounded(values[min(len(values) - 1, int(q * len(values)))])
    return {**spread(values), "p10": at(.1), "p90": at(.9), "p99": at(.99)}


def rounded(value):
    """Four digits: more than these figures are good for."""
    return value if value == 0 or isinstance(value, int) else float(f"{value:.4g}")


def ratio(ours, theirs):
    """Round by round, since neighbours in time share their weather."""
    return spread([a / b for a, b in zip(ours, theirs) if a is not None and b])


def line(xs, ys):
    """(at zero, slope) of a straight line, least squares."""
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys)) / sum((x - mean_x) ** 2 for x in xs)
    return mean_y - slope * mean_x, slope


# --- how figures are written ---


def proper(name):
    """As people write them."""
    return name.replace("haproxy", "HAProxy").replace("holdfast", "Holdfast")


def number(value):
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    if value != 0 and abs(value) < 0.1:
        return f"{value:.3f}"
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def cell(found, scale=1.0):
    """Median (least, greatest)."""
    if found is None:
        return "-"
    text = number(found["median"] * scale)
    return text if found["n"] < 2 else f"{text} ({number(found['min'] * scale)}, {number(found['max'] * scale)})"


def middle(found, scale=1.0):
    return "-" if found is None else number(found["median"] * scale)


def table(columns, rows):
    return "\n".join([f"| {' | '.join(columns)} |", "|---" * len(columns) + "|",
                      *(f"| {' | '.join(row)} |" for row in rows)])


# --- where and when ---


def said(*words):
    try:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""


def commit():
    name = said("git", "rev-parse", "--short=7", "HEAD") or "unknown"
    return name + (" and changes" if said("git", "status", "--porcelain", "--untracked-files=no") else "")


def load():
    return round(os.getloadavg()[0], 1)


def today():
    return time.strftime("%Y-%m-%d", time.gmtime())


def machine():
    model = next((line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    gib = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    return {"cores": os.cpu_count(), "processor": model, "memory_gib": gib, "kernel": platform.release()}


def versions(*packages):
    """Of Debian's packages, as they are installed here."""
    told = said("dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages)
    return dict(line.split(" ", 1) for line in told.splitlines() if " " in line)


# --- the file ---


def digest(part):
    """Of what a plot shows."""
    return hashlib.sha256(json.dumps(part["rows"], sort_keys=True).encode()).hexdigest()[:16]


def read(path=LANDED):
    """Figures, or none at all where there is no file."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        return {"run": {}, "parts": {}}


def write(figures, path):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(figures, indent=1) + "\n")
    os.replace(fresh, path)
