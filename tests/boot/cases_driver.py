# SPDX-License-Identifier: BSD-2-Clause
"""The driver domain: guests reach the world by a NIC that a VM drives, and it may die."""
import re

from cases import BACKEND, Case
from cases_linux import QUICK, linux, no_complaints
from configs import Vm, config, pair
from lasthoplib.faults import KERNEL
from restart import BESIDE, gaps, links, lives, nothing_lost, restarts, stop
from world import ADDRESS6, ADDRESSES, nic

IDS = {"e1000": "<0x8086 0x100e>", "e1000e": "<0x8086 0x10d3>", "virtio": "<0x1af4 0x1041>"}
MAC = "52:54:00:00:{:02x}:01"                   # configs.py: of VM number ...


def netd(*models, more=(), args="", kernel="netd.elf", queue_pairs=1):
    """the driver domain with these NICs, and an uplink for each"""
    nodes = [f'nic{n} {{ compatible = "lasthop,passthrough"; pci-id = {IDS[m]}; }};'
             for n, m in enumerate(models)]
    nodes += [f'up{n} {{ compatible = "lasthop,net"; switch = <&lan>; uplink; '
              f'queue-pairs = <{queue_pairs}>; }};'
              for n in range(len(models))]
    if "watchdog=" not in args:                 # an emulator on a busy machine stands still for seconds
        args = f"watchdog=20000 {args}".rstrip()
    return Vm("netd", kernel, args, more=['role = "driver-domain";', *more, *nodes])


def server(number=1, **more):
    return linux("server", f"{QUICK} lasthop.role=server lasthop.ip=10.0.0.{number}/24 "
                 f"lasthop.ip6=fd00::{number}/64", mtu=1500, **more)


def client(tests, number=2, wire=0):
    return linux("client", f"{QUICK} lasthop.role=client lasthop.ip=10.0.{wire}.{number}/24 "
                 f"lasthop.ip6=fd00::{number}/64 lasthop.peer={ADDRESSES.format(wire)} "
                 f"lasthop.peer6={ADDRESS6} lasthop.tests={','.join(tests)} lasthop.seconds=2", mtu=1500)


def talked(line, check):
    """the world asks the server while the client asks the world"""
    world = line.world
    check(world.wait_for("10.0.0.1"), "the server answers the world")
    for size in (56, 1472):
        check(world.ping("10.0.0.1", size=size) == 10, f"ten pings of {size} bytes, ten answers")
    for name, options in (("TCP in", ()), ("TCP out", ("-R",)), ("UDP in", ("-u", "-b", "20M"))):
        got, error = world.iperf("10.0.0.1", *options)
        check(got and not error, f"{name}: {got} bytes {error}".rstrip())
    line.wait(r"^client\| lasthop: end ok")
    for mac, who in (MAC.format(1), "server"), (MAC.format(2), "client"):
        seen = len(world.heard(f"tcp and ether src {mac}"))
        check(seen, f"{seen} frames of TCP from the {who} on the wire")
    bad = world.misshapen([MAC.format(1), MAC.format(2)])
    check(not bad, f"{len(bad)} frames of the guests with a wrong checksum, or too long {bad[:3]}")
    world.tell("10.0.0.1", "touch /tmp/done")


def counter(line, name):
    return int(re.search(rf"^{name} +(\d+) ", line.command("stat netd/up0"), re.M)[1])


def copied(line, check, how, last=150000):
    """what the server sends through TCP comes as it was, byte for byte"""
    want = "".join(f"{n}\n" for n in range(1, last + 1))
    got = line.world.tell("10.0.0.1", f"seq 1 {last}")
    check(got == want, f"{how}: {len(got)} bytes came of {len(want)}, as they were sent")


