# SPDX-License-Identifier: BSD-2-Clause
"""The peer: KVM with vhost-net and a Linux bridge, as the outer system of the machine that lasthop is tested
in (tests/bench/peers/kvm-peer.sh): run, and what it prints turned into figures like linuxguests.py's."""
import os
import re
import subprocess

from . import linuxguests, paths
from .console import Failure

SCRIPT = paths.SOURCE / "tests/bench/peers/kvm-peer.sh"
SECONDS = {"bochs": 5, "tcg": 10}       # of each iperf3 test, as in SCRIPT
LIMIT = {"bochs": 7200, "tcg": 600}     # seconds of the host, which may be busy with other things
PREPARE_LIMIT = 1800
UNIT = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}

RECEIVED = r"{}: \[ *\d+\] .* ([\d.]+) ([KMG]?)bits/sec.* receiver"
TRANSFER = re.compile(RECEIVED.format("guest to guest"))
LOOPBACK = re.compile(RECEIVED.format("guest, loopback"))
LOST = re.compile(r" (\d+)/(\d+) \([-\d.e+]+%\)")
PING = re.compile(r"guest to guest: round-trip min/avg/max = ([\d.]+)/([\d.]+)/")
RING = re.compile(r"UDP window: (\d+) packets")
TCP = re.compile(r"TCP window: busy ([\d.]+) ms/MiB, exits ([\d.]+)/MiB")
TIMERS = re.compile(r"traced window: timers set ([\d.]+)/MiB, over ([\d.]+)/MiB, all exits ([\d.]+)/MiB")


def rates(pattern, text):
    return [(float(m[1]) * UNIT[m[2]], m[0]) for m in pattern.finditer(text)]


def lost(line):
    """(packets lost, sent) of an iperf3 line"""
    found = LOST.search(line)
    return (int(found[1]), int(found[2])) if found else None


def figures(text, seconds):
    """{key: figure} of what SCRIPT printed: TCP, then UDP with small and with large packets, between two guests;
    TCP and small UDP in one. A timer that was set, and one that was over, is an exit each: their share of a window
    of their own, in which the machine may have been slower, is taken for their share of the TCP window."""
    between, within = rates(TRANSFER, text), rates(LOOPBACK, text)
    found = [pattern.search(text) for pattern in (PING, RING, TCP, TIMERS)]
    small = lost(between[1][1]) if len(between) == 3 else None
    looped = lost(within[1][1]) if len(within) == 2 else None
    if not small or not looped or not all(found):
        raise Failure(f"bench peer: kvm-peer.sh did not print what was expected:\n{text}")
    ping, ring, tcp, timers = found
    exits = float(tcp[2])
    traced = float(timers[3])
    timer_exits = exits * min(1, (float(timers[1]) + float(timers[2])) / traced) if traced else 0.0
    udp = {"packets": small[1], "lost": small[0], "ring": int(ring[1]), "seconds": seconds}
    return {"tcp": between[0][0] / 1e6, "exits": exits - timer_exits, "timers": timer_exits,
            "busy": float(tcp[1]), "polls": 0.0, "udp": between[2][0] / 1e6,
            "ping-min": float(ping[1]) * 1e3, "ping": float(ping[2]) * 1e3,
            "ceiling": within[0][0] / 1e6,
            "udp-ceiling": linuxguests.kpps(looped[1] - looped[0], seconds)} | linuxguests.of_udp(udp)


def script(what, machine, limit):
    """what kvm-peer.sh prints"""
    env = os.environ | {"CPUS": str(machine.cpus), "EXIT_COST": str(machine.exit_cost),
                        "WORK": str(paths.cache() / "kvm-peer"),
                        "BOCHS_ROOT": str(paths.bochs_root().resolve())}
    try:
        done = subprocess.run([SCRIPT, what], env=env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        raise Failure(f"kvm-peer.sh {what}: no result within {limit} s") from None
    if done.returncode:
        raise Failure(f"kvm-peer.sh {what}: {done.stdout.strip()}")
    return done.stdout


def prepare(machine):
    script("prepare", machine, PREPARE_LIMIT)


def measure(on, machine):
    """(figures, what was printed)"""
    text = script(on, machine, LIMIT[on])
    return figures(text, SECONDS[on]), text
