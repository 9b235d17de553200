# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of VMs with several vCPUs: start, IPIs, NMIs, INIT, topology, clock (smp.c), FPU state
(fpu.c), and what a VM does to itself with them (apicstorm.c). More vCPUs than CPUs in most."""
import hooks
from cases import BACKEND, MEASURED, Case, both
from configs import Vm, config, ends, pair

SIZES = (1, 2, 4, 8)
FAILED = [r"\| FAIL ", r"\| exception ", r"\] vm \w+: stopped: "]


def sizes(name, args=""):
    """a VM of each number of vCPUs, all at once"""
    return [Vm(f"{name}{n}", f"{name}.elf", f"cpus={n} seed={n} {args}".rstrip(), cpus=n)
            for n in SIZES]


def proved(name, *facts):
    """these were looked at by each VM with several vCPUs, not left out"""
    return [rf"^{name}{n}\| {fact}" for n in SIZES if n > 1 for fact in facts]


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

COMMANDS = ("pause", "resume", "dump", "restart", "pause", "restart")
ROUNDS = 10


def interfere(line, check):
    """commands from outside, while each vCPU starts, stops and interrupts the others"""
    line.wait(r"\] vm storm1: started, ")
    line.type("\r")
    line.wait(r"^lasthop> ")
    for _ in range(ROUNDS):
        for command in COMMANDS:
            answer = line.command(f"vm {command} storm1")
            if command == "restart":
                line.wait(r"\] vm storm1: started, ")
            if command != "dump" and answer != f"vm {command}: storm1: done\n":
                check(False, f"vm {command}: {answer.strip()}")
                return
    check(True, f"{ROUNDS * len(COMMANDS)} commands were answered")
    line.command("vm stop storm1")
    line.wait(r"\] vm storm1: ended: stopped: by the user$")


# A word goes round between vCPUs that wait in loops of PAUSEs, with more of them than CPUs: without exits
# from such loops each way takes the rests of the others' slices. On Bochs by its clock; on TCG, whose clock
# is the host's, by the exits alone.
SPINNERS, HANDED = 4, 100


def handoff(on, us=0):
    vm = Vm("spinners", "handoff.elf", f"cpus={SPINNERS} rounds={HANDED // SPINNERS}"
            + (f" most-us={us}" if us else ""), cpus=SPINNERS)
    return Case(f"{on}-handoff", on, config(vm), cpus=1, backend=BACKEND[on], must_not=FAILED,
                hooks=[hooks.exits("spinners", pause=(HANDED // 2, 1 << 40))],
                must=[r"^spinners\| PASS token: ", *([r"^spinners\| PASS handoff: "] if us else [])])


CASES_SMP = [
    handoff("tcg"), handoff("bochs", us=500),
    *(case for cpus in (1, 2, 4) for case in
      both(f"smp-{cpus}cpu", sizes("smp", "ms=20"), cpus=cpus, must_not=FAILED,
           must=proved("smp", "PASS start: ", "PASS nmi: ", "PASS nmi-storm: ", "PASS ring: ",
                       "PASS tsc: ", "PASS timers: ", "PASS counts: "))),
    *(case for cpus in (1, 2, 4) for case in
      both(f"fpu-{cpus}cpu", sizes("fpu", "ms=200"), cpus=cpus, must_not=FAILED,
           # AVX among it: bit 2
           must=proved("fpu", r"fpu: \d vCPUs, XCR0 offers \w*[4-7c-f], ", "PASS state: "))),
    *beside_pair("apicstorm-2cpu", storms(1, 2, 3), 2),
    *beside_pair("apicstorm-4cpu", storms(4, 5, 6, 7), 4),
    *beside_pair("init-resets", RESETS, 2, ended="until", until=("sink1", "source1"),
                 log=[rf"\] vm {vm.name}: ended: reboot: INIT to vCPU 0$" for vm in RESETS],
                 differently=dict.fromkeys(("resets", "stormy"), "running")),
    Case("tcg-apicstorm-commands", "tcg", config(*storms(1, args="ms=1000000")), cpus=2,
         backend=BACKEND["tcg"], talk=interfere, ends={"storm1": "stopped"}, must_not=FAILED),
    *both("acpi-8vcpus", [Vm("acpi", "acpi.elf", cpus=8)], cpus=1, must_not=FAILED,
          hooks=[hooks.acpi_tables("acpi", ("FACP", "APIC", "MCFG", "DSDT", "SSDT"))]),
]
