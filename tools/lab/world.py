"""A lab: builds its world, starts what runs in it, and breaks it as told. The command line, the demo and the system
tests all use this one class.

    with Lab.up("mine", Options(nodes=4)) as lab:
        lab.kill(lab.holder())

Leaving the block, by whatever way, leaves nothing behind. A process that made a lab may die at any moment: `lab down`
in another one removes it all from the state file.
"""
import os
import random
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tools.lab import api, config, netns, plan
from tools.lab.generator import Generator
from tools.lab.netns import LabError, run
from tools.lab.plan import Options
from tools.lab.state import State, locked

ROOT = Path(__file__).resolve().parent.parent.parent
READY_TIMEOUT_S = 30
STEADY_S = 0.5
NODE_NICE = -15

# Nothing resolves or announces by itself, nothing waits for duplicate address detection, nothing is forwarded by the
# kernel, and what one connection learned does not change the next.
SYSCTLS = [
    ("net/ipv4/ip_forward", 0), ("net/ipv6/conf/all/forwarding", 0),
    ("net/ipv4/conf/all/rp_filter", 0), ("net/ipv4/conf/default/rp_filter", 0),
    ("net/ipv6/conf/all/accept_dad", 0), ("net/ipv6/conf/default/accept_dad", 0),
    ("net/ipv6/conf/all/accept_ra", 0), ("net/ipv6/conf/default/accept_ra", 0),
    ("net/ipv6/conf/default/router_solicitations", 0),
    ("net/ipv4/tcp_congestion_control", "cubic"), ("net/ipv4/tcp_no_metrics_save", 1),
    ("net/ipv4/ip_local_port_range", "20000 60999"), ("net/ipv4/tcp_max_syn_backlog", 8192),
    ("net/core/somaxconn", 8192),
]


def build_folder():
    return (ROOT / os.environ.get("HOLDFAST_BUILD", "build")).resolve()


def daemon_path():
    return Path(os.environ.get("HOLDFASTD", build_folder() / "controlplane/holdfastd"))


def generator_path():
    return build_folder() / "tools/trafficgen/holdfast-gen"


def holdctl_path():
    return build_folder() / "tools/holdctl/holdctl"


