"""The client's half of each connection is closed before the holder dies; the server's goes on at another node."""
from tests.system.harness import ROOT, VIPS, accept, check, counters, limit, wait_new_holder

COUNT, SIZE, RATE = 40, 200_000, 60_000  # 3.3 s each


def half_closed(case, **options):
    with case.lab(nodes=3, **options) as lab:
        words = ["python3", ROOT / "tests/system/half_closed.py", SIZE, RATE, COUNT,
                 lab.ca if lab.options.mode == "tls" else "-", *VIPS]
        lab.spawn("c1", [str(w) for w in words], key="c1/half")
        lab.wait_for("every connection carries data", lambda: "moving" in lab.lines("c1/half"), 30)
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        lab.wait_for("the end of all", lambda: len(lab.lines("c1/half")) > 2, 60)
        verdict = lab.lines("c1/half")[1]
        check(verdict == "whole", f"the clients say: {verdict}")
        adopted = counters(lab, second, "relay").get("sessions_adopted", 0)
        check(adopted >= COUNT, f"{second} adopted {adopted}: they were not under way")
        return f"{COUNT} half-closed connections, {SIZE} octets each, byte-exact to their end from {first} and {second}"


@limit(90)
def test_half_closed_proxy(case):
    """Clients that have sent their FIN, mode = proxy: the rest comes whole across a kill."""
    return half_closed(case, mode="proxy")


@accept(2, "half-closed connections, close_notify and FIN sent", "tls")
@limit(90)
def test_half_closed_tls(case):
    """Clients that have sent close_notify and FIN, mode = tls: the rest comes whole across a kill."""
    return half_closed(case, mode="tls")
