#!/usr/bin/python3
"""Plots of figures.json as SVG, one style, ours in blue. Run by tests/bench/scoreboard with Debian's python3, which has
python3-matplotlib; each carries the digest of the figures that it shows, which tests/lint/lint.py looks for.

    tests/bench/board/plots.py FIGURES FOLDER [svg|png]
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent.parent))

import matplotlib  # noqa: E402

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator  # noqa: E402

from tests.bench.board import failover, forward, growth, https, relays, ring  # noqa: E402
from tests.bench.board.figures import digest, line, number, proper, read  # noqa: E402

OURS, LIGHT, GREY, DARK, WARM = "#1f5fa8", "#8db4dd", "#a9adb3", "#5d6269", "#c8762b"
plt.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "holdfast", "font.family": "DejaVu Sans", "font.size": 9, "axes.titlesize": 10,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": DARK, "axes.axisbelow": True, "grid.color": "#e3e5e8", "legend.frameon": False, "figure.dpi": 110,
    "figure.constrained_layout.use": True, "text.color": "#222222", "axes.labelcolor": "#222222"})
plain = FuncFormatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:g}")


def errors(cells, scale=1.0):
    return [[(c["median"] - c["min"]) * scale for c in cells], [(c["max"] - c["median"]) * scale for c in cells]]


def color(name):
    return OURS if name.lower().startswith(("holdfast", "forward", "ours")) else GREY


def stalls(part):
    """Each box's longest stalls: median, and the range of all connections."""
    rows = list(part["rows"].items())[::-1]
    fig, ax = plt.subplots(figsize=(8, 0.42 * len(rows) + 1.1))
    for y, (name, r) in enumerate(rows):
        stall = r["stall_ms"]
        if stall is None:
            ax.text(1, y, f"  none of {r['connections']['median']} goes on", va="center", color=WARM,
                    transform=ax.get_yaxis_transform(), ha="right")
            continue
        ax.plot([stall["min"], stall["max"]], [y, y], color=color(name), linewidth=6, alpha=0.35, solid_capstyle="butt")
        ax.plot(stall["median"], y, "o", color=color(name), markersize=7)
        ax.annotate(f"{number(stall['median'])} ms", (stall["max"], y), xytext=(8, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(rows)), [name.replace("`", "") for name, _ in rows])
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator([5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(plain)
    ax.set_xlim(right=max(r["stall_ms"]["max"] for _, r in rows if r["stall_ms"]) * 2.2)
    ax.grid(axis="x")
    ax.set_xlabel("longest stall of a connection, ms: median and range")
    ax.set_title("The active box is gone")
    return fig


def bars(ax, names, cells, title, unit, scale=1.0):
    at = range(len(names))
    ax.barh(at, [c["median"] * scale for c in cells], color=[color(n) for n in names], xerr=errors(cells, scale),
            error_kw={"ecolor": DARK, "elinewidth": 1, "capsize": 2}, height=0.65)
    for y, c in zip(at, cells):
        ax.annotate(number(c["median"] * scale), (c["max"] * scale, y), xytext=(5, 0), textcoords="offset points", va="center",
                    fontsize=8)
    ax.set_yticks(at, [proper(n).replace("`", "") for n in names])
    ax.set_ylim(len(names) - 0.4, -0.6)  # the first on top
    ax.set_xlim(0, max(c["max"] for c in cells) * scale * 1.18)
    ax.xaxis.set_major_formatter(plain)
    ax.grid(axis="x")
    ax.set_title(title)
    ax.set_xlabel(unit)


def through_a_box(part):
    fig, axes = plt.subplots(1, 2, figsize=(10, 2.9))
    for ax, (name, title, unit) in zip(axes, (("new", "New connections through a box", "a second of processor time added"),
                                              ("bulk", "Bulk through a box", "Gbit a second of processor time added"))):
        known = [(box, r[name]["added"]) for box, r in part["rows"].items() if r[name].get("added")]
        if known:
            bars(ax, *zip(*known), title, unit)
    return fig


def tls(part):
    servers = {s: r for s, r in part["rows"].items() if s != https.CEILING}
    fig, axes = plt.subplots(1, len(https.MEASURES), figsize=(12, 2.3), sharey=True)
    for ax, (name, unit) in zip(axes, https.MEASURES.items()):
        bars(ax, list(servers), [r[name]["by_core"] for r in servers.values()], f"TLS 1.3, {name}", f"{unit} a core second")
    return fig


def forwarding(part):
    sessions, found = zip(*forward.by_sessions(part))
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3))
    rates = [r["mpps"] for r in found]
    left.errorbar(sessions, [c["median"] for c in rates], errors(rates), color=OURS, marker="o", capsize=3, label="forward")
    testpmd = part["rows"][forward.TESTPMD]["mpps"]
    left.axhline(testpmd["median"], color=DARK, linestyle="--", linewidth=1.2)
    left.axhspan(testpmd["min"], testpmd["max"], color=GREY, alpha=0.25, linewidth=0)
    left.annotate("testpmd macswap", (sessions[-1], testpmd["median"]), xytext=(0, 4), textcoords="offset points", ha="right",
                  color=DARK)
    left.set_ylim(bottom=0)
    left.set_title("64-byte frames, one core")
    left.set_ylabel("million a second")
    memory = [r["bytes"]["median"] / 2**20 for r in found]
    right.plot(sessions, memory, color=OURS, marker="o")
    right.set_yscale("log")
    right.yaxis.set_major_formatter(plain)
    right.set_title("Memory of the sessions")
    right.set_ylabel("MiB")
    for ax in (left, right):
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(plain)
        ax.grid()
        ax.set_xlabel("sessions")
    return fig


