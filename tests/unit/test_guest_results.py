#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Are the result lines of Linux guests understood, and does garbage in them do no harm? Does the awk
program that makes them read what iperf3 writes?"""
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lasthoplib import guest_results, table     # noqa: E402

IPERF = """{
\t"intervals":\t[{
\t\t\t"sum":\t{
\t\t\t\t"bytes":\t1
\t\t\t}
\t\t}],
\t"end":\t{
\t\t"streams":\t[{
\t\t\t\t"sender":\t{
\t\t\t\t\t"bytes":\t2
\t\t\t\t}
\t\t\t}],
\t\t"sum_sent":\t{
\t\t\t"seconds":\t5.5,
\t\t\t"bytes":\t3,
\t\t\t"retransmits":\t7,
\t\t\t"sender":\ttrue
\t\t},
\t\t"sum_received":\t{
\t\t\t"seconds":\t5.25,
\t\t\t"bytes":\t12345678901,
\t\t\t"sender":\ttrue
\t\t}
\t}
}
"""


def event(text):
    return {"event": "guest-result", "vm": "client", "text": text}


class Lines(unittest.TestCase):
    def test_iperf(self):
        made = guest_results.entry(event("test=tcp mtu=1500 us=2000000 bytes=250000000 retransmits=3"))
        self.assertEqual(made["name"], "iperf3")
        self.assertEqual(made["gbit_s"], 1.0)
        self.assertEqual(made["retransmits"], 3)
        self.assertNotIn("packets", made)
        self.assertIn("1000.0 Mbit/s", guest_results.describe(event(
            "test=tcp mtu=1500 us=2000000 bytes=250000000")))

    def test_exits(self):
        events = [event("test=ping sent=1 received=1 min_us=1 avg_us=1 max_us=1"),
                  event("test=tcp mtu=1500 us=1000000 bytes=2097152"),
                  event("test=udp mtu=1500 us=1000000 bytes=1048576") | {"vm": "other"},
                  event("test=copy mtu=1500 us=1000000 bytes=1048576 verified=1")]
        for number, e in enumerate(events):
            e["exits"] = 100 * number
        made = guest_results.entries(events)
        self.assertEqual(made[1]["exits_per_mib"], 50)
        self.assertNotIn("exits_per_mib", made[2])      # its first result
        self.assertEqual((made[3]["name"], made[3]["exits_per_mib"]), ("copy", 200))

    def test_what_a_mib_costs(self):
        begin = event("test=ping") | {"exits": 100, "root_us": 0, "guest_us": 5000, "poll_us": 10,
                                      "causes": {"hlt": 60, "timer": 40}}
        end = event("test=tcp mtu=1500 us=1000000 bytes=2097152") | {
            "exits": 300, "root_us": 4000, "guest_us": 25000, "poll_us": 2010,
            "causes": {"hlt": 160, "timer": 140}}
        made = guest_results.entry(end, begin)
        self.assertEqual((made["exits_per_mib"], made["timer_exits_per_mib"], made["busy_ms_per_mib"],
                          made["poll_ms_per_mib"]), (100, 50, 12, 1))
        self.assertEqual(made["exits_by_cause"], {"hlt": 50, "timer": 50})

    def test_ping(self):
        made = guest_results.entry(event("test=ping sent=20 received=19 min_us=1 avg_us=2 max_us=3"))
        self.assertEqual((made["name"], made["received"], made["avg_us"]), ("ping", 19, 2))

    def test_garbage(self):
        for text in ("", "test", "test=tcp", "test=tcp mtu=x us=1 bytes=1", "a=b=c ==",
                     "test=tcp mtu=1500 us=0 bytes=5", "test=ping sent=-1 received=0"):
            self.assertIsNone(guest_results.entry(event(text)))
            self.assertIn("client", guest_results.describe(event(text)))
        self.assertEqual(guest_results.entries([{"event": "boot"}, event("")]), [])

    def test_table(self):
        made = {"commit": "0" * 40, "emulator": "E", "testbed": "tcg", "backend": "svm", "cpus": 2,
                "clock": "wall", "vms": [], "results": guest_results.entries([
                    event("test=udp mtu=1500 us=1000000 bytes=1000 packets=9 lost=2"),
                    event("test=ping sent=2 received=2 min_us=1 avg_us=2 max_us=3")])}
        shown = table.render(made)
        self.assertRegex(shown, r"udp +1500 +0\.0 +0\.0 +1\.00 +9 +2 +-")
        self.assertRegex(shown, r"ping +2 +2 +1 +2 +3")

    def test_awk(self):
        done = subprocess.run(["awk", "-v", "name=tcp", "-v", "mtu=9000", "-f",
                               str(ROOT / "guest/linux/iperf.awk")], input=IPERF, text=True,
                              capture_output=True)
        self.assertEqual(done.stdout, "lasthop: result test=tcp mtu=9000 us=5250000 "
                                      "bytes=12345678901 retransmits=7\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
