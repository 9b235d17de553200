#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Are the benchmarks' own decisions right: which there are, their plots?"""
import contextlib
import io
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import bench, bench_native, plot, testpmd    # noqa: E402
from lasthoplib.console import Failure    # noqa: E402


class Frame(unittest.TestCase):
    def test_each_module_is_complete(self):
        for name, module in bench.modules().items():
            for needed in ("ABOUT", "arguments", "run", "render"):
                self.assertTrue(hasattr(module, needed), f"bench_{name}.py: {needed}")

    def test_folder_of_plots(self):
        with tempfile.TemporaryDirectory() as folder:
            bench.check_folder(folder + "/new/er")
            Path(folder, "file").touch()
            with self.assertRaises(Failure):
                bench.check_folder(folder + "/file")
            made = bench.write_plots(folder, "some", {"thing": "<svg/>"})
            self.assertEqual(made, [folder + "/some-thing.svg"])
            self.assertEqual(Path(made[0]).read_text(), "<svg/>")


# as testpmd of DPDK 22.11 prints it: the switch's account, then that of the guests
TESTPMD = """
  RX-packets: 7969056        RX-dropped: 0             RX-total: 7969056
  RX-bursts : 3056353 [91% of 0 pkts + 9% of 32 pkts]
  TX-bursts : 252960 [0% of 0 pkts + 100% of 32 pkts]
  RX-bursts : 3056445 [91% of 0 pkts + 9% of 32 pkts]
  CPU cycles/packet=243.86 (total cycles=3886615025 / total io packets=15937664) at 2100 MHz Clock
  RX-packets: 8000000    RX-missed: 0          RX-bytes:  234786816
  RX-packets: 8000000    RX-missed: 0          RX-bytes:  234807296
"""


class Native(unittest.TestCase):
    def test_account_of_testpmd(self):
        self.assertEqual(testpmd.account(TESTPMD, 2), {
            "busy_ns_per_packet": 116.13, "mpps": 8.0, "empty_polls_percent": 91})

    def test_a_testpmd_that_forwards_nothing(self):
        for text in ("", TESTPMD.replace("15937664", "0"), TESTPMD.replace("missed", "gone")):
            with self.assertRaises(Failure):
                testpmd.account(text, 2)

    def test_ratio_of_each_run(self):
        def one(ns):
            return {"busy_ns_per_packet": ns, "mpps": 1, "empty_polls_percent": 0, "drops": 0,
                    "balanced": True}
        row = bench_native.result(64, 65536, [(one(40), one(100)), (one(50), one(100)), (one(20), one(80))])
        self.assertEqual(row["ratio"], {"median": 2.5, "min": 2.0, "max": 4.0})
        document = {"results": [row, bench_native.result(65536, 1 << 20, [(one(2000), one(1600))])]}
        text = bench_native.render(document)
        self.assertIn("2.50 (2.00-4.00)", text)
        self.assertIn("memcpy", text)
        ElementTree.fromstring(bench_native.plots(document)["mpps"])

    def test_without_peer(self):
        row = bench_native.result(64, 65536, [({"busy_ns_per_packet": 40, "mpps": 1, "empty_polls_percent": 0,
                                         "drops": 0, "balanced": True}, None)])
        self.assertNotIn("ratio", row)
        self.assertIn("40.0", bench_native.render({"results": [row]}))
        self.assertNotIn("testpmd", bench_native.plots({"results": [row]})["mpps"])


class Plots(unittest.TestCase):
    def test_ticks(self):
        for most, told in ((7, [0, 2, 4, 6, 8]), (10, [0, 2, 4, 6, 8, 10]), (0, [0, 1]),
                           (0.03, [0, 0.01, 0.02, 0.03]), (123456, [0, 25000, 50000, 75000, 100000, 125000])):
            self.assertEqual([round(t, 9) for t in plot.ticks(most)], told)

    def test_lines(self):
        """a point of twice the value stands twice as high, and what is written is XML"""
        text = plot.lines("a < b", "pairs", "Gbit/s", {"one": [(1, 1), (2, 2)], "two & more": [(1, 0)]})
        root = ElementTree.fromstring(text)
        heights = [plot.HEIGHT - plot.BOTTOM - float(c.get("cy"))
                   for c in root.iter("{http://www.w3.org/2000/svg}circle")]
        self.assertEqual(len(heights), 3)
        self.assertAlmostEqual(heights[1], 2 * heights[0], delta=0.2)
        self.assertEqual(heights[2], 0)
        self.assertIn("two & more", [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")])
        self.assertEqual(text, plot.lines("a < b", "pairs", "Gbit/s", {"one": [(1, 1), (2, 2)],
                                                                         "two & more": [(1, 0)]}))

    def test_bars(self):
        root = ElementTree.fromstring(plot.bars("t", "y", ["first", "second with a long name" * 3],
                                                {"a": [1, 4], "b": [2, 0]}))
        heights = [float(r.get("height")) for r in root.iter("{http://www.w3.org/2000/svg}rect")
                   if r.get("width") not in (str(plot.WIDTH), "10")]
        self.assertEqual(len(heights), 4)
        self.assertAlmostEqual(heights[2], 4 * heights[0], delta=0.2)


class Cut(unittest.TestCase):
    def test_what_was_measured_is_written(self):
        """a benchmark that fails late, or is interrupted, gives what it has, and draws nothing"""
        for why, told in (Failure("the machine died"), "the machine died"), (KeyboardInterrupt(), "it was interrupted"):
            made, written = {"rows": [1, 2], "complaints": ["one row is odd"]}, []

            def run(args, _progress, made=made, why=why):
                args.begun = made
                raise why
            args = SimpleNamespace(module=SimpleNamespace(run=run), svg=None)
            with self.assertRaises(type(why)):
                bench.run(args, None, lambda _, document, to=written: to.append(document))
            self.assertEqual(written, [{"rows": [1, 2], "complaints": ["one row is odd", told]}])

    def test_nothing_begun(self):
        def run(_args, _progress):
            raise Failure("no")
        args = SimpleNamespace(module=SimpleNamespace(run=run), svg=None)
        with self.assertRaises(Failure):
            bench.run(args, None, lambda *_: self.fail("there is nothing to write"))

    def test_no_plots_of_a_failure(self):
        module = SimpleNamespace(run=lambda *_: {"complaints": ["nothing came"]}, render=lambda _: "",
                                 plots=lambda _: self.fail("nothing to draw"))
        args = SimpleNamespace(module=module, svg=tempfile.gettempdir(), what="x")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(bench.run(args, SimpleNamespace(stream=io.StringIO()), lambda *_: None), 1)
        self.assertIn("nothing came", said.getvalue())


if __name__ == "__main__":
    unittest.main()
