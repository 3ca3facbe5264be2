"""A server whose bytes are predictable: one line asks, and the answer is checked by whoever asked.

  D <seed> <bytes> <bytes a second>   sends that much of the pattern, paced (0: as fast as it goes)
  U <seed> <bytes>                    reads that much of it and answers "OK <bytes>" or "BAD <offset>"
  E                                   echoes until the end
"""
import asyncio
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), ".."))
from holdfast_lab.pattern import Pattern  # noqa: E402

TICK = 0.01


async def download(writer, seed, size, rate):
    pattern = Pattern(seed)
    step = max(1, int(rate * TICK)) if rate else 65536
    clock = asyncio.get_running_loop().time
    began, sent = clock(), 0
    while sent < size:
        piece = pattern.read(sent, min(step, size - sent))
        writer.write(piece)
        await writer.drain()
        sent += len(piece)
        if rate:
            await asyncio.sleep(max(0.0, began + sent / rate - clock()))


async def upload(reader, writer, seed, size):
    pattern, got = Pattern(seed), 0
    while got < size:
        data = await reader.read(65536)
        if not data:
            break
        if data != pattern.read(got, len(data)):
            writer.write(f"BAD {got}\n".encode())
            return
        got += len(data)
    writer.write(f"OK {got}\n".encode())


async def serve(reader, writer):
    try:
        words = (await reader.readline()).split()
        if words[:1] == [b"D"]:
            await download(writer, words[1].decode(), int(words[2]), int(words[3]))
        elif words[:1] == [b"U"]:
            await upload(reader, writer, words[1].decode(), int(words[2]))
        elif words[:1] == [b"E"]:
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


async def main(port):
    server = await asyncio.start_server(serve, ["0.0.0.0", "::"], port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
