"""durability = payload: standbys keep the octets in flight."""
from tests.system.harness import Traffic, check, counters, limit, wait_new_holder


def kept(case, mode):
    """Bulk both ways; the holder dies; its successor goes on with what it kept, byte-exact."""
    with case.lab(nodes=4, mode=mode, durability="payload") as lab:
        traffic = Traffic(lab, downloads=20, uploads=20, seconds=5, rate=200_000)
        traffic.wait_moving()
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        result = traffic.result()
        result.all_well()
        relay = counters(lab, second, "relay")
        check(relay["copies_used"] > 0, f"{second} used none of the octets that the standbys kept: {relay}")
        return f"{result.survivors()} byte-exact, {relay['copies_used']} blocks used by {second}; {result.stall_text()}"


@limit(60)
def test_payload_kept_proxy(case):
    """durability = payload, proxy: an adopter goes on with the octets in flight."""
    return kept(case, "proxy")


@limit(60)
def test_payload_kept_tls(case):
    """durability = payload, tls: an adopter goes on with the octets in flight."""
    return kept(case, "tls")
