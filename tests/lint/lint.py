#!/usr/bin/env python3
"""The architecture and the house rules, as tests. Each check prints what it found and counts as one test.

Reads git's list of files and what is not ignored, so that a new file is checked before its first commit.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

# Left may include right, never the reverse. tools and tests include anything and are included by nobody else.
SPINE = ["controlplane", "dataplane", "replication", "base"]
LEAVES = ["tools", "tests"]

# Vendors' headers and the only folders they may be named in (tests and benchmarks are free).
VENDORS = [
    ("DPDK", re.compile(r"^rte_"), ["dataplane/port"]),
    ("OpenSSL", re.compile(r"^openssl/"), ["replication/ring", "dataplane/tls"]),
    ("Google Benchmark", re.compile(r"^benchmark/"), ["tests/bench"]),
    ("GoogleTest", re.compile(r"^g(test|mock)/"), ["tests"]),
    ("libbpf, libxdp", re.compile(r"^(bpf|xdp)/|^linux/(bpf|if_xdp)\.h"), ["dataplane/steer"]),
]

# Protocol code is handed time, randomness and packets; it never asks. These folders are the outside world.
WORLD = ["replication/transport", "dataplane/port", "dataplane/steer"]
# Single files of the outside world: threads that run handshakes, and the random IVs of session tickets.
WORLD_FILES = ["dataplane/tls/handshake_pool.cc", "dataplane/tls/handshake_pool.h", "dataplane/tls/tickets.cc"]
ASKING = [
    ("a clock", re.compile(r"\b(system_clock|steady_clock|high_resolution_clock|clock_gettime|gettimeofday|rdtscp?"
                           r"|__rdtsc|rte_rdtsc)\b|(?<![\w.>:])(std::)?time\s*\(\s*(nullptr|NULL|0|&)")),
    ("a random source", re.compile(r"\brandom_device\b|(?<![\w.>:])(std::)?s?rand\s*\(|\bgetrandom\b|\bRAND_bytes\b")),
    ("a socket", re.compile(r"<sys/socket\.h>|<netinet/in\.h>|(?<![\w.>:])(sendto|recvfrom|sendmsg)\s*\(")),
    ("a thread or a lock", re.compile(r"<(thread|mutex|condition_variable|future|shared_mutex|pthread\.h)>"
                                      r"|\bstd::(thread|jthread|mutex|async)\b")),
    ("a sleep", re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b")),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
LONG_CC, LONG_H, LONG_FUNCTION = 500, 250, 70


def files(*suffixes):
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            check=True, capture_output=True, text=True).stdout.split("\n")
    return sorted({f for f in listed if f.endswith(suffixes) and (ROOT / f).is_file()})


def sources():
    """Our C++: not the BPF programs, which are C of another world."""
    return [f for f in files(".h", ".cc") if f.split("/")[0] in SPINE + LEAVES]


def text_of(name):
    return (ROOT / name).read_text()


def code_of(name):
    """The text with comments and string contents blanked, lines kept."""
    blank = lambda m: re.sub(r"[^\n]", " ", m.group(0))
    pattern = r'//[^\n]*|/\*.*?\*/|(?<!include )(?<!include)"(?:\\.|[^"\\\n])*"'
    return re.sub(pattern, blank, text_of(name), flags=re.S)


def includes(name):
    text = text_of(name)
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start(2)) + 1, match.group(1), match.group(2)


def is_test(name):
    return name.startswith("tests/") or re.search(r"(_test\.cc|testing\.h|_testing\.h|/test_[^/]*\.h)$", name)


def within(name, folders):
    return any(name.startswith(folder + "/") for folder in folders)


# --- the checks: each yields findings ---


def include_order():
    """controlplane -> dataplane -> replication -> base; nobody includes upwards."""
    for name in sources():
        here = name.split("/")[0]
        for line, _, target in includes(name):
            there = target.split("/")[0]
            if there in LEAVES and here != there and not (here == "tests" and there == "tools"):
                yield f"{name}:{line}: nothing includes {there}: {target}"
            elif here in SPINE and there in SPINE and SPINE.index(there) < SPINE.index(here):
                yield f"{name}:{line}: {here} must not include {there}: {target}"


def includes_from_root():
    """Our own headers are named from the root, in quotes, and exist; others in angle brackets."""
    made = re.compile(r"(_skel|\.skel|config_generated)\.h$")  # by the build
    for name in sources():
        for line, bracket, target in includes(name):
            ours = target.split("/")[0] in SPINE + LEAVES
            if bracket == "<" and ours:
                yield f'{name}:{line}: ours, so in quotes: "{target}"'
            elif bracket == '"' and not made.search(target) and not (ours and (ROOT / target).is_file()):
                yield f'{name}:{line}: not a file from the root: "{target}"'


def vendor_headers():
    """A vendor's headers are included in its own folder only."""
    for name in sources():
        if is_test(name) or name.startswith("tools/"):
            continue
        for line, _, target in includes(name):
            for vendor, pattern, rooms in VENDORS:
                if pattern.search(target) and not within(name, rooms):
                    yield f"{name}:{line}: {vendor} is for {', '.join(rooms)} only: {target}"


