"""At the edges of the cluster: a smaller MTU behind it, the node's own addresses, a standby cut off, an old recording."""
import hashlib
import sys
import time

from tests.system.harness import Capture, ROOT, Traffic, check, counters, limit, plan, sessions_at
from tests.system.test_forged import drops, standing
from tools.lab import netns

FAR_MTU = 1300

# Serves TCP connections: reads everything, answers its sha256. What ssh would do to the node's own address.
OWN_SERVER = r"""
import hashlib, socket
listener = socket.create_server(("::", 22), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    c, _ = listener.accept()
    digest = hashlib.sha256()
    while data := c.recv(65536):
        digest.update(data)
    c.sendall(digest.hexdigest().encode())
    c.close()
"""
OWN_CLIENT = r"""
import socket, sys
c = socket.create_connection((sys.argv[1], 22), timeout=20)
c.sendall(bytes(int(sys.argv[2])))
c.shutdown(socket.SHUT_WR)
print(c.recv(100).decode())
"""


def add_far_client(lab):
    """A client behind c1, which routes to it over a link with a small MTU that it did not agree on by its MSS."""
    near, far = lab.state.owned("c1"), lab.state.make_namespace("far")
    netns.sysctl(near, [("net/ipv4/ip_forward", 1), ("net/ipv6/conf/all/forwarding", 1),
                        ("net/ipv4/icmp_ratelimit", 0), ("net/ipv6/icmp/ratelimit", 0)])
    netns.ip_batch(near, [f"link add far type veth peer name eth0 netns {far}", f"link set far mtu {FAR_MTU} up",
                          "addr add 192.0.2.129/28 dev far", "addr add 2001:db8:9::1/64 dev far nodad"])
    netns.ip_batch(far, ["link set lo up", "link set eth0 up", "addr add 192.0.2.130/28 dev eth0",
                         "addr add 2001:db8:9::2/64 dev eth0 nodad", "route add default via 192.0.2.129",
                         "route add default via 2001:db8:9::1"])
    for space, link in ((near, "far"), (far, "eth0")):
        netns.run(netns.argv_inside(space, ["ethtool", "-K", link, "tx", "off", "tso", "off", "gso", "off",
                                            "gro", "off"]))


def longest_to_far(frames):
    """The largest IP packet with data among captured frames."""
    return max((len(f) - 14 for _, f in frames), default=0)


@limit(60)
def test_path_mtu(case):
    """A smaller MTU behind the client's router is told through the appliance, before and after a failover."""
    with case.lab(nodes=3, backends=1) as lab:
        add_far_client(lab)
        told = 0
        for number in range(2):
            traffic = Traffic(lab, client="far", downloads=6, seconds=2, rate=100_000)
            traffic.wait_moving()
            holder = lab.holder()
            traffic.result().all_well()
            told += counters(lab, holder, "forward")["icmp_translated"]
            if number == 0:
                check(told > 0, "downloads passed, but no ICMP error was translated: the path was not small")
                lab.exec("b1", ["ip", "route", "flush", "cache"])
                lab.exec("b1", ["ip", "-6", "route", "flush", "cache"])
                lab.kill(holder)
                lab.wait_for("another node holds", lambda: lab.holder() not in (None, holder), 10)
        check(counters(lab, lab.holder(), "forward")["icmp_translated"] > 0, "not after the failover")
        return f"12 downloads over a link of {FAR_MTU} bytes, {told} ICMP errors translated by two holders"


@limit(60)
def test_own_address_while_forwarding(case):
    """AF_XDP shares the interface: TCP to the holder's own kernel address, both families, while it forwards."""
    with case.lab(nodes=3, device="af_xdp") as lab:
        holder = lab.holder()
        lab.spawn(holder, [sys.executable, "-c", OWN_SERVER], key=f"{holder}/own")
        lab.wait_for("the node's own server", lambda: lab.listens(holder, 22), 10)
        traffic = Traffic(lab, downloads=10, uploads=10, seconds=4, rate=50_000)
        traffic.wait_moving()
        size = 1_000_000
        wanted = hashlib.sha256(bytes(size)).hexdigest()
        for family in (4, 6):
            own = lab.hosts[holder].address(family, plan.FRONT)
            got = lab.exec("c1", [sys.executable, "-c", OWN_CLIENT, own, size]).stdout.strip()
            check(got == wanted, f"to {own}: {got!r}")
        lab.kill(holder)
        for family in (4, 6):
            own = lab.hosts[holder].address(family, plan.FRONT)
            got = lab.exec("c1", [sys.executable, "-c", OWN_CLIENT, own, size]).stdout.strip()
            check(got == wanted, f"after the daemon's death, to {own}: {got!r}")
        result = traffic.result()
        result.all_well()
        return f"4 times 1 MB to {holder}'s own addresses, before and after kill -9; 20 connections survive beside them"


