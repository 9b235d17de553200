#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The timeline of a run in which an uplink went down (scripts/lasthoplib/timeline.py)."""
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import table, timeline           # noqa: E402

MS = 1000000


def uplink(link, ms):
    return {"event": "uplink", "port": "netd/net0", "link": link, "at_ns": ms * MS}


def stream(begin_ms, lost=0):
    return {"event": "result", "test": "stream", "vm": "b", "peer": "a", "begin_ns": begin_ms * MS,
            "nanoseconds": 10 * MS, "packets": 100 - lost, "lost": lost}


RESET = {"event": "vm-reset", "vm": "netd", "end": "failed", "reason": "", "at_ns": 1001 * MS}
PING = {"event": "guest-result", "vm": "alice", "us": 2000000,
        "text": "test=ping sent=20 received=18 min_us=1 avg_us=1 max_us=1"}
EVENTS = [stream(100), uplink("up", 50), stream(200, 1), {"event": "boot"}, PING, uplink("down", 1000),
          RESET, stream(995), uplink("up", 1120), uplink("down", 3000),
          {"event": "guest-result", "vm": "alice", "us": 7, "text": "anything"}]


class Timeline(unittest.TestCase):
    def test_without_a_fall_there_is_none(self):
        self.assertIsNone(timeline.made_of([uplink("up", 1), stream(2)]))

    def test_by_time_with_streams_joined(self):
        made = timeline.made_of(EVENTS)
        self.assertEqual([(e["at_s"], e["what"], e.get("sent"), e.get("lost"))
                          for e in made["entries"]],
                         [(0.05, "uplink up", None, None), (0.21, "frames", 200, 1),
                          (1.0, "uplink down", None, None), (1.001, "failed", None, None),
                          (1.005, "frames", 100, 0), (1.12, "uplink up", None, None),
                          (2.0, "pings", 20, 2), (3.0, "uplink down", None, None)])
        self.assertEqual(made["down_s"], [0.12])

    def test_requests_are_told_at_their_end(self):
        rr = {"event": "result", "test": "rr", "vm": "a", "peer": "b", "begin_ns": 500 * MS,
              "nanoseconds": 100 * MS, "packets": 50, "lost": 0}
        made = timeline.made_of([uplink("down", 450), rr])
        self.assertEqual(made["entries"][-1], {"at_s": 0.5, "who": "a <-> b", "what": "requests",
                                               "sent": 50, "lost": 0})

    def test_words(self):
        made = timeline.made_of(EVENTS)
        self.assertEqual(timeline.sums(made), [
            "  the uplink came back 1 times, after 120 ms on average, 120 ms at most",
            "  between VMs: 300 frames, 1 lost", "  to the world: 20 pings, 2 lost"])
        lines = table.columns(timeline.rows(made), left=(1, 2))
        self.assertEqual(lines[0], "   at s  who        what         sent  lost")
        self.assertEqual(lines[2], "  0.210  a -> b     frames        200     1")
        self.assertEqual(lines[3], "  1.000  netd/net0  uplink down")
        self.assertEqual(timeline.sums(timeline.made_of([uplink("down", 1)])),
                         ["  the uplink did not come back"])


if __name__ == "__main__":
    unittest.main()
