# SPDX-License-Identifier: BSD-2-Clause
"""The table of boot tests: one row a case, run by tests/boot/run.py.

A row says what is booted and what must be seen. Regular expressions are searched for in the
serial transcript, lines of it being separate (re.MULTILINE). What is booted is as small as the
claim allows: a CPU more is a third of the time more on Bochs, and one boot proves several claims.
"""
import re
import struct
from dataclasses import dataclass, field, replace

import hooks
import kernels
from configs import Vm, config, ends, pair, pairs


@dataclass
class Case:
    name: str
    on: str                                  # test bed: bochs or tcg
    config: str | bytes | None               # file below the source tree, source text, or a blob;
                                             # None: the disk has none
    cpus: int = 4
    limit: int = 900                         # seconds of the host, generous: ends a hung run
    ended: str = "end"                       # how: end, until, panic, refused, died, timeout
    ends: dict | None = None                 # {VM: end}; None: "ok" for every VM of the config
    until: tuple = ()                        # the run ends when these VMs have ended
    must: list = field(default_factory=list)
    must_not: list = field(default_factory=list)
    results: dict = field(default_factory=dict)    # {test: least number of entries}, all positive
    hooks: list = field(default_factory=list)      # further checks: hooks.py
    talk: object = None                      # talk(SerialLine, check), who uses the serial line
    second_line: object = False              # True: the machine has one, shared at line.second; or a
                                             # class whose object is at its end, then line.wire
    backend: str = ""                        # that the boot event must name
    same_as: str = ""                        # case whose result document must be the same
    dearer_than: str = ""                    # case without this one's exit_cost
    as_fast_as: str = ""                     # case whose streams are to be as fast, nearly
    memory_mib: int = 0                      # of the machine, at least; 0: what the VMs need
    exit_cost: int = 0                       # Bochs
    bochs: dict = field(default_factory=dict)      # options of its cpu: line
    bochsrc: list = field(default_factory=list)    # further lines
    qemu: list = field(default_factory=list)       # further arguments
    nics: list = field(default_factory=list)       # of nics.Nic, for a VM to drive
    world: int = 0                           # wires that lead outside of the machine: world.py
    iommu: str = "intremap=on"               # QEMU: options of its intel-iommu
    one_thread: bool = False                 # TCG: one host thread for all CPUs, in the soak too
    efi: str = ""                            # boot this file of the build output instead
    files: dict = field(default_factory=dict)      # {image name: bytes, or size of a file of zeros,
                                                   # or None: a folder}
    unchecked: bool = False                  # boot although the host's checker finds errors
    xfail: str = ""                          # why the case is known to fail
    xfail_check: str = ""                    # and the check that does: a pattern of what it says
    skip: str = ""                           # why it is not run


BENCH = "examples/bench.dts"
BACKEND = {"bochs": "vmx", "tcg": "svm"}
# what must not be seen in any run that is to end well
SYMPTOMS = [r"divide error:", r"X64 Exception Type"]
MEASURED = {"stream": 2, "rr": 1}            # by configs.SHORT


def both(name, vms, **more):
    """one row a test bed"""
    return [Case(f"{on}-{name}", on, config(*vms), backend=BACKEND[on], **more) for on in BACKEND]


def demo(on, cpus, **more):
    """the demonstration that `make run` shows"""
    return Case(f"{on}-demo-{cpus}cpu", on, BENCH, cpus=cpus, backend=BACKEND[on],
                results={"stream": 4, "rr": 1}, **more)


def bench(on, cpus, **more):
    """a short pair"""
    return Case(f"{on}-bench-{cpus}cpu", on, config(*pair()), cpus=cpus, backend=BACKEND[on],
                results=MEASURED, **more)


# --- what a guest sees: the test guests check themselves, and end "ok" only if all was well ---
CHECKERS = [
    Vm("hello", "hello.elf", "name=tester"), Vm("cpuid", "cpuid.elf"),
    Vm("badmsr", "badmsr.elf"), Vm("hcall", "hcall.elf"), Vm("ud", "ud.elf"),
    Vm("pci", "pci.elf", nets=("lan",)), Vm("acpi", "acpi.elf"),
    Vm("control1", "control.elf", "seed=1"), Vm("control2", "control.elf", "seed=2"),
    Vm("step", "step.elf"), Vm("insn", "insn.elf"), Vm("rtc", "rtc.elf"),
]
CHECKED = [r"^hello\| hello from tester$"]


