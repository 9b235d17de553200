# SPDX-License-Identifier: BSD-2-Clause
"""Cases with Debian's kernel as guest (guest/linux/build): it boots without a complaint, finds sane
devices, talks to another, and lives and dies as it is told. What the guests measure is shown, never
compared; what they copy is compared by its SHA-256, in the guest, which ends `failed` if it is not
the same."""
import re
import time
from collections import Counter

from cases import BACKEND, MEASURED, Case
from configs import Vm, config, ends, injected, pair
from hooks import SHOWN
from lasthoplib import guest_results
from lasthoplib.serialline import NEXT_CONSOLE

# In the kernel's log, and in ours about it: what a sound platform does not cause. The guest prints
# again, with its level, what was a warning or worse ("kernel log: <3>…").
COMPLAINTS = re.compile("|".join([
    r"\bBUG\b", r"WARNING: (CPU|[a-z])", r"\bunstable\b", r"Oops|general protection fault",
    r"ACPI (Error|Warning|Exception|BIOS)|Firmware (Bug|Warn)", r"unchecked MSR", r"Call Trace",
    r"[Ll]ost (interrupt|\d+ interrupt)|nobody cared|[Nn]o irq handler|[Ss]purious APIC",
    r"boot: +(SPU|ERR|MIS):[ \d]*[1-9]",        # in /proc/interrupts
    r"APIC error on|unexpected IRQ trap|NMI received for unknown|transmit queue \d+ timed out",
    r"segfault at|show_signal_msg", r"soft lockup|rcu_\w+ (detected|self-detected)|hung_task|blocked for more than",
    r"PCI: Fatal|no GSI|can't find IRQ|BAR \d+: (no space|failed)|virtio\w*[^|]*: (error|failed)",
    r"clocksource: (?!Long readout).*(skew|watchdog)|TSC (found|warp|doesn't|synchronization .*failed)",
    r"vm \S+: (reads MSR 0x\w+, which it has not|writes 0x\w+ to MSR 0x\w+, refused)",
    r"Unknown symbol|kernel log: <[0-3]>(?!.*(RETBleed|Return Stack Overflow))",
]))
ADDRESS = "lasthop.ip=10.0.0.{0}/24 lasthop.ip6=fd00::{0}/64"
PEER = "lasthop.peer=10.0.0.1 lasthop.peer6=fd00::1"
SMALL = "lasthop.copy=/lib/libm.so.6"
# The kernel's tests of its own ciphers take eight of the fifteen seconds of a boot on Bochs: left
# out but where the boot itself is the matter.
QUICK = "quiet cryptomgr.notests"
PPM = 100
IPS_KHZ = 100000                # of Bochs: its instructions a millisecond are its TSC's rate


def linux(name, words, nets=("lan",), memory_mib=256, console="console=ttyS0", **more):
    """one Linux VM; words: its command line behind the console's"""
    return Vm(name, "vmlinuz", f"{console} {words}".strip(), nets, memory_mib,
              more=['initrd = "linux.cpio";'], **more)


def server():
    return linux("server", f"{QUICK} lasthop.role=server lasthop.mtu=9000 {ADDRESS.format(1)}")


def client(tests, seconds=1, more="", **vm):
    return linux("client", f"{QUICK} lasthop.role=client {ADDRESS.format(2)} {PEER} lasthop.tests="
                 f"{','.join(tests)} lasthop.seconds={seconds} {more}".rstrip(), **vm)


def server_and_client(tests, seconds=1, more=""):
    return [server(), client(tests, seconds, more)]


def told(vm, tests):
    """the VM has told a result of each test (WORD, or WORD@MTU), and none of them is nothing"""
    def hook(outcome):
        made = [e for e in guest_results.entries(outcome.stream.events) if e["vm"] == vm]
        words = [test.split("@") for test in tests]
        wanted = Counter(word for word, *_ in words)
        facts = [(Counter(e["test"] for e in made) == wanted,
                  f"{vm} told results of {', '.join(e['test'] for e in made) or 'nothing'}")]
        mtus = {(e["test"], str(e["mtu"])) for e in made if "mtu" in e}
        strange = [word for word, *mtu in words if mtu and (word, mtu[0]) not in mtus
                   and not word.startswith("ping")]
        facts.append((not strange, f"each with its MTU{', but ' if strange else ''}"
                      + ", ".join(strange)))
        for result in made:
            test = result["test"]
            if result["name"] == "ping":
                facts.append((result["sent"] == result["received"] > 0,
                              f"{test}: {result['received']} of {result['sent']} answered"))
            else:
                facts.append((result["bytes"] > 0, f"{test}, MTU {result['mtu']}: "
                              f"{result['gbit_s'] * 1e3:.1f} Mbit/s"))
        return facts
    return hook


