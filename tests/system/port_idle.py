#!/usr/bin/env python3
"""What an idle worker costs and how fast it wakes, on the devices of a lab; and that two workers share one
queue by flow. Prints the figures; fails only when they are far from what the design needs."""
import os
import sys
import time

from port_world import VIP4, World, cpu_seconds

IDLE_S = 3.0
CPU_LIMIT = 0.03     # of a core
MEDIAN_LIMIT_US = 2000  # a shared machine; unloaded it is 20 to 150


def one_device(world, device, *arguments):
    name = device.split(",")[0]
    reflect = world.reflect("--tick", "20", *arguments, device)
    world.round_trips(VIP4, 5)
    before = cpu_seconds(reflect.pid)
    time.sleep(IDLE_S)
    idle = (cpu_seconds(reflect.pid) - before) / IDLE_S
    sparse = world.round_trips(VIP4, 200, 0.005)
    dense = world.round_trips(VIP4, 2000)
    runtime = f"/run/dpdk/holdfast-{reflect.pid}"
    world.check(not os.path.exists(runtime), f"{name}: nothing is left in /run/dpdk", runtime)
    counted = world.counters(reflect)
    lost = sparse[0] + dense[0]
    figures = (f"{100 * idle:.1f} % of a core idle; round trips every 5 ms: min {sparse[1]}, median {sparse[2]}, "
               f"p99 {sparse[3]} us; back to back: min {dense[1]}, median {dense[2]}, p99 {dense[3]} us")
    world.check(idle < CPU_LIMIT, f"{name} sleeps when idle ({figures})", figures)
    world.check(lost == 0 and sparse[2] < MEDIAN_LIMIT_US, f"{name} wakes for every frame", f"lost {lost}; {figures}")
    world.check(counted["worker0.false_rings"] < 20, f"{name} wakes only for a reason", counted)


def two_workers(world, device):
    """The reflector sends UDP, which stays where it came in; TCP would be spread by flow. ARP replies go to all."""
    reflect = world.reflect("--workers", "2", device)
    lost, *_ = world.round_trips(VIP4, 200)
    source = "import socket\nfor p in range(40):\n s = socket.socket(); s.setblocking(False)\n s.connect_ex(('%s', 80))" % VIP4
    world.inside(world.peer, sys.executable, "-c", source)
    time.sleep(0.3)
    counted = world.counters(reflect)
    world.check(lost == 0, "two workers on one queue answer everything", f"lost {lost}")
    world.check(counted["worker0.handed_over"] > 5 and
                counted["worker0.handed_over"] == counted["worker1.taken_over"],
                "flows of the other worker are handed over", counted)


def main():
    with World() as world:
        one_device(world, "net_af_packet0,iface=front")
        one_device(world, "net_af_xdp0,iface=front,busy_budget=0", "--take", VIP4)
        two_workers(world, "net_af_packet0,iface=front")
        return 1 if world.failed else 0


if __name__ == "__main__":
    sys.exit(main())
