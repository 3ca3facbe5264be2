#!/usr/bin/env python3
"""Real TLS clients against tls_echo, which moves each connection to a fresh object at every record.

    clients.py TLS_ECHO

curl and openssl s_client must be there, gnutls-cli is used where it is. Prints one line for each case.
"""
import os
import select
import shutil
import ssl
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

TLS13 = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"]
TLS12 = [f"ECDHE-{kind}-{aead}" for kind in ("ECDSA", "RSA")
         for aead in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")]
SIZE = 3_000_000
GONE = 20  # seconds after which a client that says nothing has failed


class Echo:
    """tls_echo with an EC and an RSA certificate."""

    def __init__(self, program, folder, **environment):
        arguments = []
        for kind in ("ec", "rsa"):
            chain, key = folder / f"{kind}.pem", folder / f"{kind}.key"
            if not chain.exists():
                new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
                subprocess.run(["openssl", "req", "-x509", "-nodes", *new, "-keyout", key, "-out", chain, "-days", "30",
                                "-subj", "/CN=www.example.com"], check=True, capture_output=True)
            arguments += [chain, key]
        self.process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **environment})
        self.port = int(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        alive = self.process.poll() is None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        assert alive, f"tls_echo died: {self.process.returncode}"


def pattern(size):
    unit = bytes(range(ord("a"), ord("a") + 23))
    return (unit * (size // 23 + 1))[:size]


def suite_flags(suite):
    if suite in TLS13:
        return ["--tlsv1.3", "--tls13-ciphers", suite]
    return ["--tls-max", "1.2", "--ciphers", suite]


def curl_both_ways(echo, suite):
    run = lambda *arguments, **more: subprocess.run(
        ["curl", "-sSk", "--max-time", "60", *suite_flags(suite), *arguments], check=True, capture_output=True, **more).stdout
    url = f"https://127.0.0.1:{echo.port}/"
    assert run(url + str(SIZE)) == pattern(SIZE), "not what was asked for"
    sent = os.urandom(SIZE)
    assert run("-T", "-", "-H", f"Content-Length: {SIZE}", "-H", "Transfer-Encoding:", "-H", "Expect:", url,
               input=sent) == sent, "not what was put"


class SClient:
    """openssl s_client, spoken to like a person would."""

    def __init__(self, echo, *arguments):
        self.process = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{echo.port}", *arguments],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.seen = b""

    def wait_for(self, text):
        while text not in self.seen:
            if not select.select([self.process.stdout], [], [], GONE)[0]:
                raise AssertionError(f"{text} did not come: {self.seen[-500:]}")
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                raise AssertionError(f"closed before {text}: {self.seen[-500:]}")
            self.seen += more
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def say(self, line, expect):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        self.wait_for(expect.encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def quit(self):
        self.process.stdin.write(b"Q\n")
        self.process.stdin.close()
        self.process.wait(GONE)


def s_client_talk(echo, *arguments, updates=False):
    with SClient(echo, *arguments) as client:
        client.wait_for(b"read server session ticket" if updates else b"Verify return code")
        for n in range(3):
            client.say(f"hello {n}", f"hello {n}")
            if updates:
                client.say("K", "KEYUPDATE")  # and asks for ours
                client.say(f"between {n}", f"between {n}")
                client.say("k", "KEYUPDATE")
        long = "x" * 3_000
        client.say(long, long)
        client.quit()


def s_client_resumes(echo, folder, version):
    file = folder / f"session{version}"
    for n in range(3):
        resume = ["-sess_in", str(file)] if n > 0 else []
        with SClient(echo, version, "-sess_out", str(file), *resume) as client:
            client.wait_for(b"Reused, TLSv1" if n > 0 else b"New, TLSv1")
            client.say("hello", "hello")
            client.quit()


def python_talks(echo):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    with socket.create_connection(("127.0.0.1", echo.port), GONE) as raw:
        with context.wrap_socket(raw, server_hostname="www.example.com") as tls:
            assert tls.selected_alpn_protocol() == "http/1.1"
            for size in (1, 100, 16_384, 100_000):
                tls.sendall(b"q" * size)
                got = b""
                while len(got) < size:
                    got += tls.recv(65_536)
                assert got == b"q" * size
            tls.unwrap()


def gnutls_talks(echo, priority):
    text = "".join(f"line {n}\n" for n in range(200))
    got = subprocess.run(["gnutls-cli", "--insecure", "--logfile=/dev/null", "--priority", priority, "-p", str(echo.port),
                          "127.0.0.1"], input=text, check=True, capture_output=True, text=True, timeout=GONE).stdout
    assert got == text, got[:200]


def refused(echo, *arguments):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{echo.port}", *arguments],
                          input=b"", capture_output=True, timeout=GONE)
    assert done.returncode != 0 and b"alert" in done.stderr, done.stderr


def cases(program, folder):
    with Echo(program, folder) as echo:
        for suite in TLS13 + TLS12:
            yield f"curl, both ways, {suite}", lambda: curl_both_ways(echo, suite)
        yield "openssl s_client, KeyUpdates of both sides", lambda: s_client_talk(echo, "-tls1_3", "-state", updates=True)
        yield "openssl s_client, TLS 1.2", lambda: s_client_talk(echo, "-tls1_2")
        yield "openssl s_client, padded records", lambda: s_client_talk(echo, "-tls1_3", "-record_padding", "512")
        for version in ("-tls1_2", "-tls1_3"):
            yield f"openssl s_client {version}, fragments of 512", \
                lambda: s_client_talk(echo, version, "-maxfraglen", "512")
            yield f"openssl s_client {version} resumes", lambda: s_client_resumes(echo, folder, version)
        yield "openssl s_client, HelloRetryRequest", lambda: s_client_talk(echo, "-tls1_3", "-groups", "P-521:P-384")
        yield "openssl s_client, CBC is refused", \
            lambda: refused(echo, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256")
        yield "openssl s_client, TLS 1.1 is refused", lambda: refused(echo, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
        yield "Python", lambda: python_talks(echo)
        if shutil.which("gnutls-cli"):
            for priority in ("NORMAL:-VERS-ALL:+VERS-TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.2"):
                yield f"gnutls-cli {priority}", lambda: gnutls_talks(echo, priority)
    with Echo(program, folder, HOLDFAST_TLS_UPDATE="20") as echo:
        yield "curl, our KeyUpdates, each asking for one", lambda: curl_both_ways(echo, TLS13[0])
    with Echo(program, folder, HOLDFAST_TLS_TICKETS="1") as echo:
        for version in ("-tls1_2", "-tls1_3"):
            yield f"openssl s_client {version} resumes by ticket", lambda: s_client_resumes(echo, folder, version)


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, case in cases(sys.argv[1], Path(folder)):
            try:
                case()
                print(f"ok   {name}", flush=True)
            except (AssertionError, subprocess.SubprocessError, OSError) as error:
                failed += 1
                print(f"FAIL {name}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
