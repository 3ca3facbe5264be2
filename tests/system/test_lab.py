"""The lab itself: interrupted anywhere it leaves nothing, and it does not touch what it did not make."""
import json
import os
import re
import signal
import subprocess
import sys
import time

from tests.system.harness import ROOT, Traffic, check, limit, plan
from tools.lab import netns, state

LAB = [sys.executable, "-m", "tools.lab"]
DIRECT = [f"{a}:{plan.STREAM_PORT}" for a in ("203.0.113.11", "[2001:db8:2::11]", "203.0.113.12", "[2001:db8:2::12]")]


def lab_command(*argv, **options):
    return subprocess.Popen([*LAB, *argv], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            start_new_session=True, **options)


def remains(name):
    """Namespaces, processes and files of a lab."""
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
    found = re.findall(rf"^(hf-{name}-\S*)", listed, re.M)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                line = file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"/holdfast-lab/{name}/" in line:
            found.append(f"process {pid}: {line[:100]}")
    return found + ([str(state.folder(name))] if state.folder(name).exists() else [])


@limit(120)
def test_interrupted_anywhere(case):
    """Ctrl-C at many moments of `lab up`: nothing is left. kill -9 of it: `lab down` removes everything."""
    name, moments = f"{case.prefix}i", [0.2 * i for i in range(13)]
    for after in moments:
        up = lab_command("up", "--name", name)
        time.sleep(after)
        up.send_signal(signal.SIGINT)
        output = up.communicate(timeout=30)[0]
        if up.returncode == 0:  # it was faster
            lab_command("down", "--name", name).communicate(timeout=30)
            break
        left = remains(name)
        check(not left, f"interrupted after {after:.2f} s, left {left}\n{output}")
        # Python itself answers an interrupt of its own start so.
        check("Traceback" not in output or "tools/lab" not in output, output)
    for after in moments[2::3]:
        up = lab_command("up", "--name", name)
        time.sleep(after)
        up.kill()
        up.communicate()
        for _ in range(2):  # and it may be said again
            lab_command("down", "--name", name).communicate(timeout=30)
        left = remains(name)
        check(not left, f"killed after {after:.2f} s, lab down left {left}")
    return f"{len(moments)} interruptions, {len(moments[2::3])} kills"


@limit(30)
def test_touches_only_its_own(case):
    """A namespace of a name it would need stops it, and is there unharmed afterwards, also if it came in between."""
    name = f"{case.prefix}f"
    stranger = plan.namespace(name, "b1")
    netns.add(stranger)
    identity = netns.identity(stranger)
    try:
        up = lab_command("up", "--name", name, "--direct")
        output = up.communicate(timeout=30)[0]
        check(up.returncode == 1 and "not touching it" in output, f"exit {up.returncode}: {output}")
        check(netns.identity(stranger) == identity, "the stranger's namespace is gone")
        check(remains(name) == [stranger], f"left: {remains(name)}")
    finally:
        netns.delete(stranger)
    with case.lab(direct=True) as lab:
        inside = plan.namespace(lab.name, "c1")
        netns.delete(inside)
        netns.add(inside)  # another of the same name
        try:
            refused = subprocess.run([*LAB, "exec", "--name", lab.name, "c1", "--", "true"], cwd=ROOT,
                                     capture_output=True, text=True)
            check(refused.returncode == 1 and "not touching it" in refused.stderr, refused.stderr)
            lab.down()
            check(netns.exists(inside), "lab down removed a namespace that it did not make")
        finally:
            netns.delete(inside)
    return "refuses, and removes neither"


@limit(60)
def test_two_labs(case):
    """Labs of different names stand side by side, with the same addresses."""
    with case.lab(direct=True) as one, case.lab(direct=True) as two:
        both = [Traffic(lab, targets=DIRECT, downloads=4, seconds=1) for lab in (one, two)]
        for traffic in both:
            traffic.result().all_well()
        check({one.name, two.name} <= set(state.names()), f"labs: {state.names()}")
    return "two at once"


