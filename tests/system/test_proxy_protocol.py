"""proxy_protocol = v2: real nginx behind the appliance knows the client, and goes on knowing it at another appliance."""
import shlex

from tests.system.harness import check, limit, plan, wait_new_holder
from tests.system.test_tls import vip_of

DOWNLOADS = 6
# Connects, and asks for a page only once it is told to: until then the backend has the header and nothing else.
LATE = """
import os, socket, ssl, sys, time
host, port, tls, ca, name, path = sys.argv[1:7]
s = socket.create_connection((host, int(port)), timeout=30)
if tls == "tls":
    s = ssl.create_default_context(cafile=ca).wrap_socket(s, server_hostname=name)
print("connected", flush=True)
while not os.path.exists(path):
    time.sleep(0.05)
s.sendall(b"GET /late HTTP/1.0\\r\\n\\r\\n")
answer = b""
while piece := s.recv(4096):
    answer += piece
print(answer.split(b"\\r\\n")[0].decode(), flush=True)
"""


def url(lab, mode, host, path):
    if mode == "proxy":
        return [f"http://{host}{path}"]
    return ["--cacert", str(lab.ca), "--connect-to", f"{plan.SERVER_NAME}:{plan.WEB_PORT}:{host}:{plan.WEB_PORT}",
            f"https://{plan.SERVER_NAME}:{plan.WEB_PORT}{path}"]


def logged(lab):
    """Of every request that any nginx answered: whom the header named, the path and the status."""
    rows = []
    for backend in (h.name for h in plan.hosts(lab.options) if h.kind == "backend"):
        rows += [line.split() for line in (lab.folder / backend / "access.log").read_text().splitlines()]
    return rows


def known_clients(case, mode):
    with case.lab(nodes=3, mode=mode, proxy_protocol="v2", health=True) as lab:
        wanted = lab.make_file("2m", 2 << 20).read_bytes()
        go = lab.folder / "go"
        (lab.folder / "late.py").write_text(LATE)
        copies = []
        for n in range(DOWNLOADS):
            family = 4 + n % 2 * 2
            copies.append(lab.folder / f"copy{n}")
            words = ["curl", "-sS", "-g", "-m", "60", "-o", str(copies[-1]),
                     *url(lab, mode, vip_of(family), "/rate/400000/2m")]
            lab.spawn("c1", ["sh", "-c", shlex.join(words) + " && echo whole"], key=f"c1/download{n}")
        for family, vip in ((4, plan.VIP4), (6, plan.VIP6)):
            lab.spawn("c1", ["python3", str(lab.folder / "late.py"), vip, str(plan.WEB_PORT), mode, str(lab.ca),
                             plan.SERVER_NAME, str(go)], key=f"c1/late{family}")
        lab.wait_for("downloads that move", lambda: all(c.exists() and c.stat().st_size > 0 for c in copies), 20)
        for family in (4, 6):
            lab.wait_for("a silent client", lambda f=family: "connected" in lab.log(f"c1/late{f}").read_text(), 10)
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        check(any(c.stat().st_size < len(wanted) for c in copies), "all was over before the death")
        go.touch()
        for family in (4, 6):
            lab.wait_for("its answer", lambda f=family: "HTTP/1.1 404" in lab.log(f"c1/late{f}").read_text(), 20)
        for n, copy in enumerate(copies):
            lab.wait_for("the whole download", lambda k=n: "whole" in lab.log(f"c1/download{k}").read_text(), 40)
            check(copy.read_bytes() == wanted, f"{copy.name} differs")
        for host in (plan.VIP4, f"[{plan.VIP6}]"):
            page = lab.exec("c1", ["curl", "-sS", "-g", "-m", "20", *url(lab, mode, host, "/")]).stdout
            check(page == "holdfast lab\n", f"no page from {host} after the death")
        rows = logged(lab)
        check(len(rows) == DOWNLOADS + 4, f"{len(rows)} requests in nginx's logs")
        client, = [h for h in plan.hosts(lab.options) if h.name == "c1"]
        clients = {client.address(4): plan.VIP4, client.address(6): plan.VIP6}
        for row in rows:
            check(clients.get(row[0]) == row[2] and row[3] == str(plan.WEB_PORT), f"nginx was told {row}")
            check(row[4] != row[0], f"nginx saw the client itself: {row}")
        check(all(b["up"] for b in lab.status(second)["backends"]), "a backend's health check fails")
        return f"{len(rows)} requests, two of them asked after the death of {first}, each logged with its client's address"


@limit(120)
def test_proxy_protocol(case):
    """nginx behind mode = proxy logs the client's address, before and after the holder's SIGKILL; health checks pass."""
    return known_clients(case, "proxy")


@limit(120)
def test_proxy_protocol_tls(case):
    """The same with mode = tls."""
    return known_clients(case, "tls")
