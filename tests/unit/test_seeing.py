#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Is `lasthop top` right and no wider than 80 columns, whatever the numbers and names; do its keys switch policies;
does Prometheus's own parser take what `lasthop metrics` writes; and does a trace of the running switch speak as
one on the host does?"""
import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts")]
sys.path.append("/usr/lib/python3/dist-packages")       # of Debian, whichever Python this is

import gen_counters    # noqa: E402
from lasthoplib import livetrace, metrics, top    # noqa: E402

try:
    from prometheus_client.openmetrics import parser as openmetrics
except ImportError:
    openmetrics = None

EXITS = gen_counters.entries(ROOT / "hv/core/exit_cause.h", "EXIT_CAUSES")
TABLES = {
    "counters": gen_counters.entries(gen_counters.STATS, "STATS_TABLE"),
    "verdicts": [[v[1], v[2]] for v in gen_counters.entries(gen_counters.VERDICTS, "VERDICT_TABLE")],
    "exits": EXITS,
    "times": ["root", "guest", "driver", "idle", "poll"],
    "policies": [{"name": "batching", "help": "h", "words": ["off", "on"]},
                 {"name": "copy", "help": "h", "words": ["auto", "moves", "vectors", "rep"]},
                 {"name": "batch-packets", "help": "h", "least": 1, "most": 64}],
}
NAMES = [row[0] for row in TABLES["counters"]]


def port(name, link=True, **counters):
    return {"name": name, "switch": "lan", "link": link, "uplinks_away": False, "uplink": False,
            "counters": [counters.get(n, 0) for n in NAMES]}


def vm(name, runs=True, started=7, run_us=0, exits=None, paused=False):
    told = {"name": name, "runs": runs, "paused": paused, "driver_domain": False, "vcpus": 1, "wakeups": 4,
            "run_us": run_us, "exits": [(exits or {}).get(row[0], 0) for row in EXITS]}
    return {**told, "started_us": started} if runs else told


def sample(us, ports=(), vms=(), cpu=(0, 0, 0, 0, 0), policies=("on", "auto", 64)):
    return {"time_us": us, "cpus": 4, "cpu_us": list(cpu), "policies": list(policies), "vms": list(vms),
            "ports": list(ports), "iommu_faults": [{"device": "00:03.0", "faults": 0}, {"device": "00:04.0", "faults": 3}]}


class Top(unittest.TestCase):
    def test_rates(self):
        before = sample(1_000_000, [port("a/net0", tx_packets=10)], [vm("a", run_us=0)])
        after = sample(3_000_000, [port("a/net0", tx_packets=2010, tx_bytes=250_000_000, kicks=20,
                                        kicks_saved=60, tx_drop_receiver=8, batches=40, batches_1=10,
                                        batches_32_64=30, batches_offloaded=20, interrupts_blocked=6)],
                       [vm("a", run_us=1_000_000, exits={"hlt": 200, "io": 20})],
                       cpu=(1_000_000, 2_000_000, 0, 4_000_000, 1_000_000))
        text = "\n".join(top.screen(TABLES, before, after))
        self.assertIn("idle 50 %  poll 12 %  guest 25 %  driver 0 %  root 12 %", text)
        self.assertRegex(text, r"(?m)^a/net0 +1000   1.00 +0   0.00 +4 +10 +75 %$")
        self.assertRegex(text, r"(?m)^a +running +50 % +110  hlt 100  io 10$")
        self.assertRegex(text, r"(?m)^ +1 #{5} +25 %$")
        self.assertRegex(text, r"(?m)^ +32-64 #{15} +75 %$")
        self.assertIn("batches 20/s, 50 % by idle CPUs", text)
        self.assertIn("kicks 10/s, saved 30/s (75 % of all)", text)
        self.assertIn("blocked 3/s, runnable 0/s, running 0/s", text)
        self.assertIn("[a] batching on  [b] copy auto  [c] batch-packets 64", text)

    def test_counters_that_begin_anew(self):
        before = sample(1_000_000, [port("a/net0", rx_packets=5000)], [vm("a", exits={"hlt": 900}, run_us=9)])
        after = sample(2_000_000, [port("a/net0", rx_packets=30)],
                       [vm("a", started=9, exits={"hlt": 1000}, run_us=500_000)])
        text = "\n".join(top.screen(TABLES, before, after))
        self.assertRegex(text, r"(?m)^a/net0 +0   0.00 +30 ")
        self.assertRegex(text, r"(?m)^a +running +50 % +1000  hlt 1000$")

    def test_width(self):
        """the longest names, the largest numbers, many of all"""
        long = "a-name-of-thirty-one-characters"
        huge = {n: 2 ** 62 for n in NAMES}
        for count in (0, 1, 3, 40):
            ports = [port(f"{long}/{long}", link=i % 2 == 0, **huge) for i in range(count)]
            vms = [vm(long, run_us=2 ** 50, exits={row[0]: 2 ** 50 for row in EXITS}, paused=i % 2 == 0)
                   for i in range(count)] + [vm("off", runs=False)]
            for rows in (None, 10, 24, 50):
                lines = top.screen(TABLES, sample(1), sample(2, ports, vms, (2 ** 60,) * 5), rows)
                self.assertLessEqual(max(map(len, lines)), 80, lines)
                if rows:
                    self.assertLessEqual(len(lines), rows)
        self.assertLessEqual(max(len(top.rate(10 ** n * 9.996)) for n in range(20)), 6)
        self.assertEqual(top.rate(12e15), "12.0P")

    def test_nothing_is_cut_off(self):
        """neither the shares of a machine that runs for long, nor what tells two names apart"""
        for us in (9_999_000_000, 10 ** 16):
            for cpu in ((20,) * 5, (10 ** 6, 0, 0, 0, 0)):
                after = {**sample(us, cpu=cpu), "cpus": 256}
                row = top.screen(TABLES, sample(0), after)[0]
                self.assertEqual(row.count(" %"), 5, row)
        long = "a-name-of-thirty-one-characters"
        ports = [port(f"{long[:-1]}{i}/net{j}", link=j == 0) for i in range(3) for j in range(2)]
        lines = top.screen(TABLES, sample(0), sample(1, ports, [vm(f"{long[:-1]}{i}") for i in range(3)]))
        names = [line.split("  ")[0] for line in lines if line.startswith("a-name")]
        self.assertEqual(len(set(names)), 9, names)

    def test_control_characters(self):
        lines = top.screen(TABLES, sample(1), sample(2, [port("a\x1b[2J/net0")]))
        self.assertNotIn("\x1b", "".join(lines))


WIDE = ("hlt", "timer", "priority")           # with its rates, a row of 80 columns


class Channel:
    def __init__(self):
        self.policies, self.set, self.us = ["on", "auto", 64], [], 0

    def call(self, method, **params):
        self.us += 1_000_000
        if method == "policy.set":
            self.set.append((params["policy"], params["value"]))
            names = [p["name"] for p in TABLES["policies"]]
            value = params["value"]
            self.policies[names.index(params["policy"])] = int(value) if value.isdigit() else value
            return params
        exits = {name: 2500 * self.us // 1_000_000 for name in WIDE}
        return {"see.tables": TABLES, "see.sample": sample(self.us, vms=[vm("a", exits=exits)], policies=self.policies)
                }[method]


class Keys(unittest.TestCase):
    def test_press(self):
        channel = Channel()
        machine = top.Machine(channel)
        self.assertEqual(machine.press("a"), "batching is off")
        self.assertEqual(machine.press("a"), "batching is on")
        for value in ("moves", "vectors", "rep", "auto"):
            self.assertEqual(machine.press("b"), f"copy is {value}")
        self.assertEqual(machine.press("c"), "batch-packets is 1")
        self.assertEqual(machine.press("c"), "batch-packets is 2")
        self.assertIsNone(machine.press("q"))
        self.assertIsNone(machine.press("d"))
        self.assertEqual(channel.set[0], ("batching", "off"))
        self.assertEqual(len(channel.set), 8)

    def test_batch(self):
        out, channel = io.StringIO(), Channel()
        top.batch(top.Machine(channel), 0.001, 2, out, "a")
        self.assertIn("batching is off\n", out.getvalue())
        self.assertEqual(out.getvalue().count("[a] batching off"), 2)
        self.assertEqual(channel.set, [("batching", "off")])


class OnATerminal(unittest.TestCase):
    """the screen and its keys, as somebody at a terminal of 24 rows has them"""

    CHILD = """
