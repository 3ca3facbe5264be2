"""Blocks of README.md and docs/ that are written from figures.json, between <!-- figures: NAME --> and <!-- end -->.

The prose around them is written by hand; what is inside never is (tests/lint/lint.py holds them against the file).
"""
import re

from tests.bench.board import figures, goals
from tests.bench.board.parts import PARTS

DOCUMENTS = ["README.md", "docs/performance.md"]
BLOCK = re.compile(r"(<!-- figures: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.S)
NOTHING = "Not measured yet: `make scoreboard`."


def stamp(part):
    text = f"`{part['command']}`, {part['date']}, commit {part['commit']}, load {part['load']} before it began"
    return text + (" (a quick run, which shows that it runs: no figures to rely on)." if part["quick"] else ".")


def of_part(module):
    def write(found):
        part = found["parts"].get(module.NAME)
        return f"{module.tables(part)}\n\n{stamp(part)}" if part else NOTHING
    return write


def machine(found):
    run = found["run"]
    if not run:
        return NOTHING
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


def write(found):
    for name in DOCUMENTS:
        path = figures.ROOT / name
        path.write_text(rendered(path.read_text(), found))
