#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the unit tests: every program in $B/unit (cmocka, TAP output), each fuzzer with its committed
corpus (tests/fuzz/corpus), the Python tests, and whether generated documents are up to date. Two at
a time. Prints a line a program, all of the output of one that failed, and a summary of the single
tests.

usage: run.py [--soak] [--list] [REGEX]    --soak: the longer runs of the seeded tests
(LASTHOP_SOAK=1); --list: names of the programs, nothing else
"""
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT = 600  # seconds of the host, generous


def programs():
    """[(name, command)]"""
    build = Path(os.environ.get("B", "build"))
    found = [(p.name, [str(p)]) for p in sorted((ROOT / build / "unit").glob("*_test"))]
    found += [(p.name, [str(build / "fuzz" / p.name), "-runs=0", str(p)])
              for p in sorted((ROOT / "tests/fuzz/corpus").iterdir())]
    found += [(p.stem, [sys.executable, str(p)]) for p in sorted((ROOT / "tests/unit").glob("test_*.py"))]
    found.append(("counters_document", [sys.executable, "scripts/gen_counters.py", "--check"]))
    return found


SKIPPED = re.compile(r"^\s*(?:not )?ok \d+ # SKIP (.*)$", re.M)     # this machine lacks what it needs


def count(out, status):
    """(passed, failed) of one program's output"""
    tap = re.findall(r"^\s*(ok|not ok) \d+(?! # SKIP)\b", out, re.M)
    ran = re.search(r"^Ran (\d+) tests?", out, re.M)
    if tap or SKIPPED.search(out):
        passed, failed = tap.count("ok"), tap.count("not ok")
    elif ran:
        bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", out))
        passed, failed = int(ran[1]) - bad, bad
    else:
        passed, failed = int(status == 0), 0
    if status != 0 and failed == 0:
        failed = 1
    return passed, failed


def run(program):
    name, command = program
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=LIMIT)
        out, status = done.stdout, done.returncode
    except subprocess.TimeoutExpired as end:
        out, status = (end.stdout or b"").decode(errors="replace"), -1
        out += f"\nstopped after {LIMIT} s\n"
    passed, failed = count(out, status)
    skipped = SKIPPED.findall(out)
    if passed + failed + len(skipped) == 0:
        failed = 1
    if failed:
        print(out)
    print(f"{'FAIL' if failed else 'PASS'} {name}: {passed} passed, {failed} failed"
          f"{''.join(f', {one} skipped' for one in skipped)} "
          f"({time.monotonic() - start:.1f} s)", flush=True)
    return passed, failed


def main():
    start = time.monotonic()
    args = [a for a in sys.argv[1:] if a not in ("--soak", "--list")]
    os.environ["CMOCKA_MESSAGE_OUTPUT"] = "tap"
    stage = "unit"
    if "--soak" in sys.argv:
        os.environ["LASTHOP_SOAK"] = "1"
        stage = "stress"
    chosen = [p for p in programs() if not args or re.search(args[0], p[0])]
    if "--list" in sys.argv:
        print("\n".join(name for name, _ in chosen))
        return 0
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(run, chosen))
    passed, failed = (sum(column) for column in zip((0, not results), *results))
    print(f"STAGE {stage}: {passed} passed, {failed} failed in {time.monotonic() - start:.0f} s")
    return failed != 0


sys.exit(main())
