#!/usr/bin/env python3
"""Deaths under HTTPS transfers for as long as one likes; the first complaint ends it.

    tls_soak.py [--rounds 100] [--seed N]       two deaths a round; a lab lasts ten rounds; every other has 1 % loss
"""
import argparse
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from tests.system.harness import Failure, Lab, LabError, Options  # noqa: E402
from tests.system.https_load import kill_rounds  # noqa: E402

ROUNDS_A_LAB = 10


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    done, number = 0, 0
    while done < arguments.rounds:
        seed, rounds = arguments.seed + number, min(ROUNDS_A_LAB, arguments.rounds - done)
        with Lab.up("soak", Options(mode="tls", loss_percent=number % 2 * 1.0, loss_seed=seed & 0xFFFF)) as lab:
            try:
                kill_rounds(lab, seed, rounds)
            except (Failure, LabError) as why:
                print(f"FAIL after {2 * done} deaths, again with --seed {seed}: {why}; logs: {lab.keep_logs()}")
                return 1
        done, number = done + rounds, number + 1
        print(f"ok   {2 * done} deaths, seed {seed}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