def guests(on):
    return Case(f"{on}-guests", on, config(*CHECKERS), cpus=2, backend=BACKEND[on], must=CHECKED,
                must_not=[r"\| FAIL "], hooks=[hooks.acpi_tables("acpi")])


# --- what a guest does wrong hurts that guest alone ---
CRASHES = {
    "triple": (Vm("triple", "triple.elf"), r"triple fault"),
    "read": (Vm("read", "unmapped.elf"), r"reads unmapped address 0x7f00000000"),
    "write": (Vm("write", "unmapped.elf", "access=write"),
              r"writes to unmapped address 0x7f00000000"),
    "table": (Vm("table", "unmapped.elf", "access=fetch-table"),
              r"executes, or has page tables, at unmapped address 0x7f00000"),
    "nowhere": (Vm("nowhere", "badexec.elf"),
                r"executes, or has page tables, at unmapped address 0x7f00000000"),
    "device": (Vm("device", "badexec.elf", "from=device"),
               r"executes, or has page tables, at unmapped address 0xfec00000"),
}
GARBAGE = Vm("garbage", "badexec.elf", "from=garbage")
CRASHED = pair() + [vm for vm, _ in CRASHES.values()] + [GARBAGE]


def crash_log():
    """one line and a register dump for each"""
    return [line for name, (_, reason) in CRASHES.items() for line in (
        rf"\] vm {name}: stopped: {reason}", rf"\] vm {name}: vCPU 0: rip [0-9a-f]{{16}} ",
        rf"\] vm {name}: cr0 [0-9a-f]+ cr2 ", rf"\] vm {name}: ended: crash: ")]


def crashes(cpus):
    return both(f"crashes-{cpus}cpu", CRASHED, cpus=cpus, results=MEASURED, must=crash_log(),
                must_not=[r"\| FAIL "],
                ends=ends(CRASHED, garbage="failed", **dict.fromkeys(CRASHES, "crash")))


LOOPING = [Vm("loop", "loop.elf")] + pair()


def loop(cpus):
    return both(f"loop-{cpus}cpu", LOOPING, cpus=cpus, results=MEASURED, ended="until",
                until=("sink1", "source1"), ends=ends(LOOPING, loop="running"),
                must=[r"^loop\| loop: about to loop for ever$"])


# --- one case for each repaired fault of Bochs (scripts/bochs-errata.py) ---
TIMERS = [Vm("timer1", "timer.elf", "ms=300"), Vm("timer2", "timer.elf", "ms=300")]
BUSY = [Vm("measure", "busy.elf", "measure=1", affinity=(0,))] + [
    Vm(f"busy{n}", "busy.elf", affinity=(n,)) for n in (1, 2)]
ERRATA = [
    Case("bochs-idiv", "bochs", config(Vm("idiv", "idiv.elf")), cpus=1,
         must=[r"^idiv\| PASS idiv: ", r"^idiv\| PASS idiv-random: "]),
    # page faults under a fast timer, which made guests go astray, with more than one CPU only
    *both("timer", TIMERS, cpus=2, must=[rf"^timer1\| PASS {fact}: " for fact in (
        "faults-state", "one-shot", "periodic", "deadline", "deadline-past", "self-ipi", "tpr")]),
    Case("bochs-fair-clock", "bochs", config(*BUSY), cpus=3,
         must=[r"^measure\| PASS alone: ", r"^measure\| PASS fair-clock: "]),
    # an MSR the modelled CPU lacks faults, as on a real one
    Case("bochs-bad-msrs", "bochs", config(*CHECKERS), cpus=1, bochs={"ignore_bad_msrs": 0},
         must=CHECKED),
]

# --- many VMs, few CPUs; several devices and switches ---
FAR = [Vm(f"far{n}", "hello.elf", affinity=(1,)) for n in (1, 2)]
APART = (pair(1, nets=("left",) * 7 + ("right",), more="net=7", address=9)
         + pair(2, nets=("right",) + ("left",) * 7, more="net=7", address=9))
