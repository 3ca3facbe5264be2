"""Others in the place of a lab's nodes, as Debian packages them: kernel DNAT, HAProxy and nginx; and pairs of boxes between
which keepalived moves the VIP, with conntrackd telling the second what the first's kernel knows.

Each box has configuration, sockets and pid files of its own in the lab's folder, runs in its node's namespace, and does
what a careful administrator would have it do: a packet of a connection that the kernel does not know (yet) is dropped
rather than answered with a reset, and the kernel does not invent connections from the middle of a stream.
"""
import contextlib
import os

from tools.lab import netns, plan
from tools.lab.netns import run
from tools.lab.world import NODE_NICE, Lab, Options

POOL4 = "203.0.113.200"  # whom backends see; it moves with the VIP
BOX_SYSCTLS = [("net/ipv4/ip_forward", 1), ("net/ipv4/ip_nonlocal_bind", 1), ("net/netfilter/nf_conntrack_tcp_loose", 0),
               ("net/netfilter/nf_conntrack_tcp_be_liberal", 1)]

NFT = """table ip beside {{
    chain to_backend {{
        type nat hook prerouting priority dstnat;
        ip daddr {vip} tcp dport {{ {ports} }} dnat to {backends}
    }}
    chain from_pool {{
        type nat hook postrouting priority srcnat;
        ct status dnat oifname "back" snat to {pool}
    }}
    chain unknown {{
        type filter hook input priority filter;
        ct state invalid drop
    }}
    chain unknown_forwarded {{
        type filter hook forward priority filter;
        ct state invalid drop
    }}
}}
"""
HAPROXY = """global
    nbthread 1
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""
HAPROXY_SERVICE = """listen port{port}
    bind {address}:{port}
{servers}
"""
NGINX = """load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user root;
daemon off;
worker_processes 1;
pid {own}/front.pid;
error_log {own}/front-error.log;
events {{ worker_connections 4096; }}
stream {{
    server {{
        listen {address}:{port} backlog=4096;
        proxy_pass {backend}:{port};
    }}
}}
"""
KEEPALIVED = """global_defs {{
    router_id {node}
    vrrp_version 3
    script_user root
    enable_script_security
}}
vrrp_instance beside {{
    state BACKUP
    nopreempt
    interface ring
    virtual_router_id 51
    priority {priority}
    advert_int {advert_s}
    virtual_ipaddress {{
        {vip}/32 dev front
        {pool}/32 dev back
    }}
{notify}}}
"""
CONNTRACKD = """Sync {{
    Mode FTFW {{
    }}
    Multicast {{
        IPv4_address 225.0.0.50
        Group 3780
        IPv4_interface {ring}
        Interface ring
        SndSocketBuffer 1249280
        RcvSocketBuffer 1249280
        Checksum on
    }}
}}
General {{
    HashSize 32768
    HashLimit 131072
    LogFile {own}/conntrackd.log
    LockFile {own}/conntrackd.lock
    UNIX {{
        Path {own}/conntrackd.ctl
    }}
    NetlinkBufferSize 2097152
    NetlinkBufferSizeMaxGrowth 8388608
    Filter From Userspace {{
        Protocol Accept {{
            TCP
        }}
        Address Ignore {{
            IPv4_address 127.0.0.1
            IPv4_address {ring}
        }}
    }}
}}
"""
# What conntrackd's own example does when a box becomes the active one.
BECOME_PRIMARY = """#!/bin/sh
for verb in -c -f -R -B; do /usr/sbin/conntrackd -C {own}/conntrackd.conf $verb; done
"""


@contextlib.contextmanager
def boxes(name, nodes, **options):
    """A lab whose nodes are empty, each frame on its own as on a wire."""
    with Lab.up(name, Options(nodes=nodes, **options), nodes=False) as lab:
        for node in lab.nodes():
            set_offloads(lab, node, False)
            netns.sysctl(lab.state.owned(node), BOX_SYSCTLS)
            (lab.folder / node).mkdir(exist_ok=True)
        yield lab


def set_offloads(lab, host, on):
    """Segments as on a wire, each frame by itself; or as large as the kernel likes, as a NIC would cut and join them."""
    for a in lab.hosts[host].attachments:
        if a.link != plan.RING:
            words = [w for f in ("tx", "tso", "gso", "gro") for w in (f, "on" if on else "off")]
            lab.exec(host, ["ethtool", "-K", a.link, *words])


def backends(lab):
    return [h.address(4) for h in lab.hosts.values() if h.kind == "backend"]


def take_vip(lab, node):
    for address, link in ((plan.VIP4, plan.FRONT), (POOL4, plan.BACK)):
        lab.exec(node, ["ip", "addr", "add", f"{address}/32", "dev", link])


def dnat(lab, node):
    """The kernel's full NAT, as `forward` does it: a backend for each new connection in turn."""
    to = backends(lab)
    chosen = to[0] if len(to) == 1 else "numgen inc mod {} map {{ {} }}".format(
        len(to), ", ".join(f"{i} : {address}" for i, address in enumerate(to)))
    rules = NFT.format(vip=plan.VIP4, ports=f"{plan.WEB_PORT}, {plan.STREAM_PORT}", backends=chosen, pool=POOL4)
    lab.exec(node, ["nft", "-f", "-"], stdin=rules)


