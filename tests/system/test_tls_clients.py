"""Other clients of mode = tls through the death of their appliance."""
from tests.system.harness import Traffic, accept, limit, wait_new_holder


@accept(2, "small messages echoed at 1 ms spacing go on", "tls")
@limit(60)
def test_tls_echo_1ms(case):
    """Eight connections of 32-octet messages, a millisecond between an answer and the next, across a kill."""
    with case.lab(nodes=3, mode="tls") as lab:
        traffic = Traffic(lab, echoes=8, seconds=4, step_ms=1)
        traffic.wait_moving()
        first = lab.holder()
        lab.kill(first)
        wait_new_holder(lab, first)
        result = traffic.result()
        result.all_well()
        turns = sum(r["bytes"] for r in result.records) // 32
        return f"{turns} messages on {len(result.records)} connections, each answered right; {result.stall_text()}"
