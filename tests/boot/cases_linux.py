# SPDX-License-Identifier: BSD-2-Clause
"""Cases with Debian's kernel as guest (guest/linux/build): it boots without a complaint, and two of
them talk to each other. What the guests measure is shown, never compared."""
import re

from cases import BACKEND, Case
from configs import Vm, config, ends
from lasthoplib import guest_results

# In the kernel's log: what a sound platform does not cause. The guest prints again, with its level,
# what was a warning or worse ("kernel log: <3>…"); the processors that the test beds model lack
# the microcode against RETBleed and SRSO, which is not ours to mend.
COMPLAINTS = re.compile("|".join([
    r"\bBUG\b", r"WARNING: (CPU|[a-z])", r"\bunstable\b", r"Oops|general protection fault",
    r"ACPI (Error|Warning|Exception|BIOS)", r"unchecked MSR", r"Call Trace",
    r"[Ll]ost (interrupt|\d+ interrupt)|nobody cared|[Nn]o irq handler|spurious interrupt",
    r"soft lockup|rcu_\w+ (detected|self-detected)|hung_task|blocked for more than",
    r"PCI: Fatal|no GSI|can't find IRQ|BAR \d+: (no space|failed)|virtio\w*[^|]*: (error|failed)",
    r"Unknown symbol|kernel log: <[0-3]>(?!.*(RETBleed|Return Stack Overflow))",
]))
ADDRESS = "lasthop.ip=10.0.0.{0}/24 lasthop.ip6=fd00::{0}/64"
PEER = "lasthop.peer=10.0.0.1 lasthop.peer6=fd00::1"


def linux(name, words, nets=("lan",), memory_mib=256, console="console=ttyS0", **more):
    """one Linux VM; words: its command line behind the console's"""
    return Vm(name, "vmlinuz", f"{console} {words}".strip(), nets, memory_mib,
              more=['initrd = "linux.cpio";'], **more)


def server_and_client(tests, seconds=1):
    return [linux("server", f"lasthop.role=server {ADDRESS.format(1)}"),
            linux("client", f"lasthop.role=client {ADDRESS.format(2)} {PEER} "
                            f"lasthop.tests={','.join(tests)} lasthop.seconds={seconds}")]


def told(vm, tests):
    """the VM has told a result of each test, and none of them is nothing"""
    def hook(outcome):
        made = {e["test"]: e for e in guest_results.entries(outcome.stream.events)
                if e["vm"] == vm}
        facts = [(set(made) == set(tests), f"{vm} told results of {', '.join(made) or 'nothing'}")]
        for test, result in made.items():
            if result["name"] == "ping":
                facts.append((result["sent"] == result["received"] > 0,
                              f"{test}: {result['received']} of {result['sent']} answered"))
            else:
                facts.append((result["bytes"] > 0, f"{test}: {result['gbit_s'] * 1e3:.1f} Mbit/s"))
        return facts
    return hook


def no_complaints(outcome):
    """the guests' kernels are content with their machine"""
    found = [line for line in outcome.serial().split("\n") if COMPLAINTS.search(line)]
    return [(not found, "no kernel complained" if not found else
             f"{len(found)} complaints of kernels, the first: {found[0]}")]


def linux_case(on, name, vms, hooks=(), **more):
    return Case(f"{on}-linux-{name}", on, config(*vms), backend=BACKEND[on],
                hooks=[no_complaints, *hooks], **more)


def boots(on):
    """full messages; clock, interrupts and device as the kernel sees them"""
    return linux_case(on, "boots", [linux("alice", f"loglevel=8 {ADDRESS.format(1)}")], cpus=2,
                      limit=900, must=[
                          r"^alice\| boot: Linux 6\.",
                          r"^alice\| boot: clocksource tsc of tsc kvm-clock",
                          r"kvm-clock: Using msrs 4b564d01 and 4b564d00",
                          r"Switched APIC routing to .*x2apic",
                          r"TSC deadline timer available",
                          r"PCI: MMCONFIG at \[mem 0xe0000000-0xe00fffff\] reserved",
                          r"ttyS0 at I/O 0x3f8 \(irq = [1-9]",
                          r"^alice\| boot: PCI 0000:00:01\.0 0x1af4:0x1041",
                          r"^alice\| boot: .*virtio0-input\.0",
                          r"^alice\| boot: 2: eth0: .*UP",
                          r"^alice\| lasthop: end ok$",
                      ])


def talks(on, tests, **more):
    vms = server_and_client(tests)
    return linux_case(on, "traffic", vms, hooks=[told("client", tests)], limit=1200, **more)


def ends_as(on, name, words, end, **more):
    vms = [linux("alice", words, nets=())]
    return linux_case(on, name, vms, cpus=2, ends=ends(vms, alice=end), **more)


TRAFFIC = ("ping", "ping6", "tcp", "tcp-reverse", "tcp6", "udp", "udp-small")
CASES_LINUX = [
    boots("tcg"), boots("bochs"),
    talks("tcg", TRAFFIC),
    # the guest tells that it failed, and why
    ends_as("tcg", "fails", "lasthop.role=nobody", "failed",
            must=[r"vm alice: ended: failed: the guest told: no role nobody$"]),
    Case("tcg-linux-too-large", "tcg", config(linux("alice", "", nets=(), memory_mib=72)),
         ended="refused", unchecked=True, ends={}, cpus=2,
         must=[r"initrd: linux\.cpio with \d+ MiB does not fit .*: raise memory-mib$"]),
]

SOAK_LINUX = [talks("bochs", ("ping", "tcp", "udp"))]
