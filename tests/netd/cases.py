# SPDX-License-Identifier: BSD-2-Clause
"""What is tested of netd on QEMU without a hypervisor: a table of NICs, and what is done to each."""
import re
import threading
import time
from dataclasses import dataclass

import frames
import tcp
from machine import Dead, Machine
from tap import Tap

SMALL, USUAL = 60, 1514
RING, BUFFER = 200, 2048         # fewer than the NICs' receive buffers, and what one of them holds
IDLE = 0.02                      # seconds, in which netd goes to sleep
COUNT = 400                     # frames of a burst, each way
UPLINK = "virtio-net-pci,netdev=uplink{n},addr={slot:x},disable-legacy=on,romfile="
MODELS = {
    "e1000": "e1000", "e1000e": "e1000e",
    "virtio": "virtio-net-pci,disable-legacy=on,iommu_platform=on",
}


@dataclass
class Case:
    name: str
    nics: list
    mtu: int = 1500
    args: str = ""
    more: tuple = ()             # devices besides
    taps: tuple = ()             # networks that carry offloads
    steps: tuple = ()


def machine(case, kernel):
    """NICs from slot 2 on, uplinks from slot 8 on"""
    devices, nets, uplinks = [], {}, []
    for n, model in enumerate(case.nics):
        for name in (f"wire{n}", f"uplink{n}"):
            nets[name] = Tap(name) if name in case.taps else None
        mtu = f",host_mtu={case.mtu}" if case.mtu != 1500 else ""
        devices += ["-device", f"{MODELS[model]},id=nic{n},netdev=wire{n},addr={n + 2:x},romfile=",
                    "-device", UPLINK.format(n=n, slot=n + 8) + mtu]
        uplinks.append(f"00:{n + 8:02x}.0")
    for device in case.more:
        devices += ["-device", device]
    return Machine(kernel, f"uplink={','.join(uplinks)} {case.args}", nets, devices)


def started(case, m, check):
    """a line for each NIC"""
    for n, model in enumerate(case.nics):
        line = m.expect(rf"netd: \S+ 00:{n + 2:02x}\.0, ")[0].strip()
        name = "virtio-net" if model == "virtio" else model
        good = (f": {name} 00:{n + 2:02x}.0, 52:54:00:12:34:" in line and "link up" in line and
                f"to uplink 00:{n + 8:02x}.0, MTU {case.mtu}," in line and "polled" not in line)
        check(good, line)


def push(wire, batch):
    """sends from a thread: both ways at once"""
    thread = threading.Thread(target=lambda: [wire.send(f) for f in batch], daemon=True)
    thread.start()
    return thread


def exchange(m, run, largest, count=COUNT, n=0):
    """pushes frames both ways at once and returns what is wrong with what came; large ones in
    portions that a ring holds: QEMU's e1000 drops what finds no room in it"""
    portion = RING // -(-largest // BUFFER)
    wrong = [portion_exchange(m, run + 2 * i, largest, min(portion, count - i), n)
             for i in range(0, count, portion)]
    return "; ".join(filter(None, wrong))


def portion_exchange(m, run, largest, count, n):
    wrong, ways = [], []
    for way, (source, target) in enumerate(((f"wire{n}", f"uplink{n}"), (f"uplink{n}", f"wire{n}"))):
        batch = [frames.make(run + way, i, size) for i, size in
                 enumerate(frames.sizes(SMALL, largest, count, run + way))]
        ways.append((source, target, batch, push(m.wires[source], batch)))
    for source, target, batch, thread in ways:
        m.wires[target].wait(len(batch))
        thread.join()
        problem = frames.compare(batch, m.wires[target].take())
        if problem:
            wrong.append(f"{source} to {target}: {problem}")
    return "; ".join(wrong)


def passes(case, m, check):
    """frames of all sizes pass both ways, in order, none lost, none added"""
    largest = case.mtu + 14
    wrong = exchange(m, 100, largest)
    check(not wrong, wrong or f"{COUNT} frames of {SMALL} to {largest} bytes passed each way")


def too_long(case, m, check):
    """what is longer than the MTU allows is dropped and counted, and what follows passes"""
    for source in ("wire0", "uplink0"):
        m.wires[source].send(frames.make(1, 0, case.mtu + 14 + 200))
    wrong = exchange(m, 200, case.mtu + 14, 20)
    check(not wrong, wrong or "frames beyond the MTU are dropped, those behind them pass")


