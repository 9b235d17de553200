# SPDX-License-Identifier: BSD-2-Clause
"""A driver domain that dies over and over, under load: what passes meanwhile, what it costs, and
whether anything is left behind."""
import hashlib
import random
import socket
import threading
import time
from collections import Counter

from lasthoplib.console import Failure
from lasthoplib.faults import FAULTS, fault
from world import LIMIT, REMOTE_PORT

# two VMs beside it: a stream of 64 frames on the way, which its sink's ring has room for: none may be lost
BESIDE = "tests=stream:1514@5000*64 packets=5000 runs=1000"
FILE = "/lib/libcrypto.so.3"                    # of the guest: what it sends
BLOCK = 1 << 16


class Stream(threading.Thread):
    """one TCP connection to the guest's port of commands; `bytes` so far"""

    def __init__(self, address, command):
        super().__init__(daemon=True)
        self.socket = socket.create_connection((address, REMOTE_PORT), timeout=LIMIT)
        self.socket.sendall(command.encode() + b"\n")
        self.bytes, self.error, self.ending = 0, "", threading.Event()
        self.start()

    def run(self):
        try:
            self.work()
        except OSError as problem:
            self.error = f"{type(problem).__name__}: {problem}"
        self.socket.close()

    def finish(self):
        """(bytes, what is wrong)"""
        self.ending.set()
        self.join(LIMIT)
        return self.bytes, "it does not end" if self.is_alive() else self.error


class FromGuest(Stream):
    """a file of the guest again and again, compared byte by byte, until it is told that it is enough"""

    def __init__(self, world, address):
        self.content = fetch(world, address)
        super().__init__(address, f"while ! [ -e /tmp/enough ]; do cat {FILE}; done")

    def work(self):
        size = len(self.content)
        twice = self.content * 2
        while more := self.socket.recv(BLOCK):
            at = self.bytes % size
            if more != twice[at:at + len(more)]:
                self.error = f"other bytes than were sent, between {self.bytes} and {len(more)} on"
                return
            self.bytes += len(more)
        if self.bytes % size or not self.ending.is_set():
            self.error = f"it ended at byte {self.bytes}, in the midst of the file"


class ToGuest(Stream):
    """random bytes, of which the guest tells the SHA-256"""

    def __init__(self, address):
        super().__init__(address, "sha256sum")

    def work(self):
        digest, source = hashlib.sha256(), random.Random(1)
        while not self.ending.is_set():
            block = source.randbytes(BLOCK)
            self.socket.sendall(block)
            digest.update(block)
            self.bytes += len(block)
        self.socket.shutdown(socket.SHUT_WR)
        told = b""
        while more := self.socket.recv(4096):
            told += more
        if told.split()[:1] != [digest.hexdigest().encode()]:
            self.error = f"the guest has got other bytes: {told!r}"


def fetch(world, address):
    """the file, as its SHA-256 there says"""
    wanted = world.tell(address, f"sha256sum {FILE}").split()[0]
    with socket.create_connection((address, REMOTE_PORT), timeout=LIMIT) as end:
        end.sendall(f"cat {FILE}\n".encode())
        end.shutdown(socket.SHUT_WR)
        content = b"".join(iter(lambda: end.recv(BLOCK), b""))
    if hashlib.sha256(content).hexdigest() != wanted:
        raise Failure(f"{FILE} came over with a wrong SHA-256")
    return content


def moves(streams, seconds=LIMIT):
    """until each stream has got further"""
    before = [stream.bytes for stream in streams]
    end = time.monotonic() + seconds
    while any(s.bytes <= b + BLOCK for s, b in zip(streams, before)):
        if time.monotonic() > end or any(s.error for s in streams):
            return False
        time.sleep(0.05)
    return True


def stop(line, *vms):
    """each of them, by the shell; one that is just being made again has to be asked again"""
    line.type("\r")
    line.wait(r"^lasthop> ")
    for vm in vms:
        while "done" not in line.command(f"vm stop {vm}"):
            time.sleep(0.1)
        line.wait(rf"\] vm {vm}: ended: stopped")


def saw_links(world, server, check):
    """the server's kernel has seen the link of its second device come and go, and it is up"""
    told = world.tell(server, "cd /sys/class/net/eth1; cat carrier_up_count carrier_down_count")
    ups, downs = map(int, told.split())         # it begins with a going down: that the driver is made
    check(ups == downs >= 2, f"a link that follows came {ups} times, and went {downs}")


