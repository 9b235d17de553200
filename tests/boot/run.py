#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Boots each case of cases.py on its test bed and compares what happened with what must.

Cases run side by side, as many as the machine has CPUs: an emulator has one host thread here, but QEMU
has one a CPU in cases of the soak, where races between CPUs can show (docs/testbed.md). One line a case that passed (--verbose: one a check),
with what is only to be shown below it; all checks of one that failed, a summary last.
"""
import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import hooks                                             # noqa: E402
import cases as table                                   # noqa: E402
from cases import SYMPTOMS                               # noqa: E402
from cases_abuse import CASES_ABUSE, SOAK_ABUSE          # noqa: E402
from cases_apicv import CASES_APICV                      # noqa: E402
from cases_apply import CASES_APPLY
from cases_attack import CASES_ATTACK, SOAK_ATTACK        # noqa: E402
from cases_driver import CASES_DRIVER, SOAK_DRIVER       # noqa: E402
from cases_driver_linux import CASES_DRIVER_LINUX        # noqa: E402
from cases_examples import CASES_EXAMPLES, SOAK_EXAMPLES  # noqa: E402
from cases_iommu import CASES_IOMMU                      # noqa: E402
from cases_kernels import CASES_KERNELS, SOAK_KERNELS    # noqa: E402
from cases_linux import CASES_LINUX, SOAK_LINUX          # noqa: E402
from cases_mgmt import CASES_MGMT                        # noqa: E402
from cases_net import CASES_NET                          # noqa: E402
from cases_netd import CASES_NETD                        # noqa: E402
from cases_passthrough import CASES_PASSTHROUGH          # noqa: E402
from cases_sched import CASES_SCHED                      # noqa: E402
from cases_reset import CASES_RESET                      # noqa: E402
from cases_screen import CASES_SCREEN                    # noqa: E402
from cases_shell import CASES_SHELL, SOAK_SHELL          # noqa: E402
from cases_reuse import CASES_REUSE, SOAK_REUSE          # noqa: E402
from cases_see import CASES_SEE                          # noqa: E402
from cases_smp import CASES_SMP                          # noqa: E402
from cases_uplinks import CASES_UPLINKS                  # noqa: E402
from lasthoplib import boot, dts, paths, results, testbed    # noqa: E402
from lasthoplib.console import Failure                   # noqa: E402
from world import World, enter                           # noqa: E402

# `make test` has 25 minutes: one case of each claim. These are the same claims with another number of CPUs, on
# another NIC or with other options, for the soak.
FURTHER = re.compile("|".join(f"^{pattern}$" for pattern in (
    r"(bochs|tcg)-(bench-1cpu|6vms-[12]cpu|[35]vms-2cpu|crashes-1cpu|loop-2cpu|abuse-1cpu)",
    r"tcg-(sched-(affinity|wake)|bench-8cpu|loop-1cpu|6vms-4cpu|crashes-2cpu|fault-stack-overflow)",
    r"bochs-(sched-eight|acpi-8vcpus|refuses-missing-dtb)", r"bochs-(bench-8cpu|30nics)",
    r"(bochs|tcg)-(smp-[12]cpu|fpu-[14]cpu|apicstorm-2cpu)",
    r"bochs-injected-bench", r"tcg-(init|abuse)-resets", r"bochs-(mgmt-verbs|linux-injected)",
    r"bochs-refuses-(linux-32-bit|linux-large|linux-cut|text|elf-arm64|folder-kernel)",
    r"bochs-refuses-((large|damaged)-kernel|(random|absurd|huge)-dtb)", r"tcg-refuses-(affinity|memory)",
    r"bochs-fault-(write-rodata|image-alias|trampoline-alias|direct-map-execute|divide|nmi-amid-log)",
    r"tcg-fault-(assertion|absurd-device)",
    r"(bochs|tcg)-netd-rr", r"tcg-uplink-(e1000|virtio|reuse-e1000e?|reuse-virtio|streams)",
    r"tcg-uplink-(reuse-pause-(virtio|e1000e)|pause-e1000e?)", r"tcg-uplink-carrier-(virtio|e1000)", r"tcg-restart-((virtio|e1000)-4|at-once)", r"tcg-linux-driver-(e1000|restart)",
    r"tcg-attack-(e1000-6|virtio-12|old-message)", r"bochs-attack-(e1000|none)",
    r"tcg-iommu-(core-39-bit|48-bit)", "bochs-iommu-none", "tcg-pass-unsafe",
    r"tcg-refuses-passthrough-(second|conventional)",
    r"tcg-example-(uplink|linux-(driver-domain|generic|smp))",
    r"tcg-linux-(cpus-2-4-8|generic|pvh|kexec-[12]|filter|storm)",
    "tcg-screen-ramfb", r"tcg-(reset|triple-fault)-told", "bochs-reset-told", "tcg-check-nothing", "bochs-check-vmx",
    "tcg-see-why-all", "bochs-see-why", "bochs-apply")))
# the examples first among their equals (run_all()): the longest case is one of them, and at the end would run alone
ALL = (CASES_EXAMPLES + table.CASES + CASES_SCREEN + CASES_RESET + CASES_SHELL + CASES_MGMT + CASES_APPLY + CASES_SEE +
       CASES_SCHED + CASES_APICV + CASES_SMP + CASES_ABUSE + CASES_NET + CASES_NETD + CASES_DRIVER +
       CASES_DRIVER_LINUX + CASES_UPLINKS + CASES_REUSE + CASES_ATTACK + CASES_IOMMU + CASES_PASSTHROUGH +
       CASES_LINUX + CASES_KERNELS)
QUICK = [c for c in ALL if not FURTHER.match(c.name)]
SOAK_FURTHER = [c for c in ALL if FURTHER.match(c.name)]
SOAK = (SOAK_ABUSE + SOAK_LINUX + SOAK_KERNELS + SOAK_EXAMPLES + SOAK_SHELL + SOAK_DRIVER + SOAK_REUSE +
        SOAK_ATTACK + SOAK_FURTHER)

LAST_LINES = 15
# QEMU's e1000e ends QEMU if its driver switches MSI-X off at the wrong moment: docs/testbed.md
QEMU_FAULT = r"e1000e_core\.c:\d+: e1000e_intrmgr_on_msix_throttling_timer: Assertion"
ATTEMPTS = 3
SLOWER = 0.05                   # of a throughput, that may be missing
BUCKETS = 64                    # of a latency's power of two: guest/bench/histogram.c
PHASE = 1e-4                    # one boot in ten or so begins some 10 us earlier or later: docs/testbed.md
INSTRUCTIONS_PER_US = 100       # of Bochs: testbed.py's ips


@dataclass
class Report:
    """checks of one case, printed together when it is done"""
    name: str
    xfail: str = ""
    xfail_check: str = ""
    seconds: float = 0
    lines: list = field(default_factory=list)
    passed: int = 0
    failed: int = 0
    document: dict | None = None
    words: list = field(default_factory=list)    # the emulator's own, about its death

    def check(self, good, fact):
        if good is hooks.SHOWN:
            self.lines.append(f"SHOW {self.name}: {fact}")
            return
        self.passed += bool(good)
        self.failed += not good
        self.lines.append(f"{'PASS' if good else 'FAIL'} {self.name}: {fact}")

    def told(self, verbose):
        """what to print: a case that passed is one line, unless each check is wanted"""
        if not self.failed and not self.xfail and not verbose:
            return [f"PASS {self.name}: {self.passed} checks ({self.seconds:.1f} s)",
                    *(line for line in self.lines if line.startswith("SHOW"))]
        return [line + (f" ({self.seconds:.1f} s)" if not line.startswith("  ") else "")
                for line in self.lines]

    def settle(self):
        """an expected failure counts as passed; if it did not fail, or anything else did, as failed"""
        if not self.xfail:
            return
        failures = [line for line in self.lines if line.startswith("FAIL")]
        if any(not re.search(self.xfail_check, line) for line in failures):
            return
        told = f"{self.failed} check fails, as expected: {self.xfail}"
        if self.failed:
            self.lines = [f"XFAIL {self.name}: {told}"] + ["  | " + line for line in failures]
            self.passed, self.failed = 1, 0
        else:
            self.lines = []
            self.check(False, f"passes, but was expected to fail: {self.xfail}")


def load(case, scratch):
    """the case's config, compiled, with its images"""
    if not isinstance(case.config, str):
        path = scratch / "case.dtb"
        path.write_bytes(case.config or b"")
    elif case.config.lstrip().startswith("/dts-v1/"):
        path = scratch / "case.dts"
        path.write_text(case.config)
    else:
        path = paths.SOURCE / case.config
    for name, content in case.files.items():
        if content is None:
            (scratch / name).mkdir()
            continue
        (scratch / name).write_bytes(content if isinstance(content, bytes) else b"")
        if isinstance(content, int):
            os.truncate(scratch / name, content)
    config = dts.Config(path)
    if case.config is None:
        config.blob = None
    for name in case.files:
        config.images[name] = scratch / name
    if not case.unchecked:
        errors = config.check()
        if errors:
            raise Failure("config: " + " ".join(errors[0].headline()))
    return config


