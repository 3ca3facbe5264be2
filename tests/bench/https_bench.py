#!/usr/bin/env python3
"""HTTPS through mode = tls beside HAProxy and nginx (both relaying TCP behind TLS, as we do): bulk, and new connections
with an ECDSA P-256 certificate, an RSA-2048 one, and resumed. Same certificate, suite (TLS 1.3, AES-128-GCM, X25519),
client, backend and networks, in turns; beside them what `openssl speed` says the machine can do.

Rates are per second of processor time of the server: utime and stime of its process with all threads, so ours has in it
what its worker polls in vain, the handshake threads, and the replication; and by the clock, which on two cores is as
much the client's and the backend's doing. What a veth delivers is done, and charged, where it was sent.

    HOLDFAST_BUILD=build tests/bench/https_bench.py [--rounds 5] [--seconds 3] [--version 1.3] [--servers NAME,...]
"""
import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.bench import rivals  # noqa: E402
from tests.system.harness import Lab, Options, netns, plan  # noqa: E402
from tools.lab.world import build_folder  # noqa: E402

ALONE, REPLICATED = "holdfast, one node", "holdfast, two standbys"
SERVERS = [ALONE, REPLICATED, "haproxy", "nginx", "haproxy, offloads", "nginx, offloads"]
RIVALS = ["haproxy", "nginx"]
MEASURES = {  # name: what https_client does, which certificate, its connections, octets are counted
    "bulk": ("bulk", "ec", 8), "new, ECDSA P-256": ("new", "ec", 32), "new, RSA-2048": ("new", "rsa", 32),
    "resumed": ("resumed", "ec", 32)}
SESSIONS = 1 << 17  # those that ended are remembered for some twenty seconds
BULK_FILE, BULK_SIZE = "bulk", 32 << 20
TICK = os.sysconf("SC_CLK_TCK")

HAPROXY = """global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind {address}:{port} ssl crt {folder}/site.pem ssl-min-ver TLSv1.2 ciphersuites {suite} ciphers {suite12}
    default_backend back
backend back
    server b1 {backend}:{port}
"""
NGINX = """load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user root;
daemon off;
worker_processes 1;
pid {folder}/nginx-front.pid;
error_log {folder}/nginx-front-error.log;
events {{ worker_connections 4096; }}
stream {{
    server {{
        listen {address}:{port} ssl backlog=4096;
        ssl_certificate {folder}/ec.pem;
        ssl_certificate_key {folder}/ec.key;
        ssl_certificate {folder}/rsa.pem;
        ssl_certificate_key {folder}/rsa.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_conf_command Ciphersuites {suite};
        ssl_ciphers {suite12};
        ssl_session_cache shared:front:20m;
        proxy_pass {backend}:{port};
    }}
}}
"""


def set_offloads(lab, on):
    for host in lab.hosts:
        rivals.set_offloads(lab, host, on)


def rival(lab, name):
    """HAProxy or nginx in the place of the node, on the node's own addresses. Returns (address, process)."""
    program, _, offloads = name.partition(", ")
    lab.stop("a")
    set_offloads(lab, bool(offloads))
    node, backend = lab.hosts["a"], lab.hosts["b1"]
    address = node.address(4, plan.FRONT)
    fill = {"address": address, "port": plan.WEB_PORT, "folder": lab.folder, "backend": backend.address(4),
            "suite": "TLS_AES_128_GCM_SHA256", "suite12": "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"}
    file = lab.folder / "front.conf"
    if program == "haproxy":
        for kind, ending in (("ec", "ecdsa"), ("rsa", "rsa")):  # a bundle: one of each kind
            pem = (lab.folder / f"{kind}.pem").read_text() + (lab.folder / f"{kind}.key").read_text()
            (lab.folder / f"site.pem.{ending}").write_text(pem)
        file.write_text(HAPROXY.format(**fill))
        argv = ["haproxy", "-db", "-f", file]
    else:
        file.write_text(NGINX.format(**fill))
        argv = ["nginx", "-e", lab.folder / "nginx-front-error.log", "-p", lab.folder, "-c", file]
    process = lab.spawn("a", ["taskset", "-c", str(plan.core_of(0, 0)), *argv], key="a/front")
    lab.wait_for(f"{program} listens (see {lab.log('a/front')})", lambda: lab.listens("a", plan.WEB_PORT), 10)
    return address, process.pid


@contextlib.contextmanager
def serving(name):
    """(lab, address, process of the server, its core, processes of the standbys)"""
    nodes = 3 if name == REPLICATED else 1
    options = Options(nodes=nodes, backends=1, mode="tls", solo="deny" if nodes > 1 else "allow", sessions=SESSIONS,
                      tls_sessions=SESSIONS)
    with Lab.up("https", options) as lab:
        lab.make_file(BULK_FILE, BULK_SIZE)
        if name not in (ALONE, REPLICATED):
            address, pid = rival(lab, name)
            yield lab, address, pid, plan.core_of(0, 0), []
            return
        holder = lab.wait_for("a node holds the group", lab.holder, 10)
        others = [lab.state.pid(n) for n in lab.nodes() if n != holder]
        yield lab, plan.VIP4, lab.state.pid(holder), plan.core_of(lab.nodes().index(holder), 0), others


def family(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(p for c in children for p in family(int(c)))]


