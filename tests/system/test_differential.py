"""A failover appliance is invisible: tools that know nothing of it come to the same verdict with it, without it, and with a
failover every half a second; and then both ends have seen the same streams."""
from tests.system.differential import (PLAIN, PORTS, SCRIPTS, TUNNEL_SCRIPTS, WAYS, WEB, Failovers, placed, start_servers,
                                       verdicts)
from tests.system.harness import accept, check, limit, plan
from tests.system.history import History, figures, recorded, wrong_in


def direct(case, tools):
    with case.lab(direct=True, backends=1) as lab:
        start_servers(lab)
        return verdicts(lab, lab.hosts["b1"].address(4), tools)


def differences(wanted, found, how):
    return [f"{tool} {how}: {found[tool]} instead of {verdict}" for tool, verdict in wanted.items() if found[tool] != verdict]


def same_verdicts(case, mode, tools):
    wanted = direct(case, tools)
    with case.lab(nodes=3, mode=mode, backends=1, extra_ports=PORTS if mode != "tls" else ()) as lab:
        if mode != "tls":
            start_servers(lab)
        wrong = differences(wanted, verdicts(lab, plan.VIP4, tools), "through Holdfast")
        with Failovers(lab) as failovers:
            found, histories = recorded(lab, plan.VIP4, tools)
        wrong += differences(wanted, found, f"with {failovers.count} failovers") + wrong_in(histories)
        check(not wrong, "; ".join(wrong))
        check(failovers.trouble is None, f"failovers: {failovers.trouble}")
        check(failovers.count >= len(tools), f"{failovers.count} failovers while {len(tools)} tools ran are too few")
        return (f"{', '.join(t.__name__ for t in tools)}: the same, direct, through, and with {failovers.count} failovers; "
                f"{figures(histories)}")


@accept(1, "tools of others come to the same verdict, forwarded", part="differential")
@limit(600)
def test_differential_forward(case):
    """redis, PostgreSQL, iperf3, h2load, wrk and slowhttptest: direct, forwarded, and with failovers."""
    return same_verdicts(case, "forward", PLAIN)


@accept(2, "and proxied", part="differential")
@limit(600)
def test_differential_proxy(case):
    """The same tools through mode proxy."""
    return same_verdicts(case, "proxy", PLAIN)


@accept(3, "and over TLS", part="differential")
@limit(300)
def test_differential_tls(case):
    """h2load and wrk over TLS."""
    return same_verdicts(case, "tls", WEB)


def placed_failovers(case, mode, scripts=SCRIPTS):
    """What a script says is the same wherever the failover comes in it, and however."""
    with case.lab(direct=True, backends=1) as lab:
        found = placed(lab, lab.hosts["b1"].address(4), [None], scripts)
        wrong = [f"{name} direct: {said[-800:]}" for name, (code, said) in found.items() if code != 0]
    with case.lab(nodes=3, mode=mode, backends=1) as lab:
        with History(lab, "varnishtest") as history:
            found = placed(lab, plan.VIP4, WAYS, scripts)
            histories = {"varnishtest": history.judge()}
        wrong += [f"{name}: {said[-800:]}" for name, (code, said) in found.items() if code != 0] + wrong_in(histories)
    check(not wrong, "; ".join(wrong))
    return (f"{len(scripts)} places in a connection, each struck by {', '.join(WAYS)}: {len(found)} of {len(found)} scripts pass; "
            f"{figures(histories)}")


@accept(4, "a failover at a chosen octet changes no script's verdict, forwarded", part="differential")
@limit(400)
def test_differential_placed_forward(case):
    """varnishtest scripts that place a death, a pause, a cut ring and a handover."""
    return placed_failovers(case, "forward")


@accept(5, "and proxied", part="differential")
@limit(400)
def test_differential_placed_proxy(case):
    """The same scripts through mode proxy."""
    return placed_failovers(case, "proxy")


@accept(6, "and over TLS, also in the middle of a record", part="differential")
@limit(400)
def test_differential_placed_tls(case):
    """The scripts that begin after a handshake, through a tunnel that speaks TLS."""
    return placed_failovers(case, "tls", TUNNEL_SCRIPTS)