def check_ends(report, case, config, document):
    ends = {vm["name"]: vm["end"] for vm in document["vms"]}
    wanted = case.ends
    if wanted is None:
        wanted = {vm.name: "ok" for vm in config.vms if not vm.disabled}
    if not wanted and not ends:
        return
    report.check(ends == wanted, "VMs ended " + ", ".join(f"{k} {v}" for k, v in ends.items())
                 + ("" if ends == wanted else f", wanted {wanted}"))


def check_results(report, case, document):
    for test, least in case.results.items():
        found = [r for r in document["results"] if r["name"] == test]
        report.check(len(found) >= least, f"{len(found)} results of {test}, at least {least}")
        zero = [r["frame_bytes"] for r in found
                if not (r["gbit_s"]["min"] if test == "stream" else r["transactions"])]
        report.check(not zero, f"{test}: every figure above zero" + (f", not {zero}" if zero else ""))
    wrong = [r["frame_bytes"] for r in document["results"] if r.get("errors")]
    if document["results"]:
        report.check(not wrong, "no frame corrupt, out of order or lost silently"
                     + (f", but at {wrong} bytes" if wrong else ""))


def check_serial(report, case, serial):
    for pattern in case.must:
        report.check(re.search(pattern, serial, re.M), f"serial log has /{pattern}/")
    for pattern in case.must_not:
        found = re.search(rf"^.*(?:{pattern}).*$", serial, re.M)
        report.check(not found, f"serial log lacks /{pattern}/" + (f", not: {found[0]}" if found else ""))
    if case.ended in ("end", "until"):
        found = [pattern for pattern in SYMPTOMS if re.search(pattern, serial, re.M)]
        report.check(not found, "no sign of a crash in the serial log"
                     + "".join(f", but /{p}/" for p in found))


