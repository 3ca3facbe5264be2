"""`lab`: worlds of network namespaces with a Holdfast cluster in them, to play with and to break."""
import argparse
import dataclasses
import json
import signal
import subprocess
import sys

from tools.lab import netns, plan, state
from tools.lab.netns import LabError
from tools.lab.world import Lab, Options, holdctl_path


def add_up_options(parser):
    """One option for each field of plan.Options, by its own name and default."""
    choices = {"device": ["af_packet", "af_xdp", "memif"], "mode": ["forward", "proxy", "tls"], "commit": ["all", "any", "none"], "ack": ["nak", "positive"],
               "ring": ["udp", "unicast", "dpdk"], "solo": ["deny", "allow"], "idle": ["sleep", "spin"]}
    for field in dataclasses.fields(Options):
        flag = "--" + field.name.replace("_", "-")
        if field.name == "nudge":
            parser.add_argument(flag, choices=["on", "off"], default="on")
        elif field.type == "bool" or isinstance(field.default, bool):
            parser.add_argument(flag, action="store_true")
        elif isinstance(field.default, tuple):
            parser.add_argument(flag, type=int, nargs="*", default=field.default)
        else:
            parser.add_argument(flag, type=type(field.default), default=field.default,
                                choices=choices.get(field.name), help=f"{field.default}")
    parser.add_argument("--no-wait", action="store_true", help="do not wait until the cluster is whole")


def options_of(arguments):
    given = {f.name: getattr(arguments, f.name) for f in dataclasses.fields(Options)}
    return Options(**{**given, "nudge": given["nudge"] == "on"})


def up(arguments):
    lab = Lab.up(arguments.name, options_of(arguments), wait=not arguments.no_wait)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # it is up: an interrupt now would not undo it
        signal.signal(number, signal.SIG_IGN)
    print(f"lab {lab.name} is up: {len(lab.hosts)} hosts, logs and configurations in {lab.folder}")
    if lab.nodes():
        print(f"VIP {plan.VIP4} and {plan.VIP6}, held by {lab.holder()}; try: lab exec c1 -- curl http://{plan.VIP4}/")
    return 0


def status(arguments):
    lab = Lab.open(arguments.name)
    if arguments.json:
        print(json.dumps({"name": lab.name, "options": lab.options.to_json(), "processes": lab.state.processes,
                          "nodes": lab.statuses()}, indent=1))
        return 0
    for node in lab.nodes():
        pid = lab.state.pid(node)
        s = lab.status(node)
        if not pid:
            print(f"{node}  dead")
        elif not s:
            print(f"{node}  pid {pid}  {'paused' if netns.stopped(pid) else 'does not answer'}")
        else:
            roles = ", ".join(f"group {g['id']}: {g['role']} at epoch {g['epoch']}" for g in s["groups"])
            print(f"{node}  pid {pid}  {roles}  sessions {s['sessions']['live']}  fragments kept "
                  f"{s['store']['fragments']}  holdctl --socket {lab.socket(node)}")
    for key in lab.state.processes:
        if key not in lab.nodes():
            print(f"{key}  {'runs' if lab.state.pid(key) else 'ended'}")
    return 0


def execute(arguments):
    lab = Lab.open(arguments.name)
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise LabError("exec what? lab exec NAME -- COMMAND")
    return subprocess.call(netns.argv_inside(lab.state.owned(arguments.host), command))


def down(arguments):
    for name in state.names() if arguments.all else [arguments.name]:
        if name not in state.names():
            print(f"lab {name} is not up")
            continue
        Lab.open(name).down()
        print(f"lab {name} is down")
    return 0


def on_node(action):
    def command(arguments):
        getattr(Lab.open(arguments.name), action)(arguments.node)
        return 0
    return command


def on_link(action):
    def command(arguments):
        getattr(Lab.open(arguments.name), action)(arguments.node, arguments.link)
        return 0
    return command


def loss(arguments):
    Lab.open(arguments.name).loss(arguments.percent, arguments.seed)
    return 0


def holdctl(arguments):
    lab = Lab.open(arguments.name)
    lab.need_node(arguments.node)
    return subprocess.call([holdctl_path(), "--socket", lab.socket(arguments.node), *arguments.command])


def parse(argv):
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("--name", default="lab", help="which lab (lab); also after the command")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default=argparse.SUPPRESS, help="which lab (lab)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name, function, help_text, **keys):
        made = commands.add_parser(name, parents=[common], help=help_text, **keys)
        made.set_defaults(function=function, locks=name not in ("status", "exec", "holdctl", "down"))
        return made

    add_up_options(add("up", up, "build a world and start everything in it",
                       formatter_class=argparse.ArgumentDefaultsHelpFormatter))
    add("status", status, "who holds, who is dead").add_argument("--json", action="store_true")
    for name, text in (("kill", "SIGKILL a node"), ("start", "start a node again"), ("stop", "SIGTERM: it hands over"),
                       ("pause", "SIGSTOP"), ("resume", "SIGCONT")):
        add(name, on_node(name), text).add_argument("node")
    for name, text in (("cut", "cut a link of a node"), ("heal", "mend it")):
        command = add(name, on_link(name), text)
        command.add_argument("node")
        command.add_argument("link", choices=plan.LINKS)
    command = add("loss", loss, "lose ring datagrams on their way to every node; 0 ends it")
    command.add_argument("percent", type=float)
    command.add_argument("--seed", type=int, default=1)
    for name, function, text in (("exec", execute, "run a command in a namespace: lab exec c1 -- curl ..."),
                                 ("holdctl", holdctl, "holdctl on a node's socket: lab holdctl a -- status")):
        command = add(name, function, text)
        command.add_argument("host" if name == "exec" else "node")
        command.add_argument("command", nargs=argparse.REMAINDER)
    add("down", down, "end and remove everything").add_argument("--all", action="store_true", help="every lab there is")
    return parser.parse_args(argv)


def interrupted(*_):
    raise KeyboardInterrupt


def main(argv=None):
    arguments = parse(argv)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        if not arguments.locks:
            return arguments.function(arguments)
        with state.locked(arguments.name):
            return arguments.function(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130
