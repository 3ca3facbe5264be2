"""The world: one switch namespace with three bridges; nodes, clients and backends around it.

Addresses are those for documentation only. Front: 198.51.100.0/24 and 2001:db8:1::/64; back: 203.0.113.0/24 and
2001:db8:2::/64; ring: 192.0.2.0/24.
"""
import json
import os
import secrets
import signal
import subprocess
import time

from . import backend, config
from . import namespaces as ns
from .namespaces import LabError
from .state import State, start_time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
NODE_NAMES = "abcdefgh"
VIPS = ["198.51.100.10", "2001:db8:1::10"]
POOLS = ["203.0.113.200", "2001:db8:2::200"]
SIDES = ("front", "back", "ring")


def build_directory():
    return os.environ.get("HOLDFAST_BUILD", os.path.join(ROOT, "build"))


class World:
    def __init__(self, name="lab"):
        self.state = State(name)
        self.name = name

    # ---- Names ------------------------------------------------------------------------------------------

    def namespace(self, who):
        return f"hf-{self.name}-{who}"

    @property
    def options(self):
        return self.state.data["options"]

    @property
    def nodes(self):
        return list(NODE_NAMES[: self.options["nodes"]])

    @property
    def clients(self):
        return [f"c{i + 1}" for i in range(self.options["clients"])]

    @property
    def backends(self):
        return [f"b{i + 1}" for i in range(self.options["backends"])]

    def run_dir(self, node):
        return os.path.join(self.state.directory, node)

    # ---- Up and down --------------------------------------------------------------------------------------

    def up(self, **options):
        if self.state.exists():
            raise LabError(f"lab {self.name} is up already; 'lab down' removes it")
        self.state.data["options"] = options
        self.state.save()
        try:
            self._build()
            for b in self.backends:
                self._start_backend(b)
            if not options.get("direct"):
                for n in self.nodes:
                    self.start(n)
        except BaseException:
            self.down()
            raise

    def _build(self):
        switch = self.namespace("sw")
        ns.add(switch, self.state)
        for side in SIDES:
            ns.add_bridge(switch, side)
        for i, node in enumerate(self.nodes):
            space = self.namespace(node)
            ns.add(space, self.state)
            for side in SIDES:
                ns.connect(switch, side, space, side, queues=self.options["workers"])
                ns.plain_offloads(space, side)
            if self.options["ring"] != "dpdk":  # else the ring is not the kernel's, and it would answer for it
                ns.address(space, "ring", f"192.0.2.{i + 1}/24")
            ns.address(space, "front", f"198.51.100.{i + 1}/24", f"2001:db8:1::{i + 1}/64")
            os.makedirs(self.run_dir(node), mode=0o755, exist_ok=True)
        for i, client in enumerate(self.clients):
            self._host(client, "front", [f"198.51.100.{101 + i}/24", f"2001:db8:1::{101 + i}/64"])
        for i, b in enumerate(self.backends):
            addresses = [f"203.0.113.{11 + i}/24", f"2001:db8:2::{11 + i}/64"]
            if self.options.get("direct"):
                addresses = [f"198.51.100.{10 + i}/24", f"2001:db8:1::{10 + i}/64"]
            self._host(b, "front" if self.options.get("direct") else "back", addresses)
        secret = os.path.join(self.state.directory, "secret")
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as f:
            f.write(secrets.token_hex(32) + "\n")

    def _host(self, who, side, addresses):
        space = self.namespace(who)
        ns.add(space, self.state)
        ns.connect(self.namespace("sw"), side, space, "eth0")
        ns.plain_offloads(space, "eth0")
        ns.address(space, "eth0", *addresses)
        # Pinned, so that figures do not depend on what the host prefers; probes find a dead path soon.
        ns.inside(space, "sysctl", "-q", "-w", "net.ipv4.tcp_congestion_control=reno", check=False)

    def _start_backend(self, name):
        directory = os.path.join(self.state.directory, name)
        os.makedirs(directory, exist_ok=True)
        for what, command in backend.commands(directory, ROOT).items():
            self._spawn(f"{name}.{what}", self.namespace(name), command)

    def _spawn(self, name, space, command, env=None):
        log = os.path.join(self.state.directory, name + ".log")
        with open(log, "ab") as out:
            process = subprocess.Popen(["ip", "netns", "exec", space, *command], stdout=out, stderr=out,
                                       stdin=subprocess.DEVNULL, start_new_session=True, env=env)
        self.state.set_process(name, process.pid)
        return process

    def down(self):
        for name in list(self.state.data["processes"]):
            pid = self.state.process(name)
            if pid:
                _kill(pid, signal.SIGCONT)
                _kill(pid, signal.SIGKILL)
        for space in reversed(self.state.data["namespaces"]):
            ns.remove(space)
        self.state.forget()

    # ---- Nodes --------------------------------------------------------------------------------------------

    def start(self, node):
        self._known(node)
        if self.state.process(node):
            raise LabError(f"node {node} is running")
        path = os.path.join(self.run_dir(node), "holdfast.toml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(config.for_node(self, node))
        daemon = os.path.join(build_directory(), "controlplane", "holdfastd")
        if not os.path.exists(daemon):
            raise LabError(f"{daemon} is not built; run 'make', or set HOLDFAST_BUILD")
        wrapper = self.options.get("wrapper") or []
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:exitcode=99", UBSAN_OPTIONS="print_stacktrace=1")
        self._spawn(node, self.namespace(node), [*wrapper, daemon, "--config", path], env=env)

    def _known(self, node):
        if node not in self.nodes:
            raise LabError(f"no node {node}; this lab has {', '.join(self.nodes)}")

    def pid(self, node):
        self._known(node)
        pid = self.state.process(node)
        if not pid:
            raise LabError(f"node {node} is not running")
        return pid

    def kill(self, *nodes):
        """SIGKILL to all of them in one go."""
        for pid in [self.pid(n) for n in nodes]:
            _kill(pid, signal.SIGKILL)

    def stop(self, node, timeout=10):
        pid = self.pid(node)
        started = start_time(pid)
        _kill(pid, signal.SIGTERM)
        until = time.monotonic() + timeout
        while start_time(pid) == started:
            if time.monotonic() > until:
                raise LabError(f"node {node} did not stop within {timeout} s")
            time.sleep(0.02)

    def pause(self, node):
        _kill(self.pid(node), signal.SIGSTOP)

    def resume(self, node):
        _kill(self.pid(node), signal.SIGCONT)

    def cut(self, node, side, on=True):
        self._known(node)
        if side not in SIDES:
            raise LabError(f"no side {side}; it is one of {', '.join(SIDES)}")
        ns.run("ip", "-n", self.namespace("sw"), "link", "set", f"{node}-{side}", "down" if on else "up")

    def holdctl(self, node, *words, timeout=5):
        """holdctl's JSON answer from a node, or None when it cannot be reached."""
        program = os.path.join(build_directory(), "tools", "holdctl", "holdctl")
        done = subprocess.run([program, "--socket", os.path.join(self.run_dir(node), "api.sock"), "--json", *words],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout,
                              check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def running(self):
        return [n for n in self.nodes if self.state.process(n)]


def _kill(pid, sig):
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        pass
