#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Is what the peer and Linux guests tell understood, and are the ratios the right way round?"""
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lasthoplib import bench_linux, bench_peer, linuxguests, peer    # noqa: E402
from lasthoplib.console import Failure          # noqa: E402

# as iperf3 3.12, busybox and kvm-peer.sh print it
TOLD = """outer loopback: [  5]   0.00-5.01   sec  4.90 GBytes  8.40 Gbits/sec                  receiver
exits by reason: { exit_reason:         12 } hitcount:        900
guest to guest: round-trip min/avg/max = 2.432/6.213/20.1 ms
guest to guest: [  5]   0.00-10.00  sec   900 MBytes   755 Mbits/sec    0             sender
guest to guest: [  5]   0.00-10.02  sec   899 MBytes   752 Mbits/sec                  receiver
guest to guest: [  5]   0.00-10.00  sec  3.73 MBytes  3.13 Mbits/sec  0.000 ms  0/217000 (0%)  sender
guest to guest: [  5]   0.00-10.01  sec  3.23 MBytes  2.71 Mbits/sec  0.021 ms  29000/217000 (13%)  receiver
guest to guest: [  5]   0.00-10.00  sec   160 MBytes   134 Mbits/sec  0.000 ms  0/119000 (0%)  sender
guest to guest: [  5]   0.00-10.01  sec   152 MBytes   1.28 Gbits/sec  0.021 ms  5000/119000 (4.2%)  receiver
UDP window: 195300 packets went into the receiver's ring
traced window: timers set 6.50/MiB, over 3.50/MiB, all exits 60.00/MiB
TCP window: busy 21.9 ms/MiB, exits 48.00/MiB (halt 1.00, interrupt 2.00)
one two-vCPU guest, loopback: [  5]   0.00-10.02  sec   899 MBytes   4.2 Gbits/sec                  receiver
one two-vCPU guest, loopback: [  5]   0.00-10.00  sec  8.3 MBytes  7.3 Mbits/sec  0.000 ms  0/487000 (0%)  sender
one two-vCPU guest, loopback: [  5]   0.00-10.01  sec  8.1 MBytes  7.1 Mbits/sec  0.021 ms  1000/487000 (0.2%)  receiver
"""
THEIRS = {"tcp": 752, "exits": 40, "timers": 8, "busy": 21.9, "polls": 0, "udp": 1280, "ping-min": 2432,
          "ping": 6213, "ceiling": 4200, "udp-ceiling": 48.6, "udp-sent": 21.7, "udp-ring": 19.53,
          "udp-reached": 90, "udp-small": 18.8}
OURS = [
    {"test": "tcp", "gbit_s": 1.504, "exits_per_mib": 12, "timer_exits_per_mib": 8.2, "busy_ms_per_mib": 10.95,
     "poll_ms_per_mib": 3.5, "exits_by_cause": {"timer": 8.2, "hlt": 3.8, "io": 0}},
    {"test": "udp-small", "packets": 100000, "lost": 6000, "ring": 100012, "seconds": 5, "gbit_s": 0.1},
    {"test": "udp", "gbit_s": 1.28},
    {"test": "ping", "min_us": 1216, "avg_us": 3000},
]


