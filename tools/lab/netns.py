"""Namespaces, links and processes, by way of iproute2. Every call is bounded in time and raises LabError in words."""
import os
import signal
import subprocess
import time

RUN_TIMEOUT_S = 20


class LabError(Exception):
    """Something the person at the command line should read; no traceback."""


def run(argv, stdin=None, check=True, timeout=RUN_TIMEOUT_S):
    try:
        process = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        raise LabError(f"{' '.join(argv)}: not done after {timeout} s") from late
    except FileNotFoundError as missing:
        raise LabError(f"{argv[0]} is not installed: deploy/install-packages") from missing
    if check and process.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {(process.stderr or process.stdout).strip()}")
    return process


def ip_batch(namespace, lines):
    """Many `ip` commands in one process, stopped by the first that fails."""
    run(["ip", "-n", namespace, "-batch", "-"], stdin="".join(line + "\n" for line in lines))


def exists(namespace):
    return os.path.exists(f"/run/netns/{namespace}")


def identity(namespace):
    """What tells this namespace from another of the same name."""
    try:
        return os.stat(f"/run/netns/{namespace}").st_ino
    except FileNotFoundError:
        return None


def add(namespace):
    run(["ip", "netns", "add", namespace])
    return identity(namespace)


def delete(namespace):
    """Kills what runs in it, then removes it; its interfaces go with it."""
    for _ in range(50):
        pids = [int(p) for p in run(["ip", "netns", "pids", namespace], check=False).stdout.split()]
        if not pids:
            break
        for pid in pids:
            send_signal(pid, signal.SIGKILL)
        time.sleep(0.02)
    run(["ip", "netns", "delete", namespace], check=False)


def argv_inside(namespace, argv):
    return ["ip", "netns", "exec", namespace, *argv]


def sysctl(namespace, settings):
    """Writes /proc/sys inside a namespace; settings that this kernel does not have are left out."""
    script = "".join(f"[ -e /proc/sys/{key} ] && echo '{value}' > /proc/sys/{key}\n" for key, value in settings)
    run(argv_inside(namespace, ["sh", "-c", script + "true"]))


def send_signal(pid, number):
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def start_time(pid):
    """Ticks since boot when the process began, None if it is gone: a pid alone may be someone else's by now.

    A killed process whose first thread is a zombie already may still run, and hold its files, in another thread.
    """
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        if fields[0] in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1:
            return None
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[19])


def stopped(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False


def spawn(namespace, argv, log, stdin=subprocess.DEVNULL):
    """Starts a process in a namespace, its output to a file. The pid is the process's own: `ip netns exec` execs."""
    with open(log, "ab") as output:
        process = subprocess.Popen(argv_inside(namespace, argv), stdin=stdin, stdout=output,
                                   stderr=output, start_new_session=True)
    return process


def reap(pid):
    """Collects a dead child of ours, if it is one."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def wait_gone(pid, began, seconds):
    """True once the process is gone."""
    deadline = time.monotonic() + seconds
    while start_time(pid) == began:
        if time.monotonic() > deadline:
            return False
        reap(pid)
        time.sleep(0.01)
    reap(pid)
    return True
