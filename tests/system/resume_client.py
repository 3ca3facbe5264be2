#!/usr/bin/env python3
"""Begins TLS sessions at a target and resumes them when told: in a client's namespace.

    resume_client.py --target HOST:PORT --name NAME --ca FILE [--tickets no] VERSION:COUNT...

Each line on standard input is a command: `begin` opens a new connection for every session, `resume` one that offers it.
Each connection asks for the head of / and reads the whole answer, because a ticket of TLS 1.3 comes behind the
handshake. A command is answered by one line of JSON: for each version how many connections were new, how many resumed,
how many of the sessions that new ones gave had a ticket, and what failed.
"""
import argparse
import json
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

THREADS = 8
TIMEOUT_S = 10
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
REQUEST = b"HEAD / HTTP/1.0\r\n\r\n"


class Client:
    """Sessions of one version; they belong to one context."""

    def __init__(self, options, version, count):
        self.options, self.version = options, version
        self.sessions = [None] * count
        self.context = ssl.create_default_context(cafile=options.ca)
        self.context.minimum_version = self.context.maximum_version = VERSIONS[version]
        if options.tickets == "no":
            self.context.options |= ssl.OP_NO_TICKET

    def connect(self, number):
        """One connection that offers session `number`, if it has begun; how it went."""
        host, port = self.options.target.rsplit(":", 1)
        try:
            with socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S) as tcp:
                with self.context.wrap_socket(tcp, server_hostname=self.options.name,
                                              session=self.sessions[number]) as tls:
                    tls.sendall(REQUEST)
                    answer = b""
                    while part := tls.recv(4096):
                        answer += part
                    if not answer.startswith(b"HTTP/1.1 200"):
                        return f"answered {answer[:60]!r}"
                    if tls.session_reused:
                        return "resumed"
                    self.sessions[number] = tls.session
                    return "new"
        except OSError as e:
            return f"{type(e).__name__}: {e}"

    def connect_all(self, pool):
        said = list(pool.map(self.connect, range(len(self.sessions))))
        failed = [s for s in said if s not in ("new", "resumed")]
        return {"new": said.count("new"), "resumed": said.count("resumed"),
                "tickets": sum(s is not None and s.has_ticket for s in self.sessions),
                "failed": len(failed), "why": sorted(set(failed))[:4]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--target", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--tickets", choices=["yes", "no"], default="yes")
    parser.add_argument("wanted", nargs="+")
    options = parser.parse_args()
    clients = [Client(options, version, int(count)) for version, count in (w.split(":") for w in options.wanted)]
    with ThreadPoolExecutor(THREADS) as pool:
        for command in sys.stdin:
            if command.strip() == "begin":
                for client in clients:
                    client.sessions = [None] * len(client.sessions)
            print(json.dumps({c.version: c.connect_all(pool) for c in clients}), flush=True)


if __name__ == "__main__":
    main()
