"""holdfastd under AddressSanitizer and UBSan, for a test's length."""
import os
import subprocess
import time

from tests.system.harness import ROOT, Skip, Traffic, accept, check, limit, wait_new_holder

BUILD_TIMEOUT_S = 1500


def sanitized_build():
    """Built apart, once: the folder stays."""
    folder = ROOT / "build-asan"
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", "--werror", "-Db_sanitize=address,undefined", "-Db_lundef=false", folder],
                       cwd=ROOT, check=True, capture_output=True, timeout=120)
    done = subprocess.run(["ninja", "-C", folder, "controlplane/holdfastd"], capture_output=True, text=True,
                          timeout=BUILD_TIMEOUT_S)
    check(done.returncode == 0, f"build-asan: {done.stdout[-2000:]}")
    return folder / "controlplane/holdfastd"


def sanitized(case, **options):
    if os.environ.get("HOLDFAST_NO_ASAN"):
        raise Skip("HOLDFAST_NO_ASAN is set")
    os.environ["HOLDFASTD"] = os.environ.get("HOLDFASTD_ASAN") or str(sanitized_build())
    # Slow unwinding, or OpenSSL's frames are not known and cannot be told apart.
    os.environ["ASAN_OPTIONS"] = "detect_leaks=1:detect_stack_use_after_return=1:fast_unwind_on_malloc=0"
    os.environ["LSAN_OPTIONS"] = f"print_suppressions=0:suppressions={ROOT / 'tests/system/sanitizer_leaks.supp'}"
    os.environ["UBSAN_OPTIONS"] = "print_stacktrace=1"
    # Slowed several times over, on few cores: a node must not be taken for dead because it is late.
    with case.lab(nodes=3, heartbeat="50ms", misses=8, stall="100ms", **options) as lab:
        traffic = Traffic(lab, downloads=10, uploads=10, echoes=2, seconds=12, rate=20_000)
        traffic.wait_moving(30)
        first = lab.holder()
        lab.kill(first)
        second = wait_new_holder(lab, first)
        lab.start(first)
        lab.wait_for(f"{first} is back", lab.whole, 20)
        check(lab.stop(second, 20), f"{second} did not end on SIGTERM")
        wait_new_holder(lab, second)
        result = traffic.result()
        result.all_well()
        time.sleep(0.5)
        stopped = [n for n in lab.nodes() if lab.running(n)]
        for node in stopped:
            check(lab.stop(node, 20), f"{node} did not end on SIGTERM")
        for node in lab.nodes():
            log = lab.log(node).read_text(errors="replace")
            for word in ("AddressSanitizer", "LeakSanitizer", "runtime error:"):
                at = log.find(word)
                check(at < 0, f"{node}: {log[max(0, at - 200):at + 3000]}")
        return f"{result.survivors()} of {len(result.records)} byte-exact, {result.stall_text()}; no report, no leak"


@accept(7, "holdfastd under AddressSanitizer and UBSan: no report, nothing leaks at shutdown")
@limit(BUILD_TIMEOUT_S + 120)
def test_sanitized(case):
    """A kill, a handover and a return under AddressSanitizer and UBSan: no report, no leak at shutdown."""
    return sanitized(case)


@limit(BUILD_TIMEOUT_S + 120)
def test_sanitized_tls(case):
    """The same while TLS terminates here."""
    return sanitized(case, mode="tls")
