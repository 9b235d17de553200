#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does the boot tests' search find what a kernel says of an unsound machine, and nothing else?"""
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT / folder) for folder in ("scripts", "tests", "tests/boot")]

from cases_linux import COMPLAINTS    # noqa: E402

UNSOUND = """\
BUG: kernel NULL pointer dereference, address: 0000000000000000
watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [swapper/1:0]
WARNING: CPU: 0 PID: 1 at arch/x86/kernel/apic/apic.c:1629 setup_local_APIC+0x2b1/0x310
Oops: 0000 [#1] PREEMPT SMP NOPTI
tsc: Marking TSC unstable due to clocksource watchdog
clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable
TSC synchronization [CPU#0 -> CPU#1]: Measured 12 cycles TSC warp between CPUs
[Firmware Bug]: TSC_DEADLINE disabled due to Errata; please update microcode
ACPI BIOS Error (bug): Could not resolve symbol [\\_SB.PCI0], AE_NOT_FOUND
ACPI Error: Aborting method \\_SB.PCI0._CRS due to previous error
unchecked MSR access error: RDMSR from 0x1a0 at rIP: 0xffffffff8107f5c2
irq 4: nobody cared (try booting with the "irqpoll" option)
__common_interrupt: 0.35 No irq handler for vector
Spurious APIC interrupt (vector 0xFF) on CPU#0, should never happen.
alice| boot: SPU:          0         10   Spurious interrupts
alice| boot: ERR:          1
APIC error on CPU0: 00(40)
Uhhuh. NMI received for unknown reason 3d on CPU 0.
rcu: INFO: rcu_preempt self-detected stall on CPU
rcu: INFO: rcu_sched detected stalls on CPUs/tasks:
INFO: task modprobe:61 blocked for more than 120 seconds.
wget[105]: segfault at 0 ip 000000000045d2f1 sp 00007ffc5e7a6a50 error 4 in busybox[401000+16e000]
show_signal_msg: 636 callbacks suppressed
pci 0000:00:01.0: BAR 0: failed to assign [io  size 0x0040]
pci 0000:00:01.0: can't find IRQ for PCI INT A; please try using pci=biosirq
virtio-pci 0000:00:01.0: PCI INT A: no GSI
NETDEV WATCHDOG: eth0 (virtio_net): transmit queue 0 timed out
vm alice: reads MSR 0x1a2, which it has not
vm alice: writes 0x1 to MSR 0x1a2, refused
alice| kernel log: <3>[    1.000000] whatever is an error
"""
SOUND = """\
Linux version 6.1.0-28-cloud-amd64 (debian-kernel@lists.debian.org)
alice| kernel log: <4>[    0.575556] Speculative Return Stack Overflow: WARNING: See https://kernel.org
alice| kernel log: <3>[    0.2] RETBleed: WARNING: Spectre v2 mitigation leaves CPU vulnerable
ACPI: PM: Preparing to enter system sleep state S5
clocksource: Switched to clocksource tsc
clocksource: Long readout interval, skipping watchdog check: cs_nsec: 7610683397 wd_nsec: 7610684123
tsc: Detected 2596.131 MHz processor
rcu: Hierarchical RCU implementation.
TSC deadline timer available
alice| boot: SPU:          0          0   Spurious interrupts
alice| boot: ERR:          0
vm alice: started, 2 vCPUs, 256 MiB
"""


class Complaints(unittest.TestCase):
    def test_what_an_unsound_machine_causes_is_found(self):
        for line in UNSOUND.splitlines():
            self.assertRegex(line, COMPLAINTS)

    def test_what_else_a_kernel_says_is_not(self):
        for line in SOUND.splitlines():
            self.assertNotRegex(line, COMPLAINTS)


if __name__ == "__main__":
    unittest.main()
