#!/usr/bin/env python3
"""Sends SYNs to a VIP from clients that are not there, out of an interface, until it is stopped.

    syn_flood.py INTERFACE VIP PORT RATE
"""
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from tests.system.inject import checksum  # noqa: E402

GROUP_MAC = bytes.fromhex("00005e000101")  # of group 1
BURST_S = 0.01


def syn(own_mac, vip, port, chance):
    """An Ethernet frame: options MSS, SACK, timestamps and window scale, as Linux sends them."""
    source = socket.inet_aton(f"192.0.2.{chance.randrange(1, 255)}")
    options = struct.pack("!BBH BB BBII B BBB", 2, 4, 1460, 4, 2, 8, 10, chance.getrandbits(32), 0, 1, 3, 3, 7)
    tcp = struct.pack("!HHIIBBHHH", chance.randrange(1024, 65536), port, chance.getrandbits(32), 0,
                      (20 + len(options)) << 2, 2, 64240, 0, 0) + options
    pseudo = source + socket.inet_aton(vip) + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + source + socket.inet_aton(vip)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return GROUP_MAC + own_mac + b"\x08\x00" + ip + tcp


def main():
    interface, vip, port, rate = sys.argv[1:]
    chance = random.Random(1)
    with open(f"/sys/class/net/{interface}/address", encoding="ascii") as file:
        own_mac = bytes.fromhex(file.read().strip().replace(":", ""))
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind((interface, 0))
    while True:
        for _ in range(int(int(rate) * BURST_S)):
            raw.send(syn(own_mac, vip, int(port), chance))
        time.sleep(BURST_S)


if __name__ == "__main__":
    main()
