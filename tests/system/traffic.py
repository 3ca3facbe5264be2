"""Kernel TCP connections through the VIP whose every byte is checked, and what their user saw.

Runs in a client's namespace:  traffic.py '{"targets": [...], "downloads": 50, ...}'  and prints one JSON object.
Reads "go" lines on nothing: it simply runs until all transfers have ended or the time limit has passed.
"""
import asyncio
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "tools", "lab"))
from holdfast_lab.pattern import Pattern  # noqa: E402


class Record:
    def __init__(self, kind, target):
        self.kind, self.target = kind, target
        self.bytes = 0
        self.error = None
        self.done = False
        self.gap = 0.0        # longest time without progress, seconds
        self.gap_at = 0.0     # when it ended, CLOCK_MONOTONIC
        self._last = None

    def progress(self, n):
        now = time.monotonic()
        if self._last is not None and now - self._last > self.gap:
            self.gap, self.gap_at = now - self._last, now
        self._last = now
        self.bytes += n

    def as_dict(self):
        return {k: v for k, v in vars(self).items() if not k.startswith("_")}


async def download(record, target, seed, size, rate):
    reader, writer = await asyncio.open_connection(*target)
    writer.write(f"D {seed} {size} {rate}\n".encode())
    pattern = Pattern(str(seed))
    while record.bytes < size:
        data = await reader.read(65536)
        if not data:
            raise EOFError(f"ended after {record.bytes} of {size} bytes")
        if data != pattern.read(record.bytes, len(data)):
            raise ValueError(f"wrong bytes at or after {record.bytes}")
        record.progress(len(data))
    if await reader.read(1):
        raise ValueError("more bytes than asked for")
    writer.close()


async def upload(record, target, seed, size, rate):
    reader, writer = await asyncio.open_connection(*target)
    writer.write(f"U {seed} {size}\n".encode())
    pattern = Pattern(str(seed))
    began = time.monotonic()
    step = max(1, int(rate * 0.01)) if rate else 65536
    while record.bytes < size:
        piece = pattern.read(record.bytes, min(step, size - record.bytes))
        writer.write(piece)
        await writer.drain()
        record.progress(len(piece))
        if rate:
            await asyncio.sleep(max(0.0, began + record.bytes / rate - time.monotonic()))
    answer = (await reader.readline()).decode().strip()
    if answer != f"OK {size}":
        raise ValueError(f"server says {answer!r}")
    writer.close()


async def echo(record, target, seed, seconds, interval):
    reader, writer = await asyncio.open_connection(*target)
    writer.write(b"E\n")
    until, n = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        line = f"{seed}:{n}\n".encode()
        writer.write(line)
        if await reader.readline() != line:
            raise ValueError(f"echo {n} came back wrong")
        record.progress(len(line))
        n += 1
        await asyncio.sleep(interval)
    writer.close()


async def guarded(record, work, limit):
    try:
        await asyncio.wait_for(work, limit)
        record.done = True
    except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
        record.error = f"{type(error).__name__}: {error}"


async def main(plan):
    records, jobs = [], []
    targets = [tuple(t) for t in plan["targets"]]
    limit = plan.get("limit", 60)

    def add(kind, make):
        target = targets[len(records) % len(targets)]
        record = Record(kind, target[0])
        records.append(record)
        jobs.append(guarded(record, make(record, target, f"{plan.get('seed', 0)}-{len(records)}"), limit))

    for _ in range(plan.get("downloads", 0)):
        add("download", lambda r, t, s: download(r, t, s, plan["bytes"], plan["rate"]))
    for _ in range(plan.get("uploads", 0)):
        add("upload", lambda r, t, s: upload(r, t, s, plan["bytes"], plan["rate"]))
    for _ in range(plan.get("echoes", 0)):
        add("echo", lambda r, t, s: echo(r, t, s, plan["bytes"] / max(1, plan["rate"]), plan.get("interval", 0.01)))
    print(json.dumps({"started": time.monotonic(), "connections": len(records)}), flush=True)
    await asyncio.gather(*jobs)
    print(json.dumps({"records": [r.as_dict() for r in records]}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
