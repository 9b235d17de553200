#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs each fuzzer of $B/fuzz for a time, two at a time, with its corpus in $B/fuzz/corpus (which
grows, so that a later run goes on where this one ended) and the committed one beside this file.
Prints a line a fuzzer and a summary; what broke one is kept beside the corpus.

usage: run.py [--seconds S] [--list] [REGEX]
"""
import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def run(program, seconds):
    """(ok, fact)"""
    corpus = program.parent / "corpus" / program.name
    corpus.mkdir(parents=True, exist_ok=True)
    begin = [str(p) for p in [ROOT / "tests/fuzz/corpus" / program.name] if p.is_dir()]
    done = subprocess.run([str(program), f"-max_total_time={seconds}", "-print_final_stats=1",
                           "-rss_limit_mb=4096", f"-artifact_prefix={corpus}.", str(corpus),
                           *begin], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=seconds + 300)
    runs = re.search(r"number_of_executed_units:\s*(\d+)", done.stdout)
    ok = done.returncode == 0 and runs is not None and int(runs[1]) > 0
    if not ok:
        print(done.stdout[-4000:])
    return ok, f"{runs[1] if runs else 'no'} runs, {len(list(corpus.iterdir()))} inputs kept"


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--seconds", type=int, default=600, help="each fuzzer (600)")
    args.add_argument("--list", action="store_true", help="names of the fuzzers, nothing else")
    args.add_argument("regex", nargs="?", default="")
    args = args.parse_args()
    start = time.monotonic()
    folder = ROOT / os.environ.get("B", "build") / "fuzz"
    chosen = [p for p in sorted(folder.glob("*_fuzz")) if re.search(args.regex, p.name)]
    if args.list:
        print("\n".join(p.name for p in chosen))
        return 0

    def one(program):
        try:
            ok, fact = run(program, args.seconds)
        except subprocess.TimeoutExpired:
            ok, fact = False, "hangs"
        print(f"{'PASS' if ok else 'FAIL'} fuzz {program.name}: {fact}", flush=True)
        return ok

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, chosen))
    failed = len(results) - sum(results) if results else 1
    print(f"STAGE fuzz: {sum(results)} passed, {failed} failed in {time.monotonic() - start:.0f} s")
    return failed != 0


sys.exit(main())
