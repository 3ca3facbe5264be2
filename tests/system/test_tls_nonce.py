"""No nonce for two plaintexts, by what every node put on the wire."""
import time

from tests.system.harness import Capture, Failure, Traffic, accept, check, limit, plan, wait_new_holder
from tests.system.nonce_judge import conflicts, doctored, judge


def judged(lab, deed):
    """What happened on the wire while `deed(lab, the holder)` was done to 44 connections, and how much was sent again."""
    captures = {n: Capture(lab, n, "front", snap=0) for n in lab.nodes()}
    traffic = Traffic(lab, downloads=30, uploads=10, echoes=4, seconds=7, rate=40_000, step_ms=5)
    traffic.wait_moving()
    time.sleep(0.3)
    deed(lab, lab.holder())
    result = traffic.result()
    frames = {n: c.stop() for n, c in captures.items()}
    vips = [plan.VIP4, plan.VIP6]
    streams = judge(frames, vips)
    found = conflicts(streams)
    check(not found, f"{len(found)} segments with other octets than were sent before: {'; '.join(found[:4])}")
    result.all_well()
    check(conflicts(judge(doctored(frames), vips)), "the judge passes a doctored capture")
    shared = sum(len(s.senders) > 1 for s in streams)
    repeated = sum(s.repeated for s in streams)
    check(shared >= 40, f"only {shared} streams were sent by more than one node")
    return (f"{len(streams)} streams, {shared} from several nodes, {sum(sum(s.known) for s in streams)} octets, "
            f"{repeated} of them sent again, none of them changed"), repeated


@accept(3, "no nonce serves two plaintexts, across a death", "tls")
@limit(90)
def test_tls_nonces_death(case):
    """The holder is killed: octets sent again are the same."""
    def deed(lab, first):
        lab.kill(first)
        wait_new_holder(lab, first)
    for _ in range(4):  # on a quiet machine it may be that all had been acknowledged
        with case.lab(nodes=4, mode="tls") as lab:
            text, repeated = judged(lab, deed)
        if repeated:
            return text
    raise Failure("no octet was sent twice: nothing was judged")


@accept(3, "nor across a handover", "tls")
@limit(90)
def test_tls_nonces_handover(case):
    """SIGTERM: octets sent again are the same."""
    def deed(lab, first):
        check(lab.stop(first), f"{first} did not end on SIGTERM")
        wait_new_holder(lab, first)
    with case.lab(nodes=3, mode="tls") as lab:
        return judged(lab, deed)[0]


@accept(3, "nor when a paused holder wakes", "tls")
@limit(90)
def test_tls_nonces_paused(case):
    """SIGSTOP for 2 s, SIGCONT: what both sent is the same."""
    def deed(lab, first):
        lab.pause(first)
        wait_new_holder(lab, first)
        time.sleep(2)
        lab.resume(first)
    with case.lab(nodes=3, mode="tls") as lab:
        return judged(lab, deed)[0]


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
