"""holdfast-gen on a real cluster: what it says of a failover, and whether its numbers are those of others."""
import json
import os
import signal
import subprocess
import tempfile

from tests.system.harness import Capture, DETECTION_MS, Failure, check, limit, plan, wait_new_holder
from tools.lab.world import generator_path


def told_to_run(lab, profile, *settings):
    lab.generator.told(f"set profile {profile}", *settings, "start", "wait running 30")
    return lab.generator


def clean(report):
    """Nothing lost, nothing wrong, everything answered."""
    c = report["counters"]
    bad = {k: c[k] for k in ("wrong_octets", "sessions_lost", "requests_lost", "resets", "timeouts", "no_session_free") if c[k]}
    check(not bad, f"{bad}; drops {report['drops']}")
    check(report["outstanding"] == 0 and report["owed"] == 0,
          f"{report['outstanding']} outstanding, {report['owed']} owed")
    return c


def finished(generator, seconds=30):
    generator.told("stop", f"wait drained {seconds}")
    return generator.report()


@limit(60)
def test_trafficgen_sees_a_failover(case):
    """kill -9 of the holder under 200 checked sessions: none lost, no octet wrong, and the gap is told."""
    with case.lab(nodes=3, backends=1, generator=True) as lab:
        gen = told_to_run(lab, "verify", "set sessions 200", "set rate 2000")
        lab.wait_for("answers", lambda: gen.report()["counters"]["answers"] > 1000, 20)
        gen.told("clear stats")  # what this machine was slow at before is not the failover's
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        before = gen.report()["counters"]["answers"]
        lab.wait_for("answers after it", lambda: gen.report()["counters"]["answers"] > before + 1000, 20)
        report = finished(gen)
        c = clean(report)
        seen = report["failover"]
        # The holder's last heartbeat may have left just before it died, or 20 ms earlier; in the least silence that
        # leaves, 160 requests come due at 2,000 a second, each on another session.
        check(seen["count"] >= 1 and seen["longest_ms"] >= DETECTION_MS - 21, f"no gap told: {seen}")
        check(sum(g["sent_during"] for g in seen["gaps"]) > 0 and seen["session_waits"] >= 100, f"{seen}")
        check(c["resent_octets"] > 0, "nothing had to be sent again")
        gen.end()
        return (f"{first} killed, {second} took over: {c['answers']} answers, silence {seen['longest_ms']:.0f} ms, of a "
                f"session {seen['longest_session_ms']:.0f} ms, {seen['gaps'][0]['in_flight']} in flight, "
                f"{sum(g['sent_during'] for g in seen['gaps'])} sent into it, {c['wrong_octets']} octets wrong")


class Counted:
    """What a capture holds of the generator's TCP: frames and octets of payload it sent, and got."""

    def __init__(self, frames, mac):
        self.sent = self.got = self.payload_sent = self.payload_got = self.syns = 0
        for _, f in frames:
            if f[12:14] == b"\x08\x00" and f[23] == 6:
                ip, size = f[14:], int.from_bytes(f[16:18], "big")
                tcp = ip[(ip[0] & 15) * 4:]
                payload = size - (ip[0] & 15) * 4 - (tcp[12] >> 4) * 4
            elif f[12:14] == b"\x86\xdd" and f[20] == 6:
                tcp = f[54:]
                payload = int.from_bytes(f[18:20], "big") - (tcp[12] >> 4) * 4
            else:
                continue
            if f[6:12] == mac:
                self.sent += 1
                self.payload_sent += payload
                self.syns += tcp[13] & 0x12 == 2
            else:
                self.got += 1
                self.payload_got += payload


def mac_of(lab, link):
    said = lab.exec(plan.GENERATOR, ["cat", f"/sys/class/net/{link}/address"]).stdout
    return bytes.fromhex(said.strip().replace(":", ""))


