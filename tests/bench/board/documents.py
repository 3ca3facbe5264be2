"""Blocks of README.md and docs/ that are written from figures.json, between <!-- figures: NAME --> and <!-- end -->.

The prose around them is written by hand; what is inside never is (tests/lint/lint.py holds them against the file).
"""
import re
import subprocess

from tests.bench.board import figures, goals
from tests.bench.board.parts import PARTS

DOCUMENTS = ["README.md", "docs/performance.md"]
PLOTS = {"failover": "the stall when the active box is gone", "relays": "new connections and bulk through one box",
         "https": "TLS beside HAProxy and nginx", "forward": "forwarding by the number of sessions",
         "ring": "the ring beside NORM and OpenPGM", "growth": "what grows with standbys and sessions"}
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.S)


def stamp(part):
    text = f"`{part['command']}`, {part['date']}, commit {part['commit']}, load {part['load']} before it began"
    return text + (" (a quick run, which shows that it runs: no figures to rely on)." if part["quick"] else ".")


def of_part(module):
    def write(found):
        part = found["parts"].get(module.NAME)
        if not part:
            return goals.NOTHING
        plot = f"![{PLOTS[module.NAME]}](performance/{module.NAME}.svg)\n\n" if module.NAME in PLOTS else ""
        return f"{plot}{module.tables(part)}\n\n{stamp(part)}"
    return write


def machine(found):
    run = found["run"]
    if not run:
        return goals.NOTHING
    m = run["machine"]
    peers = ", ".join(f"{name} {version}" for name, version in run["packages"].items())
    return (f"{m['cores']} cores ({m['processor']}), {m['memory_gib']} GiB, kernel {m['kernel']}; the others as Debian has "
            f"them: {peers}. Made by `{run['command']}` on {run['date']} in {run['minutes']:.0f} minutes.")


def blocks():
    return {"machine": machine, "goals": goals.goals, "scoreboard": goals.scoreboard,
            **{p.NAME: of_part(p) for p in PARTS}}


def rendered(text, found):
    """The document with its blocks as the figures have them; a KeyError for a block nobody writes."""
    writers = blocks()
    return BLOCK.sub(lambda m: f"{m[1]}{writers[m[2]](found)}\n{m[4]}", text)


def disagreements(found=None):
    """(document, block) of those that differ from the figures."""
    found = figures.read() if found is None else found
    writers = blocks()
    for name in DOCUMENTS:
        text = (figures.ROOT / name).read_text()
        for match in BLOCK.finditer(text):
            if match[2] not in writers:
                yield name, f"{match[2]}: no such block"
            elif writers[match[2]](found) + "\n" != match[3]:
                yield name, match[2]


def stale_plots(found=None):
    """Plots that do not show the figures, or are missing."""
    found = figures.read() if found is None else found
    for name in PLOTS:
        if name in found["parts"]:
            file = figures.LANDED.parent / f"{name}.svg"
            wanted = f"figures {figures.digest(found['parts'][name])}"
            if not file.exists() or wanted not in file.read_text():
                yield file.relative_to(figures.ROOT)


def unreliable(found=None):
    """Parts that a quick run measured: they show that it runs, and are not to be committed."""
    found = figures.read() if found is None else found
    return [name for name, part in found["parts"].items() if part["quick"]]


def write(found):
    """Documents and plots."""
    for name in DOCUMENTS:
        path = figures.ROOT / name
        path.write_text(rendered(path.read_text(), found))
    if found["parts"]:  # by Debian's own python3, which has its matplotlib
        subprocess.run(["/usr/bin/python3", figures.ROOT / "tests/bench/board/plots.py", figures.LANDED, figures.LANDED.parent],
                       check=True)
