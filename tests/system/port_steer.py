#!/usr/bin/env python3
"""AF_XDP with our steering program: a VIP's frames reach the poll loop, everything else on the same interface
reaches the kernel, IPv4 and IPv6; and what happens when the daemon is killed."""
import signal
import sys

from port_world import NODE4, NODE6, TCP_SINK, TCP_SOURCE, VIP4, VIP6, World

DEVICE = "net_af_xdp0,iface=front,busy_budget=0"
TAKE = ("--take", VIP4, "--take", VIP6)


def answered(world, lost, counted, what):
    """Nothing was lost, but for what a loop drops that was not scheduled in time: this machine may be busy."""
    world.check(lost <= counted["worker0.tx_stalled"], what, f"{lost} of 100 lost; {counted}")


def sharing(world):
    reflect = world.reflect(*TAKE, DEVICE)
    mac = world.inside(world.node, "cat", "/sys/class/net/front/address").strip()
    # The reflector answers ARP, but not neighbour discovery.
    world.inside(world.peer, "ip", "-6", "neigh", "add", VIP6, "lladdr", mac, "dev", "peer0")
    lost = {vip: world.round_trips(vip)[0] for vip in (VIP4, VIP6)}

    sink = world.start(world.node, sys.executable, "-c", TCP_SINK)
    sink.stdout.readline()
    for own in (NODE4, NODE6):
        world.inside(world.peer, "ip", "neigh", "flush", "dev", "peer0")
        got = world.inside(world.peer, sys.executable, "-c", TCP_SOURCE, own, "2000000").strip()
        world.check(got == "2000000", f"2 MB over TCP to the node's own {own} through the kernel", f"got {got}")

    world.inside(world.peer, "ip", "-6", "neigh", "del", VIP6, "dev", "peer0")
    world.round_trips(VIP6, 1)  # asks who has it
    counted = world.counters(reflect)
    for vip in lost:
        answered(world, lost[vip], counted, f"datagrams to {vip} are answered through DPDK")
    world.check(counted["worker0.rx_frames"] == sum(
        counted[f"steer.taken_{kind}"] for kind in ("ipv4", "ipv6", "arp", "nd")),
        "what the program redirected is what the loop received", counted)
    world.check(counted["steer.taken_ipv4"] == 100 and counted["steer.taken_ipv6"] == 100,
                "exactly the VIPs' packets were taken", counted)
    world.check(counted["steer.taken_arp"] > 0 and counted["steer.taken_nd"] > 0,
                "ARP and neighbour solicitations about the VIPs were taken", counted)
    world.check(counted["steer.passed_arp"] > 0 and counted["steer.passed_ip"] > 1000,
                "the node's own traffic was left to the kernel", counted)
    world.check("xdp" not in world.inside(world.node, "ip", "link", "show", "front"),
                "nothing is attached after a clean end")


def killed(world):
    reflect = world.reflect(*TAKE, DEVICE)
    reflect.send_signal(signal.SIGKILL)
    reflect.wait()
    world.check("xdp" in world.inside(world.node, "ip", "link", "show", "front"),
                "the program outlives a killed daemon")
    # If the kernel saw a VIP's packets it could forward or refuse them.
    world.inside(world.node, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    seen = lambda: [line.split() for line in world.inside(world.node, "cat", "/proc/net/snmp").splitlines()
                    if line.startswith("Ip:")][1][3]
    before = seen()
    lost, *_ = world.round_trips(VIP4, 5)
    world.check(lost == 5 and seen() == before, "and keeps the VIP's packets from the kernel",
                f"lost {lost}, kernel received {before} then {seen()}")
    sink = world.start(world.node, sys.executable, "-c", TCP_SINK)
    sink.stdout.readline()
    got = world.inside(world.peer, sys.executable, "-c", TCP_SOURCE, NODE4, "1000").strip()
    world.check(got == "1000", "while the node's own address still works", got)

    reflect = world.reflect(*TAKE, DEVICE)
    # The peer's kernel may just be giving up on its old entry, and the first datagram with it.
    world.inside(world.peer, "ip", "neigh", "flush", "dev", "peer0")
    lost, *_ = world.round_trips(VIP4)
    answered(world, lost, world.counters(reflect), "a restarted daemon replaces it")


def main():
    with World() as world:
        sharing(world)
        killed(world)
        return 1 if world.failed else 0


if __name__ == "__main__":
    sys.exit(main())
