#!/usr/bin/env python3
"""TLS for tools that speak none: takes connections on this host's loopback and passes them on.

    tls_tunnel.py HOST PORT [--ca FILE --name NAME]    without --ca it passes on what it got as it is

Port 80 passes everything on; port 81 sends the first half of a record (without TLS: of what it read) and keeps the other
until it is told to go on. Who connects to port 82 is hung up on when a half is kept, who connects to port 83 lets it go.
"""
import argparse
import asyncio
import ssl

THROUGH, HALVES, KEPT, GO_ON = 80, 81, 82, 83
CHUNK = 1 << 16


class Clear:
    """As TLS has it, but without."""

    def seal(self, octets):
        return octets

    def open(self, octets):
        return octets

    def close(self):
        return b""


class Tls:
    def __init__(self, context, name):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    async def shake_hands(self, reader, writer):
        while True:
            try:
                self.session.do_handshake()
                return writer.write(self.outgoing.read())
            except ssl.SSLWantReadError:
                writer.write(self.outgoing.read())
                octets = await reader.read(CHUNK)
                if not octets:
                    raise ConnectionError("closed in its handshake") from None
                self.incoming.write(octets)

    def seal(self, text):
        self.session.write(text)
        return self.outgoing.read()

    def open(self, octets):
        self.incoming.write(octets)
        text = b""
        try:
            while piece := self.session.read(CHUNK):
                text += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return text

    def close(self):
        try:
            self.session.unwrap()
        except ssl.SSLError:  # it wants to read the other's close_notify
            pass
        return self.outgoing.read()


class Tunnel:
    def __init__(self, arguments):
        self.arguments = arguments
        self.context = ssl.create_default_context(cafile=arguments.ca) if arguments.ca else None
        self.kept, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def up(self, near, far, layer, halves):
        while text := await near.read(CHUNK):
            octets = layer.seal(text)
            if halves:
                far.write(octets[:len(octets) // 2])
                await far.drain()
                self.kept.set()
                await self.may_go_on.wait()
                octets = octets[len(octets) // 2:]
            far.write(octets)
            await far.drain()
        far.write(layer.close())
        far.write_eof()

    @staticmethod
    async def down(far, near, layer):
        while octets := await far.read(CHUNK):
            near.write(layer.open(octets))
            await near.drain()
        near.write_eof()

    async def pass_on(self, reader, writer, halves):
        far_writer = None
        try:
            far_reader, far_writer = await asyncio.open_connection(self.arguments.host, self.arguments.port)
            layer = Clear()
            if self.context:
                layer = Tls(self.context, self.arguments.name)
                await layer.shake_hands(far_reader, far_writer)
            await asyncio.gather(self.up(reader, far_writer, layer, halves), self.down(far_reader, writer, layer))
        except (OSError, ssl.SSLError) as why:
            print(f"tunnel: {why!r}", flush=True)
            writer.transport.abort()
            if far_writer:
                far_writer.transport.abort()

    async def run(self):
        async def through(reader, writer):
            await self.pass_on(reader, writer, False)

        async def halves(reader, writer):
            await self.pass_on(reader, writer, True)

        async def kept(_, writer):
            await self.kept.wait()
            writer.close()

        async def go_on(_, writer):
            self.may_go_on.set()
            writer.close()

        for port, serve in ((THROUGH, through), (HALVES, halves), (KEPT, kept), (GO_ON, go_on)):
            await asyncio.start_server(serve, "127.0.0.1", port)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--ca")
    parser.add_argument("--name")
    asyncio.run(Tunnel(parser.parse_args()).run())
