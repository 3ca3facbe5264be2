"""The promises of mode = tls with curl and nginx: live transfers do not notice the deaths of their appliances."""
import json
import subprocess
import time
from contextlib import contextmanager

from tests.system.harness import ROOT, accept, check, counters, limit, netns, plan, wait_new_holder
from tests.system.https_load import kill_rounds

ROUNDS = 7  # two deaths each; four tests of them: 56 moments


def transfers_survive(case, seed, **options):
    with case.lab(nodes=4, mode="tls", **options) as lab:
        deaths = kill_rounds(lab, seed, ROUNDS)
    return (f"{ROUNDS} rounds of 100 transfers (7 suites, both families) byte-exact through "
            f"{len(deaths)} SIGKILLs at random moments, seed {seed}")


@accept(1, "100 HTTPS transfers of curl, up and down, survive SIGKILL of the holder and of its successor", "tls")
@limit(120)
def test_tls_transfers_1(case):
    """100 curl transfers, seven rounds of two deaths, seed 1."""
    return transfers_survive(case, 1)


@accept(1, "the same, other moments", "tls")
@limit(120)
def test_tls_transfers_2(case):
    """The same with seed 2."""
    return transfers_survive(case, 2)


@accept(1, "the same with 1 % loss on the ring", "tls")
@limit(120)
def test_tls_transfers_loss(case):
    """The same with 1 % seeded loss on the ring."""
    return transfers_survive(case, 3, loss_percent=1.0, loss_seed=3)


@accept(1, "the same with two workers", "tls")
@limit(120)
def test_tls_transfers_workers(case):
    """The same with two workers in each node."""
    return transfers_survive(case, 4, workers=2)


class Sessions:
    """tests/system/resume_client.py in the lab's client, and the handshakes it made as the nodes counted them."""

    def __init__(self, lab, counts, tickets):
        self.lab, self.counts, self.tickets = lab, counts, tickets
        words = ["python3", str(ROOT / "tests/system/resume_client.py"), "--target", f"{plan.VIP4}:{plan.WEB_PORT}",
                 "--name", plan.SERVER_NAME, "--ca", str(lab.ca), "--tickets", "yes" if tickets else "no",
                 *(f"{version}:{count}" for version, count in counts.items())]
        self.process = subprocess.Popen(netns.argv_inside(lab.state.owned("c1"), words), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def handshakes(self, node):
        told = counters(self.lab, node, "tls")
        return told.get("handshakes", 0), told.get("handshakes_resumed", 0)

    def step(self, command, wanted):
        """Every session by one connection at the holder, all of them `wanted`: new or resumed."""
        node, began = self.lab.holder(), time.monotonic()
        before = self.handshakes(node)
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        said = json.loads(self.process.stdout.readline() or "{}")
        for version, count in self.counts.items():
            check(said.get(version, {}).get(wanted) == count, f"{command} at {node}: not {count} {wanted}: {said}")
            check(said[version]["tickets"] == (count if self.tickets else 0), f"{command} at {node}: tickets: {said}")
        total, resumed = (now - then for now, then in zip(self.handshakes(node), before))
        check((total, resumed) == (self.total(), self.total() if wanted == "resumed" else 0),
              f"{command}: {node} counted {total} handshakes, {resumed} resumed")
        return node, time.monotonic() - began

    def total(self):
        return sum(self.counts.values())


@contextmanager
def sessions_of(lab, counts, tickets=True):
    sessions = Sessions(lab, counts, tickets)
    try:
        yield sessions
    finally:
        sessions.process.kill()
        sessions.process.communicate()


def resumed_everywhere(lab, sessions):
    """Begun at one node; resumed at the one it hands over to, and at the one that adopts when that is killed."""
    first, took = sessions.step("begin", "new")
    figures = [f"begun at {first} in {took:.1f} s"]
    check(lab.stop(first), f"{first} did not end on SIGTERM")
    second = wait_new_holder(lab, first)
    _, took = sessions.step("resume", "resumed")
    figures.append(f"resumed at {second} after the handover in {took:.1f} s")
    lab.kill(second)
    third = wait_new_holder(lab, first, second)
    _, took = sessions.step("resume", "resumed")
    figures.append(f"at {third} after SIGKILL of {second} in {took:.1f} s")
    return ", ".join(figures) + "; no full handshake among them"


@accept(5, "1,000 sessions begun at one node are resumed at others, before and after a failover", "tls")
@limit(120)
def test_tls_sessions_resumed(case):
    """500 sessions of TLS 1.2 and 500 of 1.3, by tickets: handed over, then SIGKILL."""
    with case.lab(nodes=4, mode="tls") as lab, sessions_of(lab, {"1.2": 500, "1.3": 500}) as sessions:
        return f"{sessions.total()} sessions " + resumed_everywhere(lab, sessions)


def identifiers_resumed(case, count, **options):
    with case.lab(nodes=4, mode="tls", **options) as lab, sessions_of(lab, {"1.2": count}, tickets=False) as sessions:
        figures = resumed_everywhere(lab, sessions)
        told = counters(lab, lab.holder(), "resumption")
        check(told["sessions_found"] >= count and told["sessions_adopted"] >= count, f"counted: {told}")
        return f"{count} sessions {figures}"


@accept(5, "the same by session identifiers, of clients that take no tickets", "tls")
@limit(120)
def test_tls_identifiers_resumed(case):
    """500 sessions of TLS 1.2 without tickets: handed over, then SIGKILL."""
    return identifiers_resumed(case, 500)


@accept(5, "the same with two workers: a client may come back to the other one", "tls")
@limit(120)
def test_tls_identifiers_workers(case):
    """200 sessions of TLS 1.2 without tickets, with two workers in each node."""
    return identifiers_resumed(case, 200, workers=2)