class Lab:
    def __init__(self, state):
        self.state = state
        self.name = state.name
        self.options = state.options
        self.folder = state.folder
        self.hosts = {h.name: h for h in plan.hosts(state.options)}
        self.generator = Generator(self)

    # --- life ---

    @staticmethod
    def open(name):
        return Lab(State.load(name))

    @staticmethod
    def up(name="lab", options=Options(), wait=True, nodes=True):
        """Builds and starts everything, or leaves nothing. With `wait`: returns when the cluster is whole. Without `nodes`
        theirs are namespaces in which nothing runs yet."""
        options.check()
        if nodes and options.nodes and not options.direct and not daemon_path().exists():
            raise LabError(f"{daemon_path()} is not there: make, or set HOLDFAST_BUILD")
        state = State(name, options)
        if (state.folder / "state.json").exists():
            raise LabError(f"lab {name!r} is up already: lab down --name {name}")
        lab = Lab(state)
        try:
            state.save()
            lab.build()
            lab.start_servers()
            if options.generator:
                lab.generator.start()
            for node in lab.nodes() if nodes else []:
                lab.start(node)
            if wait:
                lab.wait_servers()
                lab.wait_nodes(lab.nodes() if nodes else [])
        except BaseException:
            lab.down(keep_logs=True)
            raise
        return lab

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    def down(self, keep_logs=False):
        """Idempotent; not stopped half-way by a second Ctrl-C."""
        held = {}
        if signal.getsignal(signal.SIGINT) is not None:
            try:
                held = {n: signal.signal(n, signal.SIG_IGN) for n in (signal.SIGINT, signal.SIGTERM)}
            except ValueError:  # not in the main thread
                pass
        try:
            self.state.end_processes()
            if keep_logs:
                self.keep_logs()
            self.state.remove_namespaces()
            self.state.remove()
        finally:
            for number, handler in held.items():
                signal.signal(number, handler)

    def keep_logs(self):
        """The logs of a lab that failed to come up, or whose test failed, outlive it: /tmp/holdfast-lab-<name>."""
        to = Path(f"/tmp/holdfast-lab-{self.name}")
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(mode=0o755)
        for pattern in ("*.log", "*/*.toml", "*.json", "*/nginx-error.log", "*.pcap", "*.csv"):
            for file in self.folder.glob(pattern):
                shutil.copy(file, to / str(file.relative_to(self.folder)).replace("/", "-"))
        return to

    # --- building ---

    def build(self):
        net = self.state.make_namespace(plan.NET)
        netns.sysctl(net, SYSCTLS)
        lines = []
        for link in plan.LINKS:
            # Without a querier a snooping bridge drops multicast.
            lines += [f"link add {link} type bridge mcast_snooping 0", f"link set {link} up"]
        if self.options.direct:
            lines += ["link add join-front type veth peer name join-back"]
            for link in (plan.FRONT, plan.BACK):
                lines += [f"link set join-{link} master {link}", f"link set join-{link} up"]
        netns.ip_batch(net, lines)
        for host in self.hosts.values():
            self.build_host(net, host)

    def build_host(self, net, host):
        inside = self.state.make_namespace(host.name)
        netns.sysctl(inside, SYSCTLS)
        outer, inner = [], ["link set lo up"]
        for a in host.attachments:
            port = plan.bridge_port(host.name, a.link)
            # AF_XDP opens one queue here (config.device); what came in on another would be dropped.
            count = 1 if self.options.device == "af_xdp" else self.options.workers
            queues = f"numtxqueues {count} numrxqueues {count}"
            outer += [f"link add {port} {queues} type veth peer name {a.link} netns {inside} {queues}",
                      f"link set {port} master {a.link}", f"link set {port} up"]
            inner += [f"link set {a.link} up"]
            inner += [f"addr add {address} dev {a.link}" + (" nodad" if ":" in address else "")
                      for address in a.addresses]
            if self.options.direct:
                four, six = plan.networks(plan.FRONT if a.link == plan.BACK else plan.BACK)
                inner += [f"route add {four} dev {a.link}", f"route add {six} dev {a.link}"]
        netns.ip_batch(net, outer)
        netns.ip_batch(inside, inner)
        for a in host.attachments:
            # A kernel peer on a veth sends unfinished checksums and 64 KB frames: what no wire carries.
            if host.kind != "node" or a.link == plan.RING:
                run(netns.argv_inside(inside, ["ethtool", "-K", a.link, "tx", "off", "tso", "off", "gso", "off",
                                               "gro", "off"]))

    def start_servers(self):
        www = self.folder / "www"
        www.mkdir(exist_ok=True)
        self.make_file("1m", 1 << 20)
        (www / "index.html").write_text("holdfast lab\n")
        for host in [h for h in self.hosts.values() if h.kind == "backend"]:
            own = self.folder / host.name
            own.mkdir(exist_ok=True)
            (own / "nginx.conf").write_text(config.nginx_conf(self.options, self.folder, host.name, www))
            self.spawn(host.name, ["nginx", "-e", str(own / "nginx-error.log"), "-p", str(own), "-c",
                                   str(own / "nginx.conf")], key=f"{host.name}/nginx")
            self.spawn(host.name, ["python3", str(ROOT / "tools/lab/server.py"), "--port", str(plan.STREAM_PORT)],
                       key=f"{host.name}/server")

    def make_certificates(self):
        """Self-signed, one of each kind of key; clients trust ca.pem. 90 days: scanners call less than 60 too few."""
        keys = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["rsa:2048"]}
        pem = ""
        for kind in plan.KEY_KINDS:
            chain, key = (self.folder / f"{kind}.{part}" for part in ("pem", "key"))
            if not chain.exists():
                subprocess.run(["openssl", "req", "-x509", "-newkey", *keys[kind], "-nodes", "-keyout", str(key), "-out",
                                str(chain), "-days", "90", "-subj", f"/CN={plan.SERVER_NAME}", "-addext",
                                f"subjectAltName=DNS:{plan.SERVER_NAME}"], check=True, capture_output=True)
            pem += chain.read_text()
        self.ca.write_text(pem)

    @property
    def ca(self):
        return self.folder / "ca.pem"

    def make_file(self, name, size):
        """A file that nginx serves: the same bytes each time, different everywhere."""
        path = self.folder / "www" / name
        source = random.Random(f"holdfast {name}")
        with open(path, "wb") as file:
            left = size
            while left > 0:
                file.write(source.randbytes(min(left, 1 << 20)))
                left -= 1 << 20
        return path

    # --- processes ---

    def spawn(self, host, argv, key=None, stdin=subprocess.DEVNULL):
        """Starts something in a host's namespace; its output goes to <folder>/<key with dots>.log."""
        key = key or f"{host}/{len(self.state.processes)}"
        process = netns.spawn(self.state.owned(host), [str(a) for a in argv], self.log(key), stdin)
        self.state.record(key, process.pid, argv[0] if isinstance(argv[0], str) else str(argv[0]))
        return process

    def log(self, key):
        return self.folder / (key.replace("/", ".") + ".log")

    def exec(self, host, argv, **options):
        """Runs something to its end in a host's namespace, bounded in time."""
        return run(netns.argv_inside(self.state.owned(host), [str(a) for a in argv]), **options)

    def nodes(self):
        return plan.node_names(self.options)

    def running(self, node):
        return self.state.pid(node) is not None

    def need_node(self, node):
        if node not in self.nodes():
            raise LabError(f"lab {self.name} has no node {node!r}; it has {', '.join(self.nodes())}")

    def start(self, node):
        self.need_node(node)
        if self.running(node):
            raise LabError(f"{node} runs already")
        own = self.folder / node
        own.mkdir(exist_ok=True)
        secret = self.folder / "secret"
        if not secret.exists():
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_hex(32) + "\n")
        if self.options.mode == "tls":
            self.make_certificates()
        file = own / "holdfast.toml"
        file.write_text(config.holdfast_toml(self.name, self.folder, self.options, self.nodes().index(node)))
        # In its place it has cores of its own; here it shares two with everybody, and goes first.
        self.spawn(node, ["nice", "-n", str(NODE_NICE), daemon_path(), "--config", file], key=node)

    def kill(self, *nodes):
        """SIGKILL, to all of them at one instant; returns the monotonic time of it."""
        for node in nodes:
            self.need_node(node)
            if not self.running(node):
                raise LabError(f"{node} does not run")
        at = time.monotonic()
        pids = [self.state.signal(node, signal.SIGKILL) for node in nodes]
        for node, pid in zip(nodes, pids):
            netns.wait_gone(pid, self.state.processes[node]["start"], 5)
        return at

    def stop(self, node, seconds=10):
        """SIGTERM: the node hands over what it holds. True when it ended in time; its exit code is not ours to see."""
        self.need_node(node)
        pid = self.state.signal(node, signal.SIGTERM)
        return netns.wait_gone(pid, self.state.processes[node]["start"], seconds)

    def pause(self, node):
        self.need_node(node)
        self.state.signal(node, signal.SIGSTOP)

    def resume(self, node):
        self.need_node(node)
        self.state.signal(node, signal.SIGCONT)

    # --- breaking the network ---

    def port_state(self, host, link, word):
        attached = [a.link for a in self.hosts[host].attachments] if host in self.hosts else []
        if link not in attached:
            raise LabError(f"{host} has no link {link!r}; it has {', '.join(attached)}")
        net = self.state.owned(plan.NET)
        run(["bridge", "-n", net, "link", "set", "dev", plan.bridge_port(host, link), "state", word])

    def cut(self, host, link):
        """The bridge passes nothing to or from that port; both ends keep their carrier, as behind a broken switch."""
        self.port_state(host, link, "disabled")

    def heal(self, host, link):
        self.port_state(host, link, "forwarding")

    def loss(self, percent, seed=1):
        """Loses that share of UDP on its way to each node's ring port. 0 ends it."""
        if not 0 <= percent <= 100:
            raise LabError("loss is from 0 to 100 percent")
        net = self.state.owned(plan.NET)
        for i, node in enumerate(self.nodes()):
            port = plan.bridge_port(node, plan.RING)
            run(["tc", "-n", net, "qdisc", "del", "dev", port, "clsact"], check=False)
            if percent == 0:
                continue
            binary = self.folder / f"loss-{node}.o"
            run(["clang", "-O2", "-target", "bpf", f"-DLOSS={min(int(percent / 100 * 2**32), 2**32 - 1)}u",
                 f"-DSEED={(seed * 1_000_003 + i) * 2_654_435_761 | 1}ull", "-c",
                 str(ROOT / "tools/lab/loss.bpf.c"), "-o", str(binary)])
            run(["tc", "-n", net, "qdisc", "add", "dev", port, "clsact"])
            run(["tc", "-n", net, "filter", "add", "dev", port, "egress", "bpf", "da", "obj", str(binary), "sec",
                 "classifier"])

    # --- looking ---

    def socket(self, node):
        return self.folder / node / "api.sock"

    def ask(self, node, target, method="GET", body=None, timeout=2.0):
        self.need_node(node)
        return api.ask(self.socket(node), target, method, body, timeout)

    def status(self, node):
        """GET /v1/status of a node, None when it does not answer."""
        if not self.running(node) or netns.stopped(self.state.pid(node)):
            return None
        return api.get(self.socket(node), "/v1/status")

    def statuses(self):
        return {n: s for n in self.nodes() if (s := self.status(n))}

    def holders(self, group=1):
        """The nodes that say they hold the group."""
        return [n for n, s in self.statuses().items()
                if any(g["id"] == group and g["role"] == "holder" for g in s["groups"])]

    def holder(self, group=1):
        held = self.holders(group)
        return held[0] if held else None

    def lines(self, key):
        """What a process has said so far; the last is what follows the last end of a line."""
        return self.log(key).read_text(errors="replace").split("\n")

    def wait_for(self, what, condition, seconds=READY_TIMEOUT_S):
        """Polls until the condition gives something true, which it returns."""
        deadline = time.monotonic() + seconds
        while True:
            answer = condition()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise LabError(f"not within {seconds} s: {what}")
            time.sleep(0.02)

    def whole(self):
        """Every running node answers, one holds the group, and the holder's view has them all on every worker."""
        running = [n for n in self.nodes() if self.running(n)]
        seen = self.statuses()
        if sorted(seen) != sorted(running):
            return False
        held = [n for n, s in seen.items() if any(g["role"] == "holder" and not g["mixed"] for g in s["groups"])]
        return len(held) == 1 and all(set(w["view"]["members"]) >= set(running) for w in seen[held[0]]["workers"])

    def epoch(self, group=1):
        """The highest epoch any node knows."""
        return max((g["epoch"] for s in self.statuses().values() for g in s["groups"] if g["id"] == group), default=0)

    def wait_steady(self, seconds=READY_TIMEOUT_S):
        """The cluster is whole, and was all the last while in one epoch."""
        deadline = time.monotonic() + seconds
        since, epoch = None, None
        while since is None or time.monotonic() - since < STEADY_S:
            if not self.whole():
                since = None
            elif since is None or self.epoch() != epoch:
                since, epoch = time.monotonic(), self.epoch()
            if time.monotonic() > deadline:
                raise LabError(f"not within {seconds} s: one holder for {STEADY_S} s, with every node in its view")
            time.sleep(0.02)

    def wait_servers(self):
        for host in [h for h in self.hosts.values() if h.kind == "backend"]:
            for port in (plan.WEB_PORT, plan.STREAM_PORT):
                self.wait_for(f"{host.name} listens on port {port}", lambda: self.listens(host.name, port), 10)

    def wait_nodes(self, nodes, seconds=READY_TIMEOUT_S):
        for node in nodes:
            self.wait_for(f"{node} answers on its socket (see {self.log(node)})",
                          lambda: self.status(node) or self.died(node), seconds)
        if nodes:
            self.wait_steady(seconds)

    def died(self, node):
        if not self.running(node):
            tail = self.log(node).read_text(errors="replace")[-2000:]
            raise LabError(f"{node} died while starting:\n{tail}")
        return False

    def listens(self, host, port):
        found = self.exec(host, ["ss", "-Hltn", "sport", "=", f":{port}"], check=False)
        return bool(found.stdout.strip())
