"""durability = payload: standbys keep the octets in flight."""
from tests.system.harness import Traffic, limit, wait_new_holder
from tests.system.test_slow_reader import zero_window


def kept(case, mode):
    """Bulk both ways; the holder dies; its successor goes on, byte-exact. And then with octets that cannot have arrived,
    because their reader's window was shut: only the standbys have them."""
    with case.lab(nodes=4, mode=mode, durability="payload") as lab:
        traffic = Traffic(lab, downloads=20, uploads=20, seconds=5, rate=200_000)
        traffic.wait_moving()
        first = lab.holder()
        lab.kill(first)
        wait_new_holder(lab, first)
        result = traffic.result()
        result.all_well()
    shut = zero_window(case, mode=mode, durability="payload")
    return f"{result.survivors()} byte-exact; {result.stall_text()}; {shut}"


@limit(60)
def test_payload_kept_proxy(case):
    """durability = payload, proxy: an adopter goes on with the octets in flight."""
    return kept(case, "proxy")


@limit(60)
def test_payload_kept_tls(case):
    """durability = payload, tls: an adopter goes on with the octets in flight."""
    return kept(case, "tls")
