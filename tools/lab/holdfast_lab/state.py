"""What a lab has made, in /run/holdfast-lab/<name>/state.json."""
import json
import os
import shutil

from .namespaces import LabError

ROOT = "/run/holdfast-lab"


class State:
    def __init__(self, name):
        self.name = name
        self.directory = os.path.join(ROOT, name)
        self.path = os.path.join(self.directory, "state.json")
        self.data = {"namespaces": [], "processes": {}, "options": {}}

    def exists(self):
        return os.path.exists(self.path)

    def load(self):
        try:
            with open(self.path, encoding="utf-8") as f:
                self.data = json.load(f)
        except FileNotFoundError:
            raise LabError(f"no lab named {self.name}: start one with 'lab up'") from None
        return self

    def save(self):
        os.makedirs(self.directory, mode=0o755, exist_ok=True)
        temporary = self.path + ".new"
        with open(temporary, "w", encoding="utf-8") as f:
            json.dump(self.data, f, indent=1)
        os.replace(temporary, self.path)

    def remember(self, kind, value):
        self.data[kind].append(value)
        self.save()

    def set_process(self, name, pid):
        self.data["processes"][name] = {"pid": pid, "started": start_time(pid)}
        self.save()

    def process(self, name):
        """The pid, if that very process still runs."""
        known = self.data["processes"].get(name)
        if known and start_time(known["pid"]) == known["started"] is not None:
            return known["pid"]
        return None

    def forget(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def start_time(pid):
    """A process number is reused, its start time with it is not. None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]
