"""mode = tls as scanners see it: testssl.sh, nmap and openssl, and the node serves as before after each of them."""
import base64
import json
import re
import shlex

from tests.system.harness import accept, check, limit, plan
from tests.system.test_tls import curl_words, vip_of

LOW_OR_LESS = {"DEBUG", "INFO", "OK", "LOW"}

# What testssl.sh says of the lab or of itself rather than of the server: finding, and why it is not ours.
EXCUSED = {
    "engine_problem": "of the openssl that the scan uses: it has no GOST engine",
    "sessionresumption_ticket": "a warning only: the scan's client often leaves before a ticket of TLS 1.3, which comes "
                                "after the handshake, and then has none to offer; test_tls_sessions_resumed has",
    "cert_revocation": "of the lab's certificates: whoever issued them publishes neither CRL nor OCSP",
}

# A scan that was cut short, or could not connect, would find nothing bad. These must be there, and say so.
EXPECTED = {
    "TLS1_1": "not offered", "TLS1_2": "offered", "TLS1_3": "offered", "cipherlist_AVERAGE": "not offered",
    "cipherlist_STRONG": "offered", "PFS": "offered", "ALPN": "http/1.1", "cert_chain_of_trust": "passed.",
    "cert_trust": "Ok via SAN", "heartbleed": "not vulnerable", "CCS": "not vulnerable", "ticketbleed": "not vulnerable",
    "secure_renego": "supported", "secure_client_renego": "not vulnerable", "CRIME_TLS": "not vulnerable",
    "BEAST": "not vulnerable", "LUCKY13": "not vulnerable", "RC4": "not vulnerable", "GREASE": "No bugs found.", "scanTime": "",
}

PORTS = {plan.WEB_PORT: "open", plan.STREAM_PORT: "open", 81: "filtered", 443: "filtered"}


def serves(lab, after):
    """A page over both families, from the node that held all along."""
    for family in (4, 6):
        page = lab.exec("c1", curl_words(lab, vip_of(family), plan.WEB_PORT, "/")).stdout
        check(page == "holdfast lab\n", f"after {after}: {page[:200]!r}")


def in_one_epoch(lab, epoch, text):
    check(lab.epoch() == epoch, f"the group changed hands: epoch {epoch}, then {lab.epoch()}")
    return text


def bare(finding):
    """cert_trust <cert#2> -> cert_trust: each certificate has findings of its own."""
    return finding["id"].split(" ")[0]


@accept(7, "testssl.sh finds nothing above low", "tls")
@limit(300)
def test_tls_testssl(case):
    """testssl.sh: protocols, suites, forward secrecy, defaults, preferences, vulnerabilities, GREASE; no network."""
    with case.lab(nodes=3, mode="tls") as lab:
        epoch, out = lab.epoch(), lab.folder / "testssl.json"
        scan = lab.exec("c1", ["testssl", "--quiet", "--warnings", "off", "--color", "0", "--nodns", "none", "--openssl",
                               "/usr/bin/openssl", "--connect-timeout", "5", "--openssl-timeout", "5", "--ip", plan.VIP4,
                               "--add-ca", lab.ca, "--jsonfile", out, "-p", "-s", "-f", "-P", "-S", "-U", "-g",
                               f"https://{plan.SERVER_NAME}:{plan.WEB_PORT}"], check=False, timeout=280)
        check(out.exists(), f"no result: {(scan.stderr or scan.stdout)[-1000:]}")
        findings = json.loads(out.read_text())
        bad = [f for f in findings if f["severity"] not in LOW_OR_LESS and bare(f) not in EXCUSED]
        check(not bad, f"{len(bad)} above LOW: " + "; ".join(f"{f['id']} {f['severity']}: {f['finding']}" for f in bad[:8]))
        told = {bare(f): f["finding"] for f in findings}
        amiss = {k: told.get(k) for k, v in EXPECTED.items() if not told.get(k, "none").startswith(v)}
        check(not amiss, f"not as expected: {amiss}")
        serves(lab, "testssl.sh")
        excused = sorted({bare(f) for f in findings if f["severity"] not in LOW_OR_LESS})
        return in_one_epoch(lab, epoch, f"{len(findings)} findings, none above low; excused: {', '.join(excused) or 'none'}")


def nmap(lab, *words, timeout=90):
    return lab.exec("c1", ["nmap", "-n", "-Pn", *words], timeout=timeout).stdout


def port_states(text):
    return {int(p): state for p, state in re.findall(r"^(\d+)/tcp\s+(\S+)", text, re.M)}


