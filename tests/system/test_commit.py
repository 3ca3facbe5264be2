"""What the release gate and the copies are worth, shown by killing at the wrong moment."""
import json
import subprocess
import sys
import time

from tests.system import placement
from tests.system.harness import (Traffic, VIPS, accept, adoptions, check, limit, plan, wait_new_holder)
from tools.lab import netns

# Time enough between a cut and its consequences: the holder goes on alone for 3/4 of the detection, 1.5 s here.
SLOW_DETECTION = dict(heartbeat="400ms", misses=5)
NEWCOMERS = 24
CONNECT_S = 0.5  # a local connection takes milliseconds, if it is let through

# Opens connections, tells how many the client takes for established, and on "go" uses them all.
NEWCOMER = r"""
import json, select, socket, sys, time
count, wait, targets = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
socks = []
sys.stdout.write("ready\n"); sys.stdout.flush()
sys.stdin.readline()
for i in range(count):
    host, port = targets[i % len(targets)].rsplit(":", 1)
    host = host.strip("[]")
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    s.setblocking(False)
    s.connect_ex((host, int(port)))
    socks.append(s)
def connected(s):
    try:
        s.getpeername()
        return True
    except OSError:
        return False
until = time.monotonic() + wait
while time.monotonic() < until and not all(map(connected, socks)):
    time.sleep(0.005)
early = [connected(s) for s in socks]
print(json.dumps({"established": sum(early)})); sys.stdout.flush()
sys.stdin.readline()
outcomes = []
for i, s in enumerate(socks):
    s.settimeout(20)
    said = b"line %d\n" % i
    try:
        if not connected(s):
            select.select([], [s], [], 20)
        s.sendall(b"E\n" + said)
        heard = s.recv(100)
        outcomes.append("ok" if heard == said else "closed" if not heard else "wrong")
    except ConnectionResetError:
        outcomes.append("reset")
    except OSError as error:
        outcomes.append(type(error).__name__)
print(json.dumps({"early": early, "outcomes": outcomes}))
"""


