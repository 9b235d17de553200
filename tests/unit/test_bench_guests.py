#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Do the benchmarks with the bundled guests ask for what they should, and read the answers right?"""
import argparse
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import bench_ablation, bench_latency, bench_rfc2544, bench_scaling    # noqa: E402
from lasthoplib import guestbench, policies, vmconfig    # noqa: E402
from lasthoplib.console import Failure    # noqa: E402

HEADER = r'''
#define POLICY_OFF_ON "off\0on\0"
#define POLICY_COPY "auto\0vectors\0"
#define POLICY_WORDS(X)
	X(batching, "batching", POLICY_OFF_ON, 1, "off",
	  "help")
	X(copy, "copy", POLICY_COPY, 0, "vectors", "help")
	X(rich, "rich-name", POLICY_OFF_ON, 1, "off", "help")
#define POLICY_NUMBERS(X)
	X(batch_packets, "batch-packets", 1, 64, 64, "help")
'''


class Policies(unittest.TestCase):
    def test_of_a_header(self):
        self.assertEqual(policies.with_words(HEADER), {
            "batching": ["off", "on"], "copy": ["auto", "vectors"], "rich-name": ["off", "on"]})
        self.assertEqual(policies.switches(HEADER), ["batching", "rich-name"])

    def test_of_the_tree(self):
        self.assertLessEqual({"batching", "offload", "polling"}, set(policies.switches()))
        self.assertLessEqual(set(policies.on_bochs()), set(policies.names()))
        self.assertIn(policies.on_bochs()["copy"], policies.with_words()["copy"])


class Configs(unittest.TestCase):
    def test_policies_stand_in_it(self):
        text = vmconfig.config(vmconfig.Vm("a", "bench.elf"), policy={"copy": "vectors", "poll-us": 20})
        self.assertIn('policy {\ncopy = "vectors";\npoll-us = <20>;\n};', text)
        self.assertNotIn("policy", vmconfig.config(vmconfig.Vm("a", "bench.elf")))

    def test_pair(self):
        sink, source = guestbench.pair(3, "ring=packed", 5, tests="rr:64", cpus=(4, 5))
        self.assertEqual([sink.name, source.name, sink.affinity, source.affinity],
                         ["sink3", "source3", (4,), (5,)])
        self.assertIn("sources=5 ring=packed", sink.args)
        self.assertIn("tests=rr:64 count=", source.args)


class Sessions(unittest.TestCase):
    def setUp(self):
        self.session = guestbench.Session(SimpleNamespace(event=lambda e: None, say=lambda t: None))

    def told(self, *events):
        for event in events:
            self.session.event(event)

    def test_events_until_the_end_of_a_vm(self):
        other, end = ({"event": "vm-end", "vm": vm, "end": "ok"} for vm in ("b", "a"))
        result = {"event": "result", "vm": "a"}
        self.told(result, other, end, result)
        self.assertEqual(self.session.until_end("a", 1), [result, other, end])

    def test_a_vm_that_failed(self):
        self.told({"event": "vm-end", "vm": "a", "end": "failed"})
        with self.assertRaisesRegex(Failure, "VM a: failed"):
            self.session.until_end("a", 1)

    def test_a_vm_that_is_silent(self):
        with self.assertRaises(Failure):
            self.session.until_end("a", 0.01)


class Line:
    """a shell that does what it is told, and says so"""
    def __init__(self, refused=""):
        self.typed, self.refused = [], refused

    def type(self, text):
        pass

    def command(self, text):
        self.typed.append(text)
        words = text.split()
        if self.refused and self.refused in text:
            return "no\n"
        return f"set: {words[1]} is {words[2]}\n" if words[0] == "set" else f"{text}: done\n"

    def wait(self, pattern, seconds=0):
        pass


