#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Are the benchmarks' own decisions right: which there are, their plots?"""
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import bench, plot    # noqa: E402
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


if __name__ == "__main__":
    unittest.main()
