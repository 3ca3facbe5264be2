#!/usr/bin/env python3
"""Clients that close their half right after asking, and read on to the end: prints "moving" when all do, then the verdict.

    half_closed.py SIZE RATE COUNT CA|- HOST:PORT...

With a CA: close_notify, then FIN, as RFC 8446 section 6.1 lets one side do by itself.
"""
import os
import socket
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from tools.lab import pattern  # noqa: E402

TIMEOUT_S = 40


class Plain:
    def __init__(self, connection):
        self.connection = connection

    def say(self, data):
        self.connection.sendall(data)

    def close_half(self):
        self.connection.shutdown(socket.SHUT_WR)

    def read(self):
        return self.connection.recv(65536)


class Tls(Plain):
    """Over memory, because Python's sockets cannot close one half of TLS."""

    def __init__(self, connection, ca, number):
        super().__init__(connection)
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = context.maximum_version = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)[number % 2]
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="www.example.com")
        self.drive(self.tls.do_handshake)

    def flush(self):
        if self.outgoing.pending:
            self.connection.sendall(self.outgoing.read())

    def drive(self, step):
        while True:
            try:
                done = step()
                self.flush()
                return done
            except ssl.SSLWantReadError:
                self.flush()
                data = self.connection.recv(65536)
                if not data:
                    raise ConnectionError("FIN without close_notify") from None
                self.incoming.write(data)

    def say(self, data):
        self.drive(lambda: self.tls.write(data))

    def close_half(self):
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass  # the server's close_notify comes at its end
        self.flush()
        super().close_half()

    def read(self):
        try:
            return self.drive(lambda: self.tls.read(65536))
        except ssl.SSLZeroReturnError:
            return b""


def carry(number, target, size, rate, ca, moving, verdicts):
    try:
        host, port = target.rsplit(":", 1)
        connection = socket.create_connection((host.strip("[]"), int(port)), TIMEOUT_S)
        end = Tls(connection, ca, number) if ca != "-" else Plain(connection)
        end.say(f"D {number} {size} {rate} 10\n".encode())
        end.close_half()
        got = 0
        while data := end.read():
            wrong = pattern.first_difference(data, number, got)
            if wrong is not None:
                verdicts.append(f"{number}: wrong at {wrong}")
                return
            if got == 0:
                moving.release()
            got += len(data)
        verdicts.append("whole" if got == size else f"{number}: short: {got}")
    except (OSError, ssl.SSLError) as error:
        verdicts.append(f"{number}: {error!r}")


def main():
    size, rate, count, ca, targets = *map(int, sys.argv[1:4]), sys.argv[4], sys.argv[5:]
    moving, verdicts = threading.Semaphore(0), []
    threads = [threading.Thread(target=carry, args=(n, targets[n // 2 % len(targets)], size, rate, ca, moving, verdicts))
               for n in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        if not moving.acquire(timeout=TIMEOUT_S):
            break
    print("moving", flush=True)
    for thread in threads:
        thread.join()
    bad = [v for v in verdicts if v != "whole"]
    print("; ".join(bad[:5]) or "whole", flush=True)


if __name__ == "__main__":
    main()
