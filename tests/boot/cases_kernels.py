# SPDX-License-Identifier: BSD-2-Clause
"""Linux with many vCPUs, by other kernels than the cloud's and by other ways into them, with a
virtio-console, under stress, and through kexec. What the words after lasthop.tests do is in
guest/linux/tests."""
from cases import BACKEND, Case
from cases_linux import ADDRESS, PEER, QUICK, STALLED, linux, linux_case, no_complaints_but, server
from configs import Vm, config
from lasthoplib.serialline import NEXT_CONSOLE

# --- a virtio-console in place of the serial line ---
HVC = Vm("alice", "vmlinuz", f"console=hvc0 {QUICK} lasthop.role=shell", (), 256,
         more=['initrd = "linux.cpio";', 'console = "virtio";'])
COMPARE = "seq 3000 | sha256sum > /tmp/a; seq 3000 | tee /dev/hvc0 | sha256sum | cmp - /tmp/a; echo same $?"


def typed(line, check):
    """a shell at hvc0: what is typed arrives there, and what it prints comes out, long texts too"""
    line.wait(r"^alice\| shell: ready$", seconds=900)
    line.type("\r")
    line.wait(r"^lasthop> ")
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[alice: ")
    line.type("tty; echo n$((6 * 7))\r")
    line.wait(r"^/dev/hvc0$")
    line.wait(r"^n42$")
    line.type(COMPARE + "\r")
    line.wait(r"^3000$")
    line.wait(r"^same 0$")
    line.type("grep virtio.-output /proc/interrupts\r")
    line.wait(r"PCI-MSI .*virtio\d-output$")
    line.type("lspci -n -s 2\r")
    line.wait(r"^00:02\.0 0780: 1af4:1043 ")
    check(True, "hvc0 takes what is typed, and shows what is printed")
    line.type("(sleep 5; echo; echo lasthop: end ok; poweroff -f) & echo bye$((1 + 1))\r")
    line.wait(r"^bye2$")                        # what is typed ahead is lost by going away
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[log and shell: ")
    line.wait(r"^alice\| lasthop: end ok$")


def console(on):
    return linux_case(on, "console", [HVC], talk=typed, cpus=1, limit=900)


# --- more vCPUs than the machine has CPUs ---
def many(on, *sizes, cpus=2):
    vms = [linux(f"cpus{n}", f"{QUICK} lasthop.tests=cpus", nets=(), cpus=n) for n in sizes]
    return linux_case(on, "cpus-" + "-".join(map(str, sizes)), vms, cpus=cpus, limit=1800, must=[
        rf"^cpus{n}\| {fact}" for n in sizes for fact in (
            rf"boot: Linux 6\.\S+, {n} CPUs", rf"cpus: cpu{n - 1} package 0 core {n - 1} ",
            r"cpus: one time on all, [1-9]")])


# --- other kernels ---
# The kernel for all machines says so of a processor without machine checks; and its driver intel_turbo_max_3 asks
# the mailbox of a Skylake-X, which is Bochs's model, and does without an answer.
MEANT = r"mce: Unable to init MCE device|writes 0x8000001c00000000 to MSR 0x150, refused"
TESTS = "lasthop.tests=device,rng,cpus"


def kernel(on, name, vm, must=(), meant="(?!)", **more):
    """two vCPUs: devices, interrupts, one time; what kernel it is"""
    return Case(f"{on}-linux-{name}", on, config(vm), cpus=2, backend=BACKEND[on], limit=1800,
                hooks=[no_complaints_but(meant)], must_not=STALLED[on], must=[
                    r"^alice\| cpus: one time on all", r"^alice\| boot: clocksource tsc of tsc kvm-clock",
                    r"^alice\| rng: 256 bytes, others each time", r"^alice\| boot: 2: eth0: .*UP",
                    r"^alice\| lasthop: end ok$", *must], **more)


def generic(on):
    """linux-image-amd64, the kernel for all machines"""
    vm = Vm("alice", "vmlinuz-amd64", f"console=ttyS0 {QUICK} {ADDRESS.format(1)} {TESTS}", ("lan",), 256,
            cpus=2, queue_pairs=2, more=['initrd = "linux-amd64.cpio";'])
    return kernel(on, "generic", vm, [r"^alice\| boot: Linux [\d.]+-\d+-amd64, 2 CPUs"], MEANT)


def elf(on):
    """the cloud kernel as an ELF file, by its PVH entry"""
    vm = linux("alice", f"{QUICK} {ADDRESS.format(1)} {TESTS}", cpus=2, queue_pairs=2)
    vm.kernel = "vmlinux"
    return kernel(on, "pvh", vm, [r"^alice\| boot: loader 176$"])     # PVH's, of Linux's own


# --- kexec: the second kernel finds the machine as the first has left it ---
def tools(name, words, **more):
    return Vm(name, "vmlinuz-tools", f"console=ttyS0 {QUICK} {words}", more.pop("nets", ("lan",)), 512,
              more=['initrd = "linux-tools.cpio";', *more.pop("more", ())], **more)


def kexec(on, cpus):
    """while broadcasts come in, which must not reach the next kernel's memory by the rings of the last"""
    several = "cpus," if cpus > 1 else ""
    vms = [server(), tools("alice", f"{ADDRESS.format(2)} {PEER} lasthop.tests=meet,kexec "
                           f"lasthop.next=meet,{several}rng,done", cpus=cpus, queue_pairs=cpus)]
    return Case(f"{on}-linux-kexec-{cpus}", on, config(*vms), cpus=2, backend=BACKEND[on], limit=1800,
                hooks=[no_complaints_but("(?!)")], must_not=STALLED[on], must=[
                    rf"^alice\| kexec: {cpus} CPUs, jumps", rf"^alice\| boot: Linux 6\.\S+, {cpus} CPUs",
                    r"^alice\| lasthop: end ok$"])


# --- stress-ng, with twice as many workers as CPUs ---
KINDS = ("cpu", "vm", "switch", "timer")


def stress(on, seconds, kinds=KINDS):
    """two VMs of two vCPUs each on two CPUs, one behind the other in what they do. Guests that switch and restore
    FPU state so often meet the race of QEMU's threads (docs/testbed.md) within minutes: so one thread"""
    def vm(name, order):
        return tools(name, f"lasthop.seconds={seconds} lasthop.tests="
                     + ",".join(f"stress-{kind}" for kind in order), cpus=2, nets=())
    vms = [vm("one", kinds), vm("two", kinds[1:] + kinds[:1])]
    return Case(f"{on}-linux-stress", on, config(*vms), cpus=2, backend=BACKEND[on], limit=3000,
                one_thread=True, hooks=[no_complaints_but("(?!)")], must_not=STALLED[on], must=[
                    rf"^{vm.name}\| stress-{kind}: {kind} +\d+ " for vm in vms for kind in kinds])


# All but the first two are for the soak: FURTHER in run.py.
CASES_KERNELS = [
    console("tcg"),
    many("tcg", 8),
    many("tcg", 2, 4, 8),
    generic("tcg"),
    elf("tcg"),
    kexec("tcg", 1),
    kexec("tcg", 2),
]
SOAK_KERNELS = [
    console("bochs"),
    many("bochs", 8),
    generic("bochs"),
    elf("bochs"),
    stress("tcg", 60),
    stress("bochs", 2),
    kexec("bochs", 1),
    kexec("bochs", 2),
]
for _case in SOAK_KERNELS:
    _case.limit = 3600