def judge(report, case, config, outcome):
    document = report.document
    report.check(outcome.ended == case.ended,
                 f"run ended: {outcome.ended} {outcome.why()}".rstrip()
                 + ("" if outcome.ended == case.ended else f", wanted {case.ended}"))
    if case.backend:
        report.check(document["backend"] == case.backend and document["cpus"] == case.cpus,
                     f"booted {document['backend'] or 'nothing'} with {document['cpus']} CPUs")
    if case.ended in ("end", "until"):
        check_ends(report, case, config, document)
    check_results(report, case, document)
    check_serial(report, case, outcome.serial())
    if case.ended == "refused":
        report.check(not outcome.stream.of("vm-start"), "no VM was started")
    # a driver domain that outlives the guests keeps its memory
    all_end = case.ended == "end" and case.ends != {} and "running" not in (case.ends or {}).values()
    for hook in ([hooks.memory_returned] if all_end else []) + case.hooks:
        for good, fact in hook(outcome):
            report.check(good, fact)
    report.check(not outcome.stream.garbled, "every event line is whole")


def talk(case, report, line, world, share):
    """uses the serial line as the case says; whether all went well"""
    line.world, line.second, line.wire = world, share, share
    try:
        case.talk(line, report.check)
    except (Failure, OSError) as problem:
        report.check(False, f"at the serial line: {problem}")
    return not report.failed


