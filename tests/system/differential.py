"""Other people's tools, each as a verdict that must not depend on what is between it and its server.

A tool runs in the client against an address, and says in a dictionary what became of its work: what it counted itself,
and what its server has afterwards, which tells what arrived twice or not at all. How fast it was is no part of that.
"""
import contextlib
import csv
import json
import re
import shutil
import threading
import time
from pathlib import Path

from tests.system.harness import check, netns, plan, wait_new_holder

REDIS, POSTGRES, IPERF = 6379, 5432, 5201
PORTS = (REDIS, POSTGRES, IPERF)
BLOW_EVERY_S = 0.5
TOOL_TIMEOUT_S = 90
SECONDS = 5
RATE = 25_000_000  # octets a second of what has no end of its own: a history of it has to be kept


def inside(lab, host, argv, **options):
    done = lab.exec(host, argv, check=False, timeout=TOOL_TIMEOUT_S, **options)
    return done.returncode, done.stdout + done.stderr


def number(pattern, text):
    found = re.search(pattern, text)
    check(found, f"no {pattern!r} in: {text[-1500:]}")
    return float(found.group(1)) if "." in found.group(1) else int(found.group(1))


# --- servers, in the backend ---


def start_redis(lab):
    lab.spawn("b1", ["redis-server", "--port", REDIS, "--bind", "*", "--protected-mode", "no", "--save", "", "--appendonly",
                     "no", "--enable-debug-command", "yes", "--dir", lab.folder], key="b1/redis")


def start_postgres(lab):
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    data = lab.folder / "postgres"
    data.mkdir()
    shutil.chown(data, "postgres", "postgres")
    lab.folder.chmod(0o755)  # its own user has to come by
    as_postgres = ["runuser", "-u", "postgres", "--"]
    code, said = inside(lab, "b1", [*as_postgres, programs / "initdb", "-D", data, "--auth=trust", "--no-sync", "-E",
                                    "UTF8", "--locale=C"])
    check(code == 0, said)
    with open(data / "pg_hba.conf", "a") as file:
        file.write("host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n")
    lab.spawn("b1", [*as_postgres, programs / "postgres", "-D", data, "-h", "*", "-p", POSTGRES, "-k", data, "-F"],
              key="b1/postgres")


def start_servers(lab):
    start_redis(lab)
    start_postgres(lab)
    lab.spawn("b1", ["iperf3", "-s", "-p", IPERF], key="b1/iperf3")
    for port in PORTS:
        lab.wait_for(f"b1 listens on port {port}", lambda port=port: lab.listens("b1", port), 20)


# --- tools, in the client: (lab, where the server is) -> verdict ---


def redis(lab, host, *words):
    code, said = inside(lab, "c1", ["redis-cli", "-h", host, "-p", REDIS, *words])
    check(code == 0, f"redis-cli {' '.join(words)}: {said}")
    return said.strip()


def redis_benchmark(lab, host):
    """Every INCR counts once: the counter says how many were executed."""
    redis(lab, host, "FLUSHALL")
    rounds = 0
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        code, said = inside(lab, "c1", ["redis-benchmark", "-h", host, "-p", REDIS, "-t", "incr,lpush,mset", "-n", 2000, "-c", 20,
                                        "-P", 4, "--csv"])
        check(code == 0, said)
        rounds += 1
    lists = int(redis(lab, host, "LLEN", "mylist"))
    counter = int(redis(lab, host, "GET", "counter:__rand_int__"))
    return {"exit": code, "INCR for each asked": counter / (2000 * rounds), "LPUSH for each asked": lists / (2000 * rounds)}


def redis_pipe(lab, host):
    """A hundred thousand commands that depend on each other, as one stream; the data set's digest."""
    redis(lab, host, "FLUSHALL")
    said = ""
    commands = "".join(f"APPEND k{i % 97} {i}.\r\nINCRBY n{i % 31} {i}\r\nRPUSH l{i % 13} {i}\r\n" for i in range(35_000))
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        code, said = inside(lab, "c1", ["redis-cli", "-h", host, "-p", REDIS, "--pipe"], stdin="FLUSHALL\r\n" + commands)
        check(code == 0, said)
    return {"errors": number(r"errors: (\d+)", said), "replies": number(r"replies: (\d+)", said),
            "digest": redis(lab, host, "DEBUG", "DIGEST")}