class Talking(unittest.TestCase):
    def talk(self, line, steps):
        session = guestbench.Session(SimpleNamespace(event=lambda e: None, say=lambda t: None))
        for _ in steps:
            session.event({"event": "vm-end", "vm": "source1", "end": "ok"})
        found = {}
        good = guestbench.talker(session, steps, ["busy1"], found)(line)
        return good, found, session.failed

    def test_policies_are_set_before_the_source_starts(self):
        line = Line()
        good, found, _ = self.talk(line, [("first", {"offload": "off"}, "source1"), ("second", {}, "source1")])
        self.assertTrue(good)
        self.assertEqual(list(found), ["first", "second"])
        self.assertEqual(line.typed, ["set offload off", "vm start source1", "vm start source1",
                                      "vm stop busy1"])

    def test_a_shell_that_refuses(self):
        for refused in ("offload", "start", "stop"):
            good, _, why = self.talk(Line(refused), [("one", {"offload": "off"}, "source1")])
            self.assertFalse(good)
            self.assertIn(refused, why)


class Counting(unittest.TestCase):
    BOCHS, TCG = SimpleNamespace(clock="virtual", TICK=16), SimpleNamespace(clock="wall")

    def told(self, *ticks):
        return [{"event": "guest-result", "text": f"test=count when=first loops=5 ticks={t}"}
                for t in ticks]

    def test_same_ticks_where_time_is_virtual(self):
        self.assertEqual(guestbench.uneven(self.told(40, 40, 40), self.BOCHS), [])
        self.assertEqual(guestbench.uneven(self.told(40, 56, 40), self.BOCHS), [])
        self.assertIn("40 to 57", guestbench.uneven(self.told(40, 57, 40), self.BOCHS)[0])
        self.assertIn("no guest", guestbench.uneven([], self.BOCHS)[0])
        self.assertEqual(guestbench.uneven(self.told(40, 50), self.TCG), [])


def result(**more):
    return {"name": "stream", "frame_bytes": 64, "gbit_s": {"median": 1.5}, "mpps": {"median": 0.2},
            "exits_per_packet": 0.1, "kicks_per_packet": 0.2, "notifications_per_packet": 0.3,
            "errors": 0} | more


class Ablation(unittest.TestCase):
    def test_combinations(self):
        self.assertEqual(bench_ablation.combinations(["a", "b"]), [
            ("none", []), ("a alone", ["a"]), ("b alone", ["b"]), ("all but a", ["b"]),
            ("all but b", ["a"]), ("all", ["a", "b"])])

    def test_only(self):
        found = bench_ablation.wanted(SimpleNamespace(only=["offload"]))
        self.assertEqual([name for name, _ in found], ["all but offload", "all"])

    def test_choice_of_tests(self):
        self.assertEqual(bench_ablation.chosen("64,rr"), ["64", "rr"])
        with self.assertRaises(argparse.ArgumentTypeError):
            bench_ablation.chosen("64,what")

    def test_tables_and_plots(self):
        rr = {"name": "rr", "frame_bytes": 64, "p50_us": 9.25, "p99_us": 11, "errors": 0}
        made = {"commit": "0" * 40, "emulator": "Bochs", "testbed": "bochs", "cpus": 4,
                "clock": "virtual", "boots": [
                    {"ring": "split", "exit_cost": 1000, "rows": [
                        {"name": "none", "on": [], "results": [result(root_ticks_per_packet=700), rr]},
                        {"name": "all", "on": ["a"], "results": []}]}]}
        text = bench_ablation.render(made)
        self.assertIn("stream, 64 bytes, split ring, 1000 instructions a VM exit", text)
        self.assertRegex(text, r"none +1\.500 +0\.2000 +0\.100 +0\.200 +0\.300 +700\n")
        self.assertRegex(text, r"all( +-){6}\n")
        self.assertEqual(list(bench_ablation.plots(made)), ["bochs-stream-64", "bochs-rr-64"])

    def test_lost_frames_are_complaints(self):
        self.assertEqual(guestbench.mistakes([("all", [result()])]), [])
        self.assertIn("7 frames", guestbench.mistakes([("all", [result(errors=7)])])[0])


def measured(vm, begin, length, packets=1000):
    return {"event": "result", "test": "stream", "vm": vm, "peer": vm, "frame_bytes": 64, "run": 1,
            "begin_ns": begin, "nanoseconds": length, "packets": packets, "bytes": 64 * packets,
            "root_ticks": 5000}


