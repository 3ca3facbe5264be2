"""The demo's client, in its namespace: a download, an upload and an interactive connection, each watched closely.

    demo_client.py DOWNLOAD_HOST UPLOAD_HOST ECHO_HOST PATH UPLOAD_BYTES SECONDS

Writes JSON lines: "moving" once all three carry data, "at" every 100 ms with the bytes so far, "end" with each
connection's bytes, digests and pauses (began, milliseconds; CLOCK_MONOTONIC, the same in every namespace).

A download pauses between two arrivals, an upload while its acknowledgements stand still, an echo while it waits for
an answer.
"""
import asyncio
import hashlib
import json
import random
import socket
import struct
import sys
import time

WEB_PORT, STREAM_PORT = 80, 7000
SAMPLE_S = 0.002
NOTE_S = 0.03  # shorter pauses are the scheduler's
BYTES_ACKED_AT = 120  # struct tcp_info, linux/tcp.h


class Watched:
    """One connection and its pauses."""

    def __init__(self, name, host):
        self.name, self.host = name, host
        self.bytes, self.last = 0, None
        self.pauses, self.error, self.extra = [], None, {}

    def moved(self, now):
        if self.last is not None and now - self.last >= NOTE_S:
            self.pauses.append((self.last, (now - self.last) * 1000))
        self.last = now

    def to_json(self):
        return {"name": self.name, "host": self.host, "bytes": self.bytes, "pauses": self.pauses,
                "error": self.error, **self.extra}


def url_host(host):
    return f"[{host}]" if ":" in host else host


async def head_of(reader):
    """Headers of an HTTP reply, by lower-case name."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    if " 200 " not in lines[0] + " ":
        raise ValueError(lines[0])
    return {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:]) if v}


async def download(watched, path):
    reader, writer = await asyncio.open_connection(watched.host, WEB_PORT)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {url_host(watched.host)}\r\n\r\n".encode())
    head = await head_of(reader)
    size, digest = int(head["content-length"]), hashlib.sha256()
    watched.extra["server"] = head.get("x-backend")
    while watched.bytes < size:
        data = await reader.read(min(1 << 18, size - watched.bytes))
        if not data:
            raise EOFError(f"ended after {watched.bytes} of {size} bytes")
        watched.moved(time.monotonic())
        watched.bytes += len(data)
        digest.update(data)
    watched.extra["arrived"] = digest.hexdigest()
    writer.close()


async def watch_acknowledged(watched, plain, size):
    """Upload progress as the client's kernel knows it: what the other end has acknowledged."""
    seen = 0
    while seen < size:
        acked, = struct.unpack_from("<Q", plain.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), BYTES_ACKED_AT)
        if acked > seen:
            watched.moved(time.monotonic())
            seen = acked
            watched.bytes = min(acked, size)
        await asyncio.sleep(SAMPLE_S)


async def upload(watched, size, seconds):
    reader, writer = await asyncio.open_connection(watched.host, WEB_PORT)
    writer.write(f"PUT /upload HTTP/1.1\r\nHost: {url_host(watched.host)}\r\nContent-Length: {size}\r\n\r\n".encode())
    source, digest, sent = random.Random("upload"), hashlib.sha256(), 0
    watcher = asyncio.create_task(watch_acknowledged(watched, writer.get_extra_info("socket"), size))
    began = time.monotonic()
    while sent < size:
        due = min(size, int(size * (time.monotonic() - began) / seconds) + 1)
        if due > sent:
            data = source.randbytes(min(due - sent, 1 << 16))
            digest.update(data)
            writer.write(data)
            sent += len(data)
            await writer.drain()
        await asyncio.sleep(0.005)
    head = await head_of(reader)
    told = json.loads(await reader.readexactly(int(head["content-length"])))
    watcher.cancel()
    watched.bytes = told["bytes"]
    watched.extra.update(sent=digest.hexdigest(), arrived=told["sha256"])
    writer.close()


async def echo(watched, seconds):
    reader, writer = await asyncio.open_connection(watched.host, STREAM_PORT)
    writer.write(b"E\n")
    sent, arrived, turn = hashlib.sha256(), hashlib.sha256(), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        line = f"key {turn}\n".encode()
        watched.last = time.monotonic()
        writer.write(line)
        heard = await reader.readexactly(len(line))
        watched.moved(time.monotonic())
        sent.update(line)
        arrived.update(heard)
        watched.bytes += len(line)
        turn += 1
        await asyncio.sleep(0.02)
    watched.extra.update(sent=sent.hexdigest(), arrived=arrived.hexdigest(), turns=turn)
    writer.close()


async def guarded(watched, work, limit):
    try:
        await asyncio.wait_for(work, limit)
    except (OSError, EOFError, ValueError, KeyError, asyncio.TimeoutError) as error:
        watched.error = f"{type(error).__name__} {error}".strip()


def say(**words):
    print(json.dumps(words), flush=True)


async def tell(all_watched):
    moving = False
    while True:
        if not moving and all(w.bytes or w.error for w in all_watched):
            moving = True
            say(event="moving", at=time.monotonic())
        say(event="at", at=time.monotonic(), bytes={w.name: w.bytes for w in all_watched})
        await asyncio.sleep(0.1)


async def main(down_host, up_host, echo_host, path, upload_bytes, seconds):
    size, seconds = int(upload_bytes), float(seconds)
    down, up, keys = Watched("download", down_host), Watched("upload", up_host), Watched("interactive", echo_host)
    teller = asyncio.create_task(tell([down, up, keys]))
    limit = seconds + 60
    await asyncio.gather(guarded(down, download(down, path), limit), guarded(up, upload(up, size, seconds), limit),
                         guarded(keys, echo(keys, seconds), limit))
    teller.cancel()
    say(event="end", connections=[w.to_json() for w in (down, up, keys)])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
