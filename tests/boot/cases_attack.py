# SPDX-License-Identifier: BSD-2-Clause
"""The driver domain that attacks (tests/boot/attack), beside VMs that must not notice: a pair that measures
and may lose nothing, and one that looks at its memory all the time. It dies after each round, and is
started again."""
import re
from dataclasses import replace

from cases import BACKEND, Case
from cases_driver import IDS
from cases_passthrough import BOCHS_NIC, WIRE
from configs import Vm, config, ends, pair
from lasthoplib.nics import Nic
from restart import BESIDE, nothing_left, nothing_lost, stop

UNHARMED = [r"\| FAIL ", r"\| (guest: )?sender: (?!sends)", r"\| (guest: )?pattern: round"]


PATTERN = Vm("pattern", "pattern.elf", nets=("lan",), memory_mib=64)
SENDER = Vm("sender", "sender.elf", nets=("lan",), mtu=1500)     # to an address that the attacker claims


def attacker(model, args, more=()):
    return Vm("attack", "attack.elf", args, more=[
        'role = "driver-domain";', *more,
        f'nic0 {{ compatible = "lasthop,passthrough"; pci-id = {IDS[model]}; }};',
        'up0 { compatible = "lasthop,net"; switch = <&lan>; uplink; };'])


POLICIES = ("preemptive-copy", "buffer-reuse")


def rounds(count):
    """waits for so many of its lives, each with other policies, then stops all"""
    def talk(line, check):
        line.wait(r"^pattern\| pattern: \d+ KiB$")
        line.type("\r")
        line.wait(r"^lasthop> ")
        for number in range(count):
            for bit, policy in enumerate(POLICIES):
                how = "on" if number >> bit & 1 else "off"
                told = line.command(f"set {policy} {how}")
                if f"{policy} is {how}" not in told:
                    check(False, f"set {policy} {how}: {told.strip()}")
            line.wait(r"\] vm attack: ended: ", 120)
        lent = re.search(r"^lent +(\d+) ", line.command("stat attack/up0"), re.M)
        check(lent and int(lent[1]) > 0, f"{lent and lent[1]} packets were lent to it")
        stop(line, *NAMES)
    return talk


NAMES = ("attack", "source1", "sink1", "pattern", "sender")


def lives(least):
    """what it died of, and that nothing is left of it"""
    def hook(outcome):
        made = [e["end"] for e in outcome.stream.of("vm-reset") if e["vm"] == "attack"]
        return [(len(made) >= least, f"{len(made)} lives, ended by " +
                 ", ".join(f"{made.count(e)} times {e}" for e in sorted(set(made)))),
                *nothing_left(outcome, "attack")]
    return hook


PER_SECOND = 5                                  # lines of a source: hv/core/log.c
TOLD = re.compile(r"\[ *([\d.]+)\] (iommu: [0-9a-f:.]+) .*: blocked: |\[ *([\d.]+)\] (vm attack): .*: refused message ")


def told_in_bounds(outcome):
    """what it tries is told, and a storm of it is a few lines a second (any one lies in two of the log's)"""
    lines = {}
    for one, device, other, vm in TOLD.findall(outcome.serial()):
        lines.setdefault(device or vm, []).append(float(one or other))
    return [(max(sum(0 <= at - begin < 1 for at in times) for begin in times) <= 2 * PER_SECOND,
             f"{len(times)} lines of what {source} may not, {2 * PER_SECOND} a second at most")
            for source, times in sorted(lines.items())]


def attack(on, model, count, args="", must=(), name="", **more):
    sink, source = pair(tests=BESIDE)
    vms = [attacker(model, args), source, sink, PATTERN, SENDER]
    return Case(f"{on}-attack-{name}{model}-{count}", on, config(*vms), cpus=4, backend=BACKEND[on],
                nics=[Nic(model, WIRE)], talk=rounds(count), ends=dict.fromkeys(NAMES, "stopped"),
                hooks=[lives(count), nothing_lost(3), told_in_bounds], must_not=UNHARMED,
                must=[r"^attack\| PASS attack: the NIC is silent$", *must], **more)


BLOCKED = [rf"\] iommu: 01:00\.0 {what} 0x[0-9a-f]+: blocked: its page tables allow no "
           for what in ("reads", "writes")]
REFUSED = [r"\] vm attack: 01:00\.0: refused message \d+: "]
OLD = config(attacker("e1000e", "old=1"), PATTERN)


def one_life(line, _check):
    line.wait(r"\] vm attack: ended: ok")
    stop(line, "attack", "pattern")


# --- on Bochs, which has no IOMMU: what needs no DMA. The pair's CPUs are its own; the attacker's is busy in the
# other case, too, since a CPU that idles would help the pair. ---
MEASURE = "tests=stream:64,stream:1514 packets=20000 runs=5"


def beside(name, args, **more):
    sink, source = pair(tests=MEASURE)
    sink.affinity, source.affinity = (0,), (1,)
    unsafe = attacker("e1000", f"dma=0 acts=2 {args}", ("allow-unsafe-dma;",))
    unsafe.affinity = (2,)
    vms = [unsafe, source, sink, replace(PATTERN, affinity=(2,), memory_mib=16)]
    return Case(f"bochs-attack-{name}", "bochs", config(*vms), cpus=3, backend="vmx", bochsrc=BOCHS_NIC,
                ended="until", until=("sink1", "source1"), results={"stream": 2}, must_not=UNHARMED,
                ends=ends(vms, attack="running", pattern="running"),
                must=[r"^attack\| attack: seed \d+$", *more.pop("must", [])], **more)


CASES_ATTACK = [
    attack("tcg", "e1000e", 20, must=BLOCKED + REFUSED), attack("tcg", "e1000", 6, "dma=0"),
    # its rings lead anywhere, too: by what is done to any virtio-net device
    attack("tcg", "virtio", 12, "dma=0 only=uplink", must=[r"\] iommu: 01:00\.0 (reads|writes) 0x[0-9a-f]+: blocked: "]),
    Case("tcg-attack-old-message", "tcg", OLD, cpus=2, backend="svm", nics=[Nic("e1000e", WIRE)],
         talk=one_life, ends={"attack": "stopped", "pattern": "stopped"},
         must_not=[r"\] trap: CPU \d+: NMI of unknown origin$"], xfail_check="serial log lacks .*NMI of unknown origin",
         xfail="QEMU 7.2's VT-d lets messages in the compatibility format pass: an NMI arrives"),
    beside("e1000", "", as_fast_as="bochs-attack-none",
           must=[r"^attack\| attack: end \d", r"^attack\| attack: (config|forge|storm-|uplink|bar-walk)"]),
    beside("none", "busy=1"),
]

# a thousand lives
SOAK_ATTACK = [attack("tcg", "e1000e", 100, must=BLOCKED + REFUSED, name=f"soak-{n}-") for n in range(1, 10)] + [
    attack("tcg", "e1000", 50, "dma=0", name="soak-"), attack("tcg", "virtio", 50, "dma=0", name="soak-")]