def pgbench(lab, host):
    """TPC-B by eight clients: all balances agree, which they do not if a statement came twice or not at all."""
    where = ["-h", host, "-p", POSTGRES, "-U", "postgres"]
    code, said = inside(lab, "c1", ["pgbench", *where, "-i", "-q", "-s", 1, "postgres"])
    check(code == 0, said)
    code, said = inside(lab, "c1", ["pgbench", *where, "-n", "-c", 8, "-j", 2, "-T", SECONDS, "postgres"])
    done = number(r"actually processed: (\d+)", said)
    sums = ("SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches), "
            "(SELECT sum(tbalance) FROM pgbench_tellers), (SELECT sum(delta) FROM pgbench_history), "
            "(SELECT count(*) FROM pgbench_history)")
    asked, told = inside(lab, "c1", ["psql", *where, "-Atc", sums, "postgres"])
    check(asked == 0, told)
    *balances, kept = told.strip().split("|")
    return {"exit": code, "failed": number(r"failed transactions: (\d+)", said), "balances agree": len(set(balances)) == 1,
            "each once": int(kept) == done}


def iperf3(lab, host):
    verdict = {}
    for way, words in (("to the server", []), ("from the server", ["-R"])):
        code, said = inside(lab, "c1", ["iperf3", "-c", host, "-p", IPERF, "--json", "-t", SECONDS // 2 + 1, "-P", 2, "-b",
                                        f"{RATE * 4}", *words])
        told = json.loads(said)
        end = told.get("end", {})
        moved = end.get("sum_received", {}).get("bytes", 0)
        verdict[way] = {"exit": code, "error": told.get("error", ""), "moved": moved > 1 << 20}
    return verdict


def web(lab, host):
    return f"{'https' if lab.options.mode == 'tls' else 'http'}://{host}:{plan.WEB_PORT}"


def h2load(lab, host):
    """In rounds, not for a time: if its time is over while it connects (a SYN was lost), h2load 1.52 asks on for ever."""
    verdict = dict.fromkeys(("failed", "errored", "timeout", "not asked", "3xx to 5xx"), 0)
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        code, said = inside(lab, "c1", ["h2load", "--h1", "-c", 10, "-t", 1, "-n", 5000, f"{web(lab, host)}/"])
        check(code == 0, said)
        for word in ("failed", "errored", "timeout"):
            verdict[word] += number(rf"(\d+) {word}", said)
        verdict["not asked"] += 5000 - number(r"(\d+) started", said)
        verdict["3xx to 5xx"] += sum(number(rf"(\d+) {n}xx", said) for n in (3, 4, 5))
    return verdict


def wrk(lab, host):
    code, said = inside(lab, "c1", ["wrk", "-t", 1, "-c", 10, "-d", f"{SECONDS}s", "--timeout", "10s", f"{web(lab, host)}/rate/{RATE // 10}/1m"])
    return {"exit": code, "socket errors": "Socket errors" in said, "other answers": "Non-2xx" in said,
            "some": number(r"(\d+) requests in", said) > 0}


def slowhttptest(lab, host):
    """Headers that trickle in: connections that are hardly ever heard of. All live to the end, at the server too."""
    told = lab.folder / "slow"
    code, said = inside(lab, "c1", ["slowhttptest", "-c", 40, "-H", "-i", 1, "-r", 40, "-l", SECONDS + 1, "-x", 8, "-p", 5, "-g",
                                    "-o", told, "-u", f"http://{host}:{plan.WEB_PORT}/"])
    with open(f"{told}.csv") as file:
        seconds = list(csv.DictReader(file))
    check(seconds, said[-1000:])
    most = {word: max(int(row[word]) for row in seconds) for word in ("Connected", "Closed")}
    return {"exit": code, **most, "available": int(seconds[-1]["Service Available"]) > 0}


PLAIN = (redis_benchmark, redis_pipe, pgbench, iperf3, h2load, wrk, slowhttptest)
WEB = (h2load, wrk)


def verdicts(lab, host, tools):
    return {tool.__name__: tool(lab, host) for tool in tools}


def strike(lab, way):
    """Does it to the holder, and says who that was."""
    holder = lab.wait_for("a holder", lab.holder, 20)
    if way == "kill":
        lab.kill(holder)
    elif way == "pause":
        lab.pause(holder)
    elif way == "cut":
        lab.cut(holder, plan.RING)
    else:
        check(lab.stop(holder, 20), f"{holder} did not end on SIGTERM")
    return holder


def mend(lab, way, node):
    if way == "pause":
        lab.resume(node)
    elif way == "cut":
        lab.heal(node, plan.RING)
    else:
        lab.start(node)


