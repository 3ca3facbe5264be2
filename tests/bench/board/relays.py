"""Plain TCP through one box: new connections and bulk, beside the kernel's DNAT, HAProxy and nginx."""
from tests.bench.board.figures import cell, middle, proper, ratio, spread, table

NAME = "relays"
ABOUT = "new connections and bulk of real clients through one box, beside kernel DNAT, HAProxy and nginx"
PACKAGES = ["haproxy", "libnginx-mod-stream", "wrk", "nftables"]
DIRECT, DNAT, HAPROXY = "direct", "kernel DNAT", "haproxy"
FORWARD, PROXY = "holdfast forward", "holdfast proxy"
UNITS = {"new": "connections", "bulk": "Gbit"}


def added(rounds, direct):
    """How many a second of the processor time that the box adds to what client and backend need anyway; none where a busy
    machine made the box look free."""
    return [1 / (r["each_s"] - d["each_s"]) if r["each_s"] > d["each_s"] * 1.02 else None for r, d in zip(rounds, direct)]


def measure(run):
    raw = run.bench("relay_bench.py", "--rounds", run.pick(3, 1), "--seconds", run.pick(2, 1))
    rows, ratios = {}, {}
    for measure_name in UNITS:
        found = {box: measures[measure_name] for box, measures in raw.items()}
        rate = {box: [r["rate"] for r in rounds] for box, rounds in found.items()}
        per_core = {box: added(rounds, found[DIRECT]) for box, rounds in found.items() if box != DIRECT}
        for box, rounds in found.items():
            cells = {"rate": spread(rate[box]), "of haproxy, by the clock": ratio(rate[box], rate[HAPROXY]),
                     "busy": spread([r["busy"] for r in rounds])}
            if box != DIRECT:
                cells |= {"added": spread(per_core[box]), "of haproxy": ratio(per_core[box], per_core[HAPROXY]),
                          "of DNAT": ratio(per_core[box], per_core[DNAT])}
            rows.setdefault(box, {})[measure_name] = cells
        for box in (FORWARD, PROXY):
            for rival, column in ((DNAT, "of DNAT"), (HAPROXY, "of haproxy")):
                if rows[box][measure_name][column]:
                    what = "new connections" if measure_name == "new" else "bulk"
                    ratios[f"{what} through {box}, of {rival}, by the processor time the box adds"] = \
                        rows[box][measure_name][column]
    return rows, ratios


def tables(part):
    text = []
    for name, unit in UNITS.items():
        lines = [[proper(box), middle(r[name].get("of DNAT")), middle(r[name].get("of haproxy")), cell(r[name].get("added")),
                  middle(r[name]["of haproxy, by the clock"]), cell(r[name]["rate"]), middle(r[name]["busy"])]
                 for box, r in part["rows"].items()]
        text.append(table([f"{unit}, {'new' if name == 'new' else 'bulk'}", "of DNAT", "of HAProxy",
                           "a second of the processor time the box adds", "of HAProxy by the clock", "a second by the clock",
                           "cores busy"], lines))
    return "\n\n".join(text)
