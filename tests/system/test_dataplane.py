"""The data plane under holdfast-gen, over memif: many sessions, failovers in a row, floods, standbys that are slow, dead or
return, a table that is full. `make accept-dataplane` prints a line for each.

Three nodes, the generator and the kernel's ring share two cores here, so figures are of this crowd, not of an appliance.
"""
import time

from tests.system.harness import accept, adoptions, check, limit, wait_new_holder
from tests.system.test_trafficgen import clean, finished, told_to_run

MEMIF = {"device": "memif", "generator": True, "backends": 1, "nodes": 3}


def sessions_of(lab):
    status = lab.status(lab.holder()) if lab.holder() else None
    return status["sessions"]["live"] if status else 0


def covered(lab):
    """One holder, and everything it holds would survive it."""
    holder = lab.holder()
    status = lab.status(holder) if holder else None
    return status and lab.whole() and status["coverage"] >= 1.0 and status["sessions"]["unprotected"] == 0


def ask_all(gen, sessions, rate):
    """A request on every session, at least, and all of them answered."""
    before = gen.report()["counters"]["answers"]
    gen.told(f"set rate {rate}")
    gen.lab.wait_for("a request on every session", lambda: gen.report()["counters"]["answers"] >= before + sessions,
                     60 + 10 * sessions / rate)
    gen.told("set rate 0", "wait drained 60", seconds=70)
    return gen.report()


def fail_over(lab, gen, first=None):
    """kill -9 of the holder; returns who took over, once it has gathered everything."""
    first = first or lab.holder()
    lab.kill(first)
    second = wait_new_holder(lab, first, seconds=60)
    lab.wait_for("everything is here", lambda: adoptions(lab, second)[-1].get("sweep_done_ms") is not None, 60)
    lab.wait_for("everything is covered again", lambda: covered(lab), 60)
    return second


@accept(1, "many sessions: set up, asked, failed over, asked again: none lost, no octet wrong", part="dataplane")
@limit(150)
def test_dataplane_many_sessions(case):
    return many_sessions(case, 100_000, 15_000)


@accept(2, "a million sessions: the same", part="dataplane")
@limit(480)
def test_dataplane_a_million_sessions(case):
    return many_sessions(case, 1_000_000, 20_000)