def no_complaints_but(meant):
    """the guests' kernels are content with their machine; meant: what is caused on purpose"""
    def hook(outcome):
        found = [line for line in outcome.serial().split("\n")
                 if COMPLAINTS.search(line) and not re.search(meant, line)]
        return [(not found, "no kernel complained" if not found else
                 f"{len(found)} complaints of kernels, the first: {found[0]}")]
    return hook


no_complaints = no_complaints_but("(?!)")


def clock(vm, judged):
    """the guest's clock beside the machine's over ten seconds; on Bochs its rate is known"""
    def hook(outcome):
        turns = [guest_results.parse(e["text"]) | {"at": e["us"]}
                 for e in outcome.stream.of("guest-result")
                 if e["vm"] == vm and "clock_us" in e["text"]]
        if len(turns) != 2:
            return [(False, f"{vm} told its clock {len(turns)} times, wanted 2")]
        guest, machine = (turns[1][k] - turns[0][k] for k in ("clock_us", "at"))
        ppm = (guest - machine) / machine * 1e6
        fact = f"clock of {vm}: {guest} us in {machine} us of the machine, {ppm:+.0f} ppm"
        facts = [(abs(ppm) <= PPM if judged else SHOWN, fact)]
        if judged:
            khz = outcome.stream.of("boot")[0]["tsc_khz"]
            facts.append((abs(khz - IPS_KHZ) * 1e6 <= PPM * IPS_KHZ,
                          f"TSC taken for {khz} kHz, is {IPS_KHZ}"))
        return facts
    return hook


# for seconds a guest did not run: where time is the host's, it may be the host that was busy
STALLED = {"bochs": [r"clocksource: Long readout interval"], "tcg": []}


def linux_case(on, name, vms, hooks=(), **more):
    return Case(f"{on}-linux-{name}", on, config(*vms), backend=BACKEND[on],
                hooks=[no_complaints, *hooks], must_not=STALLED[on], **more)


DEVICE = [
    # numbers, since the list of names is large: host bridge, Ethernet, something else
    *(rf"^alice\| lspci: 00:{device}: Device {name}" for device, name in (
        (r"00\.0 Class 0600", "1b36:0008"), (r"01\.0 Class 0200", "1af4:1041"),
        (r"02\.0 Class 00ff", "1af4:1044"))),
    r"^alice\| lspci: \tKernel driver in use: virtio-pci",
    r"^alice\| lspci: \tCapabilities: .*MSI-X: Enable\+ Count=",
    r"^alice\| lspci: \tControl: I/O\+ Mem\+ BusMaster\+",
    *(rf"^alice\| lspci: \tCapabilities: .*VirtIO: {part}" for part in (
        "CommonCfg", "Notify", "ISR", "DeviceCfg")),
    r"^alice\| ethtool -i: driver: virtio_net", r"^alice\| ethtool -i: bus-info: 0000:00:01\.0",
    r"^alice\| ethtool -k: tcp-segmentation-offload: on", r"^alice\| ethtool -k: rx-gro-hw: on$",
    r"^alice\| ethtool -l: Combined:\t+2", r"^alice\| ethtool -S: +rx_queue_0_packets: \d+",
    r"^alice\| rtc: rtc_cmos \S+, -?[01] s from the kernel's clock",
    r"^alice\| rng: virtio_rng\.0 of virtio_rng\.0", r"^alice\| rng: 256 bytes, others each time",
]