def lent(line, check):
    """the NIC reads packets where they are; switched on and off while they pass"""
    check(line.world.wait_for("10.0.0.1"), "the server answers the world")
    for how in ("off", "on", "per-packet", "on", "off", "on"):
        check(f"buffer-reuse is {how}" in line.command(f"set buffer-reuse {how}"), f"reuse {how}")
        before = counter(line, "lent"), counter(line, "lent_mapped")
        copied(line, check, how)
        packets = counter(line, "lent") - before[0]
        check((packets > 0) == (how != "off"),
              f"{how}: {packets} packets lent, {counter(line, 'lent_mapped') - before[1]} pages mapped")
    before = counter(line, "lent")
    check("done" in line.command("vm restart netd"), "the domain starts anew")
    copied(line, check, "after that")
    check(counter(line, "lent") > before, "and packets are lent again")


def lent_and_talked(line, check):
    lent(line, check)
    talked(line, check)


def lent_and_done(line, check):
    lent(line, check)
    line.wait(r"^client\| lasthop: end ok")
    line.world.tell("10.0.0.1", "touch /tmp/done")


def outside(name, model, tests, args="", talk=talked, offload=False, **more):
    return Case(f"tcg-uplink-{name}", "tcg",
                config(server(), client(tests), netd(model, args=args)),
                cpus=4, backend=BACKEND["tcg"], nics=[nic(model, offload=offload)], world=1, talk=talk,
                ends={"server": "ok", "client": "ok", "netd": "running"},
                must=[r"\] uplink netd/up0: up$", r"client\| client: met "],
                hooks=[no_complaints], **more)


FOLLOWER = 'net1 { compatible = "lasthop,net"; switch = <&lan>; link-follows-uplink; };'


def dying(count, model="e1000e", args="offload=csum", name="", **more):
    """it dies so often under load, while other VMs measure each other; the server has an idle device besides,
    whose link follows"""
    sink, source = pair(tests=BESIDE)
    vms = [netd(model, args=f"watchdog=2000 {args}", kernel=KERNEL), source, sink,
           server(nodes=[FOLLOWER])]
    names = [vm.name for vm in vms]
    return Case(f"tcg-restart-{name}{model}-{count}", "tcg", config(*vms), cpus=4, backend=BACKEND["tcg"],
                nics=[nic(model)], world=1, talk=restarts(count, names), ends=dict.fromkeys(names, "stopped"),
                hooks=[lives(count), links("server/net1", "netd/up0"), nothing_lost(5), no_complaints], **more)


# one that dies at once does not eat the machine
SHORT_LIVED = [netd(), *pair(tests=BESIDE)]


def dies_at_once(line, _check):
    for _ in range(5):
        line.wait(r"\] vm netd: ended: failed: ")
    stop(line, "netd", "source1", "sink1")      # the first waits for its next life


CASES_DRIVER = [
    Case("tcg-restart-at-once", "tcg", config(*SHORT_LIVED), cpus=2, backend=BACKEND["tcg"],
         talk=dies_at_once, ends=dict.fromkeys(("netd", "sink1", "source1"), "stopped"), hooks=[gaps("netd", 4), nothing_lost(1)]),
    dying(20), dying(4, "virtio", args=""), dying(4, "e1000", args=""),
    # QEMU's 82574L segments wrong unless its network takes that over: docs/driver-domain.md
    outside("e1000e", "e1000e", ["ping", "ping6", "tcp", "tcp-reverse", "udp"], args="offload=csum"),
    outside("virtio", "virtio", ["ping", "tcp"]),
    outside("e1000", "e1000", ["ping", "tcp"]),
    outside("reuse-e1000", "e1000", ["ping", "tcp"], args="watchdog=20000", talk=lent_and_talked),
    outside("reuse-e1000e", "e1000e", ["ping", "tcp"], args="watchdog=20000", offload=True,
            talk=lent_and_done),
    outside("reuse-virtio", "virtio", ["ping", "tcp"], args="watchdog=20000", offload=True,
            talk=lent_and_done),
]

# five hundred restarts
# one host thread: a Linux guest that restores x87 state beside others can end QEMU (docs/testbed.md); attackers,
# who are restarted as often, have a thread per CPU
SOAK_DRIVER = [dying(100, name=f"soak-{n}-", one_thread=True) for n in range(1, 5)] + [
    dying(50, model, args="", name="soak-", one_thread=True) for model in ("virtio", "e1000")]
