#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a part of the soak says of its steps."""
import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import soaksummary      # noqa: E402


def step(name, seed=0, **state):
    return SimpleNamespace(name=name, group=name.split()[0], seed=seed, state={
        "good": True, "passed": 2, "failed": 0, "seconds": 1.4, "tries": 1, "ended": 0} | state)


class Summary(unittest.TestCase):
    def rows(self, *steps):
        text = soaksummary.render("part", "about it", "b" * 40, steps)
        return [line for line in text.splitlines() if line.startswith("| ")][2:], text

    def test_groups(self):
        rows, text = self.rows(step("a 1", 1), step("a 2", 2), step("a 4", 4), step("b"))
        self.assertEqual(rows, ["| a | 3 | 1-2, 4 | 6 | 0 | 4 |  |", "| b | 1 |  | 2 | 0 | 1 |  |"])
        self.assertIn("- result: 4 of 4 steps passed\n", text)

    def test_remarks(self):
        rows, text = self.rows(step("a", good=False, failed=1), step("b", tries=2), step("c", older="a" * 40),
                               step("d", tries=2, older="a" * 40), step("e", older="b" * 40 + "-dirty"))
        self.assertEqual([row.split("|")[-2].strip() for row in rows], [
            "**failed: a**", "passed after failing: b", "at aaaaaaaaaaaa",
            "passed after failing: d; at aaaaaaaaaaaa", "at bbbbbbbbbbbb-dirty"])
        self.assertIn("- result: 4 of 5 steps passed\n", text)


class Known(unittest.TestCase):
    """what counts of a part that was run before, for these sources and for others"""

    def test_keep(self):
        path = str(Path(__file__).resolve().parents[2] / "scripts/soak")
        loader = importlib.machinery.SourceFileLoader("soak", path)
        soak = importlib.util.module_from_spec(importlib.util.spec_from_loader("soak", loader))
        loader.exec_module(soak)
        with tempfile.TemporaryDirectory() as folder:
            part = SimpleNamespace(name="part", folder=Path(folder), file=Path(folder) / "part-new.json")
            old = Path(folder) / "part-old.json"
            old.write_text(json.dumps({"a": {"good": True, "commit": "A"}, "b": {"good": False}, "c": {"good": True}}))
            os.utime(old, (1, 1))
            kept = {"a": {"older": "A", "good": True, "commit": "A"}, "c": {"older": "unknown", "good": True}}
            self.assertEqual(soak.Part.known(part, False), {})
            self.assertEqual(soak.Part.known(part, True), kept)
            part.file.write_text(json.dumps({"b": {"good": True, "commit": "B"}}))
            self.assertEqual(soak.Part.known(part, False), {"b": {"good": True, "commit": "B"}})
            self.assertEqual(soak.Part.known(part, True), kept | {"b": {"good": True, "commit": "B"}})


if __name__ == "__main__":
    unittest.main()
