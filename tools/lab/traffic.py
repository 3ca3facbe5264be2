#!/usr/bin/env python3
"""Kernel TCP connections whose every byte is checked, and what their user saw: in a client's namespace.

Opens downloads, uploads and echoes to every target in turn, all paced over --seconds, and checks each byte by its
position (tools/lab/pattern.py; the other end is tools/lab/server.py). On standard output, a line when every connection
carries data ("ready") and one when all have ended ("done"); the result is JSON in --out: for each connection its
bytes, how it ended, its longest stall and when that began (CLOCK_MONOTONIC, the same in every namespace).

A download's stall is the longest time between two arrivals, an upload's the same at the server, an echo's its
slowest answer. `loop_lag_ms` is how late this program itself ran at worst: stalls below it mean nothing.
"""
import argparse
import asyncio
import json
import os
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from tools.lab import pattern  # noqa: E402

GRACE_S = 30  # beyond --seconds: for stalls, retransmissions and a slow machine


class Record:
    """One connection, as its user would tell it."""

    def __init__(self, number, kind, target):
        self.number, self.kind, self.target = number, kind, target
        self.family = 6 if ":" in target[0] else 4
        self.local = None
        self.bytes = 0
        self.outcome = "open"  # ok | reset | timeout | refused | short | corrupt | lost
        self.detail = ""
        self.connect_ms = None
        self.longest_gap_ms, self.gap_began = 0.0, None
        self.gaps = []  # (began, ms) of those above --note-ms
        self.ended_at = None
        self.moving = False  # has carried data

    def gap(self, began, seconds, note_ms):
        if seconds * 1000 > self.longest_gap_ms:
            self.longest_gap_ms, self.gap_began = seconds * 1000, began
        if seconds * 1000 >= note_ms:
            self.gaps.append((began, seconds * 1000))

    def to_json(self):
        return {**self.__dict__, "target": f"[{self.target[0]}]:{self.target[1]}"}


class Wrong(Exception):
    def __init__(self, outcome, detail):
        super().__init__(detail)
        self.outcome = outcome


async def download(record, reader, writer, plan):
    size = int(plan.rate * plan.seconds)
    writer.write(f"D {record.number} {size} {plan.rate} {plan.step_ms}\n".encode())
    last = time.monotonic()
    while data := await reader.read(65536):
        now = time.monotonic()
        if record.moving:
            record.gap(last, now - last, plan.note_ms)
        last = now
        wrong = pattern.first_difference(data, record.number, record.bytes)
        if wrong is not None:
            raise Wrong("corrupt", f"at {wrong} of {size}")
        record.bytes += len(data)
        record.moving = True
    if record.bytes != size:
        raise Wrong("short", f"{record.bytes} of {size}")


async def upload(record, reader, writer, plan):
    size = int(plan.rate * plan.seconds)
    writer.write(f"U {record.number} {size}\n".encode())
    began = time.monotonic()
    while record.bytes < size:
        due = min(size, int((time.monotonic() - began) * plan.rate) + 1)
        while record.bytes < due:
            data = pattern.piece(record.number, record.bytes, min(due - record.bytes, 65536))
            writer.write(data)
            record.bytes += len(data)
            await writer.drain()
        record.moving = True
        await asyncio.sleep(plan.step_ms / 1000)
    answer = await reader.readline()
    if not answer:
        raise Wrong("short", "the server closed without its answer")
    told = json.loads(answer)
    record.longest_gap_ms, record.gap_began = told["longest_gap_ms"], told["gap_began"]
    if told["wrong_at"] is not None:
        raise Wrong("corrupt", f"at {told['wrong_at']} of {size}, seen by the server")
    if told["bytes"] != size:
        raise Wrong("short", f"{told['bytes']} of {size}, seen by the server")
    if await reader.read(1):
        raise Wrong("corrupt", "bytes after the answer")


async def echo(record, reader, writer, plan):
    writer.write(b"E\n")
    until, turn = time.monotonic() + plan.seconds, 0
    while time.monotonic() < until:
        said = pattern.piece(record.number, turn * 32, 32)
        asked = time.monotonic()
        writer.write(said)
        try:
            heard = await reader.readexactly(32)
        except asyncio.IncompleteReadError as early:
            raise Wrong("short", f"closed in turn {turn}") from early
        record.gap(asked, time.monotonic() - asked, plan.note_ms)
        if heard != said:
            raise Wrong("corrupt", f"in turn {turn}")
        record.bytes += 32
        record.moving, turn = True, turn + 1
        await asyncio.sleep(plan.step_ms / 1000)