class Failovers:
    """One after another while the block runs, no two within half a second; each begins when the cluster is whole."""

    def __init__(self, lab, ways=("kill", "pause", "handover")):
        self.lab, self.ways, self.count, self.trouble = lab, ways, 0, None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, name="failovers")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def run(self):
        try:
            while not self.over.is_set():
                began = time.monotonic()
                self.strike(self.ways[self.count % len(self.ways)])
                self.count += 1
                self.over.wait(max(0, BLOW_EVERY_S - (time.monotonic() - began)))
        except Exception as trouble:  # told by whoever waits for the verdicts
            self.trouble = trouble

    def strike(self, way):
        holder = strike(self.lab, way)
        try:
            wait_new_holder(self.lab, holder, seconds=20)
        finally:
            with contextlib.suppress(netns.LabError):
                mend(self.lab, way, holder)
        self.lab.wait_for("the cluster is whole", self.lab.whole, 30)


# --- varnishtest: scripts that say at which octet a failover happens ---


HERE = Path(__file__).resolve().parent
SCRIPTS = sorted((HERE / "vtc").glob("*.vtc"))
# Through a tunnel that speaks TLS. It connects when its script does: what is struck in a handshake is promised to nobody.
TUNNEL_SCRIPTS = [vtc for vtc in SCRIPTS if vtc.stem not in ("in_syn", "after_syn_ack")] + sorted((HERE / "vtc/tunnel").glob("*.vtc"))
WAYS = ("kill", "pause", "cut", "handover")
STRIKE = """#!/bin/sh
echo "$1" > {folder}/asked.new && mv {folder}/asked.new {folder}/asked
while [ ! -e {folder}/struck ]; do sleep 0.01; done
rm {folder}/struck
"""


class Placed:
    """Runs varnishtest, and strikes when its script asks for that: before it goes on another node holds the group, but
    where it asked to go on at once."""

    def __init__(self, lab, host, tunnel=False):
        self.lab, self.host, self.tunnel = lab, host, tunnel
        self.script = lab.folder / "strike"
        self.script.write_text(STRIKE.format(folder=lab.folder))
        self.script.chmod(0o755)

    def run(self, vtc, way=None):
        """(exit code, output). Without a way nothing is struck."""
        key = f"c1/{vtc.stem}-{way}"
        if not self.tunnel:
            return self.play(vtc, way, key, self.host)
        tls = ["--ca", self.lab.ca, "--name", plan.SERVER_NAME] if self.lab.options.mode == "tls" else []
        tunnel = self.lab.spawn("c1", ["python3", HERE / "tls_tunnel.py", self.host, plan.WEB_PORT, *tls], key=f"{key}-tunnel")
        try:
            self.lab.wait_for("the tunnel", lambda: self.lab.listens("c1", 83), 20)
            return self.play(vtc, way, key, "127.0.0.1")
        finally:
            tunnel.kill()
            tunnel.wait()

    def play(self, vtc, way, key, host):
        process = self.lab.spawn("c1", ["varnishtest", "-q", "-t", TOOL_TIMEOUT_S, "-D", f"vip={host}", "-D",
                                        f"strike={self.script}", vtc], key=key)
        asked = self.lab.folder / "asked"
        self.lab.wait_for(f"{vtc.stem} asks for a failover", lambda: asked.exists() or process.poll() is not None, 20)
        check(asked.exists(), f"{vtc.stem}: {self.lab.log(key).read_text()[-2000:]}")
        at_once = asked.read_text().strip() == "at-once"
        asked.unlink()
        restore = self.strike(way, at_once)
        try:
            process.wait(TOOL_TIMEOUT_S + 5)
        finally:
            restore()
        return process.returncode, self.lab.log(key).read_text(errors="replace")

    def strike(self, way, at_once):
        """Returns what mends it."""
        lab, struck = self.lab, self.lab.folder / "struck"
        if way is None:
            struck.touch()
            return lambda: None
        holder = strike(lab, way)
        if at_once:
            struck.touch()
        wait_new_holder(lab, holder, seconds=20)
        if not at_once:
            struck.touch()

        def restore():
            mend(lab, way, holder)
            lab.wait_for("the cluster is whole", lab.whole, 30)
        return restore


def placed(lab, host, ways, scripts=SCRIPTS):
    runner = Placed(lab, host, tunnel=scripts is TUNNEL_SCRIPTS)
    return {f"{vtc.stem} {way or ''}".strip(): runner.run(vtc, way) for vtc in scripts for way in ways}