def restarts(count, vms, server="10.0.0.1"):
    """talk() of a case: dies so often; vms: all names, netd first, last the Linux server, whose second device's
    link follows"""
    hows = [list(FAULTS)[i % len(FAULTS)] for i in range(count)]

    def talk(line, check):
        world = line.world
        check(world.wait_for(server), "the server answers the world")
        line.type("\r")
        line.wait(r"^lasthop> ")
        streams = [FromGuest(world, server), ToGuest(server)]
        check(moves(streams), "TCP streams pass, to the guest and from it")
        for number, how in enumerate(hows, 1):
            fault(line, how, len(vms))
            line.wait(r"\] uplink netd/up0: up again after \d+ ms$")
            if not moves(streams):
                check(False, f"nothing passes any more after restart {number}, by {how}")
                break
        saw_links(world, server, check)
        world.tell(server, "touch /tmp/enough")
        for name, stream in zip(("from the guest", "to the guest"), streams):
            passed, error = stream.finish()
            check(passed and not error, f"TCP {name}: {passed} bytes, all of them right {error}".rstrip())
        stop(line, *vms)                        # a source before its sink
    return talk


def nothing_left(outcome, vm, but=2, second_ports=0):
    """after each restart as many interrupts are taken, and as much memory is free, as before; but for a page of
    counters for each CPU that comes to deal with a port, once. The first lives may differ: what is kept is
    made then."""
    starts = [e for e in outcome.stream.of("vm-start") if e["vm"] == vm][but:]
    ports = len({e["vm"] for e in outcome.stream.of("vm-start")}) + second_ports
    kept = 4 * ports * sum(e["cpus"] for e in outcome.stream.of("boot"))
    free = [e["free_kib"] for e in starts] or [0]
    vectors = {e["irq_vectors"] for e in starts}
    return [(starts and max(free) - min(free) <= kept, f"after {len(starts)} restarts of {vm} "
             f"{min(free)} to {max(free)} KiB are free; {kept} may be in use for good"),
            (len(vectors) == 1, f"and {sorted(vectors)} interrupts are taken")]


def lives(count):
    """as many restarts as there were faults, each told why (and a hang more, where the host was busy), and
    nothing is left of them"""
    def hook(outcome):
        resets = [e for e in outcome.stream.of("vm-reset") if e["vm"] == "netd"]
        wanted = Counter(FAULTS[list(FAULTS)[i % len(FAULTS)]][1] for i in range(count))
        got = Counter(e["end"] for e in resets)
        facts = [(got - Counter(hang=got["hang"]) + Counter(hang=wanted["hang"]) == wanted
                  and got["hang"] >= wanted["hang"], "netd ended " + ", ".join(f"{n} times by {e}" for e, n in got.items()))]
        lines = [x for x in outcome.serial().split("\n") if "] vm netd: ended: " in x]
        facts.append((len(lines) == len(resets) + 1, f"{len(lines)} lines tell of its ends"))
        return facts + nothing_left(outcome, "netd", second_ports=1)
    return hook


def links(port, uplink):
    """the port's link went down behind each going down of the uplink, and up behind each coming up"""
    def hook(outcome):
        told = [(e["port"], e["link"]) for e in outcome.stream.events
                if e["event"] in ("link", "uplink") and e["port"] in (port, uplink) and e["link"] != "passes"]
        alive = told[:max((n for n, (who, _) in enumerate(told) if who == port), default=-1) + 1]
        pairs = list(zip(alive[::2], alive[1::2]))
        bad = [p for p in pairs if [who for who, _ in p] != [uplink, port] or p[0][1] != p[1][1]]
        turns = [p[1][1] for p in pairs]
        return [(pairs and not bad and len(alive) % 2 == 0 and "down" in turns,
                 f"the link of {port} followed {uplink} {len(pairs)} times: {' '.join(turns)}")]
    return hook


GAP_MS, MOST_MS = 200, 6400                    # hv/core/lifecycle.c


def gaps(vm, least):
    """it dies at once, again and again: each life begins twice as long after the last one as that did, up to a
    bound, and each end is one line"""
    def hook(outcome):
        ends = [e for e in outcome.stream.of("vm-reset") if e["vm"] == vm]
        begun = [e["at_ns"] / 1e6 for e in outcome.stream.of("vm-start") if e["vm"] == vm]
        times = [b - a for a, b in zip(begun, begun[1:])]
        early = [n for n, t in enumerate(times) if round(t) < min(GAP_MS << n, MOST_MS)]
        lines = [x for x in outcome.serial().split("\n") if f"] vm {vm}: ended: " in x]
        told = ", ".join(f"{t:.0f}" for t in times)
        return [(len(times) >= least, f"{vm} ended {len(ends)} times, at least {least + 1}"),
                (not early, f"ms between its starts: {told}"),
                (len(lines) == len(ends) + 1, f"{len(lines)} lines tell of that")]
    return hook


def nothing_lost(least):
    """the pair beside it (BESIDE) has measured all the while, and lost no frame"""
    def hook(outcome):
        runs = outcome.stream.of("result")
        bad = [e for e in runs if any(e.get(k) for k in ("lost", "corrupt", "reordered"))]
        sent = sum(e["sent"] for e in runs)
        got = sum(e["packets"] for e in runs)
        return [(len(runs) >= least, f"{len(runs)} runs between VMs, at least {least}"),
                (not bad, f"{sent} frames between VMs, {sent - got} not delivered, "
                 f"{len(bad)} runs that lost any")]
    return hook