def messages(part):
    fig, axes = plt.subplots(1, 2, figsize=(12, 3.4), sharey=True)
    colors = {"holdfast": OURS, "norm": GREY, "pgm": WARM, "raw": DARK, "memif": LIGHT}
    for ax, loss in zip(axes, ring.LOSSES):
        columns = [(s, r) for r in ring.RECEIVERS for s in ring.SIZES
                   if ring.key("holdfast", s, r, loss) in part["rows"]]
        for i, (system, name) in enumerate(ring.SYSTEMS.items()):
            known = [(x, part["rows"][k]["rate"]) for x, (s, r) in enumerate(columns)
                     if (k := ring.key(system, s, r, loss)) in part["rows"]]
            if known:
                at, cells = zip(*known)
                ax.bar([x + (i - 2) * 0.16 for x in at], [c["median"] / 1000 for c in cells], 0.16, color=colors[system],
                       yerr=errors(cells, 1e-3), error_kw={"ecolor": DARK, "elinewidth": 0.8}, label=name.replace("`", ""))
        ax.set_xticks(range(len(columns)), [f"{s} B, {r} rx" for s, r in columns])
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(plain)
        ax.grid(axis="y")
        ax.set_title(f"Reliable multicast, {loss} % loss")
    rates = [r["rate"] for r in part["rows"].values() if r.get("rate")]
    # Room for the legend above, and for the shortest bar below.
    axes[0].set_ylim(min(c["min"] for c in rates) / 2000, max(c["max"] for c in rates) / 1000 * 4)
    axes[0].set_ylabel("thousand messages a second")
    axes[0].legend(ncols=5, loc="upper center", fontsize=8, columnspacing=1.2, handlelength=1.2)
    return fig


def growing(part):
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 3))
    standbys = growth.points(part["rows"], "ring", "sender_ns")
    xs, ys = zip(*standbys)
    cells = [part["rows"][f"ring, {n} standbys"]["sender_ns"] for n in xs]
    left.errorbar(xs, ys, errors(cells), color=OURS, marker="o", linestyle="none", capsize=3)
    at_zero, slope = line(xs, ys)
    left.plot(xs, [at_zero + slope * x for x in xs], color=DARK, linewidth=1,
              label=f"{number(at_zero)} ns and {number(slope)} each")
    left.set_ylim(0, max(c["max"] for c in cells) * 1.3)
    left.set_xlabel("standbys (simulated)")
    left.set_ylabel("ns of the sender, a message")
    left.set_title("The ring by standbys")
    left.legend(loc="upper left")
    sessions, ms = zip(*growth.points(part["rows"], "adoption", "ms"))
    _, adopter = zip(*growth.points(part["rows"], "adoption", "adopter_ms"))
    right.plot(sessions, ms, color=OURS, marker="o", label="all nodes")
    right.plot(sessions, adopter, color=LIGHT, marker="o", label="the adopter alone")
    for ax in (right,):
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.xaxis.set_major_formatter(plain)
        ax.yaxis.set_major_formatter(plain)
    right.set_xlabel("sessions (simulated)")
    right.set_ylabel("ms of work until all is gathered")
    right.set_title("An adoption by sessions")
    right.legend(loc="upper left")
    for ax in (left, right):
        ax.grid()
    return fig


PLOTS = {failover.NAME: stalls, relays.NAME: through_a_box, https.NAME: tls, forward.NAME: forwarding, ring.NAME: messages,
         growth.NAME: growing}


def main():
    if len(sys.argv) < 3 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 0 if len(sys.argv) == 2 else 2
    found, folder, kind = read(sys.argv[1]), Path(sys.argv[2]), (sys.argv[3:] or ["svg"])[0]
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PLOTS.items():
        if name not in found["parts"]:
            continue
        fig = draw(found["parts"][name])
        about = {"Date": None, "Description": f"figures {digest(found['parts'][name])}"} if kind == "svg" else {}
        fig.savefig(folder / f"{name}.{kind}", metadata=about)
        plt.close(fig)
    return 0


if __name__ == "__main__":
    sys.exit(main())
