"""What connections see when the box that carries them is gone, beside others; and in our other modes."""
from tests.bench.board.figures import middle, number, quantiles, spread, table

NAME = "failover"
ABOUT = "the stall when the active box is gone, beside conntrackd with keepalived and HAProxy with keepalived"
PACKAGES = ["conntrackd", "keepalived", "haproxy"]
OURS = "Holdfast `forward`"
PEER, PEER_SLOW = "kernel DNAT, conntrackd, keepalived at 30 ms", "kernel DNAT, conntrackd, keepalived at 1 s"
PROXY_PEER = "HAProxy, keepalived at 30 ms"
HANDOVER = "Holdfast `forward`, handed over (SIGTERM)"
NAMES = {"holdfast": OURS, "conntrackd, 30 ms": PEER, "conntrackd, 1 s": PEER_SLOW, "haproxy, 30 ms": PROXY_PEER,
         "handover": HANDOVER}
MODES = {"proxy": "Holdfast `proxy`", "tls": "Holdfast `tls`", "tls-payload": "Holdfast `tls`, `durability = payload`, writes every 5 ms"}


def row(rounds):
    stalls = [s for r in rounds for s in r["stalls_ms"]]
    connections = sum(r["connections"] for r in rounds)
    return {"stall_ms": quantiles(stalls), "kills": spread([len(rounds)]), "connections": spread([connections]),
            "survive": spread([connections - sum(r["lost"] if "lost" in r else r["connections"] - r["survived"]
                                                 for r in rounds)])}


def measure(run):
    boxes = run.bench("failover_bench.py", "--kills", run.pick(3, 1), "--kinds",
                      ";".join(run.pick(list(NAMES), [k for k in NAMES if k != "conntrackd, 1 s"])))
    modes = run.bench("stall_bench.py", "--kills", run.pick(2, 1), "--kinds", run.pick("proxy,tls", "tls"))
    if not run.quick:
        modes |= run.bench("stall_bench.py", "--kills", 2, "--kinds", "tls-payload", "--step-ms", 5, "--connections", 10)
    rows = {NAMES[kind]: row(rounds) for kind, rounds in boxes.items()}
    rows |= {MODES[kind]: row(rounds) for kind, rounds in modes.items()}
    ratios = {}
    if all(rows[k]["stall_ms"] for k in (OURS, PEER)):
        ratios["stall of kernel DNAT with conntrackd and keepalived, of ours, same detection"] = spread(
            [rows[PEER]["stall_ms"]["median"] / rows[OURS]["stall_ms"]["median"]])
    return rows, ratios


def tables(part):
    lines = []
    for name, r in part["rows"].items():
        stall = r["stall_ms"]
        told = [number(stall[k]) for k in ("median", "min", "p90", "max")] if stall else ["-"] * 4
        lines.append([name, f"{r['survive']['median']} of {r['connections']['median']}", *told, middle(r["kills"])])
    return table(["box", "connections that survive", "longest stall of each, ms: median", "least", "p90", "greatest", "times"],
                 lines)
