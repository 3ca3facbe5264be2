"""A client that reads nothing: its window closes, stays closed across the holder's death, then opens."""
import time

from tests.system.harness import ROOT, accept, check, counters, plan, wait_new_holder

SIZE = 3_000_000


def zero_window(case, **options):
    with case.lab(nodes=3, **options) as lab:
        go = lab.folder / "go"
        words = ["python3", ROOT / "tests/system/slow_reader.py", plan.VIP4, plan.STREAM_PORT, SIZE, go]
        lab.spawn("c1", [str(w) for w in words + ([lab.ca] if lab.options.mode == "tls" else [])], key="c1/slow")
        lab.wait_for("the request", lambda: "asked" in lab.lines("c1/slow"), 10)
        time.sleep(1.5)  # all buffers on the way are full
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        time.sleep(1.5)
        go.touch()
        lab.wait_for("the rest", lambda: len(lab.lines("c1/slow")) > 2, 40)
        verdict = lab.lines("c1/slow")[1]
        check(verdict == "whole", f"the reader says: {verdict}")
        copies = counters(lab, second, "relay")["copies_used"]
        check((copies > 0) == (lab.options.durability == "payload"), f"{second} used {copies} blocks that standbys kept")
        return f"{SIZE} octets, byte-exact: window closed at {first}, opened again at {second}; {copies} blocks kept by standbys"


def test_slow_reader_proxy(case):
    """A closed window across a kill, mode = proxy."""
    return zero_window(case, mode="proxy")


@accept(2, "a slow reader whose window is shut", "tls")
def test_slow_reader_tls(case):
    """A closed window across a kill, mode = tls."""
    return zero_window(case, mode="tls")