@limit(60)
def test_ring_cut_of_a_standby(case):
    """A standby alone loses its ring: nobody takes or leaves the VIPs, its copies are made elsewhere, it comes back."""
    with case.lab(nodes=4) as lab:
        traffic = Traffic(lab, downloads=10, uploads=10, echoes=2, seconds=6, rate=20_000)
        traffic.wait_moving()
        lab.wait_steady()
        holder, epoch = lab.holder(), lab.epoch()
        standby = next(n for n in lab.nodes() if n != holder)

        def members():
            return set.union(*(set(w["view"]["members"]) for w in lab.status(holder)["workers"]))

        lab.cut(standby, "ring")
        lab.wait_for(f"{standby} leaves the view", lambda: standby not in members(), 10)
        lab.wait_for("coverage is whole without it", lambda: lab.status(holder)["coverage"] >= 1.0, 10)
        check(lab.holders() == [holder], f"holders with {standby} cut off: {lab.holders()}")
        check(lab.epoch() == epoch, f"the epoch went from {epoch} to {lab.epoch()}")
        lab.heal(standby, "ring")
        lab.wait_for(f"{standby} is back in the view", lab.whole, 15)
        result = traffic.result()
        result.all_well()
        check((lab.holders(), lab.epoch()) == ([holder], epoch), f"after healing: {lab.holders()}, epoch {lab.epoch()}")
        return f"{holder} held at epoch {epoch} throughout, 22 connections, {result.stall_text()}"


def fragments(lab):
    return {n: s["store"]["fragments"] for n, s in lab.statuses().items()}


@limit(90)
def test_recording_into_a_restarted_node(case):
    """A recording of the ring from before, played to a node that has restarted, brings nothing back to life."""
    with case.lab(nodes=3) as lab:
        lab.wait_steady()
        recording = Capture(lab, None, plan.RING, sent_only=False, snap=2000)
        traffic = Traffic(lab, downloads=10, uploads=10, seconds=2, rate=20_000)
        traffic.wait_moving()
        lab.wait_for("fragments are kept", lambda: sum(fragments(lab).values()) > 20, 10)
        traffic.result().all_well()
        recording.stop()
        holder = lab.holder()
        lab.wait_for("the sessions are over", lambda: sessions_at(lab, holder) == 0, 40)
        lab.wait_for("nobody keeps a fragment", lambda: sum(fragments(lab).values()) == 0, 10)
        standby = next(n for n in lab.nodes() if n != holder)
        lab.kill(standby)
        lab.start(standby)
        lab.wait_steady()
        before, refused = standing(lab), drops(lab)
        lab.exec(plan.NET, ["python3", ROOT / "tests/system/inject.py", plan.RING, recording.file, 4000, 3, "replay"],
                 timeout=60)
        time.sleep(0.3)
        after, counted = standing(lab), drops(lab)
        check(before == after, f"something changed: {before} -> {after}")
        check(sum(fragments(lab).values()) == 0, f"fragments came back: {fragments(lab)}")
        more = {k: counted[k] - refused.get(k, 0) for k in counted if counted[k] > refused.get(k, 0)}
        check(sum(more.values()) >= 4000, f"too few counted: {more}")
        return f"4000 recorded datagrams played after {standby} restarted: no fragment, no change; counted {more}"


@limit(60)
def test_more_frames_than_buffers(case):
    """AF_XDP, two workers: frames that one worker took in and the other freed come round again, all of them."""
    with case.lab(nodes=2, workers=2, device="af_xdp") as lab:
        traffic = Traffic(lab, downloads=30, uploads=30, seconds=8, rate=60_000, step_ms=10)
        traffic.wait_moving()
        result = traffic.result()
        result.all_well()
        holder = lab.holder()
        passed, missed = (sum(p[key] for p in lab.status(holder)["ports"]) for key in ("rx_packets", "rx_missed"))
        check(passed > 50_000, f"only {passed} frames: not enough to go round")
        return f"{passed} frames through {holder}, {missed} missed, 60 connections whole, {result.stall_text()}"
