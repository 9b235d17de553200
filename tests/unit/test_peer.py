#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Is what the peer prints understood, and are the ratios the right way round?"""
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lasthoplib import peer                     # noqa: E402
from lasthoplib.console import Failure          # noqa: E402

# as iperf3 3.12 and busybox print it
TOLD = """outer loopback: [  5]   0.00-5.01   sec  4.90 GBytes  8.40 Gbits/sec                  receiver
guest to guest: round-trip min/avg/max = 2.432/6.213/20.1 ms
guest to guest: [  5]   0.00-10.00  sec   900 MBytes   755 Mbits/sec    0             sender
guest to guest: [  5]   0.00-10.02  sec   899 MBytes   752 Mbits/sec                  receiver
guest to guest: [  5]   0.00-10.00  sec  3.73 MBytes  3.13 Mbits/sec  0.000 ms  0/217000 (0%)  sender
guest to guest: [  5]   0.00-10.01  sec  3.23 MBytes  2.71 Mbits/sec  0.021 ms  29000/217000 (13%)  receiver
guest to guest: [  5]   0.00-10.00  sec   160 MBytes   134 Mbits/sec  0.000 ms  0/119000 (0%)  sender
guest to guest: [  5]   0.00-10.01  sec   152 MBytes   1.28 Gbits/sec  0.021 ms  5000/119000 (4.2%)  receiver
TCP window: busy 21.9 ms/MiB, exits 48.00/MiB (halt 1.00, interrupt 2.00)
one two-vCPU guest, loopback: [  5]   0.00-10.02  sec   899 MBytes   4.2 Gbits/sec                  receiver
"""
OURS = [
    {"test": "tcp", "gbit_s": 1.504, "exits_per_mib": 12},
    {"test": "udp-small", "packets": 100000, "lost": 6000, "seconds": 5, "gbit_s": 0.1},
    {"test": "udp", "gbit_s": 1.28},
    {"test": "ping", "min_us": 1216, "avg_us": 3000},
]


class Peer(unittest.TestCase):
    def test_what_it_prints(self):
        self.assertEqual(peer.of_peer(TOLD, 10), {
            "tcp": 752, "exits": 48, "udp-small": 18.8, "udp": 1280, "ping-min": 2432,
            "ping": 6213})

    def test_what_is_missing(self):
        for line in TOLD.splitlines()[1:-1]:
            if "sender" not in line:
                with self.assertRaises(Failure):
                    peer.of_peer(TOLD.replace(line + "\n", ""), 10)
        with self.assertRaises(Failure):
            peer.of_peer(TOLD.replace("29000/217000 (13%)", ""), 10)
        with self.assertRaises(Failure):
            peer.of_ours(OURS[1:])

    def test_better_is_above_one(self):
        rows = peer.compared(peer.of_ours(OURS), peer.of_peer(TOLD, 10))
        self.assertEqual([row["times_better"] for row in rows], [2, 4, 1, 1, 2, 2.07])
        made = {"commit": "0" * 40, "emulator": "E", "testbed": "tcg", "cpus": 4, "clock": "wall",
                "compared": rows}
        self.assertRegex(peer.render(made), r"TCP, one stream +Mbit/s +1504\.0 +752\.0 +2\.00")


if __name__ == "__main__":
    unittest.main()
