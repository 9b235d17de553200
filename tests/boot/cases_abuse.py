# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests with guest/abuse, which tries by seed all that a guest must not. It may be stopped for
it or not; the hypervisor and a measuring pair on the same CPUs and the same switch notice nothing.

To have a round again: the same seed and category, first=ROUND rounds=1 (guest/abuse/main.c).
"""
import os

from cases import BACKEND, MEASURED, both, Case
from configs import Vm, config, ends, pair

CATEGORIES = ("msr", "mmio", "vq", "pci", "apic", "io", "hcall", "cr", "insn", "storm", "race")
ON_BED = {"tcg": "", "bochs": " no67=1"}     # guest/abuse/abuse.h
# its first act at the latest; what has not begun shows nothing
BEGUN = [r"^\w+\| abuse: seed \d+, \d+ rounds$"]


class OneOf(tuple):
    """an end that may be any of these"""

    def __eq__(self, end):
        return end in tuple(self)

    __hash__ = tuple.__hash__


STOPPED_OR_NOT = OneOf(("ok", "crash", "failed"))


def hostile(category, seed, more):
    return Vm(f"{category}{seed}", "abuse.elf", f"seed={seed} only={category} {more}",
              ("lan", "lan"), cpus=2 if category == "race" else 1)


def abuse(on, name, seed, cpus, more, **how):
    """a VM a category beside the pair"""
    vms = [hostile(category, seed, more + ON_BED[on]) for category in CATEGORIES]
    return Case(f"{on}-abuse-{name}", on, config(*pair(), *vms), cpus=cpus, backend=BACKEND[on],
                results=MEASURED, must=BEGUN,
                ends=ends(pair() + vms, **{vm.name: STOPPED_OR_NOT for vm in vms}), **how)


RESETS = pair() + [hostile("reset", seed, "rounds=100") for seed in (1, 2, 3)]

CASES_ABUSE = [
    *(abuse(on, "1cpu", 1, 1, "rounds=10") for on in BACKEND),
    *(abuse(on, "4cpu", 2, 4, "rounds=20") for on in BACKEND),
    # with what is known to stop the VM, soon
    *(abuse(on, "fatal", 3, 2, "rounds=50 fatal=10") for on in BACKEND),
    # one that restarts itself for ever, by all ports that can
    *both("abuse-resets", RESETS, cpus=2, results=MEASURED, ended="until",
          until=("sink1", "source1"), must=[r"\] vm reset1: ended: reboot: reset by the guest$"],
          ends=ends(RESETS, **{vm.name: "running" for vm in RESETS[2:]})),
]

# a thousand rounds of each category on each test bed
SEED = 100 * int(os.environ.get("LASTHOP_SEED", "1"))
SOAK_ABUSE = [abuse(on, f"soak-{seed}", seed, 1 + seed % 4, "rounds=125 fatal=1000", limit=1800)
              for on in BACKEND for seed in range(SEED + 1, SEED + 9)]