KINDS = {"download": download, "upload": upload, "echo": echo}


def keep_alive(connection):
    """A download's client has nothing to say: without this it would never learn that its connection is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 2), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 10)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


def secure(record, plan):
    """What makes a connection a TLS one: of both versions in turn, its certificate checked."""
    if not plan.ca:
        return {}
    context = ssl.create_default_context(cafile=plan.ca)
    version = ssl.TLSVersion.TLSv1_3 if record.number // 2 % 2 else ssl.TLSVersion.TLSv1_2
    context.minimum_version = context.maximum_version = version
    return {"ssl": context, "server_hostname": plan.server_name}


async def carry(record, plan):
    """One connection from its SYN to its end. Never raises: what happened is in the record."""
    writer = None
    try:
        async with asyncio.timeout(plan.seconds + GRACE_S):
            began = time.monotonic()
            reader, writer = await asyncio.open_connection(*record.target, **secure(record, plan))
            record.connect_ms = (time.monotonic() - began) * 1000
            keep_alive(writer.get_extra_info("socket"))
            record.local = "{}:{}".format(*writer.get_extra_info("sockname")[:2])
            await KINDS[record.kind](record, reader, writer, plan)
        record.outcome = "ok"
    except Wrong as wrong:
        record.outcome, record.detail = wrong.outcome, str(wrong)
    except ConnectionResetError:
        record.outcome = "reset"
    except ConnectionRefusedError:
        record.outcome = "refused"
    except TimeoutError:  # ours, or the kernel's ETIMEDOUT
        record.outcome, record.detail = "timeout", f"{record.bytes} bytes"
    except ssl.SSLError as error:
        record.outcome, record.detail = "tls", str(error)
    except OSError as error:
        record.outcome, record.detail = "lost", str(error)
    finally:
        record.ended_at = time.monotonic()
        if writer:
            writer.close()


async def watch_ourselves(lag):
    """How late the loop runs: what it calls a stall may be its own."""
    while True:
        asked = time.monotonic()
        await asyncio.sleep(0.005)
        late = time.monotonic() - asked - 0.005
        if late > lag["worst"]:
            lag["worst"], lag["at"] = late, asked


async def announce(records):
    while any(r.outcome == "open" and not r.moving for r in records):
        await asyncio.sleep(0.01)
    print("ready", flush=True)


async def main(plan):
    wanted = ["download"] * plan.downloads + ["upload"] * plan.uploads + ["echo"] * plan.echoes
    targets = []
    for text in plan.target:
        host, port = text.rsplit(":", 1)
        targets.append((host.strip("[]"), int(port)))
    records = [Record(i + 1, kind, targets[i % len(targets)]) for i, kind in enumerate(wanted)]
    lag = {"worst": 0.0, "at": None}
    watcher = asyncio.create_task(watch_ourselves(lag))
    ready = asyncio.create_task(announce(records))
    jobs = []
    for record in records:  # not all in one instant: a SYN queue is not what is tested here
        jobs.append(asyncio.create_task(carry(record, plan)))
        await asyncio.sleep(plan.ramp_ms / 1000)
    await asyncio.gather(*jobs)
    await ready
    watcher.cancel()
    result = {"records": [r.to_json() for r in records], "loop_lag_ms": lag["worst"] * 1000, "loop_lag_at": lag["at"]}
    with open(plan.out + ".new", "w") as file:
        json.dump(result, file)
    os.replace(plan.out + ".new", plan.out)
    print("done", flush=True)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--target", action="append", required=True, help="address:port, [v6]:port; may repeat")
    for kind in KINDS:
        parser.add_argument(f"--{kind}s" if kind != "echo" else "--echoes", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=int, default=30_000, help="bytes a second of each transfer")
    parser.add_argument("--step-ms", type=int, default=20, help="pace: a write each so often")
    parser.add_argument("--ramp-ms", type=float, default=2.0, help="between two connections' beginnings")
    parser.add_argument("--note-ms", type=float, default=60.0, help="keep every stall longer than this")
    parser.add_argument("--ca", help="a file of trusted certificates: connections are TLS ones")
    parser.add_argument("--server-name", default="www.example.com")
    parser.add_argument("--out", required=True)
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse()))