def boots(on):
    """two vCPUs, full messages; clock, interrupts and devices as the kernel sees them"""
    vm = linux("alice", f"loglevel=8 {ADDRESS.format(1)} lasthop.tests=device,rng,cpus,clock",
               cpus=2, queue_pairs=2)
    return linux_case(on, "boots", [vm], cpus=2, limit=900, hooks=[clock("alice", on == "bochs")],
                      must=[
                          r"^alice\| boot: Linux 6\.\S+, 2 CPUs",
                          r"^alice\| boot: clocksource tsc of tsc kvm-clock",
                          r"kvm-clock: Using msrs 4b564d01 and 4b564d00",
                          r"Switched APIC routing to .*x2apic",
                          r"TSC deadline timer available",
                          r"PCI: MMCONFIG at \[mem 0xe0000000-0xe00fffff\] reserved",
                          r"ttyS0 at I/O 0x3f8 \(irq = [1-9]",
                          r"^alice\| boot: PCI 0000:00:01\.0 0x1af4:0x1041",
                          r"^alice\| boot: PCI 0000:00:02\.0 0x1af4:0x1044",
                          r"^alice\| boot: .*virtio0-input\.0",
                          r"^alice\| boot: 2: eth0: .*UP",
                          r"^alice\| cpus: cpu1 package 0 core 1 threads 1$",
                          r"^alice\| cpus: one time on all",
                          r"^alice\| boot: clock 20[2-9]\d-",
                          r"^alice\| lasthop: end ok$", *DEVICE,
                      ])


def talks(on, name, tests, seconds=1, rounds=1, more="", **how):
    more += f"lasthop.rounds={rounds}" if rounds > 1 else ""
    return linux_case(on, name, server_and_client(tests, seconds, more),
                      hooks=[told("client", tests * rounds)], limit=1200, **how)


def ends_as(on, name, words, end, **more):
    vms = [linux("alice", words, nets=())]
    return linux_case(on, name, vms, cpus=2, ends=ends(vms, alice=end), **more)


# --- the device as an administrator treats it ---
HANDLED = ("features", "offloads", "queues", "reload", "flap", "link")


def pull(line, check):
    """the cable out and in again, from the hypervisor's shell"""
    line.wait(r"^client\| link: waiting$", seconds=3000)    # the last of all on Bochs
    line.type("\r")
    line.wait(r"^lasthop> ")
    answer = line.command("port client/net0 down")
    check("client/net0: link is down" in answer, answer.strip())
    line.wait(r"^client\| link: .*NO-CARRIER")
    line.wait(r"^client\| link: down$")
    answer = line.command("port")
    check(re.search(r"^client/net0 .*\n  link is down$", answer, re.M), "port shows it")
    line.command("port client/net0 up")
    line.wait(r"^client\| link: up$")
    answer = line.command("port nobody/net0 up")
    check('no port "nobody/net0"' in answer, answer.strip())


def handled(on):
    vms = [server(), client(HANDLED, more=SMALL, cpus=2, queue_pairs=2)]
    return linux_case(on, "handled", vms, talk=pull, limit=1200, must=[
        rf"^client\| {said}" for said in (
            "features: rx-gro-hw off and on", "features: tx-checksum-ip-generic off and on",
            "offloads: tx-checksum-ip-generic off rx-gro-hw off: four copies are whole",
            "queues: copies are whole with one and with two", "reload: the device works again",
            "flap: the device works after 5 times")])


# --- what the device's filter lets pass, by the control queue ---
def filtered(on):
    facts = [f"{what}{state}" for what, states in (
        ("10.0.0.77 ", ("without promisc does not come", "with promisc comes",
                        "after promisc does not come")),
        ("224.0.0.77 ", ("without allmulti does not come", "with allmulti comes",
                         "after allmulti does not come")),
        ("a group ", ("before does not come", "of an address comes", "after does not come")),
        ("a changed address ", ("comes",)), ("an address changed back ", ("does not come",)),
        ("a VLAN ", ("does not come", "that was added comes",
                     "that was taken away does not come")),
        ("", ("done",))) for state in states]
    return linux_case(on, "filter", server_and_client(("filter",), more=SMALL), limit=900,
                      must=[rf"^client\| filter: {fact}$" for fact in facts])


# --- a storm of broadcasts ---
IN_STORM = ("ping", "copy", "copy-reverse")


