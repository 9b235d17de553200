# SPDX-License-Identifier: BSD-2-Clause
"""The comparison with KVM, vhost-net and a Linux bridge: the same guests in the same emulated machine,
first under lasthop, then under a Linux that boots there (tests/bench/peers/kvm-peer.sh)."""
import os
import re
import subprocess

from . import dts, paths, table
from .console import Failure, count

SCRIPT = paths.SOURCE / "tests/bench/peers/kvm-peer.sh"
CONFIG = paths.SOURCE / "tests/bench/peers/lasthop.dts"
SECONDS = {"bochs": 5, "tcg": 10}       # of each iperf3 test, as in SCRIPT
LIMIT = {"bochs": 2400, "tcg": 600}     # seconds of the host; making the images takes a minute more
PREPARE_LIMIT = 1800
UNIT = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}

# what is compared: key, heading, its unit, whether more is better
ROWS = [
    ("tcp", "TCP, one stream", "Mbit/s", True),
    ("exits", "VM exits in the TCP test", "per MiB", False),
    ("udp-small", "UDP, 18 bytes, received", "kpps", True),
    ("udp", "UDP, 1400 bytes, received", "Mbit/s", True),
    ("ping-min", "ping, least", "us", False),
    ("ping", "ping, mean", "us", False),
]
TRANSFER = re.compile(r"guest to guest: \[ *\d+\] .* ([\d.]+) ([KMG]?)bits/sec.* receiver")
LOST = re.compile(r" (\d+)/(\d+) \([-\d.e+]+%\)")
PING = re.compile(r"guest to guest: round-trip min/avg/max = ([\d.]+)/([\d.]+)/")
EXITS = re.compile(r"TCP window: .*exits ([\d.]+)/MiB")


def config(on):
    """CONFIG with the tests' length on this test bed"""
    folder = paths.build() / "peer"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{on}.dts"
    path.write_text(re.sub(r"lasthop\.seconds=\d+", f"lasthop.seconds={SECONDS[on]}",
                           CONFIG.read_text()))
    return dts.Config(path)


def of_ours(results):
    """{key: value} of a result document's entries"""
    found = {r["test"]: r for r in results}
    try:
        small = found["udp-small"]
        return {"tcp": found["tcp"]["gbit_s"] * 1e3, "exits": found["tcp"]["exits_per_mib"],
                "udp-small": (small["packets"] - small["lost"]) / small["seconds"] / 1e3,
                "udp": found["udp"]["gbit_s"] * 1e3,
                "ping-min": found["ping"]["min_us"], "ping": found["ping"]["avg_us"]}
    except KeyError as missing:
        raise Failure(f"bench peer: the guests of lasthop told no {missing}") from None


def of_peer(text, seconds):
    """{key: value} of what kvm-peer.sh printed: TCP, then UDP with small and with large packets"""
    rates = [(float(m[1]) * UNIT[m[2]], m[0]) for m in TRANSFER.finditer(text)]
    ping, exits = PING.search(text), EXITS.search(text)
    lost = len(rates) == 3 and LOST.search(rates[1][1])
    if not lost or not ping or not exits:
        raise Failure(f"bench peer: kvm-peer.sh did not print what was expected:\n{text}")
    return {"tcp": rates[0][0] / 1e6, "exits": float(exits[1]),
            "udp-small": (int(lost[2]) - int(lost[1])) / seconds / 1e3, "udp": rates[2][0] / 1e6,
            "ping-min": float(ping[1]) * 1e3, "ping": float(ping[2]) * 1e3}


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
    return of_peer(script(on, machine, LIMIT[on]), SECONDS[on])


def compared(ours, theirs):
    """rows of the document: how many times better lasthop is"""
    made = []
    for key, name, unit, more in ROWS:
        a, b = ours[key], theirs[key]
        ratio = (a / b if more else b / a) if a and b else None
        made.append({"name": name, "unit": unit, "lasthop": round(a, 2), "kvm": round(b, 2),
                     "times_better": round(ratio, 2) if ratio else None})
    return made


def render(made):
    lines = [f"lasthop {table.commit(made)} and KVM with vhost-net, {made['emulator']} "
             f"({made['testbed']}), {count(made['cpus'], 'CPU')}, {made['clock']} time"]
    rows = [("", "", "lasthop", "KVM", "times better")]
    rows += [(r["name"], r["unit"], f"{r['lasthop']:.1f}", f"{r['kvm']:.1f}",
              f"{r['times_better']:.2f}" if r["times_better"] else "-") for r in made["compared"]]
    return "\n".join(lines + table.columns(rows))
