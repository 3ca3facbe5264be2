"""HTTPS beside HAProxy and nginx, by the server's processor time; and what openssl alone does."""
from tests.bench.board.figures import cell, middle, proper, ratio, spread, table

NAME = "https"
ABOUT = "TLS: bulk and new connections beside HAProxy and nginx, each frame on its own"
PACKAGES = ["haproxy", "libnginx-mod-stream", "openssl"]
REPLICATED, HAPROXY, NGINX = "holdfast, two standbys", "haproxy", "nginx"
MEASURES = {"bulk": "Gbit", "new, ECDSA P-256": "connections", "new, RSA-2048": "connections", "resumed": "connections"}
CEILING = "openssl speed"


def measure(run):
    raw = run.bench("https_bench.py", "--rounds", run.pick(3, 1), "--seconds", run.pick(1.2, 1), "--servers",
                    ";".join([REPLICATED, HAPROXY, NGINX]))
    core = {s: {m: [r["by_core"] for r in rounds] for m, rounds in measures.items()} for s, measures in raw["servers"].items()}
    rows = {s: {m: {"by_core": spread(core[s][m]), "of haproxy": ratio(core[s][m], core[HAPROXY][m]),
                    "of nginx": ratio(core[s][m], core[NGINX][m])} for m in MEASURES} for s in core}
    rows[CEILING] = {name: {"by_core": spread([value])} for name, value in raw["openssl speed"].items()}
    ratios = {f"TLS, {m}, of {rival}": rows[REPLICATED][m][f"of {rival}"] for m in MEASURES for rival in (HAPROXY, NGINX)}
    return rows, ratios


def tables(part):
    servers = {s: r for s, r in part["rows"].items() if s != CEILING}
    of = table(["of HAProxy / of nginx", *MEASURES],
               [[proper(s), *(f"{middle(r[m]['of haproxy'])} / {middle(r[m]['of nginx'])}" for m in MEASURES)]
                for s, r in servers.items()])
    rates = table(["a second of the server's processor time", *(f"{m}, {u}" for m, u in MEASURES.items())],
                  [[proper(s), *(cell(r[m]["by_core"]) for m in MEASURES)] for s, r in servers.items()])
    alone = ", ".join(f"{name} {middle(r['by_core'])}" for name, r in part["rows"][CEILING].items())
    return f"{of}\n\n{rates}\n\n`openssl speed`, a second of a core: {alone}."
