#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`bench external`: the wire's station against itself, and what events come to."""
import struct
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import bench_external, wireend  # noqa: E402
from lasthoplib.console import Failure  # noqa: E402

HERE, THERE = "127.83.1.1", "127.83.1.2"        # of the loopback network: nobody else's


def result(vm, frame_bytes=64, runs=3, packets=1000, **more):
    return {"event": "result", "test": "stream", "vm": vm, "peer": "outside", "frame_bytes": frame_bytes,
            "run": 1, "runs": runs, "nanoseconds": 1000000, "begin_ns": 0, "packets": packets,
            "bytes": packets * frame_bytes, "lost": 5, "way_drops": 5, "corrupt": 0, "root_ticks": 3000,
            "driver_ticks": 6000, "guest_ticks": 1000} | more


class Stations(unittest.TestCase):
    def setUp(self):
        self.here, self.there = wireend.Station(HERE), wireend.Station(THERE)

    def tearDown(self):
        self.here.close()
        self.there.close()

    def test_a_stream_arrives_whole_in_any_size(self):
        for size in (64, 1514):
            self.assertGreater(self.here.source(THERE, size, 300, 1, 1, 100000), 0)
            self.assertEqual((self.there._packets, self.there._corrupt), (300, 0))
        self.here.bye(THERE)

    def test_a_frame_that_is_another_is_corrupt(self):
        self.here.pattern = bytes(wireend.PATTERN_BYTES)
        with self.assertRaisesRegex(Failure, "counts 10 corrupt frames"):
            self.here.source(THERE, 64, 10, 1, 1)

    def test_a_frame_seen_twice_is_corrupt(self):
        self.here.source(THERE, 64, 3, 1, 1)
        frame = struct.pack("<IIQ", wireend.MAGIC, self.there._session, 1) + self.here.pattern
        self.here.stream.sendto(frame[:64 - wireend.HEADERS], (THERE, wireend.PORT_STREAM))
        self.here._call(THERE, wireend.END, self.there._session, b"")
        self.assertEqual((self.there._packets, self.there._corrupt), (3, 1))

    def test_what_is_no_stream_is_refused(self):
        with self.assertRaisesRegex(Failure, "refuses"):
            self.here.source(THERE, 64, 1 << 25, 1, 1)


class Rows(unittest.TestCase):
    def test_costs_are_those_of_the_steady_runs(self):
        told = [result("out", root_ticks=1), {"event": "vm-end"}, result("sink1"),
                result("out", packets=900, lost=100, way_drops=100), result("out", packets=500), result("out")]
        row, = bench_external.rows({("alone", "out"): told}, 2, 1500000)
        self.assertEqual(row["ns_per_packet"], {"root": 2.7, "driver": 5.3, "guest": 0.9})
        self.assertEqual(row["share"], {"root": 0.3, "driver": 0.6, "guest": 0.1})
        self.assertEqual((row["most_kpps"]["median"], row["packets"], row["lost"], row["unaccounted"]),
                         (950.0, 1500, 10, 0))

    def test_without_all_runs_there_is_no_row(self):
        self.assertEqual(bench_external.rows({("alone", "in"): [result("in")]}, 1, 1), [])

    def test_beside_others_nobody_is_charged(self):
        row, = bench_external.rows({("beside", "out"): [result("out", lost=7), result("out")]}, 1, 1)
        self.assertNotIn("share", row)
        self.assertEqual(row["unaccounted"], 2)
        row, = bench_external.rows({("beside", "in"): [result("in", lost=7), result("in")]}, 1, 1)
        self.assertEqual(row["unaccounted"], 0)

    def test_what_is_left_to_the_pair(self):
        found = {"pair": [result("sink1", packets=n) for n in (1000, 3000, 2000)],
                 ("beside", "in"): [result("sink1", packets=500), result("in")]}
        self.assertEqual(bench_external.pair_rates(found), {
            "nothing": {"runs": 3, "kpps": 2000.0, "unaccounted": 0},
            "wire to guest": {"runs": 1, "kpps": 500.0, "unaccounted": 0}})


if __name__ == "__main__":
    unittest.main()
