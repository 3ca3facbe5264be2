#!/usr/bin/env python3
"""Asks the lab's stream server for bytes, reads none until a file is there, then all of them: prints what was wrong.

    slow_reader.py HOST PORT SIZE FILE [CA]
"""
import os
import socket
import ssl
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))

from tools.lab import pattern  # noqa: E402

SEED = 77


def main():
    host, port, size, go = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    connection = socket.create_connection((host, port), 10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    if len(sys.argv) > 5:
        context = ssl.create_default_context(cafile=sys.argv[5])
        connection = context.wrap_socket(connection, server_hostname="www.example.com")
    connection.sendall(f"D {SEED} {size} {size} 10\n".encode())
    print("asked", flush=True)
    while not os.path.exists(go):
        time.sleep(0.02)
    connection.settimeout(20)
    got = 0
    while data := connection.recv(65536):
        wrong = pattern.first_difference(data, SEED, got)
        if wrong is not None:
            return print(f"wrong at {wrong}", flush=True)
        got += len(data)
    print("whole" if got == size else f"short: {got}", flush=True)


if __name__ == "__main__":
    main()
