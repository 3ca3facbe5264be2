"""A SYN flood at a service whose TCP terminates in the appliance: cookies for it, and nobody else notices."""
from tests.system.harness import ROOT, Traffic, check, counters, limit, plan, wait_new_holder

SESSIONS = 2048  # of the worker: a quarter of them may be half open
RATE = 2000
TRAFFIC = dict(downloads=8, uploads=8, echoes=4, rate=20_000)


def flooded(case, mode):
    with case.lab(nodes=3, mode=mode, sessions=SESSIONS) as lab:
        before = Traffic(lab, seconds=12, **TRAFFIC)
        before.wait_moving()
        first = lab.holder()
        for port in (plan.WEB_PORT, plan.STREAM_PORT):
            lab.spawn("c1", ["python3", ROOT / "tests/system/syn_flood.py", plan.FRONT, plan.VIP4, port, RATE],
                      key=f"c1/flood{port}")
        lab.wait_for("cookies", lambda: counters(lab, first, "relay").get("cookies_sent", 0) > RATE, 20)
        during = Traffic(lab, seconds=7, **TRAFFIC)
        during.wait_moving()
        told = counters(lab, first, "relay")
        lab.kill(first)
        second = wait_new_holder(lab, first)
        for traffic in (before, during):
            traffic.result().all_well()
        check(told["cookies_accepted"] > 0, f"no session began with a cookie: {told}")
        again = counters(lab, second, "relay").get("cookies_sent", 0)
        check(again > 0, f"{second} sent no cookies")
        return (f"{told['cookies_sent']} cookies sent and {told['cookies_accepted']} accepted by {first}, "
                f"{told['cookies_refused']} refused; all connections byte-exact through its death; {again} sent by {second}")


@limit(120)
def test_syn_flood_proxy(case):
    """mode = proxy: connections from before the flood and from within it survive the holder's SIGKILL."""
    return flooded(case, "proxy")


@limit(120)
def test_syn_flood_tls(case):
    """The same with mode = tls."""
    return flooded(case, "tls")