def stormy(on):
    vms = [server(), client(("storm", *IN_STORM), more=SMALL),
           linux("storm", f"{QUICK} lasthop.role=storm {ADDRESS.format(3)} {PEER}"), *pair()]
    return linux_case(on, "storm", vms, limit=900, results=MEASURED,
                      must=[r"^client\| storm: \d+ packets in a second",
                            r"^storm\| storm: sent \d{3,} packets"],
                      hooks=[lambda outcome: [
                          (e["bytes"] > 0, f"in the storm: {e['test']}")
                          for e in guest_results.entries(outcome.stream.events)
                          if e["name"] == "copy"]])


# --- more vCPUs than CPUs: the scheduler with Linux, whose figures are shown (cases_sched.py) ---
def shares(outcome):
    turns = {m[1]: int(m[2]) for m in re.finditer(r"^(\w+)\| share: (\d+) turns ",
                                                  outcome.serial(), re.M)}
    mean = sum(turns.values()) / len(turns) if turns else 0
    facts = [(SHOWN, f"{vm} computed {count / mean:.1%} of the mean of {len(turns)}")
             for vm, count in turns.items() if mean]
    return facts + [(SHOWN, f"{e['vm']} was woken {e['wakeups']} times, and waited for a CPU "
                     f"{e['wake_us_max']} us at most; ran {e['run_us'] / 1e6:.1f} s in all")
                    for e in outcome.stream.of("vm-end")]


def overcommitted(on):
    """five that compute, one that sleeps, one that serves, one in an endless loop; on four CPUs"""
    def guest(name, number, test):
        return linux(name, f"{QUICK} {ADDRESS.format(number)} {PEER} lasthop.party=6 "
                     f"lasthop.seconds=20 lasthop.tests={test}", memory_mib=128)

    computing = [f"share{n}" for n in range(1, 6)]
    vms = [server(), *(guest(vm, 2 + n, "share") for n, vm in enumerate(computing)),
           guest("naps", 8, "naps"), linux("loop", f"{QUICK} lasthop.tests=forever")]
    return linux_case(on, "sched", vms, hooks=[shares], ended="until",
                      until=(*computing, "naps"), ends=ends(vms, loop="running", server="running"),
                      must=[rf"^{vm}\| share: [1-9]\d* turns " for vm in computing]
                      + [r"^naps\| naps: [1-9]\d* in "])


# --- life cycle: by the guest itself ---
def reset_twice(outcome):
    """by its own reboot, then by its panic"""
    starts = [e["vm"] for e in outcome.stream.of("vm-start")].count("phoenix")
    resets = [e["reason"] for e in outcome.stream.of("vm-reset") if e["vm"] == "phoenix"]
    return [(starts == 3 and resets == ["reset by the guest"] * 2,
             f"phoenix started {starts} times, reset: {', '.join(resets)}")]


def reborn(on):
    """a guest that reboots, then panics, then switches itself off; others notice nothing"""
    vms = [server(), linux("phoenix", f"{QUICK} panic=1 lasthop.role=reborn {ADDRESS.format(2)} "
                           f"{PEER}"), *pair()]
    return Case(f"{on}-linux-reborn", on, config(*vms), backend=BACKEND[on], cpus=2, limit=1200,
                results=MEASURED, hooks=[reset_twice, no_complaints_but(r"^phoenix\| .*Call Trace")],
                must_not=STALLED[on], must=[
                    r"^phoenix\| .*Kernel panic - not syncing: sysrq triggered crash"])


# --- life cycle: by the user, at the hypervisor's shell and at the guest's ---
ROOM = f"{QUICK} lasthop.role=shell"


