"""Nodes die, pause, are cut off and come back under load: every byte is checked by real kernel endpoints."""
import time

from tests.system.harness import (Capture, Traffic, accept, adoptions, check, check_turns, counters, limit, pulled,
                                  sessions_at, wait_new_holder)

MANY = dict(downloads=100, uploads=96, echoes=4)  # half of each over IPv6


def two_deaths(case, **options):
    """The holder dies under 200 connections, then whoever adopted them."""
    with case.lab(nodes=4, **options) as lab:
        traffic = Traffic(lab, seconds=9, rate=20_000, **MANY)
        traffic.wait_moving()
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        time.sleep(2.5)  # copies are made again meanwhile
        one = pulled(adoptions(lab, second))
        lab.kill(second)
        third = wait_new_holder(lab, first, second)
        result = traffic.result()
        two = pulled(adoptions(lab, third))
        result.all_well()
        # Three standbys, three copies: then each holds everything, and there is nothing to pull.
        check(sum(one.values()) > 0 or lab.options.copies > 2, f"{second} adopted without pulling a fragment: it held everything before")
        return (f"{result.survivors()} of {len(result.records)} byte-exact through the deaths of {first} and {second}; "
                f"{result.stall_text()}; fragments pulled by {second}: {one}, by {third}: {two}")


@accept(1, "200 connections survive SIGKILL of the holder and then of the adopter, R = 2")
@limit(90)
def test_failover_200_r2(case):
    """200 connections, both families, both ways: the holder is killed, then the adopter; R = 2."""
    return two_deaths(case, copies=2)


@accept(1, "the same with R = 1")
@limit(90)
def test_failover_200_r1(case):
    """The same with R = 1."""
    return two_deaths(case, copies=1)


@accept(1, "the same with R = 3")
@limit(90)
def test_failover_200_r3(case):
    """The same with R = 3."""
    return two_deaths(case, copies=3)


@accept(1, "the same with 1 % seeded loss on the ring")
@limit(90)
def test_failover_200_loss(case):
    """The same with R = 2 and 1 % seeded loss on the ring."""
    return two_deaths(case, copies=2, loss_percent=1.0, loss_seed=7)


@accept(2, "R = 2, commit = all: the holder and a standby die at one instant, nothing is lost")
@limit(90)
def test_two_at_once_r2(case):
    """R = 2 and commit = all: the holder and a standby die at once, nothing is lost."""
    with case.lab(nodes=4, copies=2) as lab:
        traffic = Traffic(lab, seconds=7, rate=20_000, **MANY)
        traffic.wait_moving()
        lab.wait_steady()
        holder = lab.holder()
        # A standby that is not the next in line: its death must not matter to who adopts.
        other = [n for n in lab.nodes() if n != holder][-1]
        lab.kill(holder, other)
        adopter = wait_new_holder(lab, holder, other)
        result = traffic.result()
        result.all_well()
        return f"{result.survivors()} of {len(result.records)} survive at {adopter}; {result.stall_text()}"


@accept(3, "the adopter did not hold everything: fragments pulled from peers are counted")
@limit(60)
def test_pulled_from_peers(case):
    """The node that adopts pulls what it did not hold; more than one peer gives."""
    with case.lab(nodes=4, copies=2) as lab:
        traffic = Traffic(lab, downloads=30, uploads=30, seconds=5, rate=20_000)
        traffic.wait_moving()
        time.sleep(0.5)
        lab.wait_steady()
        before = {n: (lab.status(n) or {}).get("store", {}).get("fragments", 0) for n in lab.nodes()}
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        result = traffic.result()
        result.all_well()
        found = adoptions(lab, second)
        by_peer = pulled(found)
        check(sum(by_peer.values()) > 0, f"none was pulled: {found}")
        return (f"{second} had {sum(a['own'] for a in found)} and pulled {by_peer}; kept before: "
                f"{ {n: c for n, c in before.items() if n != first} }")


