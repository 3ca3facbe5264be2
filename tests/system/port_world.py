"""A peer, a node and a far peer in namespaces of their own, veth pairs between them ("front" and "back" at the
node), and port_reflect on the node's ends.

For the port_*.py tests. Prints "ok what" or "not ok what: why" for each check; nothing is left behind, also
when interrupted. Documentation addresses only.
"""
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HOLDFAST_BUILD", ROOT / "build"))
REFLECT = BUILD / "dataplane" / "port" / "port_reflect"

PEER4, NODE4, FAR4, VIP4 = "192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.50"
PEER6, NODE6, FAR6, VIP6 = "2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::50"

# Sends datagrams to a UDP echo and prints lost, and round trips in microseconds: min, median, 99th percentile.
ROUND_TRIPS = r"""
import socket, sys, time
address, count, gap = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
took, lost = [], 0
for i in range(count):
    began = time.perf_counter_ns()
    s.sendto(b"x" * 32, (address, 7))
    try:
        s.recv(2048)
        took.append((time.perf_counter_ns() - began) // 1000)
    except OSError:
        lost += 1
    time.sleep(gap)
took.sort()
print(lost, *([took[0], took[len(took) // 2], took[len(took) * 99 // 100]] if took else [0, 0, 0]))
"""

# Serves one TCP connection on all addresses: reads everything, answers how much it was.
TCP_SINK = r"""
import socket
s = socket.create_server(("::", 7), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
for _ in range(2):
    c, _ = s.accept()
    n = 0
    while chunk := c.recv(65536):
        n += len(chunk)
    c.sendall(str(n).encode())
    c.close()
"""

TCP_SOURCE = r"""
import socket, sys
c = socket.create_connection((sys.argv[1], 7), timeout=5)
c.sendall(bytes(int(sys.argv[2])))
c.shutdown(socket.SHUT_WR)
print(c.recv(100).decode())
"""


class World:
    def __enter__(self):
        if os.geteuid() != 0:
            sys.exit("not ok: namespaces need root")
        if not REFLECT.exists():
            sys.exit(f"not ok: {REFLECT} is not built")
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("not ok: terminated"))
        self.peer, self.node, self.far = (f"hfport-{os.getpid()}-{end}" for end in "pnf")
        self.failed, self.children = 0, []
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(self, *_):
        self._remove()

    def _build(self):
        for name in (self.peer, self.node, self.far):
            run("ip", "netns", "add", name)
            self.inside(name, "ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "peer0", "netns", self.peer, "type", "veth",
            "peer", "name", "front", "netns", self.node)
        run("ip", "link", "add", "far0", "netns", self.far, "type", "veth",
            "peer", "name", "back", "netns", self.node)
        # The node's back has no address: what goes there is the poll loop's alone.
        self.inside(self.node, "sysctl", "-qw", "net.ipv6.conf.back.disable_ipv6=1")
        self.inside(self.node, "ip", "link", "set", "back", "up")
        for name, device, v4, v6 in ((self.peer, "peer0", PEER4, PEER6), (self.node, "front", NODE4, NODE6),
                                     (self.far, "far0", FAR4, FAR6)):
            self.inside(name, "sysctl", "-qw", f"net.ipv6.conf.{device}.accept_dad=0")
            self.inside(name, "ip", "addr", "add", v4 + "/24", "dev", device)
            self.inside(name, "ip", "addr", "add", v6 + "/64", "dev", device, "nodad")
            self.inside(name, "ip", "link", "set", device, "up")
            # A veth's end sends half-made checksums and giants unless told not to.
            self.inside(name, "ethtool", "-K", device, "tx", "off", "gso", "off", "tso", "off")

    def _remove(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
                child.wait()
        for name in (self.peer, self.node, self.far):
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)

    def inside(self, name, *command):
        return run("ip", "netns", "exec", name, *command)

    def start(self, name, *command):
        child = subprocess.Popen(["ip", "netns", "exec", name, *map(str, command)], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.children.append(child)
        return child

    def reflect(self, *arguments):
        """port_reflect in the node's namespace; returns when its loops run."""
        child = self.start(self.node, REFLECT, *arguments)
        if not child.stdout.readline().startswith("ready"):
            sys.exit("not ok: port_reflect does not start: " + child.stderr.read())
        return child

    def counters(self, child):
        """Ends port_reflect; what it counted."""
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=10)
        if child.returncode != 0:
            sys.exit(f"not ok: port_reflect ended with {child.returncode}: {err}")
        pairs = (line.rsplit(" ", 1) for line in out.splitlines())
        return {name: int(value) for name, value in pairs if value.isdigit()}

    def round_trips(self, address, count=100, gap=0.0):
        """(lost, min, median, p99) in microseconds."""
        out = self.inside(self.peer, sys.executable, "-c", ROUND_TRIPS, address, str(count), str(gap))
        return tuple(map(int, out.split()))

    def check(self, good, what, why=""):
        print(f"ok {what}" if good else f"not ok {what}: {why}", flush=True)
        self.failed += not good
        return good


def run(*command):
    done = subprocess.run(list(map(str, command)), text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"not ok: {' '.join(map(str, command))[:200]}: {done.stderr.strip()}")
    return done.stdout


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
