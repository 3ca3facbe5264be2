"""No nonce for two plaintexts, by what every node put on the wire."""
import time

from tests.system.harness import Capture, Traffic, accept, check, limit, plan, wait_new_holder
from tests.system.nonce_judge import conflicts, doctored, judge


UNHEARD_S = 0.1


def judged(case, nodes, blow, after=lambda lab, first: None):
    """44 connections through `blow(lab, the holder)`, judged by what was on the wire. The clients hear and say nothing
    for a while before, so that the next holder must send again what the first one sent."""
    with case.lab(nodes=nodes, mode="tls") as lab:
        captures = {n: Capture(lab, n, "front", snap=0) for n in lab.nodes()}
        traffic = Traffic(lab, downloads=30, uploads=10, echoes=4, seconds=7, rate=40_000, step_ms=5)
        traffic.wait_moving()
        time.sleep(0.3)
        first = lab.holder()
        lab.cut("c1", "front")
        time.sleep(UNHEARD_S)
        blow(lab, first)
        wait_new_holder(lab, first)
        lab.heal("c1", "front")
        after(lab, first)
        result = traffic.result()
        frames = {n: c.stop() for n, c in captures.items()}
    streams = judge(frames, [plan.VIP4, plan.VIP6])
    found = conflicts(streams)
    check(not found, f"{len(found)} segments with other octets than were sent before: {'; '.join(found[:4])}")
    result.all_well()
    check(conflicts(judge(doctored(frames), [plan.VIP4, plan.VIP6])), "the judge passes a doctored capture")
    shared = sum(len(s.senders) > 1 for s in streams)
    check(shared >= 40, f"only {shared} streams were sent by more than one node")
    repeated = sum(s.repeated for s in streams)
    check(repeated, "no octet was sent by two nodes: nothing was judged")
    return (f"{len(streams)} streams, {shared} from several nodes, {sum(s.total() for s in streams)} octets, "
            f"{repeated} of them sent by another node before, none of them changed")


@accept(3, "no nonce serves two plaintexts, across a death", "tls")
@limit(60)
def test_tls_nonces_death(case):
    """The holder is killed: octets sent again are the same."""
    return judged(case, 4, lambda lab, first: lab.kill(first))


@accept(3, "nor across a handover", "tls")
@limit(60)
def test_tls_nonces_handover(case):
    """SIGTERM: octets sent again are the same."""
    return judged(case, 3, lambda lab, first: check(lab.stop(first), f"{first} did not end on SIGTERM"))


@accept(3, "nor when a paused holder wakes", "tls")
@limit(60)
def test_tls_nonces_paused(case):
    """SIGSTOP for 2 s, SIGCONT: what both sent is the same."""
    def wake(lab, first):
        time.sleep(2)
        lab.resume(first)
    return judged(case, 3, lambda lab, first: lab.pause(first), wake)


@accept(4, "nothing has left that nobody else knows: the ring is cut 50 ms before the holder dies", "tls")
@limit(60)
def test_tls_unheard(case):
    """Cut off from the ring, then killed: what it would have said in between stays in the gate."""
    with case.lab(nodes=4, mode="tls") as lab:
        traffic = Traffic(lab, downloads=30, uploads=30, echoes=4, seconds=4, rate=60_000, step_ms=2)
        traffic.wait_moving()
        time.sleep(0.3)
        first = lab.holder()
        lab.cut(first, "ring")
        time.sleep(0.05)
        lab.kill(first)
        wait_new_holder(lab, first)
        result = traffic.result()
        result.all_well()
        return f"{result.survivors()} of {len(result.records)} byte-exact, {result.stall_text()}"
