"""What a lab has made, on disk before it is made: whatever interrupts us, `lab down` knows what to remove.

/run/holdfast-lab/<name>/state.json names every namespace with its identity and every process with its start time, so
that nothing that merely has the same name or number is ever touched. A lock beside it keeps two commands apart.
"""
import contextlib
import fcntl
import json
import os
import re
import shutil
import time
from pathlib import Path

from tools.lab import netns, plan
from tools.lab.netns import LabError

BASE = Path("/run/holdfast-lab")
LOCK_TIMEOUT_S = 60


def folder(name):
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,15}", name):
        raise LabError(f"a lab's name is a letter, then letters, digits, '_', at most 16: not {name!r}")
    return BASE / name


def names():
    return sorted(p.name for p in BASE.iterdir() if (p / "state.json").exists()) if BASE.is_dir() else []


@contextlib.contextmanager
def locked(name):
    """One command at a time on one lab. The lock file lies beside the folder, which `down` removes."""
    folder(name)  # refuses bad names
    BASE.mkdir(mode=0o755, exist_ok=True)
    with open(BASE / f".{name}.lock", "w") as file:
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LabError(f"lab {name}: another command has been at work for {LOCK_TIMEOUT_S} s") from None
                time.sleep(0.05)
        yield


class State:
    """Saved after every change. `namespaces`: name -> inode, None while it is being made."""

    def __init__(self, name, options, namespaces=None, processes=None):
        self.name = name
        self.options = options
        self.namespaces = namespaces or {}
        self.processes = processes or {}
        self.folder = folder(name)

    @staticmethod
    def load(name):
        try:
            data = json.loads((folder(name) / "state.json").read_text())
        except FileNotFoundError:
            raise LabError(f"there is no lab {name!r}" + (f"; there are: {', '.join(names())}" if names() else "")) \
                from None
        if not isinstance(data.get("namespaces"), dict):
            raise LabError(f"{folder(name)} was not written by this program: not touching it")
        return State(name, plan.options_from_json(data["options"]), data["namespaces"], data["processes"])

    def save(self):
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = self.folder / "state.json.new"
        fresh.write_text(json.dumps({"name": self.name, "options": self.options.to_json(),
                                     "namespaces": self.namespaces, "processes": self.processes}, indent=1))
        os.replace(fresh, self.folder / "state.json")

    # --- namespaces ---

    def make_namespace(self, host):
        full = plan.namespace(self.name, host)
        if netns.exists(full):
            raise LabError(f"namespace {full} exists and is not this lab's: not touching it")
        self.namespaces[full] = None
        self.save()
        self.namespaces[full] = netns.add(full)
        self.save()
        return full

    def owned(self, host):
        """The host's namespace, refused unless it is the very one we made."""
        full = plan.namespace(self.name, host)
        if full not in self.namespaces:
            raise LabError(f"lab {self.name} has no {host!r}")
        if netns.identity(full) != self.namespaces[full]:
            raise LabError(f"namespace {full} is not the one this lab made: not touching it")
        return full

    def remove_namespaces(self):
        for full, inode in list(self.namespaces.items()):
            if inode is None or netns.identity(full) == inode:
                if netns.exists(full):
                    netns.delete(full)
            del self.namespaces[full]
            self.save()

    # --- processes ---

    def record(self, key, pid, what):
        self.processes[key] = {"pid": pid, "start": netns.start_time(pid), "what": what}
        self.save()

    def pid(self, key):
        """The pid of a process that is still the one we started, else None."""
        process = self.processes.get(key)
        if process and process["start"] is not None and netns.start_time(process["pid"]) == process["start"]:
            return process["pid"]
        return None

    def signal(self, key, number):
        pid = self.pid(key)
        if pid is None:
            raise LabError(f"{key} does not run")
        netns.send_signal(pid, number)
        return pid

    def end_processes(self):
        ended = []
        for key in list(self.processes):
            pid = self.pid(key)
            if pid is not None:
                netns.send_signal(pid, 9)
                ended.append((pid, self.processes[key]["start"]))
        for pid, began in ended:
            netns.wait_gone(pid, began, 5)
        self.processes.clear()
        self.save()

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            BASE.joinpath(f".{self.name}.lock").unlink()
        with contextlib.suppress(OSError):
            BASE.rmdir()
