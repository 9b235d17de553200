# SPDX-License-Identifier: BSD-2-Clause
"""Two uplinks of one switch, with a NIC and a wire each: guests reach both, and nothing passes from one to
the other."""
from cases import BACKEND, Case
from cases_driver import MAC, client, netd, server
from cases_linux import COMPLAINTS
from configs import config
from world import ADDRESSES, nic

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


CASES_UPLINKS = [
    Case("tcg-uplinks", "tcg",
         config(server(), client(["ping", "tcp", "tcp-reverse"], wire=1),
                netd("e1000e", "virtio", args="offload=csum", queue_pairs=2)),
         cpus=4, backend=BACKEND["tcg"], nics=[nic("e1000e"), nic("virtio", 1)], world=2,
         talk=both_wires, ends={"server": "ok", "client": "ok", "netd": "running"},
         hooks=[none_in_transit], must_not=[COMPLAINTS.pattern],
         must=[r"\] uplink netd/up0: up$", r"\] uplink netd/up1: up$"]),
]
