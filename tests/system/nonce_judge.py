"""Judges from captures that no nonce served two plaintexts.

A record's number is its place in the stream: whoever sends a stream's octets under a nonce sends them at the same
sequence numbers. So it is enough that every octet that any node ever sent at a sequence number of a connection, to the
client or into the void, is the same; a fenced holder's included. Keys are not needed, and decryption by the client
(which checks each octet) says that nonces and places agree.
"""
import ipaddress
import struct


class Stream:
    """What was sent from one socket to another, by sequence number from the SYN's."""

    def __init__(self, syn):
        self.first, self.octets, self.known = syn, bytearray(), bytearray()  # known: 1 + who of senders sent it
        self.repeated, self.senders, self.conflicts = 0, [], []  # repeated: octets another node had sent before

    def add(self, who, sequence, data):
        at = (sequence - self.first - 1) & 0xFFFFFFFF
        if at >= 1 << 31:  # an old octet, as a probe
            return
        end = at + len(data)
        if end > len(self.octets):
            self.octets.extend(bytes(end - len(self.octets)))
            self.known.extend(bytes(end - len(self.known)))
        if who not in self.senders:
            self.senders.append(who)
        mark = 1 + self.senders.index(who)
        known = self.known[at:end]
        if any(known):
            self.repeated += sum(1 for k in known if k and k != mark)
            old = self.octets[at:end]
            differs = [i for i in range(len(data)) if known[i] and old[i] != data[i]]
            if differs:
                self.conflicts.append(f"{who} sent other octets at {at + differs[0]}, {len(differs)} of {len(data)}")
        self.octets[at:end] = data
        self.known[at:end] = bytes([mark]) * len(data)

    def total(self):
        return sum(1 for k in self.known if k)


def tcp_of(frame):
    """(flow, flags, sequence, data) of an Ethernet frame, None if it is no whole TCP segment."""
    kind, = struct.unpack_from(">H", frame, 12)
    if kind == 0x0800 and frame[23] == 6:
        tcp, end = 14 + (frame[14] & 15) * 4, 14 + struct.unpack_from(">H", frame, 16)[0]
        hosts = frame[26:30], frame[30:34]
    elif kind == 0x86DD and frame[20] == 6:
        tcp, end = 54, 54 + struct.unpack_from(">H", frame, 18)[0]
        hosts = frame[22:38], frame[38:54]
    else:
        return None
    if end > len(frame):
        raise ValueError("a capture must have whole frames")
    source, destination, sequence, _, offset, flags = struct.unpack_from(">HHIIBB", frame, tcp)
    return (hosts[0], source, hosts[1], destination), flags, sequence, frame[tcp + (offset >> 4) * 4:end]


def judge(captures, vips):
    """`captures`: frames (time, octets) by who sent them. The streams that the VIPs sent, judged."""
    addresses = {ipaddress.ip_address(v).packed for v in vips}
    streams, every = {}, []
    for _, who, frame in sorted((t, who, f) for who, frames in captures.items() for t, f in frames):
        found = tcp_of(frame)
        if not found or found[0][0] not in addresses:
            continue
        flow, flags, sequence, data = found
        if flags & 2 and (flow not in streams or streams[flow].first != sequence):
            streams[flow] = Stream(sequence)
            every.append(streams[flow])
        if data and flow in streams:
            streams[flow].add(who, sequence, data)
    return every


def conflicts(streams):
    return [c for s in streams for c in s.conflicts]


def doctored(captures):
    """The same captures, but one octet of a repeated stretch is another: a judge must see it."""
    changed = {who: list(frames) for who, frames in captures.items()}
    for who, frames in changed.items():
        for i, (time, frame) in enumerate(frames):
            found = tcp_of(frame)
            if found and len(found[3]) > 100:
                frames.insert(i + 1, (time, frame[:-1] + bytes([frame[-1] ^ 1])))
                return changed
    return changed
