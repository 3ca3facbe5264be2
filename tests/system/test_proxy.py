"""mode = proxy: both TCP ends terminate in the appliance, and the same connection goes on at another one."""
import hashlib
import json

from tests.system.harness import check, limit, plan
from tests.system.test_failover import handed_over, paused_holder, two_deaths
from tests.system.test_forward import curl, survives


def test_proxy_requests_pass(case):
    """curl through a proxied VIP over both families, a download and an upload by sha256."""
    with case.lab(nodes=3, mode="proxy") as lab:
        wanted = lab.make_file("20m", 20 << 20)
        for host in (plan.VIP4, f"[{plan.VIP6}]"):
            check(curl(lab, f"http://{host}/") == "holdfast lab\n", f"no page from {host}")
            copy = lab.folder / "copy"
            speed = curl(lab, "-o", str(copy), "-w", "%{speed_download}", f"http://{host}/20m")
            check(copy.read_bytes() == wanted.read_bytes(), f"a download from {host} differs")
            told = json.loads(curl(lab, "-T", str(wanted), f"http://{host}/upload"))
            check(told["sha256"] == hashlib.sha256(wanted.read_bytes()).hexdigest(), f"an upload to {host} differs")
        return f"20 MB down and up by sha256, {int(speed) // 1_000_000} MB/s"


@limit(90)
def test_proxy_failover_200(case):
    """200 proxied connections, both families, both ways: the holder is killed, then the adopter."""
    return two_deaths(case, mode="proxy")


@limit(90)
def test_proxy_failover_loss(case):
    """The same with 1 % seeded loss on the ring."""
    return two_deaths(case, mode="proxy", loss_percent=1.0, loss_seed=11)


def test_proxy_two_workers(case):
    """Two workers: the backend's answers come back to the worker that owns the session."""
    return survives(case, mode="proxy", workers=2, connections=40)


@limit(90)
def test_proxy_paused_holder(case):
    """The holder of proxied connections is stopped for 3 s and wakes: one holder on the wire, byte-exact."""
    return paused_holder(case, 3, nodes=3, mode="proxy")


@limit(60)
def test_proxy_handover(case):
    """SIGTERM hands proxied connections over."""
    return handed_over(case, mode="proxy")
