# SPDX-License-Identifier: BSD-2-Clause
"""Two uplinks of one switch, with a NIC and a wire each: guests reach both, and nothing passes from one to
the other."""
import os
import socket

from cases import BACKEND, Case
from cases_driver import MAC, client, netd, server
from cases_linux import COMPLAINTS
from configs import Vm, config
from lasthoplib import wireend
from screenshot import ARGUMENTS, Monitor
from world import ADDRESS, ADDRESSES, LIMIT, PLUG, nic

TYPE = 0x88b5                                   # of frames for experiments, IEEE 802
BROADCAST = "ff:ff:ff:ff:ff:ff"


def frame(to, source):
    """of 60 bytes, with nothing in it"""
    return (bytes.fromhex((to + source).replace(":", "")) + TYPE.to_bytes(2, "big")).ljust(60, b"\0")


def both_wires(line, check):
    """the server talks by the first wire, the client by the second, which is another network"""
    world = line.world
    check(world.wait_for("10.0.0.1"), "the server answers the first wire")
    line.wait(r"^client\| lasthop: end ok")
    macs = [world.mac(0), world.mac(1)]
    world.send(0, frame(macs[1], macs[0]))
    world.send(1, frame(BROADCAST, macs[1]))
    check(world.ping("10.0.0.1") == 10, "ten pings of the server, ten answers")
    for wire, own, other in (0, MAC.format(1), MAC.format(2)), (1, MAC.format(2), MAC.format(1)):
        check(world.heard(f"ether src {own} and ether dst {macs[wire]}", wire),
              f"its guest is heard on wire {wire}")
        astray = world.heard(f"ether src {other} and ether dst {macs[1 - wire]}", wire)
        check(not astray, f"nothing for the other wire's station on wire {wire} {astray[:3]}")
        passed = world.heard(f"ether src {macs[1 - wire]}", wire)
        check(not passed, f"nothing from the other wire on wire {wire} {passed[:3]}")
    world.tell("10.0.0.1", "touch /tmp/done")


def none_in_transit(outcome):
    """the frame from one wire to the other's station is counted where it came in"""
    dropped = {e["port"]: e["counters"]["tx_drop_transit"] for e in outcome.stream.of("port")
               if e["port"].startswith("netd/")}
    return [(dropped.get("netd/up0", 0) >= 1, f"frames dropped on their way between uplinks: {dropped}")]


# --- streams of the bundled guest, whose other end is on the wire (bench external) ---
FRAMES = (64, 1514)
COUNT, PER_SECOND = 1000, 2000


def streams(line, check):
    """the wire takes what `out` sends, and sends to `in`, slowly enough to lose nothing"""
    station = wireend.Station()
    try:
        line.wait(r"\] vm out: ended: ok$")
        for size in FRAMES:
            seen = station.source("10.0.0.2", size, COUNT, 1, 1, PER_SECOND)
            check(seen, f"{size} bytes: `in` has seen {seen:.0f} frames a second")
        station.bye("10.0.0.2")
        line.wait(r"\] vm in: ended: ok$")
    finally:
        station.close()


def driver_charged(outcome):
    """a packet that a driver domain has moved took time of it, of a guest, and of the hypervisor"""
    told = outcome.stream.of("result")
    return [(e["driver_ticks"] and e["guest_ticks"] and e["root_ticks"] and e["peer"] == "outside",
             f"{e['vm']}, {e['frame_bytes']} bytes: {e['packets']} frames from {e['peer']}")
            for e in told] + [(len(told) == 2 * len(FRAMES), f"{len(told)} results")]


# --- Bochs: no IOMMU, and VT-x. Its NIC gets frames to its own address alone, so that is the guest's. ---
ECHO, ECHOES, PORT_RR = "10.0.0.2", 50, 19530   # guest/bench/wire.h
CARD = f"e1000: enabled=1, mac={MAC.format(2)}, ethmod=linux, ethdev={PLUG.format(0)}"


def echoes(size):
    """frames that came back as they were sent"""
    good = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind((ADDRESS, PORT_RR))
        end.settimeout(LIMIT)
        for _ in range(ECHOES):
            sent = os.urandom(size - wireend.HEADERS)
            end.sendto(sent, (ECHO, PORT_RR))
            good += end.recv(2048) == sent
    return good