def boot_case(case, report):
    with tempfile.TemporaryDirectory() as scratch:
        config = load(case, Path(scratch))
        bed = testbed.pick(case.on)
        memory = case.memory_mib or boot.memory_for(config.vms)
        machine = testbed.Machine(case.cpus, memory, case.exit_cost,
                                  case.bochs, case.bochsrc, case.qemu, case.nics,
                                  threads="multi" if case in SOAK and not case.one_thread else "single",
                                  iommu=case.iommu)
        efi = paths.build() / case.efi if case.efi else None
        share = None
        if case.second_line:
            share = case.second_line() if callable(case.second_line) else str(Path(scratch) / "line")
        with World(case.world, taps=case.on == "tcg") if case.world else contextlib.nullcontext() as world:
            outcome = boot.boot(bed, machine, config.blob, config.images, case.limit, efi,
                                until=frozenset(case.until),
                                talk=case.talk and (lambda line: talk(case, report, line, world, share)),
                                share=share)
    report.seconds = outcome.seconds
    report.words = outcome.words
    report.document = results.document(outcome.stream.events, bed, machine, config.vms,
                                       config.blob or b"")
    judge(report, case, config, outcome)
    if report.failed:                           # what failed last, and what explains it below
        report.lines.sort(key=lambda line: line.startswith("FAIL"))
        report.lines += ["  | " + line.strip() for line in outcome.words]
        report.lines += ["  | " + line for line in testbed.tail(outcome.serial_log, LAST_LINES)]
        report.lines.append(f"  the whole of it: {outcome.serial_log}")
    else:
        outcome.discard()


def run_apart(case, report):
    """the case by another process, in a network of its own"""
    started = time.monotonic()
    done = subprocess.run(enter(sys.executable, __file__, "--here", "--verbose", "--only",
                                f"^{case.name}$", *(["--soak"] if case in SOAK else [])), capture_output=True, text=True)
    report.seconds = time.monotonic() - started
    told = [re.sub(r" \([\d.]+ s\)$", "", x) for x in done.stdout.splitlines()
            if not x.startswith(("STAGE", "[")) and not re.fullmatch(r"\d+ passed, \d+ failed", x)]
    report.lines += told
    report.passed += sum(x.startswith("PASS") for x in told)
    report.failed += sum(x.startswith("FAIL") for x in told)
    if done.returncode and not report.failed:
        report.check(False, f"no network namespace, or no result: {done.stderr.strip()[-500:]}")


def run_case(case, reports, verbose, here):
    for attempt in range(ATTEMPTS):
        report = reports[case.name] = run_once(case, here)
        fault = next((word for word in report.words if re.search(QEMU_FAULT, word)), None)
        if not fault or attempt == ATTEMPTS - 1:
            break
        print(f"SHOW {case.name}: begun again, the test bed died of a fault of its own: {fault}", flush=True)
    print("\n".join(report.told(verbose)), flush=True)


def run_once(case, here):
    report = Report(case.name, case.xfail, case.xfail_check)
    try:
        if case.world and not here:
            run_apart(case, report)
        else:
            boot_case(case, report)
    except Failure as failure:
        report.check(False, f"not run: {failure}")
    except Exception as problem:                # a case that cannot be judged has failed
        report.check(False, f"not judged: {type(problem).__name__}: {problem}")
    if not report.passed + report.failed:
        report.check(False, "no result")
    report.settle()
    return report


