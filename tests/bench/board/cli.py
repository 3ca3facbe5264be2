"""The scoreboard: Holdfast beside others in one run, on one machine; medians of several rounds, ratios first.

    tests/bench/scoreboard                 everything, under 20 minutes on two cores, and lands it: in
                                           docs/performance/figures.json, from which the tables and plots of
                                           docs/performance.md and README.md are written
    tests/bench/scoreboard --quick         everything once and briefly, about 4 minutes; lands nothing
    tests/bench/scoreboard --only PART     some parts; lands nothing, unless --land
    tests/bench/scoreboard --compare       measures, lands nothing, and puts its ratios beside those that landed last: to be
                                           read, never a gate (with --only and --quick as one likes; --from FILE: does not
                                           measure, but takes that run)
    tests/bench/scoreboard --render        writes tables and plots again from what landed

Needs root, for network namespaces of its own, and a machine that does nothing else. What was found is in
BUILD/scoreboard/figures.json, whatever lands.
"""
import argparse
import os
import signal
import sys
import time

from tests.bench.board import compare, documents, figures
from tests.bench.board.parts import BY_NAME, PARTS
from tests.bench.board.running import Failed, Run


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/scoreboard", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build", help="where things were built (build)")
    parser.add_argument("--quick", action="store_true", help="once and briefly: shows that it runs")
    parser.add_argument("--only", metavar="PART,...", help="; ".join(f"{p.NAME}: {p.ABOUT}" for p in PARTS))
    parser.add_argument("--land", action="store_true", help="lands what was measured, also when it is not everything")
    parser.add_argument("--compare", action="store_true", help="ratios beside those that landed last")
    parser.add_argument("--from", dest="file", metavar="FILE", help="with --compare or --land: figures of an earlier run")
    parser.add_argument("--render", action="store_true", help="measures nothing; writes tables and plots again")
    a = parser.parse_args()
    a.parts = a.only.split(",") if a.only else list(BY_NAME)
    if unknown := [p for p in a.parts if p not in BY_NAME]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(BY_NAME)}")
    return a


def command(a):
    words = ["tests/bench/scoreboard"] + (["--quick"] if a.quick else []) + (["--only", a.only] if a.only else [])
    return " ".join(words)


def measure_part(module, run):
    before, began, run.commands = figures.load(), time.monotonic(), []
    rows, ratios = module.measure(run)
    quick = "--quick " if run.quick else ""
    return {"date": figures.today(), "commit": figures.commit(), "load": before, "quick": run.quick,
            "command": f"tests/bench/scoreboard {quick}--only {module.NAME}", "made_by": run.commands,
            "seconds": round(time.monotonic() - began), "rows": rows, "ratios": ratios}


def measure(a, file):
    """Every part that was asked for, each written down as soon as it is there. Returns (figures, what failed)."""
    run, failed = Run(a.build, a.quick), []
    found = {"run": {"date": figures.today(), "commit": figures.commit(), "command": command(a), "quick": a.quick,
                     "machine": figures.machine(),
                     "packages": figures.versions(*dict.fromkeys(p for n in a.parts for p in BY_NAME[n].PACKAGES))},
             "parts": {}}
    for at, name in enumerate(a.parts, 1):
        run.say(f"{at} of {len(a.parts)}: {BY_NAME[name].ABOUT}")
        try:
            found["parts"][name] = measure_part(BY_NAME[name], run)
        except Failed as why:
            failed.append(name)
            run.say(f"{name} FAILED: {why}")
            continue
        finally:
            found["run"]["minutes"] = round((time.monotonic() - run.began) / 60, 1)
            figures.write(found, file)
        run.say(f"{name}: {found['parts'][name]['seconds']} s")
    return found, failed


def land(found):
    """What was measured takes the place of what landed earlier; parts that were not stay, with their own stamp."""
    landed = figures.read()
    parts = {**landed["parts"], **found["parts"]}
    merged = {"run": {**found["run"], "packages": {**landed["run"].get("packages", {}), **found["run"]["packages"]}},
              "parts": {p.NAME: parts[p.NAME] for p in PARTS if p.NAME in parts}}
    figures.write(merged, figures.LANDED)
    documents.write(merged)


def tell_ratios(found):
    print("\nratios, median (least, greatest):")
    for part in found["parts"].values():
        for name, value in part["ratios"].items():
            print(f"  {figures.cell(value):28} {name}")


def main():
    a = arguments()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))  # and so through every finally
    if a.render:
        documents.write(figures.read())
        return 0
    if a.file:
        finish(a, figures.read(a.file), [], a.file)
        return 0
    if os.geteuid() != 0:
        sys.exit("needs root: it makes network namespaces")
    file = Run(a.build, a.quick).build / "scoreboard/figures.json"
    try:
        found, failed = measure(a, file)
    except KeyboardInterrupt:
        sys.exit(f"interrupted; what was found so far is in {file}")
    for name, part in found["parts"].items():
        print(f"\n{name}:\n\n{BY_NAME[name].tables(part)}")
    finish(a, found, failed, file)
    return 1 if failed else 0


def finish(a, found, failed, file):
    """Lands what is to land, and says what there is to say, the ratios last."""
    whole = not (a.quick or a.only or failed or a.compare or a.file)
    lands = (whole or a.land) and bool(found["parts"])
    before = figures.read()
    if lands:
        land(found)
    if a.compare:
        print(f"\n{compare.compare(found, before)}")
    print(f"\n{'landed in docs/performance' if lands else 'not landed'}; all figures: {file}; load {figures.load()}")
    if failed:
        print(f"FAILED: {', '.join(failed)}")
    tell_ratios(found)
