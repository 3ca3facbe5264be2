"""Network namespaces, bridges and veth pairs, each remembered before it is made.

Everything a lab makes is written to its state file first, so that whoever comes later, also after a kill -9 of
the lab itself, can remove exactly that and nothing else.
"""
import os
import subprocess


class LabError(Exception):
    """Something the operator should read; no traceback."""


def run(*command, check=True, **kwargs):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          **kwargs)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def inside(namespace, *command, **kwargs):
    return run("ip", "netns", "exec", namespace, *command, **kwargs)


def existing():
    return {line.split()[0] for line in run("ip", "netns", "list").splitlines() if line.strip()}


def add(namespace, state):
    if namespace in existing():
        raise LabError(f"namespace {namespace} exists and is not this lab's: refusing to touch it")
    state.remember("namespaces", namespace)
    run("ip", "netns", "add", namespace)
    inside(namespace, "sysctl", "-q", "-w", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
           "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
           "net.ipv6.conf.all.accept_ra=0", "net.ipv6.conf.default.accept_ra=0")
    run("ip", "-n", namespace, "link", "set", "lo", "up")


def add_bridge(namespace, name):
    # Without a querier a snooping bridge would drop the ring's multicast.
    run("ip", "-n", namespace, "link", "add", name, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
    run("ip", "-n", namespace, "link", "set", name, "up")


def connect(switch, bridge, namespace, name, queues=1):
    """A veth pair from `namespace` (as `name`) to a bridge in `switch`."""
    peer = f"{namespace.rsplit('-', 1)[-1]}-{name}"[:15]
    run("ip", "-n", switch, "link", "add", peer, "numtxqueues", queues, "numrxqueues", queues, "type", "veth",
        "peer", "name", name, "netns", namespace, "numtxqueues", queues, "numrxqueues", queues)
    run("ip", "-n", switch, "link", "set", peer, "master", bridge, "up")
    run("ip", "-n", namespace, "link", "set", name, "up")
    return peer


def plain_offloads(namespace, interface):
    """Frames as a wire carries them: kernel peers on veth otherwise send no checksums and 64 KB giants."""
    inside(namespace, "ethtool", "-K", interface, "tx", "off", "tso", "off", "gso", "off", "gro", "off")


def address(namespace, interface, *addresses):
    for a in addresses:
        extra = ["nodad"] if ":" in a else []
        run("ip", "-n", namespace, "addr", "add", a, "dev", interface, *extra)


def remove(namespace):
    if namespace not in existing():
        return
    for pid in run("ip", "netns", "pids", namespace).split():
        try:
            os.kill(int(pid), 9)
        except ProcessLookupError:
            pass
    run("ip", "netns", "del", namespace, check=False)