def used_seconds(pids):
    """Processor time of these processes and their children, all threads."""
    ticks = 0
    for pid in (p for first in pids for p in family(first)):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def one(at, measure, seconds, version):
    lab, address, pid, core, standbys = at
    how, key, connections = MEASURES[measure]
    path = f"/{BULK_FILE}" if how == "bulk" else "/"
    argv = ["taskset", "-c", str((core + 1) % os.cpu_count()), build_folder() / "tests/bench/https_client", address,
            plan.WEB_PORT, lab.ca, plan.SERVER_NAME, how, path, key, version, connections, seconds]
    inside = netns.argv_inside(lab.state.owned("c1"), [str(a) for a in argv])
    with subprocess.Popen(inside, stdout=subprocess.PIPE, text=True) as client:
        try:
            told = client.stdout.readline()
            began = [used_seconds([pid]), used_seconds(standbys)]
            told += client.stdout.readline()
            used = [used_seconds([pid]) - began[0], used_seconds(standbys) - began[1]]
            if told != "measuring\nmeasured\n":
                sys.exit(f"https_client: {told!r}")
            result = json.loads(client.stdout.readline())
        finally:
            client.terminate()
    if not result["warm"] or result["failed"] * 100 > result["answers"] + 100:
        sys.exit(f"{measure}: {result}; logs: {lab.keep_logs()}")
    if how == "resumed" and result["resumed"] < result["answers"] * 0.99:
        sys.exit(f"resumed: {result}")
    count = result["octets"] * 8e-9 if how == "bulk" else result["answers"]
    return {"by_core": count / max(used[0], 1 / TICK), "by_clock": count / result["seconds"],
            "busy": used[0] / result["seconds"], "standbys": used[1] / result["seconds"], "failed": result["failed"],
            "client": result["client_s"] / result["seconds"]}


def speed():
    """What openssl alone does on a core: {name: a second}."""
    words = ["openssl", "speed", "-mr", "-seconds", "1"]
    said = subprocess.run([*words, "ecdsap256", "rsa2048", "ecdhx25519"], capture_output=True, text=True).stdout
    found = {"sign with ECDSA P-256": float(re.search(r"\+F4:\d+:256:([\d.]+)", said)[1]),
             "sign with RSA-2048": float(re.search(r"\+F2:\d+:2048:([\d.]+)", said)[1]),
             "X25519": float(re.search(r"\+F5:\d+:253:([\d.]+)", said)[1])}
    for what in ("ECDSA P-256", "RSA-2048"):
        if found[f"sign with {what}"] < 1:  # OpenSSL 3.0 tells seconds for one
            found[f"sign with {what}"] = 1 / found[f"sign with {what}"]
    for size in (1400, 16384):
        said = subprocess.run([*words, "-evp", "aes-128-gcm", "-bytes", str(size)], capture_output=True, text=True).stdout
        found[f"AES-128-GCM, {size} octets, Gbit/s"] = float(re.search(r"\+F:\d+:[^:]+:([\d.]+)", said)[1]) * 8e-9
    return found


def figure(value):
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def table(measure, found):
    unit = "Gbit/s" if measure == "bulk" else "a second"
    print(f"\n{measure}:\n\n| server | of haproxy | of nginx | {unit} of a core's time, median (least, most) | {unit} by the "
          "clock | cores used | by standbys | failed |\n|---|---|---|---|---|---|---|---|")
    middle = lambda rounds, key: statistics.median(r[key] for r in rounds)
    for server, measures in found.items():
        rounds = measures[measure]
        each = sorted(r["by_core"] for r in rounds)
        ratios = [f"{middle(rounds, 'by_core') / middle(found[r][measure], 'by_core'):.2f}" if r in found else "-"
                  for r in RIVALS]
        print(f"| {server} | {' | '.join(ratios)} | {figure(statistics.median(each))} ({figure(each[0])}, {figure(each[-1])}) "
              f"| {figure(middle(rounds, 'by_clock'))} | {middle(rounds, 'busy'):.2f} | {middle(rounds, 'standbys'):.2f} "
              f"| {sum(r['failed'] for r in rounds)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--version", choices=["1.2", "1.3"], default="1.3")
    parser.add_argument("--servers", help=f"some of: {'; '.join(SERVERS)} (split by ';')")
    parser.add_argument("--json", help="write all figures here")
    a = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and so through every finally
    servers = a.servers.split(";") if a.servers else SERVERS
    found = {s: {m: [] for m in MEASURES} for s in servers}
    for number in range(a.rounds):
        for server in servers:
            with serving(server) as at:
                time.sleep(0.5)
                for measure in MEASURES:
                    r = one(at, measure, a.seconds, a.version)
                    found[server][measure].append(r)
                    print(f"# {number + 1} {server}, {measure}: {figure(r['by_core'])} of a core's time, "
                          f"{figure(r['by_clock'])} by the clock, {r['busy']:.2f} cores, client {r['client']:.2f}, "
                          f"{r['failed']} failed", flush=True)
    for measure in MEASURES:
        table(measure, found)
    alone = speed()
    print("\nopenssl speed: " + ", ".join(f"{k} {figure(v)}" for k, v in alone.items()))
    if a.json:
        Path(a.json).write_text(json.dumps({"servers": found, "openssl speed": alone}))


if __name__ == "__main__":
    main()
