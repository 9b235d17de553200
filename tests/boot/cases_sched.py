# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of the scheduler: fair shares, wake-ups, affinity, with more VMs than CPUs.

Asserted in Bochs's clock, which is virtual and the same on each run; on TCG the same figures are
printed. Guests tell how long they ran of a window of time (spin.c), and how late they woke (wake.c).
"""
import re

import hooks
from cases import BACKEND, Case
from configs import Vm, config, ends

TOLERANCE = 0.05        # of the fair share
SLICE_US = 1000         # hv/core/sched.h


def shares(serial):
    """{VM: part of its window in which it ran}"""
    return {m[1]: int(m[2]) / int(m[3]) for m in
            re.finditer(r"^(\w+)\| spin: ran (\d+) of (\d+) us", serial, re.M)}


def judged(good, asserted):
    """what is not asserted is shown"""
    return good if asserted else hooks.SHOWN


def fair(wanted, asserted):
    """these VMs got these shares of a CPU; what switching costs is in the tolerance"""
    def hook(outcome):
        got = shares(outcome.serial())
        facts = []
        used = {e.get("vm"): e.get("run_us", 0) / 1000 for e in outcome.stream.of("vm-end")}
        for vm, share in wanted.items():
            near = abs(got.get(vm, 0) / share - 1) <= TOLERANCE
            facts.append((judged(near, asserted), f"{vm} ran {got.get(vm, 0):.1%} of the time, "
                          f"{share:.1%} would be fair; in all {used.get(vm, 0):.1f} ms"))
        alike = [got.get(vm, 0) for vm in wanted]
        mean = sum(alike) / len(alike)
        if len(set(wanted.values())) == 1:
            worst = max((abs(one / mean - 1) if mean else 1) for one in alike)
            facts.append((judged(worst <= TOLERANCE, asserted),
                          f"shares differ from their mean by {worst:.1%} at most"))
        return facts
    return hook


def woken(vms, asserted, limit_us=2 * SLICE_US):
    """after each sleep they ran within this time"""
    def hook(outcome):
        facts = []
        for vm in vms:
            told = re.search(rf"^{vm}\| wake: \d+ sleeps, late by (\d+) us at most, (\d+) on",
                             outcome.serial(), re.M)
            if not told:
                facts.append((False, f"{vm} told nothing"))
                continue
            facts.append((judged(int(told[1]) <= limit_us, asserted),
                          f"{vm} ran {told[1]} us after its timer at most, {told[2]} on average"))
        for event in outcome.stream.of("vm-end"):
            if event.get("vm") in vms:      # of its whole life, others' beginnings and ends too
                facts.append((event.get("wakeups", 0) > 0, f"{event['vm']} was woken "
                              f"{event.get('wakeups')} times, and waited for a CPU "
                              f"{event.get('wake_us_max')} us at most"))
        return facts
    return hook


def spins(names, args="", **more):
    return [Vm(name, "spin.elf", args, **more) for name in names]


def numbered(name, count):
    return [f"{name}{n}" for n in range(1, count + 1)]


def case(on, name, vms, cpus, checks, **more):
    return Case(f"{on}-sched-{name}", on, config(*vms), cpus=cpus, backend=BACKEND[on],
                hooks=[check(on == "bochs") for check in checks], must_not=[r"\| FAIL "], **more)


def fair_case(on, name, vms, cpus, wanted, **more):
    return case(on, name, vms, cpus, [lambda asserted: fair(wanted, asserted)], **more)


def equal(on, count, cpus):
    names = numbered("spin", count)
    return fair_case(on, f"{count}vms-{cpus}cpu", spins(names), cpus,
                     dict.fromkeys(names, cpus / count))


# half of CPU 0 for both that may only run there, also if another could be there too
BOUND = (spins(("a", "b"), affinity=(0,)) + spins(("c",), affinity=(1,))
         + spins(("d",), affinity=(0, 1)) + spins(("alone",), affinity=(2,)))
BOUND_SHARES = {"a": 1 / 2, "b": 1 / 2, "c": 1 / 2, "d": 1 / 2, "alone": 1}


# those that sleep take little; an endless loop is one of those that share what is left
def beside(on, name, cpus, sleeping, computing):
    sleepers, busy = numbered("wake", sleeping), numbered("spin", computing)
    vms = ([Vm("loop", "loop.elf")] + spins(busy)
           + [Vm(name, "wake.elf", WAKE_WINDOW[on]) for name in sleepers])
    share = (cpus - sleeping * WAKE_SHARE) / (computing + 1)
    return case(on, name, vms, cpus, [
        lambda asserted: fair(dict.fromkeys(busy, share), asserted),
        lambda asserted: woken(sleepers, asserted)],
        ended="until", until=tuple(sleepers + busy), ends=ends(vms, loop="running"))


# on TCG time is the host's, which may be busy with something else for a while
WAKE_WINDOW = {"bochs": "", "tcg": "to=3000 until=3200"}
WAKE_SHARE = 0.04       # of a CPU, for wake.c: 50 us and the exits of each 3 ms

CASES_SCHED = [
    *(equal(on, 8, 4) for on in BACKEND),
    equal("bochs", 3, 2),
    *(fair_case(on, "affinity", BOUND, 3, BOUND_SHARES) for on in BACKEND),
    *(beside(on, "wake", 2, 3, 2) for on in BACKEND),
    *(beside(on, "eight", 4, 2, 5) for on in BACKEND),
]
