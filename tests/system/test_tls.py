"""mode = tls: TLS terminates in the appliance, and the same live connection goes on at another one."""
import hashlib
import json
import shlex
import time

from tests.system.harness import accept, check, counters, limit, plan, wait_new_holder
from tests.system.test_failover import handed_over, paused_holder, two_deaths
from tests.system.test_forward import survives

SUITES = {"1.3": ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
          "1.2": ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-CHACHA20-POLY1305",
                  "ECDHE-ECDSA-CHACHA20-POLY1305"]}


def suite_options(version, suite):
    return ["--tls13-ciphers" if version == "1.3" else "--ciphers", suite, "--tlsv" + version, "--tls-max", version]


def curl_words(lab, host, port, path, *more):
    """curl of https://www.example.com at the VIP: the certificate is checked."""
    return ["curl", "-sS", "-g", "-m", "60", "--cacert", str(lab.ca), "--connect-to",
            f"{plan.SERVER_NAME}:{port}:{host}:{port}", f"https://{plan.SERVER_NAME}:{port}{path}", *more]


def vip_of(family):
    return plan.VIP4 if family == 4 else f"[{plan.VIP6}]"


def test_tls_requests_pass(case):
    """curl with every suite of TLS 1.2 and 1.3, both families, 8 MB down and up by sha256."""
    with case.lab(nodes=3, mode="tls") as lab:
        wanted = lab.make_file("8m", 8 << 20)
        digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
        tried = 0
        for version, suites in SUITES.items():
            for suite in suites:
                host, more = vip_of(4 + tried % 2 * 2), suite_options(version, suite)
                copy = lab.folder / "copy"
                lab.exec("c1", curl_words(lab, host, plan.WEB_PORT, "/8m", "-o", str(copy), *more))
                check(copy.read_bytes() == wanted.read_bytes(), f"a download with {suite} differs")
                told = json.loads(lab.exec("c1", curl_words(lab, host, plan.WEB_PORT, "/upload", "-T", str(wanted),
                                                            *more)).stdout)
                check(told["sha256"] == digest, f"an upload with {suite} differs")
                tried += 1
        return f"{tried} suites, 8 MB each way"


@limit(90)
def test_tls_failover_200(case):
    """200 TLS connections of both versions, both ways: the holder is killed, then the adopter."""
    return two_deaths(case, mode="tls")


@limit(90)
def test_tls_failover_loss(case):
    """The same with 1 % seeded loss on the ring."""
    return two_deaths(case, mode="tls", loss_percent=1.0, loss_seed=5)


def test_tls_two_workers(case):
    """Two workers: handshakes come back to the worker that owns the session."""
    return survives(case, mode="tls", workers=2, connections=40)


@limit(90)
def test_tls_paused_holder(case):
    """The holder of TLS connections is stopped for 3 s and wakes: one holder on the wire, byte-exact."""
    return paused_holder(case, 3, nodes=3, mode="tls")


@limit(60)
def test_tls_handover(case):
    """SIGTERM hands TLS connections over."""
    return handed_over(case, mode="tls")


def s_client(lab, version, *more):
    """One connection of openssl's client that ends at once; what it said of its session."""
    words = ["openssl", "s_client", "-connect", f"{plan.VIP4}:{plan.WEB_PORT}", "-servername", plan.SERVER_NAME, "-CAfile",
             str(lab.ca), f"-tls{version}".replace(".", "_"), "-ign_eof", *more]
    asked = "printf 'HEAD / HTTP/1.0\\r\\n\\r\\n' | timeout 10 " + shlex.join(words)
    said = lab.exec("c1", ["sh", "-c", asked]).stdout
    check("HTTP/1.1 200" in said, f"no answer: {said[-300:]}")
    return "reused" if "\nReused, " in said else "new"


def test_tls_resumption(case):
    """Tickets that one node gave resume at that node, and at its successor after its death."""
    with case.lab(nodes=3, mode="tls") as lab:
        kept = [(v, lab.folder / f"session-{v}-{n}") for v in ("1.2", "1.3") for n in range(5)]
        for version, file in kept:
            check(s_client(lab, version, "-sess_out", str(file)) == "new", "a session nobody had offered")
        again = [s_client(lab, version, "-sess_in", str(file), "-sess_out", str(file)) for version, file in kept]
        check(set(again) == {"reused"}, f"at the node that gave them: {again}")
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        after = [s_client(lab, version, "-sess_in", str(file)) for version, file in kept]
        check(set(after) == {"reused"}, f"at its successor: {after}")
        resumed = counters(lab, second, "tls").get("handshakes_resumed", 0)
        check(resumed >= len(kept), f"{second} counted {resumed}")
        return f"{len(kept)} sessions of {first}, TLS 1.2 and 1.3, resumed there and at {second}: no full handshake"


@accept(2, "KeyUpdate just before and just after the kill", "tls")
def test_tls_key_update(case):
    """openssl's client updates its key, and asks for ours, just before and just after the holder's death."""
    with case.lab(nodes=3, mode="tls") as lab:
        steps = lab.folder / "steps"  # what the client types, as the test goes on
        steps.write_text("E\nfirst\n")
        words = ["openssl", "s_client", "-connect", f"{plan.VIP4}:{plan.STREAM_PORT}", "-servername", plan.SERVER_NAME,
                 "-CAfile", str(lab.ca), "-tls1_3"]
        lab.spawn("c1", ["sh", "-c", f"tail -f -n +1 {steps} | timeout 40 " + shlex.join(words)], key="c1/updates")

        def types(*lines):
            for line in lines:
                with steps.open("a") as file:
                    file.write(line + "\n")
                time.sleep(0.1)  # openssl takes a command only at the beginning of what it reads

        def echoed(word):
            lab.wait_for(f"the echo of {word}", lambda: f"\n{word}\n" in lab.log("c1/updates").read_text(errors="replace"), 10)

        echoed("first")
        types("K", "second")
        echoed("second")
        first = lab.holder()
        types("K", "k")
        lab.kill(first)
        second = wait_new_holder(lab, first)
        types("third")
        echoed("third")
        types("K", "fourth", "k", "fifth")
        echoed("fifth")
        received = counters(lab, second, "tls_records").get("tls_key_updates_received", 0)
        check(received >= 2, f"{second} saw {received} KeyUpdates")
        return f"five echoes across three KeyUpdates at {first}, its death, and {received} at {second}"