class Scaling(unittest.TestCase):
    def test_machines(self):
        def ask(**more):
            return bench_scaling.machines(SimpleNamespace(**{"pairs": None, "quick": False} | more))
        self.assertEqual(ask(), [(1, 2), (2, 4), (4, 8), (6, 12), (7, 14), (1, 4), (2, 8), (3, 12)])
        self.assertEqual(ask(pairs=[2, 7]), [(2, 4), (7, 14), (2, 8)])
        self.assertEqual(ask(quick=True), [(1, 2), (7, 14)])

    def test_overlap(self):
        self.assertEqual(bench_scaling.overlap([measured("a", 0, 100)]), 1)
        self.assertEqual(bench_scaling.overlap([measured("a", 0, 90), measured("b", 10, 90)]), 0.8)
        self.assertEqual(bench_scaling.overlap([measured("a", 0, 10), measured("b", 20, 10)]), 0)

    def test_all_pairs_together(self):
        one = bench_scaling.entry(64, [measured("a", 0, 1000000)], 2)
        two = bench_scaling.entry(64, [measured("a", 0, 1000000), measured("b", 0, 1000000)], 4)
        bench_scaling.compare([one, two])
        self.assertEqual([one["times_one"], two["times_one"]], [1, 2])
        self.assertEqual([one["root_ticks_per_packet"], two["root_ticks_per_packet"]], [5, 2.5])
        made = {"commit": "0" * 40, "emulator": "Bochs", "exit_cost": 0, "results": [two, one]}
        self.assertRegex(bench_scaling.render(made), r"64 +1 +2 .*\n +64 +2 +4 ")
        self.assertEqual(list(bench_scaling.plots(made)), ["bochs-64"])


class Latency(unittest.TestCase):
    def test_combinations(self):
        self.assertEqual(bench_latency.combinations(["batching", "immediate-notification"]), [
            ("all", []), ("without immediate-notification", ["immediate-notification"])])
        both = bench_latency.combinations(["preemptive-copy", "immediate-notification"])
        self.assertEqual(both[-1], ("without preemptive-copy, immediate-notification",
                                    ["preemptive-copy", "immediate-notification"]))

    def test_tables_and_plots(self):
        rr = {"name": "rr", "p50_us": 5, "p99_us": 7}
        made = {"commit": "0" * 40, "emulator": "Bochs", "testbed": "bochs", "cpus": 4, "clock": "virtual",
                "exit_cost": 1000, "rows": [{"others": 0, "name": "all", "results": [rr]},
                                            {"others": 1, "name": "all", "results": []}]}
        self.assertRegex(bench_latency.render(made), r"0 +all +5\.0 +7\.0 ")
        self.assertEqual(list(bench_latency.plots(made)), ["bochs-p50", "bochs-p99"])


class Rates(unittest.TestCase):
    def test_what_the_searches_told(self):
        events = [measured("a", 0, 1000000, 200), measured("a", 0, 1, 9) | {"run": 2}]
        events += [{"event": "guest-result", "text": f"test=search loss={loss} frame=64 pps={pps} trials=9"}
                   for loss, pps in ((0, 100000), (5, 110000))]
        told, = bench_rfc2544.found(events)
        self.assertEqual(told, {"frame_bytes": 64, "trials": 18, "ndr_mpps": 0.1, "ndr_gbit_s": 0.0512,
                                "pdr_mpps": 0.11, "pdr_gbit_s": 0.05632, "mrr_mpps": 0.2,
                                "mrr_gbit_s": 0.1024})
        made = {"commit": "0" * 40, "emulator": "Bochs", "testbed": "bochs", "cpus": 4, "clock": "virtual",
                "results": [told]}
        self.assertRegex(bench_rfc2544.render(made), r"64 +0\.1000 +0\.051 +0\.1100")
        self.assertEqual(list(bench_rfc2544.plots(made)), ["bochs"])

    def test_frame_sizes(self):
        self.assertEqual(bench_rfc2544.frame_bytes("60"), 60)
        for wrong in ("59", "9015", "x"):
            with self.assertRaises(argparse.ArgumentTypeError):
                bench_rfc2544.frame_bytes(wrong)


if __name__ == "__main__":
    unittest.main()
