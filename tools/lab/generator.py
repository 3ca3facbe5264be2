"""holdfast-gen in a lab: started before the nodes, and told what to do through its prompt.

Its commands are written to a named pipe and its answers read from its log, so that whoever opens the lab, the process
that made it or a later one, can talk to it.
"""
import json
import os
import time

from tools.lab import plan
from tools.lab.netns import LabError

PROMPT = "holdfast-gen> "
KEY = f"{plan.GENERATOR}/generator"


class Generator:
    def __init__(self, lab):
        self.lab = lab
        self.pipe = lab.folder / "generator.in"

    def start(self, **arguments):
        """With options of holdfast-gen by name: frames=65536."""
        from tools.lab.world import generator_path
        if not generator_path().exists():
            raise LabError(f"{generator_path()} is not there: make, or set HOLDFAST_BUILD")
        os.mkfifo(self.pipe, mode=0o600)
        given = {"memory": 512, "frames": 65536, "seed": 1, "clients": "198.51.100.150", "clients_v6": "2001:db8:1::1:0",
                 **arguments}
        argv = [generator_path(), *self.devices()]
        for address in (plan.VIP4, f"[{plan.VIP6}]"):
            argv += ["--target", f"{address}:{plan.GENERATOR_PORT}"]
        for address in plan.generator_servers():
            argv += ["--server", address]
        for name, value in given.items():
            argv += [f"--{name.replace('_', '-')}", str(value)]
        # For reading and writing, so that it never reads the end of its input.
        end = os.open(self.pipe, os.O_RDWR)
        try:
            self.lab.spawn(plan.GENERATOR, argv, key=KEY, stdin=end)
        finally:
            os.close(end)
        self.lab.wait_for("the generator's prompt", lambda: self.output(0).endswith(PROMPT) or self.died(), 20)

    def devices(self):
        options, folder = self.lab.options, self.lab.folder
        if options.device != "memif":
            return ["--front", f"net_af_packet0,iface={plan.FRONT}", "--back", f"net_af_packet1,iface={plan.BACK}"]
        argv = []
        for i, node in enumerate(plan.node_names(options)):
            for j, link in enumerate((plan.FRONT, plan.BACK)):
                argv += [f"--{link}", f"net_memif{2 * i + j},role=server,id=0,rsize=11,socket-abstract=no,"
                                      f"socket={plan.memif_socket(folder, node, link)}"]
        return argv + ["--descriptors", "2048"]

    def output(self, since):
        with open(self.lab.log(KEY), "rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def died(self):
        if self.lab.state.pid(KEY) is None:
            raise LabError(f"the generator died: {self.output(0)[-800:]}")
        return False

    def tell(self, command, seconds=30):
        """Executes one command and returns what it printed."""
        self.died()
        since = os.path.getsize(self.lab.log(KEY))
        end = os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(end, f"{command}\n".encode())
        finally:
            os.close(end)
        deadline = time.monotonic() + seconds
        while not (said := self.output(since)).endswith(PROMPT):
            self.died()
            if time.monotonic() > deadline:
                raise LabError(f"the generator did not answer {command!r} in {seconds} s: {said[-300:]}")
            time.sleep(0.005)
        return said.removesuffix(PROMPT)

    def told(self, *commands, seconds=30):
        """Commands that print nothing unless something is wrong."""
        for command in commands:
            said = self.tell(command, seconds)
            if said.strip():
                raise LabError(f"{command}: {said.strip()}")

    def report(self):
        """`show json`; docs/operating/holdfast-gen.1 says what is in it."""
        return json.loads(self.tell("show json"))

    def end(self, seconds=30):
        """Tells it to quit; its sessions are reset."""
        self.died()
        end = os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
        os.write(end, b"quit\n")
        os.close(end)
        self.lab.wait_for("the generator ends", lambda: self.lab.state.pid(KEY) is None, seconds)
