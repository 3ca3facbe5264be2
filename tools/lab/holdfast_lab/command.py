"""The lab's command line."""
import argparse
import os
import signal
import subprocess
import sys
import time

from . import world as world_module
from .namespaces import LabError
from .world import World, build_directory


def parser():
    p = argparse.ArgumentParser(prog="lab", description=world_module.__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--name", default="lab", help="which lab; several can stand side by side (default: lab)")
    sub = p.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = sub.add_parser("up", help="build the world and start everything in it")
    add_options(up)
    sub.add_parser("down", help="end everything this lab started and remove all it made")
    sub.add_parser("status", help="who runs, who holds")
    for verb, text in (("kill", "SIGKILL a node"), ("start", "start a node again"),
                       ("stop", "SIGTERM a node: it hands over first"), ("pause", "SIGSTOP a node"),
                       ("resume", "SIGCONT a node")):
        s = sub.add_parser(verb, help=text)
        s.add_argument("node")
    for verb, text in (("cut", "take a node's link down"), ("heal", "bring it up again")):
        s = sub.add_parser(verb, help=text)
        s.add_argument("node")
        s.add_argument("side", choices=("front", "back", "ring"))
    s = sub.add_parser("exec", help="run a command in a host's namespace: lab exec c1 -- curl http://198.51.100.10/")
    s.add_argument("who")
    s.add_argument("words", nargs=argparse.REMAINDER)
    s = sub.add_parser("holdctl", help="holdctl of a node: lab holdctl a status")
    s.add_argument("node")
    s.add_argument("words", nargs=argparse.REMAINDER)
    return p


def add_options(up):
    up.add_argument("--nodes", type=int, default=4, help="1 to 8 (default: 4)")
    up.add_argument("--clients", type=int, default=1)
    up.add_argument("--backends", type=int, default=2)
    up.add_argument("--device", choices=("af_packet", "af_xdp"), default="af_packet")
    up.add_argument("--workers", type=int, default=1)
    up.add_argument("--copies", type=int, default=2, help="R: standbys that keep each fragment (default: 2)")
    up.add_argument("--commit", choices=("all", "any", "none"), default="all")
    up.add_argument("--nudge", choices=("on", "off"), default="on")
    up.add_argument("--ring", choices=("multicast", "unicast", "dpdk"), default="multicast")
    up.add_argument("--ack", choices=("nak", "positive"), default="nak")
    up.add_argument("--loss", type=float, default=0.0, metavar="PERCENT", help="of the ring's datagrams, seeded")
    up.add_argument("--seed", type=int, default=1)
    up.add_argument("--heartbeat", default="20ms")
    up.add_argument("--misses", type=int, default=5)
    up.add_argument("--stall", default="20ms")
    up.add_argument("--solo", choices=("deny", "allow"), default="deny")
    up.add_argument("--direct", action="store_true", help="no nodes: clients meet the first backend at the VIP")


def options_of(arguments):
    o = {k: v for k, v in vars(arguments).items() if k not in ("name", "command")}
    o["nudge"] = o["nudge"] == "on"
    if not 1 <= o["nodes"] <= 8 or not 1 <= o["clients"] <= 90 or not 1 <= o["backends"] <= 30:
        raise LabError("1 to 8 nodes, 1 to 90 clients, 1 to 30 backends")
    return o


def defaults(**changes):
    """The options of 'lab up' with nothing said, changed by what is given."""
    o = options_of(parser().parse_args(["up"]))
    o.update(changes)
    return o


def is_holder(status):
    return any(group["role"] == "holder" for group in status["groups"])


def show_status(world):
    for node in world.nodes:
        pid = world.state.process(node)
        answer = world.holdctl(node, "status") if pid else None
        role = "not running" if not pid else "no answer" if not answer else "holder" if is_holder(answer) else "standby"
        print(f"{node}  {role:12} {'pid ' + str(pid) if pid else ''}")


def wait_for_holder(world, timeout=15.0):
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        for node in world.running():
            answer = world.holdctl(node, "status")
            if answer and is_holder(answer):
                return node
        time.sleep(0.1)
    raise LabError("no node holds the group; see the logs in " + world.state.directory)


def obey(arguments):
    world = World(arguments.name)
    if arguments.command == "up":
        world.up(**options_of(arguments))
        if not arguments.direct:
            print(f"{wait_for_holder(world)} holds; logs and sockets in {world.state.directory}")
        return 0
    if arguments.command == "down" and not world.state.exists():
        return 0
    world.state.load()
    if arguments.command == "down":
        world.down()
    elif arguments.command == "status":
        show_status(world)
    elif arguments.command in ("kill", "start", "stop", "pause", "resume"):
        getattr(world, arguments.command)(arguments.node)
    elif arguments.command in ("cut", "heal"):
        world.cut(arguments.node, arguments.side, on=arguments.command == "cut")
    elif arguments.command == "exec":
        words = arguments.words[1:] if arguments.words[:1] == ["--"] else arguments.words
        return subprocess.call(["ip", "netns", "exec", world.namespace(arguments.who), *words])
    elif arguments.command == "holdctl":
        program = os.path.join(build_directory(), "tools", "holdctl", "holdctl")
        return subprocess.call([program, "--socket", os.path.join(world.run_dir(arguments.node), "api.sock"),
                                *arguments.words])
    return 0


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    arguments = parser().parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    if os.geteuid() != 0:
        print("lab: needs root, to make network namespaces", file=sys.stderr)
        return 1
    try:
        return obey(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