import sys
sys.path[:0] = sys.argv[1:]
import test_seeing
from lasthoplib import console, top
channel = test_seeing.Channel()
try:
    top.run(channel, 0.2)
except console.Failure as failure:
    sys.exit(str(failure))
print("set:", channel.set)
"""

    def start(self, term, rows, columns):
        """(the terminal, the process)"""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        child = subprocess.Popen([sys.executable, "-c", self.CHILD, str(ROOT / "scripts"), str(Path(__file__).parent)],
                                 stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": term})
        os.close(slave)
        return master, child

    def test_terminals(self):
        """tiny ones, those that cannot hide the cursor, and what is none"""
        for term, rows, columns in (("xterm", 1, 1), ("vt100", 3, 9)):
            master, child = self.start(term, rows, columns)
            os.write(master, b"q")
            self.assertEqual(child.wait(60), 0, os.read(master, 65536))
            os.close(master)
        master, child = self.start("nonsense", 24, 80)
        self.assertEqual(child.wait(60), 1)
        self.assertIn(b"top: TERM=nonsense: ", os.read(master, 65536))
        os.close(master)

    def test_hung_up(self):
        master, child = self.start("xterm", 24, 80)
        self.assertTrue(select.select([master], [], [], 60)[0], "it draws")
        os.read(master, 65536)
        os.close(master)
        try:
            child.wait(60)
        finally:
            child.kill()

    def test_keys(self):
        master, child = self.start("xterm", 24, 80)
        seen = b""

        def until(word):
            nonlocal seen
            end = time.monotonic() + 60
            while word not in seen and time.monotonic() < end:
                if select.select([master], [], [], 1)[0]:
                    try:
                        seen += os.read(master, 65536)
                    except OSError:             # its end
                        break
            self.assertIn(word, seen)

        until(b"[a] batching on")
        self.assertRegex(seen, rb"7500  hlt 2500  timer 2500  priority 2500\D")
        os.write(master, b"a")
        until(b"batching is off")
        os.write(master, b"!\x1b")             # keys without a meaning
        os.write(master, b"q")
        until(b"set: [('batching', 'off')]")
        self.assertEqual(child.wait(60), 0)
        os.close(master)


class Metrics(unittest.TestCase):
    def setUp(self):
        made = sample(12_345_678, [port("a/net0", tx_packets=7), port('b"\\/net0', link=False)],
                      [vm("a", run_us=1_500_000, exits={"hlt": 5}), vm("off", runs=False)],
                      cpu=(1, 2, 3, 4, 5_000_000))
        quoted = [[*row[:3], f'{row[3]}, "so to say"'] for row in TABLES["counters"]]
        self.text = metrics.render({**TABLES, "counters": quoted}, made)

    def test_own_rules(self):
        lines = self.text.split("\n")
        self.assertEqual(lines[-2:], ["# EOF", ""])
        self.assertNotIn("", lines[:-1])
        family, kinds = "", {}
        for line in lines[:-2]:
            if line.startswith("# TYPE "):
                _, _, family, kind = line.split(" ")
                self.assertNotIn(family, kinds)
                self.assertIn(kind, ("counter", "gauge"))       # all that the older format knows
                kinds[family] = kind
            elif line.startswith("# UNIT "):
                self.assertTrue(family.endswith("_" + line.split(" ")[3]), line)
            elif line.startswith("# HELP "):
                self.assertEqual(line.split(" ")[2], family)
                self.assertNotIn('"', line)                     # ... which can escape none
            else:
                suffix = "_total" if kinds[family] == "counter" else ""
                self.assertRegex(line, rf'^{family}{suffix}(\{{(\w+="([^"\\]|\\.)*",?)+\}})? [\d.]+$')
        self.assertIn('lasthop_port_tx_packets_total{port="a/net0",switch="lan"} 7', lines)
        self.assertIn('lasthop_vm_exits_total{vm="a",cause="hlt"} 5', lines)
        self.assertIn('lasthop_cpu_seconds_total{kind="poll"} 5.000000', lines)
        self.assertIn('lasthop_vm_up{vm="off"} 0', lines)
        self.assertIn('lasthop_iommu_faults_total{device="00:03.0"} 0', lines)
        self.assertIn('lasthop_iommu_faults_total{device="00:04.0"} 3', lines)
        self.assertIn('lasthop_policy_word{policy="copy",value="auto"} 1', lines)
        for name in NAMES:
            self.assertRegex(self.text, rf"(?m)^lasthop_port_{name}(_bytes|_packets|_pages)?_total\{{")

    @unittest.skipUnless(openmetrics, "python3-prometheus-client is not installed")
    def test_prometheus_parser(self):
        families = list(openmetrics.text_string_to_metric_families(self.text))
        self.assertGreater(len(families), len(NAMES) + 8)
        samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}
        self.assertEqual(samples["lasthop_port_up", (("port", 'b"\\/net0'), ("switch", "lan"))], 0)
        self.assertEqual(samples["lasthop_uptime_seconds", ()], 12.345678)


class Trace(unittest.TestCase):
    FRAME = bytes.fromhex("52540000000b" "52540000000a" "8100" "0005" "0800").ljust(64, b"\0")
    TOLD = {"port": "a/net0", "switch": "lan", "link": True, "uplink": False, "verdict": "delivered",
            "most_bytes": 1518, "length_passes": True, "source_passes": True, "source": "known", "group": False,
            "behind": "b/net0", "receivers": [{"port": "b/net0", "verdict": "delivered"}]}
    TEXTS = dict(TABLES["verdicts"])

    def stages(self, frame=FRAME, **more):
        return dict(livetrace.stages({**self.TOLD, **more}, frame, self.TEXTS))

    def test_words(self):
        told = self.stages()
        self.assertEqual(told["port"], "a/net0 on switch lan, MTU 1500, link up")
        self.assertEqual(told["frame"], "64 bytes, from 52:54:00:00:00:0a to 52:54:00:00:00:0b, VLAN 5, "
                         "type 0x0800 (IPv4)")
        self.assertEqual(told["length"], "within the 14 to 1518 bytes that pass")
        self.assertEqual(told["source"], "52:54:00:00:00:0a is known behind a/net0")
        self.assertEqual(told["lookup"], "52:54:00:00:00:0b is behind b/net0")
        self.assertEqual(told["receiver"], "b/net0: would be copied to its ring")

    def test_drops(self):
        told = self.stages(frame=b"x" * 13, verdict="drop_short", length_passes=False)
        self.assertEqual(list(told), ["port", "frame", "length"])
        told = self.stages(verdict="drop_bad_source", source_passes=False)
        self.assertEqual(list(told)[-1], "source")
        told = self.stages(verdict="drop_unplugged", link=False, length_passes=False)
        self.assertEqual(list(told), ["port", "frame", "link"])
        self.assertIn("link", told["link"])
        told = self.stages(verdict="drop_no_buffer",
                           receivers=[{"port": "b/net0", "verdict": "drop_no_buffer"}])
        self.assertEqual(told["receiver"], "b/net0: would be dropped: receiver has no free buffer")
        told = self.stages(group=True, behind=None, source="moves", was="c/net0")
        self.assertIn("is a group: to every other port", told["lookup"])
        self.assertIn("would be learned behind a/net0: it is behind c/net0", told["source"])

    def test_what_is_sent(self):
        sent = []

        class Machine:
            @staticmethod
            def call(method, **params):
                sent.append(params)
                return TABLES if method == "see.tables" else self.TOLD
        told = livetrace.run(Machine(), "a/net0", [b"\x01" * 1500])
        self.assertEqual(sent[1], {"port": "a/net0", "frame": "01" * 256, "bytes": 1500})
        self.assertEqual(told[0]["verdict"], "delivered")
        json.dumps(told)
        self.assertTrue(re.match("copied", told[0]["why"]))


if __name__ == "__main__":
    unittest.main()