def protocol_asks_nothing():
    """base, replication and dataplane name no clock, random source, socket, thread or sleep."""
    for name in sources():
        if name.split("/")[0] not in ("base", "replication", "dataplane") or within(name, WORLD) or is_test(name) \
                or name in WORLD_FILES:
            continue
        for number, line in enumerate(code_of(name).split("\n"), 1):
            for what, pattern in ASKING:
                if pattern.search(line):
                    yield f"{name}:{number}: protocol code asks for {what}: {line.strip()}"


def functions(name):
    """(line, length) of each function body, by the house's own indentation: clang-format makes it reliable."""
    lines = text_of(name).split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if start is None and re.match(r"^(    )?[\w:~<>&*\[\] ,]+.*\) ?(const ?)?(override ?)?(noexcept ?)?\{$", line):
            if not re.match(r"^ *(namespace|class|struct|enum|if|for|while|switch)\b", line):
                # The last line of a constructor's initialisers is indented; its body's end is not.
                initialisers = re.match(r"^    (: |\w+_\()", line)
                start, closing = number, ("" if initialisers else re.match(r" *", line).group(0)) + "}"
        elif start is not None and line == closing:
            yield start, number - start + 1
            start = None


def sizes():
    """Files and functions one can read: 500 lines of .cc, 250 of .h, 70 of a function (the last two are warnings)."""
    for name in sources():
        lines = text_of(name).count("\n")
        if name.endswith(".cc") and lines > LONG_CC:
            yield f"{name}: {lines} lines, more than {LONG_CC}"
        if name.endswith(".h") and lines > LONG_H:
            yield f"warning: {name}: {lines} lines, more than {LONG_H}"
        for line, length in functions(name):
            if length > LONG_FUNCTION:
                yield f"warning: {name}:{line}: a function of {length} lines, more than {LONG_FUNCTION}"


def headers_compile_alone():
    """Every header can be the first and only one."""
    flags = subprocess.run(["pkg-config", "--cflags", "libdpdk", "libbpf", "libcrypto", "fmt", "spdlog"],
                           check=True, capture_output=True, text=True).stdout.split()
    flags = ["-isystem" + f[2:] if f.startswith("-I") else f for f in flags]
    base = ["g++", "-std=c++23", "-fsyntax-only", "-w", "-march=x86-64-v3", *flags, "-I", str(ROOT)]

    def compile_one(name, source):
        process = subprocess.run([*base, str(source)], capture_output=True, text=True)
        errors = [e for e in process.stderr.split("\n") if "error" in e]
        return [f"{name}: does not compile alone: {errors[0] if errors else process.stderr[:300]}"] \
            if process.returncode else []

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = []
        for name in [f for f in sources() if f.endswith(".h")]:
            source = Path(folder) / (name.replace("/", "__") + ".cc")
            source.write_text(f'#include "{name}"\n')
            jobs.append(pool.submit(compile_one, name, source))
        for job in jobs:
            yield from job.result()


def formatted():
    """clang-format has nothing to change."""
    names = sources()
    for i in range(0, len(names), 40):
        process = subprocess.run(["clang-format", "--dry-run", "-Werror", *names[i:i + 40]], cwd=ROOT,
                                 capture_output=True, text=True)
        if process.returncode:
            found = re.findall(r"^([^\s:]+):\d+:\d+: error", process.stderr, re.M)
            for name in sorted(set(found)) or [process.stderr[:300]]:
                yield f"{name}: make format"


def one_package_list():
    """deploy/packages is the only list of packages: nothing else installs any."""
    for name in files(""):
        if name in ("deploy/install-packages", "tests/lint/lint.py") or name.endswith((".png", ".svg")):
            continue
        try:
            text = text_of(name)
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if re.search(r"\bapt(-get|itude)? (-\S+ )*install\b", line):
                yield f"{name}:{number}: packages belong into deploy/packages: {line.strip()}"