def alike(one, other):
    """the same, but for what firmware does to figures (PHASE)"""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= PHASE * max(abs(one), abs(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    return one == other


def compare(case, reports):
    """figures of two runs that must be the same"""
    report = Report(case.name)
    one, other = (reports[n].document for n in (case.name, case.same_as))
    same = one is not None and alike(one, other) and bool(one["results"])
    report.check(same, f"{'same' if same else 'not the same'} figures as {case.same_as}")
    if not same and one and other:
        report.lines += [f"  | {a}\n  | {b}" for a, b in zip(one["results"], other["results"])
                         if a != b]
    print("\n".join(report.lines), flush=True)
    return report


def compare_cost(case, reports):
    """the exits of a receiver are charged: a transaction takes longer by as much at least"""
    report = Report(case.name)
    one, other = ([r for r in (reports[n].document or {"results": []})["results"]
                   if r["name"] == "rr"] for n in (case.name, case.dearer_than))
    for dear, cheap in zip(one, other):
        cost = dear["receiver_exits_per_transaction"] * case.exit_cost / INSTRUCTIONS_PER_US
        bucket = dear["p50_us"] / BUCKETS
        report.check(cost > bucket and dear["p50_us"] - cheap["p50_us"] + bucket >= cost,
                     f"rr takes {dear['p50_us']} us, {cheap['p50_us']} without exit cost; its "
                     f"receiver's exits cost {cost:.1f}")
    if not one or len(one) != len(other):
        report.check(False, f"no rr to compare with {case.dearer_than}")
    print("\n".join(report.lines), flush=True)
    return report


def compare_speed(case, reports):
    """of what the VMs receive of each other, no more than SLOWER is missing"""
    report = Report(case.name)
    one, other = ([r for r in (reports[n].document or {"results": []})["results"] if r["name"] == "stream"]
                  for n in (case.name, case.as_fast_as))
    for mine, its in zip(one, other):
        rate, wanted = mine["gbit_s"]["median"], its["gbit_s"]["median"]
        report.check(rate >= (1 - SLOWER) * wanted > 0,
                     f"{mine['frame_bytes']} bytes: {rate} Gbit/s, {wanted} in {case.as_fast_as}")
    if not one or len(one) != len(other):
        report.check(False, f"no stream to compare with {case.as_fast_as}")
    print("\n".join(report.lines), flush=True)
    return report


def select(table_of_cases, only, on):
    chosen = [c for c in table_of_cases if re.search(only, c.name) and on in (None, c.on)]
    names = {n for c in chosen for n in (c.name, c.same_as, c.dearer_than, c.as_fast_as)}
    return [c for c in table_of_cases if c.name in names]


def run_all(cases, capacity, verbose, here):
    """reports of all cases, started with the longest of Bochs"""
    reports = {}
    order = sorted((c for c in cases if not c.skip), key=lambda c: (c.on == "tcg", -c.limit))
    threads = []
    gate = threading.Semaphore(capacity)

    def work(case):
        try:
            run_case(case, reports, verbose, here)
        finally:
            gate.release()

    for case in order:
        gate.acquire()
        threads.append(threading.Thread(target=work, args=(case,), daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return reports


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--only", default="", metavar="REGEX", help="cases whose name matches")
    args.add_argument("--on", choices=("bochs", "tcg"), help="cases of this test bed")
    args.add_argument("--capacity", type=int, metavar="N", default=max(2, testbed.host_cpus()),
                      help="cases that may run at once (CPUs of this machine)")
    args.add_argument("--soak", action="store_true", help="the cases that take longer")
    args.add_argument("--verbose", action="store_true", help="one line a check, not one a case")
    args.add_argument("--list", action="store_true", help="names of the cases, nothing else")
    args.add_argument("--here", action="store_true", help=argparse.SUPPRESS)   # in a namespace
    args = args.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    start = time.monotonic()
    cases = select(SOAK if args.soak else QUICK, args.only, args.on)
    if args.list:
        print("\n".join(c.name for c in cases))
        return 0
    for case in cases:
        if case.skip:
            print(f"SKIP {case.name}: {case.skip}")
    reports = run_all(cases, args.capacity, args.verbose, args.here)
    all_reports = list(reports.values()) + [
        compare(c, reports) for c in cases if c.same_as and not c.skip] + [
        compare_cost(c, reports) for c in cases if c.dearer_than and not c.skip] + [
        compare_speed(c, reports) for c in cases if c.as_fast_as and not c.skip]
    failed = sum(r.failed for r in all_reports)
    if not all_reports:
        print("FAIL: no case was run")
        failed = 1
    summary = f"{sum(r.passed for r in all_reports)} passed, {failed} failed"
    print(f"STAGE boot: {summary} in {time.monotonic() - start:.0f} s\n{summary}")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