def statistics(m):
    m.key(b"s")
    line = m.expect("netd: .*; out: ")[0]
    fields = re.search(r"out: (\d+) frames (\d+) bytes, (\d+) damaged, dropped (\d+).*"
                       r"in: (\d+) frames (\d+) bytes, (\d+) damaged, dropped (\d+).*"
                       r"\(.*?\)(?:; the device: (\d+) received, (\d+) sent)?", line)
    interrupts = re.search(r"(\d+) interrupts, (\d+) of the uplink", line)
    return line.strip(), [int(x or 0) for x in fields.groups() + interrupts.groups()]


def counts(case, m, check):
    """the counters on the console are those of the frames that passed"""
    line, before = statistics(m)
    wrong = exchange(m, 300, case.mtu + 14, 50)
    line, after = statistics(m)
    moved = [b - a for a, b in zip(before, after)]
    good = moved[0] == 50 and moved[4] == 50 and not any(moved[i] for i in (2, 3, 6, 7))
    if case.nics[0] != "virtio":
        good = good and moved[8] == 50 and moved[9] == 50
    check(good and not wrong, wrong or line)


def link(case, m, check):
    """the link goes down and comes back: told and counted; frames to it are dropped, not kept"""
    m.qmp("set_link", name="nic0", up=False)
    m.expect(r"netd: \S+ 00:02\.0 link down \(change 1\)")
    late = [frames.make(400, i, SMALL) for i in range(10)]
    for frame in late:
        m.wires["uplink0"].send(frame)
    dropped = 0
    for _ in range(100):
        line, fields = statistics(m)
        dropped = int(re.search(r"(\d+) link down", line)[1])
        if dropped == len(late):
            break
    check(dropped == len(late), f"with the link down {dropped} frames of {len(late)} were dropped")
    m.qmp("set_link", name="nic0", up=True)
    m.expect(r"netd: \S+ 00:02\.0 link up.*\(change 2\)")
    wrong = exchange(m, 500, case.mtu + 14)
    check(not wrong, wrong or "after the link came back all frames pass")


class Load:
    """frames both ways without an end, from threads; stop() tells what was sent"""

    def __init__(self, m, run):
        self.going, self.sent, self.threads = True, {}, []
        for way, source in enumerate(("wire0", "uplink0")):
            self.sent[source] = []
            self.threads.append(threading.Thread(target=self.work, daemon=True,
                                                 args=(m.wires[source], source, run + way)))
        for thread in self.threads:
            thread.start()

    def work(self, wire, source, run):
        number = 0
        while self.going:
            frame = frames.make(run, number, SMALL + number * 97 % (USUAL - SMALL))
            self.sent[source].append(frame)
            wire.send(frame)
            number += 1

    def stop(self):
        self.going = False
        for thread in self.threads:
            thread.join()
        return self.sent


def reset(case, m, check):
    """the machine is reset under load, twice: netd comes back; what passes is whole and in order"""
    interrupted(case, m, check, "the machine's", lambda: m.qmp("system_reset"))


def again(case, m, check):
    """netd starts its devices again in the midst of their work, as after a restart without any reset
    but the driver's own: the buffers are the same, and none is written that is not in a ring"""
    interrupted(case, m, check, "the driver's", lambda: m.key(b"r"))


def interrupted(case, m, check, whose, interrupt):
    for wire in m.wires.values():
        wire.take()
    load = Load(m, 600)
    for _ in range(2):
        for target in ("wire0", "uplink0"):
            m.wires[target].wait(len(m.wires[target].frames) + 50)
        interrupt()
        m.expect(r"netd: \S+ 00:02\.0, .*link up")
    for target in ("wire0", "uplink0"):
        m.wires[target].wait(len(m.wires[target].frames) + 50)
    sent = load.stop()
    for source, target in (("wire0", "uplink0"), ("uplink0", "wire0")):
        mark = frames.make(700, len(source), SMALL)
        m.wires[source].send(mark)
        while mark not in m.wires[target].frames[-1:]:
            count = len(m.wires[target].frames)
            if m.wires[target].wait(count + 1) == count:
                raise Dead(f"after {whose} resets nothing comes from {source} to {target} any more")
        got = m.wires[target].take()[:-1]
        problem = frames.subset(sent[source], got)
        check(not problem, problem or f"{len(got)} of {len(sent[source])} frames from {source} passed"
              f" over two of {whose} resets, whole, in order, once each")
    wrong = exchange(m, 800, case.mtu + 14)
    check(not wrong, wrong or f"after {whose} resets all frames pass")


def apart(case, m, check):
    """with several NICs, each leads to its own uplink"""
    for n in range(len(case.nics)):
        wrong = exchange(m, 900 + 10 * n, USUAL, 50, n)
        check(not wrong, wrong or f"NIC {n} and uplink {n} pass frames to each other")
    stray = [name for name, wire in m.wires.items() if wire.take()]
    check(not stray, f"frames came where they do not belong: {stray}" if stray else
          "no frame came anywhere else")