def documentation_addresses():
    """Addresses in scripts, examples and texts are for documentation, loopback or multicast."""
    address = re.compile(r"(?<![\d.])(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?![\d.])")
    fine = re.compile(r"^(192\.0\.2\.|198\.51\.100\.|203\.0\.113\.|127\.|0\.|2(2[4-9]|3\d|5\d)\.|255\.)")
    for name in files(".py", ".md", ".toml", ".service", ".yml") + ["deploy/demo"]:
        if not (ROOT / name).is_file():
            continue
        for number, line in enumerate(text_of(name).split("\n"), 1):
            for match in address.finditer(line):
                if all(int(part) < 256 for part in match.groups()) and not fine.match(match.group(0)) \
                        and not re.search(r"(?i)version|rfc|section|§|reference vector", line):
                    yield f"{name}:{number}: not a documentation address: {match.group(0)}"


def python_compiles():
    """Every Python file parses."""
    scripts = [f for f in files("") if not f.endswith((".cc", ".h"))
               and text_of_start(f).startswith("#!/usr/bin/env python3")]
    for name in sorted(set(files(".py") + scripts)):
        try:
            compile(text_of(name), name, "exec", dont_inherit=True)
        except SyntaxError as error:
            yield f"{name}:{error.lineno}: {error.msg}"


def shell_parses():
    """Every shell script parses."""
    for name in files(""):
        first = re.match(r"#!\s*/(?:usr/)?bin/(?:env )?(sh|bash)\b", text_of_start(name))
        if not first:
            continue
        process = subprocess.run([first.group(1), "-n", name], cwd=ROOT, capture_output=True, text=True)
        if process.returncode:
            yield process.stderr.strip()


def text_of_start(name):
    with open(ROOT / name, "rb") as file:
        return file.read(40).decode(errors="replace")


def documents_are_true():
    """What the documents name exists: files behind links, folders and files, tests."""
    sources_text = "\n".join(text_of(f) for f in sources())
    tests = {f"{suite}.{name}" for suite, name in re.findall(r"TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", sources_text)}
    names = {t.split(".")[1] for t in tests}
    folders = "|".join(SPINE + LEAVES + ["docs", "deploy"])
    for name in files(".md"):
        for number, line in enumerate(text_of(name).split("\n"), 1):
            for target in re.findall(r"\]\(([^)#\s]+)", line):
                if "://" not in target and not (ROOT / name).parent.joinpath(target).exists():
                    yield f"{name}:{number}: a link to nothing: {target}"
            for quoted in re.findall(r"`([^`]+)`", line):
                path = re.match(rf"(?:{folders})/[\w./*-]*$", quoted)
                if path and not any(list(ROOT.glob(quoted.rstrip("/") + end)) for end in ("", ".h", ".py")):
                    yield f"{name}:{number}: no such file: {quoted}"
                if re.match(r"[A-Z]\w+\.[A-Z]\w+$", quoted) and quoted not in tests:
                    yield f"{name}:{number}: no such test: {quoted}"
                elif re.match(r"([A-Z][a-z]+){4,}$", quoted) and quoted not in names and quoted not in sources_text:
                    yield f"{name}:{number}: no such test: {quoted}"


def figures_are_measured():
    """Tables of figures are those of docs/performance/figures.json: nobody edits them by hand."""
    sys.path.insert(0, str(ROOT))
    from tests.bench.board import documents  # pylint: disable=import-outside-toplevel
    for name, block in documents.disagreements():
        yield f"{name}: the block {block!r} is not what was measured: tests/bench/scoreboard --render"
    for part in documents.unreliable():
        yield f"docs/performance/figures.json: {part} is of a quick run: tests/bench/scoreboard --only {part} --land"
    for plot in documents.stale_plots():
        yield f"{plot}: does not show what was measured: tests/bench/scoreboard --render"


CHECKS = [include_order, includes_from_root, vendor_headers, protocol_asks_nothing, sizes, one_package_list,
          documentation_addresses, documents_are_true, figures_are_measured, python_compiles, shell_parses, formatted,
          headers_compile_alone]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", help="write the counts there")
    parser.add_argument("checks", nargs="*", help=" ".join(c.__name__ for c in CHECKS))
    arguments = parser.parse_args()
    passed, failures = 0, []
    for check in CHECKS:
        if arguments.checks and check.__name__ not in arguments.checks:
            continue
        started = time.monotonic()
        found = list(check())
        errors = [f for f in found if not f.startswith("warning: ")]
        for finding in found:
            print(f"     {finding}")
        print(f"{'FAIL' if errors else 'ok':4} lint {check.__name__}: {check.__doc__} "
              f"({time.monotonic() - started:.1f} s)", flush=True)
        passed += not errors
        if errors:
            failures.append(check.__name__)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(
            {"passed": passed, "failed": len(failures), "skipped": 0, "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
