# SPDX-License-Identifier: BSD-2-Clause
"""Buffer reuse while lives end: the NIC has packets to send that lie in a guest's memory when that guest is
stopped, when the driver domain is paused, is restarted, dies."""
import re
import time

from cases import BACKEND, Case
from cases_driver import netd
from cases_uplinks import same_life
from configs import Vm, config, pair
from lasthoplib import wireend
from lasthoplib.console import Failure
from lasthoplib.faults import FAULTS, KERNEL, fault
from restart import BESIDE, nothing_left, nothing_lost, stop
from world import ADDRESS, LIMIT, nic

OUT = Vm("out", "bench.elf", f"role=source outside=on ip=10.0.0.1 peer={ADDRESS} tests=stream:1514@2000 "
         "packets=16000000", ("lan",), mtu=1500)
NAMES = ("netd", "out", "source1", "sink1")


def grows(what, value, by=1):
    """until the value has grown by so much; what counts anew meanwhile (a guest's next life) from there"""
    least, end = value(), time.monotonic() + LIMIT
    while (now := value()) < least + by:
        least = min(least, now)
        if time.monotonic() > end:
            raise Failure(f"{what} do not get more than {now}")
        time.sleep(0.3)


class Life:
    """one boot: what is done to it, each time with packets out"""

    def __init__(self, line, check, station):
        self.line, self.check, self.station = line, check, station

    def command(self, text):
        told = self.line.command(text)
        self.check(told.endswith(": done\n"), f"{text}: {told.strip()}")

    def counted(self, *names):
        told = self.line.command("stat netd/up0")
        return sum(int(re.search(rf"^{name} +(\d+) ", told, re.M)[1]) for name in names)

    def passes(self, when):
        """packets are lent, and come out whole"""
        grows(f"{when}: packets on the wire", lambda: self.station.seen[0], 50)
        grows(f"{when}: lent packets", lambda: self.counted("lent"), 50)
        self.check(not self.station.seen[1], f"{when}: packets are lent and come out, none damaged")

    def keep(self):
        """what is lent does not come back: the domain and its NIC stand still. What there are buffers for is lent,
        up to half of the sender's ring"""
        self.command("vm pause netd")
        grows("packets that a paused domain gets", lambda: self.counted("lent", "rx_drop_no_buffer"))

    def up_again(self):
        self.line.wait(r"\] uplink netd/up0: up again after \d+ ms$")

    def sender_ends(self):
        self.keep()
        self.command("vm stop out")
        self.line.wait(r"\] vm out: ended: stopped")
        self.command("vm resume netd")
        self.command("vm start out")
        self.passes("after the sender's end")

    def paused(self):
        self.keep()
        self.command("vm resume netd")
        self.passes("after a pause")

    def restarted(self, after_pause):
        if after_pause:
            self.keep()
        self.command("vm restart netd")
        self.up_again()
        self.passes("after a restart of a paused domain" if after_pause else "after a restart under load")

    def dies(self, how):
        fault(self.line, how, len(NAMES))
        self.up_again()
        self.passes(f"after a {how}")


def faults(count):
    return FAULTS if count > 3 else ("triple fault",)


def all_of_it(life, count):
    """so many times each"""
    for _ in range(count):
        life.sender_ends()
        life.paused()
        life.restarted(False)
        life.restarted(True)
        for how in faults(count):
            life.dies(how)


def pauses(life, count):
    for _ in range(count):
        life.paused()


def talk(what, count):
    def told(line, check):
        station = wireend.Station()
        try:
            line.wait(r"\] uplink netd/up0: up$")
            line.type("\r")
            line.wait(r"^lasthop> ")
            life = Life(line, check, station)
            life.passes("at first")
            what(life, count)
        finally:
            station.close()
        stop(line, *NAMES)
    return told


def as_done(count):
    """netd has ended as all_of_it() has made it end, and no other time: not over a pause"""
    def hook(outcome):
        wanted = ["restart", "restart", *(FAULTS[how][1] for how in faults(count))] * count
        got = [e["end"] for e in outcome.stream.of("vm-reset") if e["vm"] == "netd"]
        return [(got == wanted, f"netd ended {len(got)} times: {', '.join(got)}")]
    return hook


def out_of_step(outcome):
    return nothing_left(outcome, "netd") + nothing_left(outcome, "out", but=1)


def case(name, model, talked, *hooks):
    sink, source = pair(tests=BESIDE)
    return Case(f"tcg-uplink-reuse-{name}{model}", "tcg",
                config(netd(model, args="watchdog=5000", kernel=KERNEL), OUT, source, sink,
                       policy={"buffer-reuse": "on"}),
                cpus=4, backend=BACKEND["tcg"], nics=[nic(model)], world=1, talk=talked,
                ends=dict.fromkeys(NAMES, "stopped"), hooks=[*hooks, nothing_lost(5)],
                must=[r"\] uplink netd/up0: up$"], must_not=[r"\] iommu: .*: blocked: "])


def reuse(model, count, name=""):
    return case(f"lives-{name}", model, talk(all_of_it, count), as_done(count), out_of_step)


def paused(model, count, name=""):
    return case(f"pause-{name}", model, talk(pauses, count), same_life)


CASES_REUSE = [reuse("e1000e", 2), *[paused(model, 5) for model in ("e1000", "e1000e", "virtio")]]
SOAK_REUSE = [paused("virtio", 60, "soak-"), reuse("e1000e", 20, "soak-"), reuse("virtio", 6, "soak-"), reuse("e1000", 4, "soak-")]
