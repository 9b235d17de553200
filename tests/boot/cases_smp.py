# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of VMs with several vCPUs: start, IPIs, NMIs, INIT, topology, clock (smp.c), FPU state
(fpu.c), and what a VM does to itself with them (apicstorm.c). More vCPUs than CPUs in most."""
from cases import MEASURED, both
from configs import Vm, ends, pair

SIZES = (1, 2, 4, 8)
FAILED = [r"\| FAIL ", r"\| exception ", r"\] vm \w+: stopped: "]


def sizes(name, args=""):
    """a VM of each number of vCPUs, all at once"""
    return [Vm(f"{name}{n}", f"{name}.elf", f"cpus={n} seed={n} {args}".rstrip(), cpus=n)
            for n in SIZES]


def storms(*seeds, args="ms=100"):
    return [Vm(f"storm{seed}", "apicstorm.elf", f"seed={seed} {args}", cpus=2 + 2 * (seed % 3))
            for seed in seeds]


def beside_pair(name, vms, cpus, log=(), **how):
    """others notice nothing"""
    everybody = pair() + vms
    return both(name, everybody, cpus=cpus, results=MEASURED, must=list(log),
                must_not=FAILED, ends=ends(everybody, **how.pop("differently", {})), **how)


RESETS = [Vm("resets", "smp.elf", "cpus=2 reset=1 ms=5", cpus=2),
          Vm("stormy", "apicstorm.elf", "seed=9 ms=20 reset=1", cpus=3)]

CASES_SMP = [
    *(case for cpus in (1, 2, 4) for case in
      both(f"smp-{cpus}cpu", sizes("smp", "ms=20"), cpus=cpus, must_not=FAILED)),
    *(case for cpus in (1, 2, 4) for case in
      both(f"fpu-{cpus}cpu", sizes("fpu", "ms=200"), cpus=cpus, must_not=FAILED)),
    *beside_pair("apicstorm-2cpu", storms(1, 2, 3), 2),
    *beside_pair("apicstorm-4cpu", storms(4, 5, 6, 7), 4),
    *beside_pair("init-resets", RESETS, 2, ended="until", until=("sink1", "source1"),
                 log=[rf"\] vm {vm.name}: ended: reboot: INIT to vCPU 0$" for vm in RESETS],
                 differently=dict.fromkeys(("resets", "stormy"), "running")),
]
