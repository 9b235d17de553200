#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Boots netd, the driver domain's program, on plain QEMU with a peer at both ends, as cases.py says.

One line a case that passed (--verbose: one a check), all checks of one that failed, a summary last.
"""
import argparse
import dataclasses
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]

import cases                                    # noqa: E402
from machine import Dead                        # noqa: E402


class Report:
    """checks of one case, printed together when it is done"""

    def __init__(self, case):
        self.name, self.lines, self.failed = case.name, [], 0
        self.start = time.monotonic()

    def check(self, good, fact):
        self.failed += not good
        self.lines.append(f"{'PASS' if good else 'FAIL'} netd-{self.name}: {fact}")

    def told(self, verbose):
        if self.failed or verbose or any(x.startswith("SKIP") for x in self.lines):
            return self.lines
        return [f"PASS netd-{self.name}: {len(self.lines)} checks "
                f"({time.monotonic() - self.start:.1f} s)"]


def namespace():
    """how to run a command in a network of its own; None: there is no way here"""
    enter = ["unshare", "--net", *([] if os.getuid() == 0 else ["--map-root-user"])]
    probe = "ip tuntap add dev t mode tap vnet_hdr && test -w /dev/net/tun"
    try:
        good = not subprocess.run([*enter, "sh", "-c", probe], capture_output=True).returncode
    except FileNotFoundError:
        good = False
    return enter if good else None


def run_apart(case, report):
    """the case by another process, in a network of its own"""
    enter = namespace()
    if not enter:
        report.lines.append(f"SKIP netd-{case.name}: TAP devices in a network namespace are wanted")
        return
    done = subprocess.run([*enter, sys.executable, __file__, "--here", "--verbose", "--only",
                           f"^{case.name}$"], capture_output=True, text=True)
    lines = [x for x in done.stdout.splitlines() if x.startswith(("PASS", "FAIL"))]
    report.lines += lines
    report.failed += sum(line.startswith("FAIL") for line in lines)
    if not lines:
        report.check(False, f"no result: {done.stderr}")


def run_steps(case, kernel, report):
    with cases.machine(case, kernel) as m:
        for step in case.steps:
            step(case, m, report.check)


def run(case, kernel, verbose, here):
    report = Report(case)
    try:
        if case.taps and not here:
            run_apart(case, report)
            case = dataclasses.replace(case, steps=())
        if case.steps:
            run_steps(case, kernel, report)
    except Dead as problem:
        report.check(False, str(problem))
    except Exception as problem:                # a case that cannot be judged has failed
        report.check(False, f"not judged: {type(problem).__name__}: {problem}")
    print("\n".join(report.told(verbose)), flush=True)
    return report


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--only", default="", metavar="REGEX", help="cases whose name matches")
    args.add_argument("--verbose", action="store_true", help="one line a check, not one a case")
    args.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = args.parse_args()
    start = time.monotonic()
    kernel = ROOT / os.environ.get("B", "build") / "guest/netd.elf"
    chosen = [c for c in cases.CASES if re.search(args.only, c.name)]
    with ThreadPoolExecutor(max(1, len(os.sched_getaffinity(0)))) as pool:
        reports = list(pool.map(lambda c: run(c, kernel, args.verbose, args.here), chosen))
    failed = sum(r.failed for r in reports) + (not reports)
    passed = sum(len(r.lines) - r.failed for r in reports)
    print(f"STAGE netd: {passed} passed, {failed} failed in {time.monotonic() - start:.0f} s")
    return failed != 0


sys.exit(main())