class Newcomers:
    """Clients that connect at a moment of our choosing."""

    def __init__(self, lab):
        argv = [sys.executable, "-c", NEWCOMER, str(NEWCOMERS), str(CONNECT_S), *VIPS]
        self.process = subprocess.Popen(netns.argv_inside(lab.state.owned("c1"), argv), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        check(self.process.stdout.readline() == "ready\n", "the newcomers do not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def say(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def heard(self):
        line = self.process.stdout.readline()
        check(line, "the newcomers died")
        return json.loads(line)


def killed_at_the_wrong_moment(case, commit):
    """Connections begin while nothing the holder says reaches a standby; then it dies. (established before, outcomes)"""
    with case.lab(nodes=3, commit=commit, **SLOW_DETECTION) as lab, Newcomers(lab) as newcomers:
        # Neighbours are known beforehand: that is not what is tested.
        old = Traffic(lab, downloads=2, uploads=2, seconds=7, rate=20_000)
        old.wait_moving()
        holder = lab.holder()
        lab.cut(holder, "ring")
        newcomers.say()
        told = newcomers.heard()
        lab.kill(holder)
        wait_new_holder(lab, holder, seconds=20)
        newcomers.say()
        result = newcomers.heard()
        old.result().all_well()
        return told["established"], [o for early, o in zip(result["early"], result["outcomes"]) if early], \
            result["outcomes"]


@limit(90)
def test_commit_none_at_the_wrong_moment(case):
    """commit = none: connections that the client saw established die with a holder whose ring was cut before."""
    established, seen, every = killed_at_the_wrong_moment(case, "none")
    check(established == NEWCOMERS, f"only {established} of {NEWCOMERS} were established: the gate was not open")
    check(set(seen) == {"reset"}, f"what was never replicated cannot live on: {every}")
    return f"{established} established with nobody else knowing; all {len(seen)} reset after the failover"


@limit(90)
def test_commit_all_at_the_wrong_moment(case):
    """commit = all: in the same place no connection is shown as established, and all come to be at the adopter."""
    established, _, every = killed_at_the_wrong_moment(case, "all")
    check(established == 0, f"{established} were established though no standby could know of them")
    check(set(every) == {"ok"}, f"they did not become connections at the adopter: {every}")
    return f"0 of {NEWCOMERS} established before a standby could know, all {len(every)} at the adopter, none reset"


# Short connections, one after another from many hands: each must be served, whatever happens meanwhile.
CHURN = r"""
import asyncio, json, sys, time
seconds, hands, targets = float(sys.argv[1]), int(sys.argv[2]), [t.rsplit(":", 1) for t in sys.argv[3:]]
outcomes, slowest = {}, 0.0
async def visit(host, port, line):
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(b"E\n" + line)
    heard = await reader.readexactly(len(line))
    writer.close()
    return "ok" if heard == line else "wrong"
async def hand(number, until):
    global slowest
    turn = 0
    while time.monotonic() < until:
        began, turn = time.monotonic(), turn + 1
        try:
            outcome = await asyncio.wait_for(visit(*targets[number % len(targets)], b"%d:%d\n" % (number, turn)), 20)
        except (OSError, EOFError) as error:
            outcome = type(error).__name__
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        slowest = max(slowest, time.monotonic() - began)
        await asyncio.sleep(0.05)
async def main():
    print("ready", flush=True)
    until = time.monotonic() + seconds
    await asyncio.gather(*(hand(i, until) for i in range(hands)))
    print(json.dumps({"outcomes": outcomes, "slowest": slowest}), flush=True)
asyncio.run(main())
"""


@limit(90)
def test_churn_through_two_failovers(case):
    """commit = all: of connections that begin and end all the time while two holders die, none is reset or refused."""
    with case.lab(nodes=4) as lab:
        argv = [sys.executable, "-c", CHURN, "8", "16", *VIPS]
        client = subprocess.Popen(netns.argv_inside(lab.state.owned("c1"), argv), stdout=subprocess.PIPE, text=True)
        try:
            check(client.stdout.readline() == "ready\n", "the client does not start")
            time.sleep(1)
            for _ in range(2):
                holder = lab.holder()
                lab.kill(holder)
                wait_new_holder(lab, holder)
                lab.wait_steady()
                time.sleep(1)
            told = json.loads(client.communicate(timeout=60)[0])
        finally:
            client.kill()
        check(set(told["outcomes"]) == {"ok"}, f"{told}")
        return f"{told['outcomes']['ok']} short connections, all served; the slowest took {told['slowest'] * 1000:.0f} ms"


def endpoint(local):
    host, port = local.rsplit(":", 1)
    return host, int(port)


def kept_only_by(lab, holder, standby, records):
    """The local addresses of connections whose header fragment only that standby keeps, by docs/protocol.md."""
    number = {n: i for i, n in enumerate(lab.nodes())}
    candidates = [number[n] for n in lab.nodes() if n != holder]
    found = set()
    for r in records:
        vip = plan.VIP6 if r["family"] == 6 else plan.VIP4
        key = placement.session_key(endpoint(r["local"]), (vip, plan.STREAM_PORT))
        if placement.owners(key, placement.HEADER, candidates, 1) == {number[standby]}:
            found.add(r["local"])
    return found


@accept(2, "R = 1: the same loses exactly the sessions whose fragments that standby held: a clean reset, counted")
@limit(90)
def test_exact_loss(case):
    """R = 1: the holder and a standby die at once; lost is what that standby kept, computed apart, and nothing else."""
    with case.lab(nodes=4, copies=1) as lab:
        traffic = Traffic(lab, downloads=60, uploads=60, seconds=7, rate=20_000)
        traffic.wait_moving()
        lab.wait_steady()
        holder = lab.holder()
        standby = [n for n in lab.nodes() if n != holder][-1]
        lab.kill(holder, standby)
        adopter = wait_new_holder(lab, holder, standby)
        result = traffic.result()
        counted = sum(a["lost"] for a in adoptions(lab, adopter))
        outcomes = result.outcomes()
        check(set(outcomes) <= {"ok", "reset"}, f"neither whole nor reset: {outcomes}")
        expected = kept_only_by(lab, holder, standby, result.records)
        lost = {r["local"] for r in result.records if r["outcome"] == "reset"}
        check(expected, f"{standby} kept no session: that cannot be")
        check(lost == expected, f"lost but not kept by {standby}: {sorted(lost - expected)}; "
              f"kept by {standby} but not lost: {sorted(expected - lost)}")
        check(counted == len(lost), f"{len(lost)} sessions were lost, {counted} counted")
        return (f"{outcomes['ok']} of {len(result.records)} byte-exact at {adopter}, {len(lost)} clean resets: exactly "
                f"those that {standby} kept; all counted")
