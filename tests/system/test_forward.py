"""One cluster at rest: connections pass, in every configuration the lab has."""
import hashlib
import json
import subprocess
import time

from tests.system.harness import Traffic, check, plan, sessions_at
from tools.lab.world import holdctl_path


def curl(lab, *argv):
    return lab.exec("c1", ["curl", "-sS", "-g", "-m", "20", *argv]).stdout


def test_requests_pass(case):
    """curl through the VIP over both families, a download and an upload by sha256, ping of the VIPs."""
    with case.lab(nodes=3) as lab:
        wanted = lab.make_file("20m", 20 << 20)
        for host in (plan.VIP4, f"[{plan.VIP6}]"):
            check(curl(lab, f"http://{host}/") == "holdfast lab\n", f"no page from {host}")
            copy = lab.folder / "copy"
            speed = curl(lab, "-o", str(copy), "-w", "%{speed_download}", f"http://{host}/20m")
            check(copy.read_bytes() == wanted.read_bytes(), f"a download from {host} differs")
            told = json.loads(curl(lab, "-T", str(wanted), f"http://{host}/upload"))
            check(told["sha256"] == hashlib.sha256(wanted.read_bytes()).hexdigest(), f"an upload to {host} differs")
        for vip in (plan.VIP4, plan.VIP6):
            lab.exec("c1", ["ping", "-c", "3", "-i", "0.05", "-W", "1", vip])
        return f"20 MB down and up by sha256, {int(speed) // 1_000_000} MB/s, ping answered"


def test_without_standby(case):
    """One node with solo = allow forwards, and says that it is alone."""
    with case.lab(nodes=1, solo="allow") as lab:
        check(curl(lab, f"http://{plan.VIP4}/") == "holdfast lab\n", "no page")
        check(lab.status("a")["solo"] is True or lab.status("a")["solo"], "does not say it is alone")
        return "serves alone, solo shown"


def test_sessions_are_seen(case):
    """holdctl names a live session; an attribute set on it is read back, and is still there after its holder's death."""
    with case.lab(nodes=3) as lab:
        traffic = Traffic(lab, echoes=1, seconds=5)
        traffic.wait_moving()
        holder = lab.holder()

        def holdctl(node, *argv):
            done = subprocess.run([holdctl_path(), "--socket", lab.socket(node), *argv, "--json"],
                                  capture_output=True, text=True, timeout=10)
            check(done.returncode == 0, f"holdctl {' '.join(argv)}: {done.stderr}")
            return json.loads(done.stdout) if done.stdout.strip() else None

        rows = holdctl(holder, "sessions")["sessions"]
        check(len(rows) == 1 and rows[0]["state"] == "established", f"sessions: {rows}")
        holdctl(holder, "session", "set", rows[0]["session"], "purchase.items", "anvil, rope")
        time.sleep(0.2)
        lab.kill(holder)
        lab.wait_for("the session at another node", lambda: [n for n in lab.nodes() if sessions_at(lab, n)], 10)
        adopter, = [n for n in lab.nodes() if sessions_at(lab, n)]
        told = holdctl(adopter, "session", "attributes", rows[0]["session"])
        check(told["attributes"] == {"purchase.items": "anvil, rope"}, f"attributes at {adopter}: {told}")
        traffic.result().all_well()
        return "one session named, its attribute adopted"


def survives(case, connections=20, **options):
    with case.lab(nodes=3, **options) as lab:
        traffic = Traffic(lab, downloads=connections // 2, uploads=connections // 2, seconds=4)
        traffic.wait_moving()
        lab.kill(lab.holder())
        result = traffic.result()
        result.all_well()
        return f"{result.survivors()} of {connections} survive kill -9, {result.stall_text()}"


def test_unicast_ring(case):
    """A ring of unicast datagrams carries a failover."""
    return survives(case, ring="unicast")


def test_dpdk_ring(case):
    """A ring over a DPDK port carries a failover."""
    return survives(case, ring="dpdk")


def test_positive_acknowledgement(case):
    """ack = positive carries a failover."""
    return survives(case, ack="positive")


def test_two_workers(case):
    """Two workers on each node: flows are spread, and each shard fails over."""
    return survives(case, workers=2, connections=40)


def test_two_queues(case):
    """Two workers and two queues a port: what the kernel spreads otherwise than we do is handed over, both ways."""
    return survives(case, workers=2, queues=2, connections=40)


def test_af_xdp(case):
    """AF_XDP ports: the kernel's own addresses answer beside the VIPs, and a failover."""
    with case.lab(nodes=3, device="af_xdp") as lab:
        for node in lab.nodes():
            own = lab.hosts[node].address(4, plan.FRONT)
            lab.exec("c1", ["ping", "-c", "2", "-i", "0.05", "-W", "1", own])
        traffic = Traffic(lab, downloads=10, uploads=10, seconds=4)
        traffic.wait_moving()
        lab.kill(lab.holder())
        result = traffic.result()
        result.all_well()
        return f"{result.survivors()} of 20 survive kill -9 over AF_XDP, {result.stall_text()}"


def test_af_xdp_two_workers(case):
    """AF_XDP, two workers on one queue: each frame finds the worker that owns its flow."""
    return survives(case, device="af_xdp", workers=2, connections=40)
