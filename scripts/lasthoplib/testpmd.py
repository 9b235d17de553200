# SPDX-License-Identifier: BSD-2-Clause
"""DPDK's testpmd as a switch between two vhost-user ports (tests/bench/peers/testpmd-vhost.sh): what it took."""
import re
import shutil
import subprocess

from . import paths
from .console import Failure

SCRIPT = paths.SOURCE / "tests/bench/peers/testpmd-vhost.sh"
HUGE_PAGES = 512
# of the switch: cycles of polls that found something
BUSY = re.compile(r"total cycles=(\d+) / total io packets=(\d+)\) at (\d+) MHz")
POLLS = re.compile(r"RX-bursts : (\d+) \[(\d+)% of 0 pkts")
RECEIVED = re.compile(r"RX-packets: (\d+)\s+RX-missed: (\d+)")


def missing():
    """the sentence for the user, or None"""
    if shutil.which("dpdk-testpmd"):
        return None
    return "there is no dpdk-testpmd (packages dpdk, dpdk-dev): call scripts/setup --no-bochs --bench, or add --no-peer"


def account(text, seconds):
    """of what both processes printed: busy ns and Mpps, and the share of polls that were empty"""
    busy, polls, received = BUSY.search(text), POLLS.findall(text), RECEIVED.findall(text)
    if not busy or len(received) < 2 or not int(busy[2]):
        raise Failure("testpmd forwarded nothing:\n" + "\n".join(text.splitlines()[-15:]))
    cycles, packets, mhz = map(int, busy.groups())
    share = [int(percent) for _, percent in polls[:2]]
    return {"busy_ns_per_packet": round(cycles / packets / mhz * 1e3, 2),
            "mpps": round(sum(int(n) for n, _ in received[-2:]) / seconds / 1e6, 4),
            "empty_polls_percent": round(sum(share) / len(share)) if share else 0}


def measure(frame, seconds, cores, folder, burst):
    try:
        done = subprocess.run([str(SCRIPT), *map(str, (frame, seconds, *cores, folder, burst))],
                              capture_output=True, text=True, errors="replace", timeout=seconds + 90)
    except subprocess.TimeoutExpired:
        raise Failure(f"testpmd: no result within {seconds + 90} s: is the machine busy?") from None
    return account(done.stdout + done.stderr, seconds)