MANY = [
    *(case for cpus in (1, 2, 4) for case in
      both(f"6vms-{cpus}cpu", pairs(3), cpus=cpus, results=MEASURED)),
    *both("3vms-2cpu", pair() + [Vm("hello", "hello.elf")], cpus=2, results=MEASURED),
    *both("5vms-2cpu", pairs(2) + [Vm("hello", "hello.elf")], cpus=2, results=MEASURED),
    *both("affinity", pair(affinity=(1,)) + FAR, cpus=4, results=MEASURED),
    # the same addresses on both switches: a frame that crossed would be answered by the wrong VM
    *both("switches", APART, cpus=2, results=MEASURED,
          hooks=[hooks.measured(("sink1", "source1"), ("sink2", "source2"))]),
    # as many devices as a guest's bus holds; the last one is used
    *both("30nics", pair(nets=("lan",) * 30, more="net=29"), cpus=2, results=MEASURED),
]

# --- configs and machines that are refused, in one sentence, before anything is started ---
HELLO = config(Vm("hello", "hello.elf"))
# an x86-64 ELF executable whose program headers lie far behind its end
DAMAGED = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHH", 2, 62, 1, 0, 1 << 40, 0, 0, 64,
                                                      56, 1) + bytes(4096)
FIRMWARE = r"^BdsDxe: failed to start .*: (Unsupported|Load Error|Not Found)"     # it is back


def refused(name, on, source, *must, **more):
    return Case(f"{on}-refuses-{name}", on, source, cpus=more.pop("cpus", 1), ended="refused",
                ends={}, must=list(must), **more)


def at_boot(name, source, says, **more):
    """by the loader: the firmware's menu comes back"""
    return refused(name, "bochs", source, rf"^lasthop cannot start: \\lasthop\\lasthop\.dtb{says}", FIRMWARE,
                   unchecked=True, **more)


def by_core(name, on, vm, says, **more):
    """by the core, which knows the machine"""
    return refused(name, on, config(Vm("hello", "hello.elf"), vm),
                   rf"\] lasthop.dtb: /vms/{vm.name}: {says}",
                   r"\] cannot start: the config has errors, see above", cpus=2, **more)


def unfit(name):
    """a kernel that the host's checker refuses, were it asked"""
    content, says = kernels.UNFIT[name]
    return at_boot(name, config(Vm("good", "hello.elf"), Vm("bad", "bad.bin", memory_mib=64)),
                   rf": /vms/bad: kernel: bad\.bin {re.escape(says)}", files={"bad.bin": content})


REFUSED = [
    *(unfit(name) for name in ("text", "linux-cut", "linux-32-bit", "linux-large", "elf-arm64")),
    at_boot("missing-kernel", config(Vm("lost", "absent.elf")),
            r": /vms/lost: kernel: absent\.elf is missing"),
    at_boot("folder-kernel", config(Vm("here", "folder")),
            r": /vms/here: kernel: folder is a folder: name a file$", files={"folder": None}),
    at_boot("damaged-kernel", config(Vm("broken", "damaged.elf")),
            r": /vms/broken: kernel: damaged\.elf is damaged: ", files={"damaged.elf": DAMAGED}),
    at_boot("large-kernel", config(Vm("large", "large.elf")),
            r": /vms/large: kernel: large\.elf has 513 MiB, the limit is 512$",
            files={"large.elf": 513 << 20}),
    at_boot("missing-dtb", None, r" is missing: scripts/lasthop image writes it$"),
    at_boot("random-dtb", bytes((i * i >> 3) & 255 for i in range(4000)),
            r": /: this is no device tree blob"),
    at_boot("absurd-dtb", b"\xd0\r\xfe\xed" + b"\xff\xff\xff\xf0" * 9 + bytes(1000),
            r": /: the blob says it has 4294967280 bytes, the limit is "),
    at_boot("huge-dtb", bytes((1 << 20) + 1), r" has 1048577 bytes, the limit is "),
    at_boot("two-errors", config(Vm("a", "absent.elf"), Vm("b", "absent.elf")),
            r": /vms/a: .*\(and 1 more\)"),
    *(by_core("affinity", on, Vm("far", "hello.elf", affinity=(1, 7)),
              r"cpu-affinity: .*7") for on in BACKEND),
    *(by_core("memory", on, Vm("large", "hello.elf", memory_mib=64 << 10), r"memory-mib: ",
              memory_mib=1024) for on in BACKEND),
    refused("no-vtx", "bochs", HELLO, r"^lasthop cannot start: this CPU offers neither VT-x ",
            FIRMWARE, bochs={"exclude_features": '"mwait,vmx"'}),
    refused("no-unrestricted-guest", "bochs", HELLO,
            r"^lasthop cannot start: this CPU's VT-x lacks unrestricted guest", FIRMWARE,
            bochs={"model": "corei5_lynnfield_750"}),
    refused("no-ept", "bochs", HELLO,
            r"^lasthop cannot start: this CPU's VT-x lacks extended page tables \(EPT\)", FIRMWARE,
            bochs={"model": "core2_penryn_t9600"}),
    refused("no-svm", "tcg", HELLO, r"^lasthop cannot start: this CPU offers neither VT-x nor SVM",
            FIRMWARE, qemu=["-cpu", "qemu64,-svm"]),
    refused("no-npt", "tcg", HELLO, r"^lasthop cannot start: nested paging \(NPT\) is missing",
            FIRMWARE, qemu=["-cpu", "EPYC,-npt"]),
]

