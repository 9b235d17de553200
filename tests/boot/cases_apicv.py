# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of APIC virtualisation on VT-x: by a core of its own (core_apicv), the faults of Bochs that
show with it only (scripts/bochs-errata.py, 3 and 4); what it saves (noexit.c); and, since all other cases
run with it where the CPU has it, a few without."""
import hooks
from cases import BACKEND, HELLO, MEASURED, TIMERS, Case, by_core
from cases_smp import FAILED, proved, sizes, storms
from configs import Vm, config, injected, pair

FACTS = ["host interrupts make a guest exit that has its own off",
         "a pending virtual interrupt waits as long as IF = 0", "it arrives once after STI",
         "notifications without a request bring nothing", "a posted interrupt arrives once",
         "none of them made the guest exit"]

ROUNDS = 1000                                # of noexit.c
OTHERS = 300                                 # start, timers, slices
NOEXIT = [Vm("noexit", "noexit.elf", cpus=2)]
ARRIVED = [rf"^noexit\| PASS {fact}: " for fact in ("other", "self", "priority")]
INJECTED = [r"\] lasthop: interrupts: injected at VM entries; apicv would need "]


def without(name, vms, cpus=2, **more):
    """a case that runs elsewhere with APIC virtualisation"""
    return Case(f"bochs-injected-{name}", "bochs", config(*injected(vms)), cpus=cpus,
                backend=BACKEND["bochs"], must_not=FAILED + [r"started, .*, apicv$"], **more)


CASES_APICV = [
    # the core takes no notice of the config, so its VM is never started
    Case("bochs-apicv", "bochs", HELLO, cpus=2, backend=BACKEND["bochs"], ends={"hello": "running"},
         efi="test/apicv.EFI", must=[rf"\] PASS apicv: {fact}$" for fact in FACTS],
         must_not=[r"\] (FAIL|SKIP) apicv: "]),
    # a notification to a vCPU that runs, an EOI, a self-IPI, TPR: no exit; the sender's IPI is one
    Case("bochs-noexit", "bochs", config(*NOEXIT), cpus=2, backend=BACKEND["bochs"],
         must=[*ARRIVED, r"\] vm noexit: started, .*, apicv$"], must_not=[r"\| FAIL "],
         hooks=[hooks.exits("noexit", interrupt=(0, OTHERS), ipi=(ROUNDS, ROUNDS + OTHERS),
                            eoi=(0, 0), window=(0, 0), priority=(0, 0))]),
    # the same without: an exit for each, two for what is sent to another
    without("noexit", NOEXIT, must=ARRIVED,
            hooks=[hooks.exits("noexit", interrupt=(ROUNDS // 2, 2 * ROUNDS),
                               ipi=(2 * ROUNDS, 2 * ROUNDS + OTHERS),
                               eoi=(2 * ROUNDS, 2 * ROUNDS + OTHERS),
                               priority=(ROUNDS, ROUNDS + OTHERS))]),
    without("timer", TIMERS, must=[r"^timer1\| PASS faults-state: "]),
    without("smp", sizes("smp", "ms=20"), must=proved("smp", "PASS nmi-storm: ", "PASS ring: ")),
    without("apicstorm", storms(1, 2, 3)),
    without("bench", pair(), results=MEASURED),
    # a machine that lacks it runs without, unless a VM insists
    Case("bochs-apicv-lacking", "bochs", config(*NOEXIT), cpus=2, backend=BACKEND["bochs"],
         bochs={"model": "corei7_sandy_bridge_2600k"}, must=ARRIVED + INJECTED),
    by_core("apicv", "tcg", Vm("posted", "hello.elf", more=['apicv = "on";']),
            r'apicv: "on" cannot be had, this machine lacks VT-x: leave it out$'),
]
