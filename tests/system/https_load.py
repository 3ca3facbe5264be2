"""Many HTTPS transfers at once by real curl from nginx, and rounds of them through which holders are killed.

Each transfer has a TLS version, a suite, a family and a direction of its own, is paced for a few seconds, and its body
is judged by sha256. Curl must tell of no error whatever.
"""
import hashlib
import json
import random
import re
import subprocess
import time

from tests.system.harness import Failure, LabError, check, counters, netns, plan, wait_new_holder
from tests.system.test_tls import SUITES

SIZE, RATE = 200_000, 60_000  # about 3.3 s each
PROCESSES = 10                # of curl, each with a tenth of the transfers
HANDSHAKES_S = 15
SETTLED_S = 0.1               # after the last handshake: by then its session has owners
EVERY_SUITE = [(v, s) for v, suites in SUITES.items() for s in suites]


class Moved(Exception):
    """Another node took over during the handshakes: the machine was busy. Nothing is promised about those."""


class Transfers:
    """`count` transfers in flight, dealt over suites, families and directions by their number."""

    def __init__(self, lab, count, ways=("down", "up")):
        self.lab, self.count, self.ways = lab, count, ways
        self.file = lab.make_file("body", SIZE)
        self.digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        self.folder = lab.folder / "transfers"
        self.folder.mkdir(exist_ok=True)
        for old in self.folder.iterdir():
            old.unlink()
        self.holder = lab.holder()
        self.before = counters(lab, self.holder, "tls").get("handshakes", 0)
        self.curls = [self.spawn(range(first, count, PROCESSES)) for first in range(min(PROCESSES, count))]

    def spawn(self, numbers):
        config = self.folder / f"{numbers[0]}.curl"
        config.write_text("\nnext\n".join(self.section(n) for n in numbers) + "\n")
        argv = ["curl", "-Z", "--parallel-immediate", "--parallel-max", str(len(numbers)), "-K", str(config)]
        return subprocess.Popen(netns.argv_inside(self.lab.state.owned("c1"), argv), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def goes_up(self, number):
        return self.ways[number % len(self.ways)] == "up"

    def section(self, number):
        version, suite = EVERY_SUITE[number % len(EVERY_SUITE)]
        host = [plan.VIP4, f"[{plan.VIP6}]"][number // len(EVERY_SUITE) % 2]
        up = self.goes_up(number)
        path = "/upload" if up else f"/rate/{RATE}/body"
        words = [f'url = "https://{plan.SERVER_NAME}:{plan.WEB_PORT}{path}"',
                 f'connect-to = "{plan.SERVER_NAME}:{plan.WEB_PORT}:{host}:{plan.WEB_PORT}"',
                 f'cacert = "{self.lab.ca}"', f'output = "{self.folder}/{number}.body"',
                 "silent", "show-error", "fail", "globoff", "max-time = 20", f"tlsv{version}", f"tls-max = {version}",
                 f'{"tls13-ciphers" if version == "1.3" else "ciphers"} = "{suite}"',
                 f'write-out = "transfer {number} exit %{{exitcode}} http %{{http_code}} %{{errormsg}}\\n"']
        if up:
            words += [f'upload-file = "{self.file}"', f'limit-rate = "{RATE}"', 'header = "Expect:"']
        return "\n".join(words)

    def wait_moving(self):
        """Every handshake is done; one that is cut off half-way is not promised to go on."""
        def done():
            if self.done_handshakes() >= self.count:
                return True
            if any(c.poll() is not None for c in self.curls):
                raise LabError("a curl ended early")
            return False
        try:
            self.lab.wait_for(f"{self.count} handshakes", done, HANDSHAKES_S)
        except LabError as e:
            if self.lab.holder() != self.holder:
                raise Moved from e
            raise Failure(f"{e}: {self.state()}") from e

    def done_handshakes(self):
        return counters(self.lab, self.holder, "tls").get("handshakes", 0) - self.before

    def state(self):
        """For a failure: how far it came, what the holder counted, and what curl said."""
        self.kill_curls()
        said = " ".join(line for c in self.curls for line in c.communicate()[0].splitlines()
                        if " exit 0 http 200" not in line)
        told = {m: {k: v for k, v in counters(self.lab, self.holder, m).items() if v} for m in ("relay", "tls")}
        return f"{self.done_handshakes()} handshakes at {self.holder}, {told}; curl: {said[:1500]}"

    def judge(self):
        """The transfers that are not byte-exact, in words."""
        said = "".join(c.communicate(timeout=60)[0] for c in self.curls)
        told = re.findall(r"transfer \d+ exit.*|curl: .*", said)  # among them curl's progress
        bad = [line for line in told if " exit 0 http 200" not in line]
        for number in range(self.count):
            body = self.folder / f"{number}.body"
            data = body.read_bytes() if body.exists() else b""
            if not self.goes_up(number):
                right = data == self.file.read_bytes()
            else:
                right = data.startswith(b"{") and json.loads(data)["sha256"] == self.digest
            if not right:
                bad.append(f"transfer {number} ({self.section(number).splitlines()[0]}): {len(data)} octets")
        return bad

    def kill_curls(self):
        for curl in self.curls:
            if curl.poll() is None:
                curl.kill()
                curl.wait()


def kill_round(lab, moments, count=100, ways=("down", "up")):
    """The holder dies at a random moment, its successor at another; the transfers must not notice."""
    transfers = Transfers(lab, count, ways)
    try:
        transfers.wait_moving()
        time.sleep(SETTLED_S + moments.uniform(0, 0.9))
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        time.sleep(moments.uniform(0.3, 0.9))
        lab.kill(second)
        wait_new_holder(lab, first, second)
        bad = transfers.judge()
    finally:
        transfers.kill_curls()
    if bad:
        sockets = lab.exec("c1", ["ss", "-tnoi", "dport", "=", f":{plan.WEB_PORT}"], check=False).stdout
        (lab.folder / "sockets.log").write_text(sockets)
    check(not bad, f"{len(bad)} complaints about {count} transfers through the deaths of {first}, {second}: "
          + "; ".join(bad[:6]))
    return first, second


def settled_round(lab, moments, tries=3, **transfers):
    """A round whose handshakes were done by one holder."""
    while True:
        try:
            return kill_round(lab, moments, **transfers)
        except Moved:
            tries -= 1
            check(tries > 0, "the holder changes by itself again and again")
            lab.wait_steady()


def kill_rounds(lab, seed, rounds, **transfers):
    """`rounds` times two deaths, in one lab whose nodes come back in between. Returns the deaths."""
    moments, deaths = random.Random(f"moments {seed}"), []
    for number in range(rounds):
        if number:
            for node in deaths[-2:]:
                lab.start(node)
            lab.wait_steady()
        try:
            deaths += settled_round(lab, moments, **transfers)
        except BaseException:
            print(f"#    seed {seed}, round {number + 1} of {rounds}", flush=True)
            raise
    return deaths
