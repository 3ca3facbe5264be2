#!/usr/bin/env python3
"""A poll loop as a piece of wire between two kernels: TCP both ways through two ports, from one device's
buffers to the other's without a copy, every byte and every frame counted."""
import sys
import time

from port_world import FAR4, FAR6, TCP_SINK, TCP_SOURCE, World

BYTES = 30_000_000


def through(world, kind, *arguments):
    reflect = world.reflect("--wire", *arguments, f"{kind}0,iface=front", f"{kind}1,iface=back")
    sink = world.start(world.far, sys.executable, "-c", TCP_SINK)
    sink.stdout.readline()
    for far in (FAR4, FAR6):
        began = time.monotonic()
        got = world.inside(world.peer, sys.executable, "-c", TCP_SOURCE, far, str(BYTES)).strip()
        rate = BYTES * 8 / (time.monotonic() - began) / 1e6
        world.check(got == str(BYTES), f"{kind}: {BYTES // 1_000_000} MB to {far} ({rate:.0f} Mbit/s)", got)
    counted = world.counters(reflect)
    frames = sum(counted[f"worker{w}.rx_frames"] for w in range(2) if f"worker{w}.polls" in counted)
    sent = sum(counted[f"worker{w}.{name}"] for w in range(2) if f"worker{w}.polls" in counted
               for name in ("tx_frames", "tx_unsent", "tx_stalled", "handover_full"))
    copies = sum(counted[f"worker{w}.taken_over"] - counted[f"worker{w}.handed_over"]
                 for w in range(2) if f"worker{w}.polls" in counted)
    world.check(frames + copies == sent and frames > 2 * BYTES // 1500,
                f"{kind}: every frame that came in went out or was counted", counted)


def main():
    with World() as world:
        through(world, "net_af_packet")
        through(world, "net_af_xdp")
        through(world, "net_af_packet", "--workers", "2")
        return 1 if world.failed else 0


if __name__ == "__main__":
    sys.exit(main())
