"""What a lab consists of: names and addresses, as pure functions of its options. Nothing here touches the system.

Three bridges in a namespace of their own carry the front (clients), back (backends) and ring networks; each node,
client and backend is a namespace with a veth into the bridges it needs. All addresses are documentation addresses.
"""
import dataclasses
import os
import string
from dataclasses import dataclass

FRONT, BACK, RING = "front", "back", "ring"
LINKS = (FRONT, BACK, RING)
WEB_PORT, STREAM_PORT, GENERATOR_PORT = 80, 7000, 9000
GENERATOR = "g1"
VIP4, VIP6 = "198.51.100.10", "2001:db8:1::10"
KEY_KINDS = ("ec", "rsa")  # certificates of services that terminate TLS
SERVER_NAME = "www.example.com"
MAX_NODES, MAX_PEERS = 16, 40


@dataclass(frozen=True)
class Options:
    """What `lab up` was told. Every field has a default; the state file keeps them all."""

    nodes: int = 4
    clients: int = 1
    backends: int = 2
    device: str = "af_packet"  # af_packet | af_xdp | memif: front and back lead to the generator and nowhere else
    copies: int = 2
    mode: str = "forward"  # forward | proxy | tls
    proxy_protocol: str = "off"  # off | v2; nginx logs whom it was told of
    durability: str = "state"  # state | payload
    commit: str = "all"  # all | any | none
    nudge: bool = True
    ring: str = "udp"  # udp (multicast) | unicast | dpdk
    ack: str = "nak"  # nak | positive
    workers: int = 1
    queues: int = 1  # of each port, AF_PACKET only: the kernel spreads flows over them
    solo: str = "deny"
    heartbeat: str = "20ms"
    misses: int = 5
    stall: str = "20ms"
    sessions: int = 65536
    tls_sessions: int = 0  # 0: the product's default
    idle: str = "sleep"
    loss_percent: float = 0.0  # by the nodes' own loss generator
    loss_seed: int = 1
    health: bool = False
    cluster: str = "lab"
    repository: str = ""  # a node that keeps every fragment
    extra_ports: tuple = ()  # a service for each, besides web and stream
    generator: bool = False  # holdfast-gen: clients and servers of a service of its own
    direct: bool = False  # no nodes: clients and backends on one network, to try the tools

    def check(self):
        for field, least, most in (("nodes", 1, MAX_NODES), ("clients", 1, MAX_PEERS), ("backends", 1, MAX_PEERS),
                                   ("copies", 1, 8), ("workers", 1, 16)):
            if not least <= getattr(self, field) <= most:
                raise ValueError(f"{field} must be from {least} to {most}")
        if self.device == "memif" and not self.generator:
            raise ValueError("device memif leads to the generator: --generator")
        return self

    def to_json(self):
        return dataclasses.asdict(self)


def options_from_json(data):
    known = {f.name for f in dataclasses.fields(Options)}
    return Options(**{k: v for k, v in data.items() if k in known})


@dataclass(frozen=True)
class Attachment:
    """One veth: `link` inside the namespace, a port of the bridge outside."""

    link: str
    addresses: tuple


@dataclass(frozen=True)
class Host:
    """A namespace with something in it. `kind` is node, client or backend."""

    name: str
    kind: str
    number: int
    attachments: tuple

    def address(self, family, link=None):
        """The address without its prefix length, of the first link or of `link`."""
        for attachment in self.attachments:
            if link in (None, attachment.link):
                for address in attachment.addresses:
                    if (":" in address) == (family == 6):
                        return address.split("/")[0]
        raise KeyError(f"{self.name} has no IPv{family} address")


def node_names(options):
    return [] if options.direct else list(string.ascii_lowercase[:options.nodes])


def front_pair(last):
    return (f"198.51.100.{last}/24", f"2001:db8:1::{last}/64")


def back_pair(last):
    return (f"203.0.113.{last}/24", f"2001:db8:2::{last}/64")


def hosts(options):
    """Everything that is a namespace, but the one for the bridges."""
    made = []
    for i, name in enumerate(node_names(options)):
        made.append(Host(name, "node", i, (
            # The kernel's own addresses: how one would ssh to the node. VIPs, pools and the back address of the
            # data plane are not the kernel's.
            Attachment(FRONT, front_pair(21 + i)),
            Attachment(BACK, back_pair(31 + i)),
            Attachment(RING, (f"192.0.2.{1 + i}/24",)))))
    for i in range(options.clients):
        made.append(Host(f"c{i + 1}", "client", i, (Attachment(FRONT, front_pair(101 + i)),)))
    for i in range(options.backends):
        made.append(Host(f"b{i + 1}", "backend", i, (Attachment(BACK, back_pair(11 + i if i < 10 else 91 + i)),)))
    if options.generator:  # its addresses are not its kernel's
        made.append(Host(GENERATOR, "generator", 0, (Attachment(FRONT, ()), Attachment(BACK, ()))))
    return made


def generator_pool():
    """Enough for 1.5 million sessions over IPv4, half a million over IPv6."""
    return [f"203.0.113.{150 + i}" for i in range(24)] + [f"2001:db8:2::{150 + i}" for i in range(8)]


def generator_servers():
    return [f"203.0.113.61:{GENERATOR_PORT}", f"[2001:db8:2::61]:{GENERATOR_PORT}"]


def memif_socket(folder, node, link):
    return folder / f"{node}-{link}.sock"


def networks(link):
    return {FRONT: ("198.51.100.0/24", "2001:db8:1::/64"), BACK: ("203.0.113.0/24", "2001:db8:2::/64")}[link]


def node_back_addresses(number):
    """The data plane's own addresses on the back network: health checks come from them."""
    return [f"203.0.113.{51 + number}", f"2001:db8:2::{51 + number}"]


def namespace(lab, host):
    return f"hf-{lab}-{host}"


NET = "net"  # the host name of the namespace with the bridges


def bridge_port(host, link):
    """The bridge's end of a host's veth; interface names have at most 15 characters."""
    return f"{host}-{link}"


def core_of(node_number, worker):
    """Spread over the cores there are: two nodes' workers on one core see each other's load."""
    return (node_number + worker) % (os.cpu_count() or 1)