def paused_holder(case, seconds, **options):
    """The holder is stopped for so long and wakes: from its capture, it sends nothing as the holder any more."""
    with case.lab(**options) as lab:
        captures = {(n, link): Capture(lab, n, link) for n in lab.nodes() for link in ("front", "back")}
        traffic = Traffic(lab, downloads=20, uploads=20, echoes=4, seconds=seconds + 5, rate=20_000)
        traffic.wait_moving()
        first, epoch = lab.holder(), lab.epoch()
        lab.pause(first)
        wait_new_holder(lab, first)
        time.sleep(seconds)
        lab.resume(first)
        result = traffic.result()
        fenced = counters(lab, first, "membership")
        epochs = lab.epoch() - epoch + 1
        orders = [check_turns({n: captures[n, link].stop() for n in lab.nodes()}, first, epochs, link)
                  for link in ("front", "back")]
        result.all_well()
        check(len(lab.holders()) == 1, f"holders at the end: {lab.holders()}")
        return (f"{result.survivors()} of {len(result.records)} byte-exact, {result.stall_text()}; {epochs} epochs, "
                f"senders on the front in turn: {' '.join(orders[0])}; at {first}: "
                + ", ".join(f"{k} {v}" for k, v in fenced.items() if "fenced" in k))


@accept(4, "SIGSTOP and SIGCONT of the holder: one holder on the wire, no reset, byte-exact")
@limit(90)
def test_paused_holder(case):
    """The holder is stopped for 5 s and wakes: from its capture, it sends nothing as the holder any more."""
    return paused_holder(case, 5, nodes=4)


@accept(5, "the ring of the holder alone is cut: it falls silent, a standby carries on")
@limit(90)
def test_ring_cut(case):
    """Cut off from its peers, the holder falls silent; a standby carries on; healed, the old one is a standby."""
    with case.lab(nodes=4) as lab:
        captures = {n: Capture(lab, n, "front") for n in lab.nodes()}
        traffic = Traffic(lab, downloads=20, uploads=20, echoes=4, seconds=9, rate=20_000)
        traffic.wait_moving()
        first, epoch = lab.holder(), lab.epoch()
        lab.cut(first, "ring")
        second = wait_new_holder(lab, first)
        time.sleep(3)
        lab.heal(first, "ring")
        lab.wait_for(f"{first} follows again", lab.whole, 10)
        result = traffic.result()
        epochs = lab.epoch() - epoch + 1
        order = check_turns({n: captures[n].stop() for n in lab.nodes()}, first, epochs, "front")
        result.all_well()
        check(len(lab.holders()) == 1, f"holders after healing: {lab.holders()}")
        return (f"{result.survivors()} of {len(result.records)} byte-exact, {result.stall_text()}; {second} carried on; "
                f"{epochs} epochs, senders on the front in turn: {' '.join(order)}")


def handed_over(case, **options):
    """The holder ends on SIGTERM, under load."""
    with case.lab(nodes=3, **options) as lab:
        traffic = Traffic(lab, downloads=20, uploads=20, echoes=4, seconds=5, rate=20_000, step_ms=5)
        traffic.wait_moving()
        time.sleep(0.5)
        first = lab.holder()
        check(lab.stop(first), f"{first} did not end on SIGTERM")
        second = wait_new_holder(lab, first)
        result = traffic.result()
        result.all_well()
        found = adoptions(lab, second)
        check(any(a["handover"] for a in found), f"{second} did not see a handover: {found}")
        return f"{result.survivors()} of {len(result.records)} byte-exact, {result.stall_text()} (loop lag {result.lag_ms:.0f} ms)"


@limit(60)
def test_handover_on_sigterm(case):
    """SIGTERM hands over: nothing is lost, hardly a pause."""
    return handed_over(case)


@limit(90)
def test_node_returns(case):
    """A killed node that starts again is a standby, follows, and coverage is whole again: it can adopt next."""
    with case.lab(nodes=3, copies=2) as lab:
        traffic = Traffic(lab, downloads=20, uploads=20, seconds=9, rate=20_000)
        traffic.wait_moving()
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        lab.start(first)
        lab.wait_for(f"{first} is back in the view", lab.whole, 10)
        check(first not in lab.holders(), f"the returning node grabbed: {lab.holders()}")
        lab.wait_steady()
        second = lab.holder()
        lab.wait_for("coverage is whole", lambda: (lab.status(second) or {}).get("coverage", 0) >= 1.0, 10)
        lab.kill(second)
        third = wait_new_holder(lab, second)
        result = traffic.result()
        result.all_well()
        return f"{result.survivors()} of {len(result.records)} through {first} dead, back, then {second} dead; {third} holds"


@limit(60)
def test_connections_after_a_failover(case):
    """New connections are taken by the adopter, and old ones do not disturb them."""
    with case.lab(nodes=3) as lab:
        old = Traffic(lab, downloads=10, seconds=6, rate=20_000)
        old.wait_moving()
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        new = Traffic(lab, downloads=10, uploads=10, seconds=2, rate=20_000)
        new.result().all_well()
        old.result().all_well()
        return f"20 new and 10 old at {second}, {sessions_at(lab, second)} still tracked"
