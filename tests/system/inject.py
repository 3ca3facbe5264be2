#!/usr/bin/env python3
"""Sends forged ring datagrams out of an interface: of frames captured before, the same again, cut short, with a bit
turned, under another sender; and noise. In the bridges' namespace, where no node is.

    inject.py INTERFACE CAPTURE COUNT SEED [KIND...]      kinds: replay truncate flip respoof noise; default: all
"""
import os
import random
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from tests.system.harness import read_pcap  # noqa: E402

UDP_AT, PAYLOAD_AT = 34, 42  # in an Ethernet frame with an IPv4 header without options


def checksum(header):
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def rebuild(frame, payload, source=None):
    """The frame with another payload, its lengths and checksums right: only the seal can tell."""
    ip = bytearray(frame[14:UDP_AT])
    struct.pack_into("!H", ip, 2, 20 + 8 + len(payload))
    if source:
        ip[12:16] = source
    struct.pack_into("!H", ip, 10, 0)
    struct.pack_into("!H", ip, 10, checksum(bytes(ip)))
    udp = struct.pack("!HHHH", *struct.unpack_from("!HH", frame, UDP_AT), 8 + len(payload), 0)
    return frame[:14] + bytes(ip) + udp + payload


def forge(kind, frame, chance):
    payload = frame[PAYLOAD_AT:]
    if kind == "replay":
        return frame
    if kind == "truncate":
        return rebuild(frame, payload[:chance.randrange(len(payload))])
    if kind == "flip":
        turned = bytearray(payload)
        turned[chance.randrange(len(turned))] ^= 1 << chance.randrange(8)
        return rebuild(frame, bytes(turned))
    if kind == "respoof":
        return rebuild(frame, payload, socket.inet_aton(f"192.0.2.{chance.randrange(1, 20)}"))
    return rebuild(frame, chance.randbytes(chance.choice([0, 1, 15, 16, 40, 64, 200, 1400])))


def main():
    interface, capture, count, seed, *kinds = sys.argv[1:]
    chance = random.Random(int(seed))
    frames = [f for _, f in read_pcap(capture) if len(f) > PAYLOAD_AT and f[12:14] == b"\x08\x00" and f[23] == 17]
    if not frames:
        sys.exit("no ring datagram in the capture")
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((interface, 0))
    for i in range(int(count)):
        out.send(forge(chance.choice(kinds or ["replay", "truncate", "flip", "respoof", "noise"]),
                       chance.choice(frames), chance)[:1514])
        if i % 10 == 9:
            time.sleep(0.002)


if __name__ == "__main__":
    main()