@accept(7, "nmap sees open ports, silence on others, and two versions of TLS", "tls")
@limit(120)
def test_tls_nmap(case):
    """nmap: SYN, odd flags, service detection, every suite; a port without a service is silence, and counted."""
    with case.lab(nodes=3, mode="tls") as lab:
        epoch, holder, ports = lab.epoch(), lab.holder(), ",".join(map(str, PORTS))
        for host in ([plan.VIP4], ["-6", plan.VIP6]):
            seen = port_states(nmap(lab, "-sS", "-p", ports, *host))
            check(seen == PORTS, f"{host[-1]}: {seen}, not {PORTS}")
            for flags in ("-sF", "-sN", "-sX", "-sM", "-sA"):  # FIN, none, Xmas, Maimon, ACK: no session, so a reset
                seen = port_states(nmap(lab, flags, "-p", str(plan.WEB_PORT), *host))
                check(seen == {plan.WEB_PORT: "unfiltered" if flags == "-sA" else "closed"}, f"{flags} {host[-1]}: {seen}")
            suites = nmap(lab, "-p", str(plan.WEB_PORT), "--script", "+ssl-enum-ciphers", "--script-args",
                          f"tls.servername={plan.SERVER_NAME}", *host)
            check(re.findall(r"^\|   (\w+v[\d.]+):", suites, re.M) == ["TLSv1.2", "TLSv1.3"]
                  and "least strength: A\n" in suites and re.findall(r"compressors: \n\|\s+(.*)", suites) == ["NULL"]
                  and "_CBC_" not in suites, suites)
            serves(lab, f"port scans of {host[-1]}")
        service = nmap(lab, "-sV", "-p", str(plan.WEB_PORT), plan.VIP4)
        check(re.search(r"80/tcp open +ssl/http +nginx", service), service)
        serves(lab, "service detection")
        silent = lab.status(holder)["drops"].get("no_service", 0)
        check(silent >= 4, f"{silent} segments to ports without a service were counted")
        return in_one_epoch(lab, epoch, f"{len(PORTS)} ports as they are, over both families; {suites.count(' - A')} suites, "
                                        f"all of strength A; {silent} segments to no service dropped")


def s_client(lab, typed, *words):
    """What openssl's client says: its two outputs in one, without sessions and certificates."""
    argv = ["timeout", "20", "openssl", "s_client", "-connect", f"{plan.VIP4}:{plan.WEB_PORT}", "-servername",
            plan.SERVER_NAME, "-CAfile", str(lab.ca), *map(str, words)]
    return lab.exec("c1", ["sh", "-c", f"({typed}) | {shlex.join(argv)} 2>&1"], check=False).stdout


ASK = r"printf 'HEAD / HTTP/1.0\r\n\r\n'"
LEGACY = "ALL:@SECLEVEL=0"
REFUSALS = {  # what openssl's client offers: the alert that it must be answered with
    "TLS 1.1": (["-tls1_1", "-cipher", LEGACY], "alert protocol version"),
    "TLS 1.0": (["-tls1", "-cipher", LEGACY], "alert protocol version"),
    "CBC": (["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384"], "alert handshake failure"),
    "RSA key transport": (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "alert handshake failure"),
    "finite-field DHE": (["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], "alert handshake failure"),
    "CCM": (["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256"], "alert handshake failure"),
    "no common group": (["-tls1_3", "-groups", "P-521"], "alert handshake failure"),
    "no common protocol": (["-alpn", "h2"], "alert no application protocol"),
}


def with_early_data(session):
    """The session, as if its server had allowed early data: max_early_data, [15] of OpenSSL's ASN.1, put in."""
    der = base64.b64decode("".join(session.read_text().split("\n")[1:-2]))
    check(der[:2] == b"\x30\x82", "not a session of OpenSSL")
    body, at = der[4:], 0
    while at < len(body) and body[at] < 0xB0:  # [16] and above come after it
        size, head = body[at + 1], 2
        if size & 0x80:
            size, head = int.from_bytes(body[at + 2:at + 2 + (size & 0x7F)], "big"), 2 + (size & 0x7F)
        at += head + size
    body = body[:at] + bytes.fromhex("af0402024000") + body[at:]
    text = base64.encodebytes(b"\x30\x82" + len(body).to_bytes(2, "big") + body).decode()
    session.write_text(f"-----BEGIN SSL SESSION PARAMETERS-----\n{text}-----END SSL SESSION PARAMETERS-----\n")


@accept(7, "openssl's client is refused what is refused, by the right alert", "tls")
@limit(120)
def test_tls_refusals(case):
    """openssl s_client: old versions, CBC, RSA key transport, renegotiation, early data, plain HTTP."""
    with case.lab(nodes=3, mode="tls") as lab:
        epoch = lab.epoch()
        for what, (words, alert) in REFUSALS.items():
            said = s_client(lab, "true", *words)
            check(alert in said and "Cipher is (NONE)" in said, f"{what}: {said[-600:]}")
            serves(lab, what)
        said = s_client(lab, "echo R; sleep 1", "-tls1_2")
        check("RENEGOTIATING" in said and "no renegotiation" in said, f"renegotiation: {said[-600:]}")
        serves(lab, "renegotiation")
        session = lab.folder / "session"
        check("Max Early Data: 0" in s_client(lab, ASK, "-tls1_3", "-ign_eof", "-sess_out", session), "early data is allowed")
        with_early_data(session)
        (lab.folder / "early").write_text("HEAD /early HTTP/1.0\r\n\r\n")
        said = s_client(lab, ASK, "-tls1_3", "-ign_eof", "-sess_in", session, "-early_data", lab.folder / "early")
        check("Early data was rejected" in said and "HTTP/1.1 200" in said, f"early data: {said[-1200:]}")
        serves(lab, "early data")
        plain = lab.exec("c1", ["curl", "-sS", "-m", "10", "--http0.9", f"http://{plan.VIP4}/", "-o", lab.folder / "plain"],
                         check=False)
        answer = (lab.folder / "plain").read_bytes()
        check(plain.returncode == 0 and answer[:1] == b"\x15" and answer[5:] == b"\x02\x0a",
              f"plain HTTP: {plain.stderr} {answer[:40]!r}")  # fatal, unexpected_message
        serves(lab, "plain HTTP")
        return in_one_epoch(lab, epoch, f"{len(REFUSALS)} offers refused by their alerts; renegotiation refused, early data "
                                        "skipped, plain HTTP answered by an alert")