def pinned(lab, node, argv):
    """A core of its own, as our worker has."""
    return ["taskset", "-c", str(plan.core_of(lab.nodes().index(node), 0)), *argv]


def haproxy(lab, node):
    text = HAPROXY
    for port in (plan.WEB_PORT, plan.STREAM_PORT):
        servers = "\n".join(f"    server s{i} {address}:{port}" for i, address in enumerate(backends(lab)))
        text += HAPROXY_SERVICE.format(address=plan.VIP4, port=port, servers=servers)
    file = lab.folder / node / "haproxy.cfg"
    file.write_text(text)
    process = lab.spawn(node, pinned(lab, node, ["haproxy", "-db", "-f", file]), key=f"{node}/haproxy")
    lab.wait_for(f"haproxy listens (see {lab.log(f'{node}/haproxy')})", lambda: lab.listens(node, plan.WEB_PORT), 10)
    return process.pid


def nginx(lab, node):
    own = lab.folder / node
    file = own / "front.conf"
    file.write_text(NGINX.format(own=own, address=plan.VIP4, port=plan.WEB_PORT, backend=backends(lab)[0]))
    argv = ["nginx", "-e", own / "front-error.log", "-p", own, "-c", file]
    process = lab.spawn(node, pinned(lab, node, argv), key=f"{node}/nginx")
    lab.wait_for(f"nginx listens (see {lab.log(f'{node}/nginx')})", lambda: lab.listens(node, plan.WEB_PORT), 10)
    return process.pid


# --- pairs ---


def keepalived(lab, advert_s, notify=False):
    """The VIP, and the address that backends see, at the first node; whether the other takes them is keepalived's to say."""
    for number, node in enumerate(lab.nodes()):
        own = lab.folder / node
        (own / "keepalived.conf").write_text(KEEPALIVED.format(
            node=node, priority=150 - 50 * number, advert_s=advert_s, vip=plan.VIP4, pool=POOL4,
            notify=f"    notify_master {own}/become-primary\n" if notify else ""))
        # As our nodes: in its place it has cores of its own; here it shares two with everybody, and goes first.
        lab.spawn(node, ["nice", "-n", str(NODE_NICE), "keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp",
                         "-f", own / "keepalived.conf", "-p", own / "keepalived.pid", "-r", own / "vrrp.pid"],
                  key=f"{node}/keepalived")
        if number == 0:
            lab.wait_for(f"{node} has the VIP (see {lab.log(f'{node}/keepalived')})", lambda: has_vip(lab, node), 20)


def has_vip(lab, node):
    return plan.VIP4 in lab.exec(node, ["ip", "-4", "addr", "show", "dev", plan.FRONT]).stdout


def conntrackd(lab):
    for node in lab.nodes():
        own = lab.folder / node
        (own / "conntrackd.conf").write_text(CONNTRACKD.format(own=own, ring=lab.hosts[node].address(4, plan.RING)))
        script = own / "become-primary"
        script.write_text(BECOME_PRIMARY.format(own=own))
        os.chmod(script, 0o755)
        lab.spawn(node, ["nice", "-n", str(NODE_NICE), "conntrackd", "-C", own / "conntrackd.conf"], key=f"{node}/conntrackd")
        lab.wait_for(f"conntrackd answers (see {lab.log(f'{node}/conntrackd')})",
                     lambda: lab.exec(node, ["conntrackd", "-C", own / "conntrackd.conf", "-s"], check=False).returncode == 0, 10)


def unplug(lab, node):
    """The box is gone: nothing leaves it or reaches it any more, all links in one instant."""
    net = lab.state.owned(plan.NET)
    ports = [plan.bridge_port(node, a.link) for a in lab.hosts[node].attachments]
    lines = "".join(f"link set dev {port} state disabled\n" for port in ports)
    run(["bridge", "-n", net, "-batch", "-"], stdin=lines)