@limit(60)
def test_tools_alone(case):
    """Without any node between them, client and server lose nothing and stall for nothing: the measure measures."""
    with case.lab(direct=True) as lab:
        result = Traffic(lab, targets=DIRECT, downloads=50, uploads=46, echoes=4, seconds=3, rate=20_000).result()
        result.all_well()
        check(result.stalls()[-1] < 150, f"stalls without a reason: {result.stall_text()}, loop lag {result.lag_ms:.0f} ms")
        return f"100 of 100, {result.stall_text()}, loop lag {result.lag_ms:.0f} ms"


@limit(60)
def test_breaking_the_network(case):
    """cut, heal and loss do what they say, and only that."""
    with case.lab(nodes=2, solo="allow") as lab:
        def answers(address):
            return lab.exec("c1", ["ping", "-c", "1", "-W", "1", address], check=False).returncode == 0
        own = {n: lab.hosts[n].address(4, plan.FRONT) for n in lab.nodes()}
        check(answers(own["a"]) and answers(own["b"]), "the nodes' own addresses do not answer")
        lab.cut("a", "front")
        check(not answers(own["a"]) and answers(own["b"]), "cut a front: more or less than that")
        lab.heal("a", "front")
        check(answers(own["a"]), "heal a front: does not answer")
        sent = "import socket\ns=socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n" \
               "for _ in range(2000): s.sendto(b'x', ('192.0.2.2', 9))"
        count = lambda: int(lab.exec("b", ["sh", "-c", "cat /proc/net/snmp | grep ^Udp: | tail -1 | cut -d' ' -f3"]).stdout)
        lost = []
        for percent in (20, 20, 0):
            lab.loss(percent, seed=5)
            before = count()
            lab.exec("a", ["python3", "-c", sent])
            time.sleep(0.2)
            lost.append(2000 - (count() - before))
        check(300 < lost[0] < 500 and 300 < lost[1] < 500, f"20 % of 2000: lost {lost}")
        check(lost[2] == 0, f"0 %: lost {lost[2]}")
        return f"cut and healed; of 2000 datagrams lost {lost[:2]} at 20 %, {lost[2]} at 0 %"


@limit(40)
def test_command_line(case):
    """The commands a person types: up, status, kill, start, exec, holdctl, down."""
    name = f"{case.prefix}k"
    say = lambda *argv: subprocess.run([*LAB, argv[0], "--name", name, *argv[1:]], cwd=ROOT, capture_output=True,
                                       text=True, timeout=40)
    try:
        check(say("up", "--nodes", "3").returncode == 0, "up")
        check(say("up").returncode == 1, "a second up must be refused")
        told = json.loads(say("status", "--json").stdout)
        holder, = [n for n, s in told["nodes"].items() if s["groups"][0]["role"] == "holder"]
        check(say("exec", "c1", "--", "curl", "-s", f"http://{plan.VIP4}/").stdout == "holdfast lab\n", "exec curl")
        check(say("kill", holder).returncode == 0 and say("kill", holder).returncode == 1, "kill, and again")
        check(f"{holder}  dead" in say("status").stdout, "status after kill")
        check(say("start", holder).returncode == 0, "start")
        check(say("cut", "nobody", "ring").returncode == 1, "cut of nobody")
        time.sleep(1.5)
        check("holdfast" in say("holdctl", holder, "status").stdout, "holdctl")
    finally:
        down = say("down")
    check(down.returncode == 0 and not remains(name), f"down left {remains(name)}")
    return "each does what it says"


@limit(180)
def test_demo(case):
    """deploy/demo shows two deaths survived and ends well; interrupted in the middle it leaves nothing."""
    argv = [str(ROOT / "deploy/demo"), "--no-install"]
    before = set(state.names())
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    check(done.returncode == 0, f"exit {done.returncode}: {done.stdout[-3000:]}{done.stderr[-1000:]}")
    check(set(state.names()) <= before, f"left: {set(state.names()) - before}")
    cut = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    time.sleep(12)
    os.killpg(cut.pid, signal.SIGINT)  # as a terminal does
    output = cut.communicate(timeout=40)[0]
    check(cut.returncode != 0 and "Traceback" not in output, output[-2000:])
    check(set(state.names()) <= before, f"interrupted, left: {set(state.names()) - before}")
    return "ends well; interrupted, leaves nothing"
