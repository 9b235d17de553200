# SPDX-License-Identifier: BSD-2-Clause
"""A config run on a test bed, told to people as it goes on: for `run` and the benchmarks."""
import re
import sys
from pathlib import Path

from . import boot, diagnostics, guest_results, nics, results, testbed
from .console import count, error, plain

HEARTBEAT_SECONDS = 15
LAST_LINES = 12
LONGEST_WORDS = 256             # of a guest, which may write anything


def describe(event):
    """one event as a progress line"""
    kind = event["event"]
    if kind == "boot":
        return (f"booted: {event.get('backend')}, {count(event.get('cpus'), 'CPU')}, "
                f"TSC {event.get('tsc_khz', 0) / 1000:.1f} MHz")
    if kind == "vm-start":
        return f"{event.get('vm')}: started"
    if kind == "vm-end":
        reason = f", {event['reason']}" if event.get("reason") else ""
        return f"{event.get('vm')}: ended, {event.get('end')}{reason}"
    if kind == "result":
        return describe_result(event)
    if kind == "guest-result":
        return guest_results.describe(event)
    if kind == "vm-reset":
        reason = f" ({event['reason']})" if event.get("reason") else ""
        return f"{event.get('vm')}: {event.get('end')}{reason}: it starts again"
    if kind == "vm-waits":
        return f"{event.get('vm')}: {event.get('reason')}: tried until it can"
    if kind == "uplink":
        return f"uplink {event.get('port')}: {event.get('link')}"
    return {"end": "every guest is off"}.get(kind, f"{kind}: {event.get('reason', '')}")


def describe_result(event):
    told = (f"{event.get('peer')} -> {event.get('vm')}: {event.get('test')} "
            f"{event.get('frame_bytes')} bytes, run {event.get('run')}/{event.get('runs')}: ")
    if event.get("test") == "rr":
        return told + (f"p50 {event.get('p50_ns', 0) / 1e3:.1f} us, "
                       f"p99 {event.get('p99_ns', 0) / 1e3:.1f} us")
    return told + (f"{8 * results.rate([event], 'bytes'):.3f} Gbit/s, "
                   f"{1e3 * results.rate([event], 'packets'):.4f} Mpps")


class Watcher:
    """Progress of a boot: its events, and a sign of life where there are none."""

    def __init__(self, progress):
        self.progress, self.last = progress, progress.elapsed()
        self.doing = "firmware and loader"

    def say(self, text):
        self.last = self.progress.elapsed()
        self.progress.say(text)

    def event(self, event):
        self.doing = "running"
        if event["event"] != "port":    # it comes with its VM's end
            self.say(describe(event))

    def wait(self):
        if self.progress.elapsed() - self.last > HEARTBEAT_SECONDS:
            self.say(f"still at it: {self.doing}")


def explain(outcome, timeout):
    """how a run failed: the emulator's words, then the end of the serial log"""
    if outcome.why():
        limit = f" ({timeout} s: raise --timeout)" if outcome.ended == "timeout" else ""
        error(outcome.why() + limit)
    for line in outcome.words:
        print("  " + plain(line.strip()), file=sys.stderr)
    lines = testbed.tail(outcome.serial_log, LAST_LINES)
    print(f"the end of {outcome.serial_log}:" if lines else
          f"nothing came over the serial line; the run is kept in {outcome.folder}",
          file=sys.stderr)
    for line in lines:
        print("  | " + plain(line), file=sys.stderr)


def guest_words(serial):
    """[(VM, sentence)] of the bundled guests that said why they fail (guest_fail())"""
    found = re.findall(r"^([^\s|]+)\| guest: (.+)$", serial, re.M)
    return [(vm, re.sub(r"[^ -~]", "?", text)[:LONGEST_WORDS]) for vm, text in found[-LAST_LINES:]]


def bed_for(args, vms):
    """the test bed and the machine of the command line; refused before anything is announced"""
    bed = testbed.pick(args.on)
    machine = testbed.Machine(args.cpus, boot.memory_for(vms), args.exit_cost,
                              nics=nics.of_config([d for vm in vms for d in vm.devices]))
    bed.check(machine)
    return bed, machine


def boot_config(config, bed, machine, timeout, watcher, share=None):
    """boots a config, its second line shared there; its result document, and whether all went well:
    else why is said"""
    made, good, _ = boot_config_events(config, bed, machine, timeout, watcher, share)
    return made, good


def boot_config_events(config, bed, machine, timeout, watcher, share=None):
    """the same, and its events"""
    if bed.note:
        watcher.say(f"{bed.note}; QEMU emulates the CPUs until then")
    watcher.say(f"starting {bed.emulator()} ({bed.name}), {count(machine.cpus, 'CPU')}, "
                f"{Path(config.file).name}")
    outcome = boot.boot(bed, machine, config.blob, config.images, timeout,
                        on_event=watcher.event, on_wait=watcher.wait,
                        share=share)
    made = results.document(outcome.stream.events, bed, machine, config.vms, config.blob)
    said = results.complaints(made)
    if outcome.ended == "end" and not said:
        outcome.discard()
        return made, True, outcome.stream.events
    diagnostics.show_all(config.errors_of_boot(outcome.serial()), sys.stderr)
    explain(outcome, timeout)
    for complaint in said:
        error(complaint)
    for vm, text in guest_words(outcome.serial()):
        error(f"VM {vm}: {text}")
    return made, False, outcome.stream.events