def echoed(line, check):
    """the guest sends back what it gets from the world; also after a restart of what is between them"""
    line.wait(r"\] uplink netd/up0: up$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    for when in "at first", "after a restart":
        for size in FRAMES:
            good = echoes(size)
            check(good == ECHOES, f"{when}, {size} bytes: {good} of {ECHOES} frames came back as they were")
        if when == "at first":
            line.command("vm restart netd")
            line.wait(r"\] uplink netd/up0: up again after \d+ ms$")
    station = wireend.Station()
    try:
        check(station.source(ECHO, 1514, 100, 1, 1, 100), "the guest checks a stream from the world")
        station.bye(ECHO)
        line.wait(r"\] vm in: ended: ok$")
    finally:
        station.close()


def guest_ends(line):
    """as the station on the wire tells it to"""
    station = wireend.Station()
    try:
        station.bye(ECHO)
        line.wait(r"\] vm in: ended: ok$")
    finally:
        station.close()


def paused(line, check):
    """the driver domain and its NIC stand still, and go on: what comes next is the world's, to the guest"""
    line.wait(r"\] uplink netd/up0: up$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    for when in "at first", "after a pause", "after another one":
        good = echoes(1514)
        check(good == ECHOES, f"{when}: {good} of {ECHOES} frames came back as they were")
        for verb in "pause", "pause", "resume":
            told = line.command(f"vm {verb} netd")
            check(told.endswith(": done\n"), f"{verb}: {told.strip()}")
    guest_ends(line)


def same_life(outcome):
    """no restart has helped"""
    lives = [e["end"] for e in outcome.stream.of("vm-reset")]
    return [(not lives, f"{len(lives)} lives ended: {', '.join(lives)}")]


def pauses(model):
    return Case(f"tcg-uplink-pause-{model}", "tcg", config(
        netd(model), Vm("in", "bench.elf", f"role=sink ip={ECHO}", ("lan",), mtu=1500)),
                cpus=2, backend=BACKEND["tcg"], nics=[nic(model)], world=1, talk=paused,
                ends={"netd": "running", "in": "ok"}, hooks=[same_life])


LINK_FOLLOWS = Vm("in", "bench.elf", f"role=sink ip={ECHO}", ("lan",), mtu=1500, link_follows=True)


def unplugged(line, check):
    """the wire loses its carrier, and has it again: the guest's link follows, and its frames pass"""
    line.wait(r"\] uplink netd/up0: up$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    with Monitor(line.folder) as monitor:
        for when in "once", "again":
            monitor.ask("set_link", name="nic0", up=False)
            line.wait(r"\] uplink netd/up0: no carrier$")
            told = line.command("port in/net0").splitlines()
            check("link is down at the guest: no uplink is up" in told[1], f"{when}: {told[1]}")
            monitor.ask("set_link", name="nic0", up=True)
            line.wait(r"\] uplink netd/up0: carrier$")
            good = echoes(1514)
            check(good == ECHOES, f"{when}: {good} of {ECHOES} frames came back as they were")
    guest_ends(line)


def followed(outcome):
    told = [e["link"] for e in outcome.stream.of("link") if e["port"] == "in/net0"]
    return [(told == ["up", "down", "up", "down", "up"], f"the guest's link: {', '.join(told)}")]


def carrier(model):
    return Case(f"tcg-uplink-carrier-{model}", "tcg", config(netd(model), LINK_FOLLOWS),
                cpus=2, backend=BACKEND["tcg"], nics=[nic(model)], qemu=ARGUMENTS, world=1, talk=unplugged,
                ends={"netd": "running", "in": "ok"}, hooks=[followed, same_life])


CASES_UPLINKS = [
    *[carrier(model) for model in ("e1000e", "virtio", "e1000")],
    *[pauses(model) for model in ("virtio", "e1000", "e1000e")],
    Case("bochs-uplink-e1000", "bochs", config(
        netd("e1000", more=("allow-unsafe-dma;",)),
        Vm("in", "bench.elf", f"role=sink ip={ECHO}", ("lan",), mtu=1500)),
         cpus=2, backend=BACKEND["bochs"], bochsrc=[CARD], world=1, talk=echoed,
         ends={"netd": "running", "in": "ok"}, results={"stream": 1},
         must=[r"\] vm netd: WARNING: no IOMMU: its devices can read and write all memory "]),
    Case("tcg-uplink-streams", "tcg", config(
        netd("virtio"),
        Vm("out", "bench.elf", f"role=source outside=on ip=10.0.0.1 peer={ADDRESSES.format(0)} "
           f"tests={','.join(f'stream:{size}' for size in FRAMES)} packets={COUNT}", ("lan",), mtu=1500),
        Vm("in", "bench.elf", "role=sink ip=10.0.0.2", ("lan",), mtu=1500)),
         cpus=4, backend=BACKEND["tcg"], nics=[nic("virtio")], world=1, talk=streams,
         ends={"netd": "running", "out": "ok", "in": "ok"}, results={"stream": len(FRAMES)},
         hooks=[driver_charged]),
    Case("tcg-uplinks", "tcg",
         config(server(), client(["ping", "tcp", "tcp-reverse"], wire=1),
                netd("e1000e", "virtio", args="offload=csum", queue_pairs=2)),
         cpus=4, backend=BACKEND["tcg"], nics=[nic("e1000e"), nic("virtio", 1)], world=2,
         talk=both_wires, ends={"server": "ok", "client": "ok", "netd": "running"},
         hooks=[none_in_transit], must_not=[COMPLAINTS.pattern],
         must=[r"\] uplink netd/up0: up$", r"\] uplink netd/up1: up$"]),
]