@limit(60)
def test_trafficgen_counts_right(case):
    """Its counters, the devices' and two captures of tcpdump's agree to the frame and to the octet."""
    with case.lab(nodes=1, backends=1, generator=True, solo="allow", copies=1) as lab:
        captures = {link: Capture(lab, plan.GENERATOR, link, sent_only=False) for link in (plan.FRONT, plan.BACK)}
        gen = told_to_run(lab, "http", "set rate 300", "set requests 3")
        lab.wait_for("some connections", lambda: gen.report()["counters"]["finished"] > 500, 20)
        report = finished(gen)
        counted = {link: Counted(captures[link].stop(), mac_of(lab, link)) for link in captures}
        c = clean(report)
        ports = {p["name"]: p for p in report["ports"]}
        sent = sum(k.sent for k in counted.values())
        told = c["tx_frames"] - c["arp_asked"] - c["arp_answered"]
        check(sent == told, f"sent: it says {told}, tcpdump {sent}")
        check(sum(p["tx_packets"] for p in ports.values()) == c["tx_frames"], f"devices sent: {ports}, it says {c['tx_frames']}")
        check(sum(p["rx_packets"] for p in ports.values()) == c["rx_frames"], f"devices got: {ports}, it says {c['rx_frames']}")
        payload = sum(k.payload_sent for k in counted.values())
        check(payload == c["payload_sent"], f"payload sent: it says {c['payload_sent']}, tcpdump {payload}")
        got = sum(k.payload_got for k in counted.values())
        check(got == c["payload_received"], f"payload got: it says {c['payload_received']}, tcpdump {got}")
        check(c["answers"] == c["requests"] == 3 * c["opened"], f"{c['answers']} answers to {c['requests']} requests")
        check(counted[plan.FRONT].syns == c["opened"] and c["opened"] == c["server_accepted"] == c["finished"],
              f"connections: {c['opened']} opened, {counted[plan.FRONT].syns} SYNs on the front, {c['finished']} finished")
        gen.end()
        return f"{sent} frames with {payload} octets of payload, {c['opened']} connections: the same to tcpdump and the devices"


def batch(*arguments, **options):
    return subprocess.Popen([str(generator_path()), "--front", "net_ring0", "--target", "198.51.100.10:80", *arguments],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL, **options)


def refused(arguments, text):
    process = batch(*arguments)
    _, said = process.communicate(timeout=20)
    check(process.returncode == 2 and text in said, f"{arguments}: exit {process.returncode}, {said!r}")


@limit(60)
def test_trafficgen_command_line(case):
    """Batch mode ends in order on SIGINT; arguments and files that are wrong are refused with where and why."""
    helped = subprocess.run([str(generator_path()), "--help"], capture_output=True, text=True, timeout=20)
    check(helped.returncode == 0 and "--front" in helped.stdout, f"--help: {helped}")
    refused(["--profile", "bulk"], "no profile 'bulk'")
    refused(["--attack", "flood=1"], "'flood=1'")
    refused(["--target", "198.51.100.10"], "is not ADDRESS:PORT")
    with tempfile.TemporaryDirectory() as folder:
        mix = os.path.join(folder, "web.mix")
        with open(mix, "w") as file:
            file.write("70 1 120 600 fin\n30 4 200 many rst\n")
        refused(["--profile", "mixed", "--mix", mix], f"{mix}:2: response is 'many'")
        with open(mix, "w") as file:
            file.write("70 1 120 600 fin\n25 4 200 20000 rst\n5 1 6 0 silent\n")
        done = batch("--profile", "mixed", "--mix", mix, "--rate", "200", "--run", "1", "--json", "-")
        out, err = done.communicate(timeout=30)
        check(done.returncode == 0, f"mixed: exit {done.returncode}: {out[-300:]} {err[-300:]}")
        clean(json.loads(out))
        went = os.path.join(folder, "report.json")
        process = batch("--rate", "500", "--sessions", "50", "--run", "1000", "--json", went, "--stats-period", "0.1")
        for line in process.stdout:
            if "established (running)" in line:
                break
        else:
            raise Failure("never ran")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        check(process.returncode == 0, f"after SIGINT: exit {process.returncode}")
        with open(went) as file:
            c = clean(json.load(file))
        silent = batch("--run", "1", "--open-limit", "0.5", "--clients", "192.0.2.1", "--target", "203.0.113.1:80", "--server",
                       "203.0.113.2:80")
        _, err = silent.communicate(timeout=20)
        check(silent.returncode == 1 and "does not answer ARP" in err, f"nobody there: {silent.returncode} {err!r}")
    return f"{c['answers']} answers before SIGINT"