def many_sessions(case, sessions, rate, **options):
    with case.lab(**MEMIF, sessions=max(65_536, 1 << (sessions - 1).bit_length()), **options) as lab:
        gen = lab.generator
        began = time.monotonic()
        gen.told("set profile concurrent", f"set sessions {sessions}", f"set open-rate {rate}", "set half-open 1000",
                 "set request 100", "set response 100", "start", f"wait running {30 + 3 * sessions // rate}",
                 seconds=60 + 3 * sessions // rate)
        opened = time.monotonic() - began
        lab.wait_for("everything is covered", lambda: covered(lab), 60)
        check(sessions_of(lab) == sessions, f"{sessions_of(lab)} sessions at the holder, not {sessions}")
        c = clean(ask_all(gen, sessions, rate))
        asked = c["answers"]
        gen.told("clear stats", "set rate 1000")
        second = fail_over(lab, gen)
        check(sessions_of(lab) == sessions, f"{second} carries on {sessions_of(lab)} of {sessions}")
        report = ask_all(gen, sessions, rate)
        c = clean(report)
        gen.end()
        return (f"{sessions} sessions opened in {opened:.1f} s, {asked} answers before; silence "
                f"{report['failover']['longest_ms']:.0f} ms; {c['answers']} answers after, {c['wrong_octets']} octets wrong")


@accept(3, "ten failovers in a row under load: nothing lost, no octet wrong", part="dataplane")
@limit(150)
def test_dataplane_ten_failovers(case):
    with case.lab(**MEMIF) as lab:
        gen = told_to_run(lab, "verify", "set sessions 300", "set rate 1500", "set half-open 100")
        silences, order = [], []
        for _ in range(10):
            gen.told("clear stats")
            first = lab.holder()
            second = fail_over(lab, gen, first)
            before = gen.report()["counters"]["answers"]
            lab.wait_for("answers after it", lambda: gen.report()["counters"]["answers"] > before + 300, 20)
            report = gen.report()
            bad = {k: report["counters"][k] for k in ("wrong_octets", "sessions_lost", "requests_lost")}
            check(not any(bad.values()), f"after {len(order)} failovers, {first} to {second}: {bad}")
            silences.append(report["failover"]["longest_ms"])
            order.append(second)
            lab.start(first)
            lab.wait_for(f"{first} is back", lambda: lab.whole() and covered(lab), 20)
        clean(finished(gen))
        gen.end()
        silences.sort()
        return (f"held in turn by {' '.join(order)}; silence median {silences[5]:.0f} ms, longest {silences[-1]:.0f} ms; "
                f"300 of 300 sessions, no octet wrong")


@accept(4, "SYN flood and noise: established sessions unharmed", part="dataplane")
@limit(90)
def test_dataplane_flood(case):
    with case.lab(**MEMIF, sessions=8192) as lab:
        gen = told_to_run(lab, "verify", "set sessions 300", "set rate 1500", "set half-open 100")
        lab.wait_for("answers", lambda: gen.report()["counters"]["answers"] > 500, 20)
        gen.told("set attack syn=5000,flags=500,rst=500,ack=500,fragments=500")
        holder = lab.holder()
        flooded = lambda: gen.report()["counters"]["attack_frames"] > 35_000
        lab.wait_for("35,000 frames of the attack", flooded, 40)
        half_open = lab.status(holder)["sessions"]["embryonic"]
        gen.told("set attack off")
        report = finished(gen)
        c = clean(report)
        check(c["attack_answers"] > 0, "no SYN of the flood reached a server")
        check(half_open > 1000, f"a flood that left {half_open} sessions half open")
        check(lab.holder() == holder, f"the flood moved the group from {holder} to {lab.holder()}")
        dropped = {k: v for k, v in lab.status(holder)["drops"].items() if v}
        gen.end()
        return (f"{c['attack_frames']} frames, {half_open} half-open sessions at their end; {c['answers']} answers on 300 "
                f"sessions, p99 {report['latency']['answer']['p99_us'] / 1000:.1f} ms; dropped {dropped}")


@accept(5, "a standby that is slow, dead, and returns, under load: the holder does not wait", part="dataplane")
@limit(120)
def test_dataplane_standbys(case):
    with case.lab(**MEMIF) as lab:
        gen = told_to_run(lab, "verify", "set sessions 300", "set rate 1500", "set half-open 100")
        lab.wait_for("answers", lambda: gen.report()["counters"]["answers"] > 500, 20)
        holder = lab.holder()
        slow, dead = [n for n in lab.nodes() if n != holder]
        told = {}

        def phase(name, act, over):
            gen.told("clear stats")
            act()
            lab.wait_for(name, over, 20)
            before = gen.report()["counters"]["answers"]
            lab.wait_for("answers", lambda: gen.report()["counters"]["answers"] > before + 1000, 20)
            report = gen.report()
            bad = {k: report["counters"][k] for k in ("wrong_octets", "sessions_lost", "requests_lost")}
            check(not any(bad.values()), f"{name}: {bad}")
            check(lab.holder() == holder, f"{name}: the group moved from {holder} to {lab.holder()}")
            told[name] = report["failover"]["longest_ms"]

        without = lambda node: lambda: node not in lab.status(holder)["workers"][0]["view"]["members"]
        phase("slow", lambda: lab.pause(slow), without(slow))
        phase("awake", lambda: lab.resume(slow), lambda: covered(lab))
        phase("dead", lambda: lab.kill(dead), without(dead))
        phase("returns", lambda: lab.start(dead), lambda: lab.whole() and covered(lab))
        gen.told("clear stats")
        second = fail_over(lab, gen, holder)
        report = finished(gen)
        clean(report)
        gen.end()
        return ("longest silence " + ", ".join(f"{k} {v:.0f} ms" for k, v in told.items())
                + f"; then {holder} killed, {second} carried on 300 of 300")


@accept(6, "session table full: new connections refused and counted, old ones unharmed", part="dataplane")
@limit(90)
def test_dataplane_table_full(case):
    room = 512
    with case.lab(**MEMIF, sessions=room) as lab:
        gen = told_to_run(lab, "verify", f"set sessions {room}", "set rate 1500", "set half-open 100")
        check(sessions_of(lab) == room, f"{sessions_of(lab)} sessions, not {room}")
        gen.told("clear stats", "set attack syn=1000")
        lab.wait_for("2,000 more SYNs", lambda: gen.report()["counters"]["attack_frames"] >= 2000, 30)
        gen.told("set attack off")
        report = finished(gen)
        c = clean(report)
        lab.wait_for("refusals are counted", lambda: refusals(lab) >= c["attack_frames"], 10)
        check(refusals(lab) == c["attack_frames"], f"{c['attack_frames']} SYNs, {refusals(lab)} refused")
        check(c["attack_answers"] == 0 and c["server_accepted"] == 0, f"some were let in: {c}")
        check(report["sessions"]["established"] == sessions_of(lab) == room, f"{report['sessions']}")
        gen.end()
        return f"{refusals(lab)} of {c['attack_frames']} SYNs refused as table_full; {c['answers']} answers on {room} old ones"


def refusals(lab):
    return lab.status(lab.holder())["drops"].get("table_full", 0)