def wakes(case, m, check):
    """a frame that comes when all is idle is moved at once, not at the next tick"""
    for way, source, target in ((0, "wire0", "uplink0"), (1, "uplink0", "wire0")):
        before = statistics(m)[1][10 + way]
        for i in range(20):
            m.wires[source].send(frames.make(1000, i, SMALL))
            m.wires[target].wait(1)
            m.wires[target].take()
            time.sleep(IDLE)
        woken = statistics(m)[1][10 + way] - before
        check(woken >= 10, f"20 frames, one by one, from {source}: {woken} interrupts")


def large(versions=(4, 6), vlans=(False, True)):
    """frames to be cut, at the limits and beyond one buffer, and two that only lack a checksum"""
    return [tcp.Large(version, vlan, size, mss) for version in versions for vlan in vlans
            for size, mss in ((1, 1000), (1400, 1400), (1401, 1400), (16001, 1000), (65000, 1400))]


def segments(case, m, check):
    """frames that are to be cut arrive on the wire as frames with the right headers and checksums"""
    for x in large():
        m.wires["uplink0"].send(x.frame, x.header)
        m.wires["wire0"].wait(len(x.wire))
        problem = frames.compare(x.wire, m.wires["wire0"].take())
        check(not problem, f"{x.name}: " + (problem or f"{len(x.wire)} right frames"))


def pass_whole(m, check, source, target, wanted):
    for x in wanted:
        m.wires[source].send(x.frame, x.header)
        m.wires[target].wait(1)
        got = m.wires[target].take()
        problem = "nothing came" if not got else x.differs(got[0])
        check(not problem and len(got) == 1,
              f"{source} to {target}, {x.name}: {problem or 'one frame, whole'}")


def whole(case, m, check):
    """between two that know virtio's header a large frame passes whole, with it, both ways"""
    for source, target in (("uplink0", "wire0"), ("wire0", "uplink0")):
        pass_whole(m, check, source, target, large(vlans=(False,)))


def described(case, m, check):
    """QEMU's 82574L does not cut a frame for a network that knows virtio's header: it tells what its
    context descriptor has said"""
    pass_whole(m, check, "uplink0", "wire0", large(vlans=(False,)))


def told(*patterns):
    """a step: what the console says instead of starting"""
    def step(case, m, check):
        for pattern in patterns:
            check(m.expect(pattern), f"the console says /{pattern}/")
    return step


OFFLOAD = (started, segments)
ALL = (started, wakes, passes, too_long, counts, link, again, reset)
FAILS = r"guest: end 1"
CASES = [
    Case("e1000", ["e1000"], steps=ALL),
    Case("e1000e", ["e1000e"], steps=ALL),
    Case("virtio-net", ["virtio"], steps=ALL),
    Case("e1000-jumbo", ["e1000"], mtu=9000, steps=(started, passes, too_long, counts)),
    Case("e1000e-jumbo", ["e1000e"], mtu=9000, steps=(started, passes, too_long, counts)),
    Case("virtio-net-jumbo", ["virtio"], mtu=9000, steps=(started, passes, too_long, counts)),
    Case("e1000-tso", ["e1000"], taps=("uplink0",), steps=OFFLOAD),
    Case("e1000e-csum", ["e1000e"], args="offload=csum", taps=("uplink0",), steps=OFFLOAD),
    Case("e1000e-tso", ["e1000e"], taps=("uplink0", "wire0"), steps=(started, described)),
    Case("virtio-net-no-tso", ["virtio"], taps=("uplink0",), steps=OFFLOAD),
    Case("virtio-net-tso", ["virtio"], taps=("uplink0", "wire0"), steps=(started, whole)),
    Case("four", ["e1000", "e1000e", "virtio", "e1000e"], steps=(started, apart)),
    Case("unknown", ["e1000e"], more=("rtl8139,addr=4", "e1000,addr=5"), steps=(told(
        r"netd: 00:04\.0 is not used: there is no driver for it",
        r"netd: 2 NICs and 1 uplinks: 1 of each are used"), started)),
    Case("alone", [], more=("e1000e,addr=2",), steps=(told(
        "nothing to join: a NIC that a driver is there for and an uplink are wanted", FAILS),)),
    Case("mtu", [], args="mtu=9001", steps=(told("mtu: 68 to 9000 is wanted", FAILS),)),
    Case("offload", [], args="offload=al", steps=(told("offload=al: none, csum or tso", FAILS),)),
    Case("dma-offset", [], args="dma-offset=12", steps=(told("dma-offset: a hexadecimal", FAILS),)),
]
