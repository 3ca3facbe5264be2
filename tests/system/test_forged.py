"""What is not sealed by the cluster changes nothing, and is counted."""
import shutil
import time

from tests.system.harness import (Capture, ROOT, Traffic, accept, check, counters, limit, plan)

DATAGRAMS = 4000


def inject(lab, capture, seed, *kinds):
    lab.exec(plan.NET, ["python3", ROOT / "tests/system/inject.py", plan.RING, capture, DATAGRAMS, seed, *kinds],
             timeout=60)


def captured_ring(lab, seconds):
    capture = Capture(lab, None, plan.RING, sent_only=False, snap=2000)
    time.sleep(seconds)
    capture.stop()
    return capture.file


def drops(lab):
    """Ring datagrams refused, by reason, over all nodes."""
    total = {}
    for node in lab.nodes():
        for name, value in counters(lab, node, "ring").items():
            if name.startswith("drop_") and name != "drop_own":
                total[name.removeprefix("drop_")] = total.get(name.removeprefix("drop_"), 0) + value
    return total


def standing(lab):
    """Who holds, at what epoch, and who is in whose view: what no stranger may change."""
    return {n: ([(g["role"], g["holder"], g["epoch"]) for g in s["groups"]],
                [w["view"]["members"] for w in s["workers"]]) for n, s in lab.statuses().items()}


@accept(6, "forged, truncated, replayed and foreign-cluster datagrams change nothing and are counted")
@limit(120)
def test_forged_datagrams(case):
    """Captured datagrams of this cluster and another are sent again, cut, changed and under other names."""
    with case.lab(nodes=2, cluster="other") as stranger:
        foreign = case_file(case, captured_ring(stranger, 1.5))
    try:
        with case.lab(nodes=3) as lab:
            traffic = Traffic(lab, downloads=10, uploads=10, echoes=2, seconds=14, rate=20_000)
            traffic.wait_moving()
            own = captured_ring(lab, 1.5)
            before, refused = standing(lab), drops(lab)
            inject(lab, own, 1)
            inject(lab, foreign, 2, "replay", "flip")
            time.sleep(0.3)
            after, counted = standing(lab), drops(lab)
            result = traffic.result()
            result.all_well()
            check(before == after, f"something changed: {before} -> {after}")
            more = {k: counted[k] - refused.get(k, 0) for k in counted if counted[k] > refused.get(k, 0)}
            check(sum(more.values()) >= DATAGRAMS, f"too few counted: {more}")
            for reason in ("forged", "too_short", "magic", "foreign_cluster"):
                check(more.get(reason), f"none counted as {reason}: {more}")
            check(more.get("replayed", 0) + more.get("duplicate", 0) + more.get("stale", 0), f"no replay counted: {more}")
            return (f"{2 * DATAGRAMS} sent, holder, epochs and views unchanged, 22 connections whole, "
                    f"{result.stall_text()}; counted: {more}")
    finally:
        foreign.unlink()


def case_file(case, file):
    """A copy that outlives the lab it was captured in."""
    kept = file.parent.parent.parent / f"holdfast-{case.prefix}.pcap"
    shutil.copy(file, kept)
    return kept