# --- a firmware that does not end its boot services: told, and given back ---
REFUSED += [refused("no-exit", on, HELLO,
                    r"lasthop cannot start: the firmware does not end its boot services: ",
                    r"^BdsDxe: failed to start .*: Aborted", efi="test/stuck.EFI")
            for on in BACKEND]

# --- the hypervisor's own death: tests/boot/core_fault, in the order of its table ---
FAULTS = ["null-write", "stack-overflow", "execute-data", "write-text", "write-rodata",
          "image-alias", "trampoline-alias", "direct-map-execute", "assertion", "divide",
          "absurd-device", "triple-fault", "reset", "nmi-amid-log"]
RESETS = ("triple-fault", "reset")           # cases_reset.py
FAULTS_ON_TCG = ("null-write", "stack-overflow", "assertion", "absurd-device", "nmi-amid-log")


def fault(on, name):
    return Case(f"{on}-fault-{name}", on, HELLO, cpus=2, ended="panic", ends={},
                efi=f"test/fault-{FAULTS.index(name)}.EFI", hooks=[hooks.panic_told],
                must=[r"\]   [0-9a-f]{16} fault_here\+0x", r"\]   [0-9a-f]{16} core_main\+0x",
                      r"before the fault$"],
                must_not=[r"nothing stopped it"])


CASES = [
    demo("bochs", 2), demo("tcg", 4),
    *(bench("bochs", cpus) for cpus in (1, 2, 4, 8)),
    *(bench("tcg", cpus) for cpus in (1, 2, 8)),
    # virtual time is deterministic: the same image gives the same figures
    Case("bochs-bench-again", "bochs", config(*pair()), cpus=2, same_as="bochs-bench-2cpu"),
    Case("bochs-exit-cost", "bochs", config(*pair()), cpus=2, exit_cost=1000, results=MEASURED,
         dearer_than="bochs-bench-2cpu"),
    # a source that cannot do what it is told says so, and does not leave the sink waiting
    Case("tcg-bench-refused", "tcg", config(*pair(tests="tests=stream:65550")), cpus=2, backend="svm",
         ends={"sink1": "ok", "source1": "failed"},
         must=[r"source1\| guest: tests= names a frame that is not of 60 to 9014 bytes"]),
    # the guests' own messages pass whatever the devices take
    Case("tcg-bench-least-mtu", "tcg", config(*(replace(vm, mtu=68) for vm in pair(
        tests="tests=stream:82,rr:82 packets=2000 transactions=50"))), cpus=2, backend="svm",
         results={"stream": 1, "rr": 1}),
    guests("bochs"), guests("tcg"),
    *crashes(1), *crashes(2), *loop(1), *loop(2),
    *ERRATA, *MANY, *REFUSED,
    *(fault("bochs", name) for name in FAULTS if name not in RESETS), *(fault("tcg", name) for name in FAULTS_ON_TCG),
]