def at_shell(line, check):
    """commands for alice, while bob computes"""
    def command(verb):
        answer = line.command(f"vm {verb} alice")
        check(answer == f"vm {verb}: alice: done\n", f"vm {verb}: {answer.strip()}")

    line.wait_all(r"^alice\| shell: ready$", r"^bob\| shell: ready$", seconds=240)
    line.type("\r")
    line.wait(r"^lasthop> ")
    command("pause")
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[alice: ")
    line.type("echo w$((6*7))\r")              # what a paused guest's UART has room for
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[bob: ")
    line.type("echo bob has $((6 * 7))\r")
    line.wait(r"^bob has 42$")
    check("w42" not in line.seen, "bob answers while alice is paused")
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[log and shell: ")
    command("resume")
    line.wait(r"^alice\| w42$")
    check(True, "alice goes on where she was")
    command("restart")
    line.wait(r"^alice\| shell: ready$", seconds=240)
    command("stop")
    line.wait(r"\] vm alice: ended: stopped: by the user$")
    command("start")
    line.wait(r"^alice\| shell: ready$", seconds=240)
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[alice: ")
    line.type("echo n$((1+1))\r")
    line.wait(r"^n2$")                          # what came before is a replay
    line.type("reboot -f\r")
    line.wait(r"^shell: ready$", seconds=240)
    check(True, "alice reboots")
    line.type("poweroff -f\r")
    line.wait(r"reboot: Power down$", seconds=120)
    line.type(NEXT_CONSOLE * 2)
    line.wait(r"^\[log and shell: ")
    line.wait(r"^lasthop> ")
    answer = line.command("vm list")
    for _ in range(100):
        if re.search(r"^alice +off ", answer, re.M):
            break
        time.sleep(0.1)
        answer = line.command("vm list")
    check(re.search(r"^alice +off ", answer, re.M), "alice is off")
    answer = line.command("vm stop bob")
    check(answer == "vm stop: bob: done\n", "bob has lived through it")


LIFE = [linux("alice", ROOM), linux("bob", ROOM)]


def life(on):
    return linux_case(on, "life", LIFE, talk=at_shell, limit=900,
                      ends=ends(LIFE, alice="off", bob="stopped"))


MATRIX = ("ping@1500", "ping@9000", "ping6@9000", "tcp@1500", "tcp-reverse@1500", "tcp@9000",
          "tcp6@9000", "tcp6-reverse@9000", "udp@1500", "udp-reverse@1500", "udp6@9000",
          "udp-small@1500", "copy@1500", "copy-reverse@1500", "copy6@9000", "copy6-reverse@9000")
CASES_LINUX = [
    boots("tcg"), boots("bochs"),
    linux_case("bochs", "injected", injected([linux("alice", f"{QUICK} lasthop.tests=cpus", cpus=2,
                                                    nets=())]), cpus=2, limit=900,
               must=[r"^alice\| cpus: one time on all", r"^alice\| lasthop: end ok$"]),
    talks("tcg", "traffic", MATRIX),
    handled("tcg"),
    filtered("tcg"),
    stormy("tcg"),
    reborn("tcg"),
    life("tcg"),
    # the guest tells that it failed, and why
    ends_as("tcg", "fails", f"{QUICK} lasthop.role=nobody", "failed",
            must=[r"vm alice: ended: failed: the guest told: no role nobody$"]),
    Case("tcg-linux-too-large", "tcg", config(linux("alice", "", nets=(), memory_mib=72)),
         ended="refused", unchecked=True, ends={}, cpus=2,
         must=[r"initrd: linux\.cpio with \d+ MiB does not fit .*: raise memory-mib$"]),
]

# round the matrix, ten minutes in all; 1 GiB in copies; eight streams
LONG = tuple(f"{test}@{mtu}" for mtu in (1500, 9000) for test in (
    "ping", "ping6", "tcp", "tcp-reverse", "tcp6", "tcp6-reverse", "tcp-8", "udp", "udp-reverse",
    "udp6", "udp6-reverse", "udp-small"))
COPIES, ROUNDS = ("copy", "copy-reverse", "copy6", "copy6-reverse"), 57    # of 4.7 MB: 1 GiB
SOAK_LINUX = [
    talks("tcg", "matrix", LONG, seconds=30), talks("tcg", "gibibyte", COPIES, rounds=ROUNDS),
    talks("bochs", "traffic", ("ping", "tcp", "udp6-reverse", "copy6"), more=SMALL),
    talks("bochs", "matrix", MATRIX), handled("bochs"), filtered("bochs"), stormy("bochs"),
    reborn("bochs"), life("bochs"), overcommitted("tcg"),
]
for _case in SOAK_LINUX:
    _case.limit = 3600