class Peer(unittest.TestCase):
    def test_what_it_prints(self):
        told = peer.figures(TOLD, 10)
        self.assertEqual(told.keys(), THEIRS.keys())
        for key, value in THEIRS.items():
            self.assertAlmostEqual(told[key], value, msg=key)

    def test_what_is_missing(self):
        for line in TOLD.splitlines()[2:]:
            if "sender" not in line:
                with self.assertRaises(Failure, msg=line):
                    peer.figures(TOLD.replace(line + "\n", ""), 10)
        for part in ("29000/217000 (13%)", "1000/487000 (0.2%)"):
            with self.assertRaises(Failure):
                peer.figures(TOLD.replace(part, ""), 10)

    def test_what_ours_tell(self):
        told = linuxguests.figures(OURS)
        self.assertEqual((told["tcp"], told["udp-reached"], told["udp-small"]), (1504, 100, 18.8))
        self.assertAlmostEqual(told["exits"], 3.8)
        self.assertIsNone(linuxguests.figures([])["exits"])

    def test_better_is_above_one(self):
        one = {"lasthop": linuxguests.figures(OURS), "kvm": peer.figures(TOLD, 10)}
        slow = {"lasthop": one["lasthop"] | {"tcp": 376}, "kvm": one["kvm"]}
        rows = {row["key"]: row for row in bench_peer.compared([one, slow, one])}
        self.assertEqual([rows[key]["times_better"] for key in ("tcp", "exits", "busy", "udp-small", "ping")],
                         [2, 10.53, 2, 1, 2.07])
        self.assertEqual(rows["tcp"]["each"], [2, 0.5, 2])
        self.assertIsNone(rows["timers"]["times_better"])
        made = {"commit": "0" * 40, "emulator": "E", "testbed": "tcg", "cpus": 4, "clock": "wall",
                "compared": list(rows.values()),
                "runs": [{"exits_by_cause": bench_peer.causes({"results": OURS})}]}
        shown = bench_peer.render(made)
        self.assertRegex(shown, r"TCP, one stream +Mbit/s +1504\.0 +752\.0 +2\.00 +2\.00 0\.50 2\.00")
        self.assertIn("run 1, a MiB: timer 8.20, hlt 3.80", shown)
        self.assertNotIn("io", shown.splitlines()[-1])


def told(vm, text, us, exits):
    return {"event": "guest-result", "vm": vm, "text": text, "us": us, "exits": exits, "root_us": us // 10,
            "guest_us": us // 2, "poll_us": 0, "causes": {"timer": exits // 4, "hlt": exits - exits // 4}}


class Linux(unittest.TestCase):
    def test_windows_of_several_pairs(self):
        """from the first that began to the last that ended, over what both got"""
        tcp = f"test=tcp mtu=1500 us=1000 bytes={1 << 20}"
        ping = "test=ping sent=1 received=1 min_us=1 avg_us=300 max_us=1"
        events = [told("client1", ping, 1000, 100), told("client2", ping, 3000, 200), {"event": "port"},
                  told("client1", tcp, 11000, 600), told("client2", tcp, 13000, 900)]
        costs = bench_linux.window(events)
        self.assertEqual((costs["exits_per_mib"], costs["timer_exits_per_mib"]), (400, 100))
        self.assertEqual(costs["busy_ms_per_mib"], 3.6)
        self.assertEqual(bench_linux.window(events[:3]), {})

    def test_entry(self):
        udp = {"test": "udp-small", "packets": 1000, "lost": 100, "ring": 950, "seconds": 1, "gbit_s": 0.1}
        results = [r | {"vm": f"client{n}"} for n in (1, 2)
                   for r in ({"test": "tcp", "gbit_s": 0.5}, udp, {"test": "ping", "avg_us": 100 * n})]
        made = bench_linux.entry(2, [], {"results": results})
        self.assertEqual((made["tcp"], made["udp-small"], made["udp-reached"], made["ping"]),
                         (1000, 1.8, 95, 150))
        made = {"commit": "0" * 40, "emulator": "E", "testbed": "tcg", "backend": "svm", "cpus": 4,
                "clock": "wall", "results": [made], "ceiling": {"tcp": 4200.0, "udp-small": None}}
        shown = bench_linux.render(made)
        self.assertIn("TCP 4200.0 Mbit/s, UDP of 18 bytes - kpps", shown)
        self.assertRegex(shown, r"(?m)^ +2 +1000\.0 +- +- +-")

    def test_configs(self):
        text = "".join(vm.source(i) for i, vm in enumerate(linuxguests.pair(3, ("ping", "tcp"), 2)))
        self.assertIn("lasthop.peer=10.9.3.1 lasthop.tests=ping,tcp lasthop.seconds=2", text)
        self.assertIn("cpus = <2>;", linuxguests.loopback(2)[0].source(0))


if __name__ == "__main__":
    unittest.main()
