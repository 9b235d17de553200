#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`bench reuse`: what events and counters come to."""
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import bench_reuse  # noqa: E402

COUNTED = {"rx_packets": 2000, "rx_bytes": 3028000, "lent": 1500, "lent_mapped": 20, "lent_flushes": 4}


def result(run, corrupt=0):
    return {"event": "result", "test": "stream", "run": run, "nanoseconds": 1000000, "packets": 1000,
            "bytes": 1514000, "corrupt": corrupt, "root_ticks": 3000, "driver_ticks": 6000,
            "guest_ticks": 1000}


class Rows(unittest.TestCase):
    def test_a_packet_has_its_share_of_all_that_was_counted(self):
        row = bench_reuse.stream_row("on", 1514, [result(1), result(2)], COUNTED, 1000)
        self.assertEqual(row["ns"], {"root": 3000, "driver": 6000, "guest": 1000})
        self.assertEqual((row["lent"], row["pages_mapped_per_packet"], row["invalidations_per_packet"],
                          row["bytes_per_packet"], row["kpps"]["median"]), (0.75, 0.01, 0.002, 1514.0, 1000.0))

    def test_corrupt_frames_are_told(self):
        row = bench_reuse.stream_row("on", 1514, [result(1), result(2, corrupt=3)], COUNTED, 1000)
        self.assertEqual(row["corrupt"], 3)

    def test_nothing_passed(self):
        row = bench_reuse.per_packet(dict.fromkeys(COUNTED, 0))
        self.assertEqual((row["packets"], row["lent"]), (0, 0))

    def test_a_guest_that_told_nothing(self):
        self.assertIsNone(bench_reuse.tcp_row("on", [], COUNTED))
        self.assertEqual(bench_reuse.stream_row("on", 64, [], COUNTED, 1000)["kpps"]["median"], 0)

    def test_the_table_has_each_row(self):
        rows = [bench_reuse.stream_row(way, 64, [result(1)], COUNTED, 1000) for way in bench_reuse.WAYS]
        text = bench_reuse.render({"commit": "0" * 12, "emulator": "QEMU", "testbed": "tcg", "nic": "e1000",
                                   "cpus": 4, "clock": "wall", "rows": rows})
        for name in bench_reuse.WAYS.values():
            self.assertIn(f"  64     {name}", text)


if __name__ == "__main__":
    unittest.main()
