#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a part of the soak says of its steps."""
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import soaksummary      # noqa: E402


def step(name, seed=0, **state):
    return SimpleNamespace(name=name, group=name.split()[0], seed=seed, state={
        "good": True, "passed": 2, "failed": 0, "seconds": 1.4, "tries": 1, "ended": 0, "commit": "b" * 40} | state)


class Summary(unittest.TestCase):
    def rows(self, *steps):
        text = soaksummary.render("part", "about it", "b" * 40, steps)
        return [line for line in text.splitlines() if line.startswith("| ")][2:], text

    def test_groups(self):
        rows, text = self.rows(step("a 1", 1), step("a 2", 2), step("a 4", 4), step("b"))
        self.assertEqual(rows, ["| a | 3 | 1-2, 4 | 6 | 0 | 4 |  |", "| b | 1 |  | 2 | 0 | 1 |  |"])
        self.assertIn("- result: 4 of 4 steps passed\n", text)

    def test_remarks(self):
        rows, text = self.rows(step("a", good=False, failed=1), step("b", tries=2), step("c", commit="a" * 40),
                               step("d", tries=2, commit="a" * 40))
        self.assertEqual([row.split("|")[-2].strip() for row in rows], [
            "**failed: a**", "passed after failing: b", "at aaaaaaaaaaaa",
            "passed after failing: d; at aaaaaaaaaaaa"])
        self.assertIn("- result: 3 of 4 steps passed\n", text)


if __name__ == "__main__":
    unittest.main()
