#!/usr/bin/env python3
"""A server of bytes that are known by their position, in a backend's namespace. The first line asks:

    D <seed> <bytes> <rate> <step_ms>   sends so many bytes of the stream, paced in steps, then closes
    U <seed> <bytes>                    takes as many, checks them, and answers one line of JSON
    E                                   echoes what comes

and, on port 8081 of the loopback, an HTTP sink for nginx's /upload: it answers the sha256 of the body.
Rates are bytes a second. Stalls are measured here for uploads: the longest time between two arrivals.
"""
import argparse
import asyncio
import hashlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from tools.lab import pattern  # noqa: E402

LONGEST_LINE = 200


class Gap:
    """The longest pause between arrivals, and when it began (CLOCK_MONOTONIC, the same in every namespace)."""

    def __init__(self):
        self.last = time.monotonic()
        self.longest, self.began = 0.0, None

    def arrived(self):
        now = time.monotonic()
        if now - self.last > self.longest:
            self.longest, self.began = now - self.last, self.last
        self.last = now


async def pace(writer, seed, size, rate, step_ms):
    """Sends the stream by the clock: what a pause held up is sent at once afterwards."""
    began, sent = time.monotonic(), 0
    while sent < size:
        due = size if rate <= 0 else min(size, int((time.monotonic() - began) * rate) + 1)
        while sent < due:
            data = pattern.piece(seed, sent, min(due - sent, 65536))
            writer.write(data)
            sent += len(data)
            await writer.drain()
        if rate > 0:
            await asyncio.sleep(step_ms / 1000)


async def take(reader, writer, seed, size):
    gap, got, wrong = Gap(), 0, None
    while got < size and wrong is None:
        data = await reader.read(65536)
        if not data:
            break
        gap.arrived()
        wrong = pattern.first_difference(data, seed, got)
        got += len(data)
    answer = {"bytes": got, "wrong_at": wrong, "longest_gap_ms": gap.longest * 1000, "gap_began": gap.began}
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def serve(reader, writer):
    try:
        line = (await reader.readuntil(b"\n"))[:LONGEST_LINE].split()
        numbers = [int(n) for n in line[1:]]
        if line[0] == b"D" and len(numbers) == 4:
            await pace(writer, *numbers)
        elif line[0] == b"U" and len(numbers) == 2:
            await take(reader, writer, *numbers)
        elif line[0] == b"E":
            await echo(reader, writer)
    except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ValueError, IndexError):
        pass
    finally:
        writer.close()


async def http_sink(reader, writer):
    """One PUT or POST for a connection: enough for nginx's proxy."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        length = next((int(h.split(":")[1]) for h in head if h.lower().startswith("content-length:")), 0)
        digest, gap, got = hashlib.sha256(), Gap(), 0
        while got < length:
            data = await reader.read(min(65536, length - got))
            if not data:
                return
            gap.arrived()
            digest.update(data)
            got += len(data)
        body = json.dumps({"bytes": got, "sha256": digest.hexdigest(), "longest_gap_ms": gap.longest * 1000,
                           "gap_began": gap.began}).encode() + b"\n"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: "
                     + str(len(body)).encode() + b"\r\n\r\n" + body)
        await writer.drain()
    except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=7000)
    port = parser.parse_args().port
    servers = [await asyncio.start_server(serve, ["0.0.0.0", "::"], port, backlog=4096),
               await asyncio.start_server(http_sink, "127.0.0.1", 8081, backlog=1024)]
    await asyncio.gather(*(s.serve_forever() for s in servers))


if __name__ == "__main__":
    asyncio.run(main())
