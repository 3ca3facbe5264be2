"""The goals with what was found, and the short table that README shows."""
from tests.bench.board import failover, micro, relays, ring
from tests.bench.board.figures import middle, number, table
from tests.bench.board.https import HAPROXY, NGINX

NOTHING = "Not measured yet: `make scoreboard`."


def part_of(found, name):
    return found["parts"].get(name, {"rows": {}, "ratios": {}})


def ratio_of(part, name):
    """A ratio's median, or none."""
    return lambda found: (part_of(found, part)["ratios"].get(name) or {}).get("median")


def cell_of(part, row, measure, which="median"):
    return lambda found: (part_of(found, part)["rows"].get(row, {}).get(measure) or {}).get(which)


def survivors(row):
    """The share of connections that survived."""
    def find(found):
        r = part_of(found, "failover")["rows"].get(row)
        return r["survive"]["median"] / r["connections"]["median"] if r else None
    return find


def least_of_ring(rival):
    """The least of the ratios of all sizes, receivers and losses."""
    def find(found):
        ratios = [r["median"] for name, r in part_of(found, "ring")["ratios"].items() if r and name.endswith(f"of {rival}")]
        return min(ratios) if ratios else None
    return find


def of_openssl(found):
    """A record of 16 KiB sealed, of what `openssl speed` does with the same AEAD in as many octets."""
    sealed = cell_of("micro", f"BM_Seal/{micro.SUITE}/16384/1/256", "ns")(found)
    alone = part_of(found, "https")["rows"].get("openssl speed", {}).get("AES-128-GCM, 16384 octets, Gbit/s")
    return 16384 * 8 / sealed / alone["by_core"]["median"] if sealed and alone else None


MS, US, TIMES, OCTETS, SHARE = "ms", "us", "", "octets", "of them"
# (goal, what is found, its unit, at least or at most, how much)
GOALS = [
    ("`forward`, 64-byte frames, 1 M sessions, of testpmd macswap on the same device",
     ratio_of("forward", "forward, 1 M sessions, of testpmd"), TIMES, "at least", 0.70),
    ("the rate with 4 M sessions, of that with 1 k", ratio_of("forward", "forward, 4 M sessions, of 1 k"), TIMES, "at least",
     0.80),
    ("new connections, `commit = all`, R = 2, of no replication, by the holder's core",
     ratio_of("connect", "new connections, commit = all, of no replication, by the holder's core"), TIMES, "at least", 0.70),
    ("what the commit adds to a new connection, median", cell_of("connect", "commit = all", "added_us"), US, "at most", 50),
    ("the ring, of NORM: the least of each size, 1 and 2 receivers, 0 and 1 % loss", least_of_ring("NORM"), TIMES,
     "at least", 1),
    ("the ring, of OpenPGM, likewise", least_of_ring("OpenPGM"), TIMES, "at least", 1),
    ("TLS bulk, of HAProxy's, by processor time", ratio_of("https", f"TLS, bulk, of {HAPROXY}"), TIMES, "at least", 1),
    ("TLS bulk, of nginx', by processor time", ratio_of("https", f"TLS, bulk, of {NGINX}"), TIMES, "at least", 1),
    ("a TLS record of 16 KiB sealed, of `openssl speed`", of_openssl, TIMES, "at least", 0.80),
    ("stall when the holder is gone, default timers, `forward`, median", cell_of("failover", failover.OURS, "stall_ms"), MS,
     "at most", 150),
    ("the same: connections that survive", survivors(failover.OURS), SHARE, "at least", 1),
    ("stall, `tls`, median", cell_of("failover", failover.MODES["tls"], "stall_ms"), MS, "at most", 150),
    ("the same: connections that survive", survivors(failover.MODES["tls"]), SHARE, "at least", 1),
    ("stall, `tls` with `durability = payload`, ends that write every 5 ms, median", cell_of("failover", failover.MODES["tls-payload"], "stall_ms"), MS,
     "at most", 120),
    ("stall at a handover, median, the 5 ms between two writes in it", cell_of("failover", failover.HANDOVER, "stall_ms"),
     MS, "at most", 15),
    ("the same: connections that survive", survivors(failover.HANDOVER), SHARE, "at least", 1),
    ("a session at its holder", cell_of("micro", "BM_SessionTableFind/1000000", "bytes_per_session"), OCTETS, "at most", 256),
    ("a session's copy at an owner", cell_of("micro", "BM_StoreFind/1000000", "bytes_per_copy"), OCTETS, "at most", 160),
]


def met(value, how, bound):
    if value is None:
        return "?"
    return "yes" if (value >= bound if how == "at least" else value <= bound) else "no"


def told(value, unit):
    return f"{100 * value:.0f} %" if unit is SHARE else f"{number(value)} {unit}".strip()


def goals(found):
    rows = []
    for goal, find, unit, how, bound in GOALS:
        value = find(found)
        rows.append([goal, f"{how} {told(bound, unit)}", "not measured" if value is None else told(value, unit),
                     met(value, how, bound)])
    return table(["goal", "wanted", "found", "met"], rows)


def failover_rows(found):
    known = part_of(found, "failover")["rows"]
    for name, r in known.items():
        if name in (failover.OURS, failover.PEER, failover.PROXY_PEER, failover.MODES["tls"]):
            stall = f"{number(r['stall_ms']['median'])} ms" if r["stall_ms"] else "-"
            yield [name, f"{r['survive']['median']} of {r['connections']['median']}", stall]


def ratio_rows(found):
    for what, part, name in (
            ("64-byte frames a second, 1 M sessions, of testpmd's macswap", "forward", "forward, 1 M sessions, of testpmd"),
            ("new connections, each kept by two standbys before it is answered, of none kept", "connect",
             "new connections, commit = all, of no replication, by the holder's core"),
            *((f"{what} of plain TCP through `forward`, of {rival}", "relays",
               f"{what} through {relays.FORWARD}, of {name}, by the processor time the box adds")
              for what in ("new connections", "bulk")
              for name, rival in ((relays.DNAT, "kernel DNAT"), (relays.HAPROXY, "HAProxy"))),
            *((f"TLS, {what}, two standbys, of {rival}", "https", f"TLS, {m}, of {name}")
              for m, what in (("bulk", "bulk"), ("new, ECDSA P-256", "new connections with ECDSA"))
              for name, rival in ((HAPROXY, "HAProxy"), (NGINX, "nginx"))),
            *((f"replication messages of 256 bytes to 2 receivers, {loss} % loss, of {rival}", "ring",
               f"ring, 256 B, 2 rx, {loss} % loss, of {rival}") for loss in ring.LOSSES for rival in ("NORM", "OpenPGM"))):
        value = part_of(found, part)["ratios"].get(name)
        if value:
            yield [what, middle(value)]


def scoreboard(found):
    gone, ratios = [*failover_rows(found)], [*ratio_rows(found)]
    told_tables = []
    if gone:
        told_tables.append(table(["the box that carries them is gone", "connections that survive", "their longest stall, median"],
                                 gone))
    if ratios:
        told_tables.append(table(["Holdfast's rate, as a multiple of another: above 1 is ours", "times"], ratios))
    return "\n\n".join(told_tables) or NOTHING
