#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Question: do the tap points of the switch cost one predicted branch when nobody captures? The core's
object files say so: whatever calls a tap lies apart from the path of packets, in .text.unlikely."""
import os
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OBJECTS = ROOT / os.environ.get("B", "build") / "core/vswitch"
TAPS = {"batch": {"capture_batch", "capture_filled", "capture_refused", "capture_filtered"},
        "service": {"capture_unread"}}


def calls(name):
    """[(section, function, capture_* called)] of an object file"""
    told = subprocess.run(["objdump", "-dr", OBJECTS / f"{name}.c.o"], capture_output=True, text=True,
                          check=True).stdout
    found, section, function = [], "", ""
    for line in told.splitlines():
        if line.startswith("Disassembly of section"):
            section = line.split()[-1].rstrip(":")
        elif match := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            function = match[1]
        elif match := re.search(r"R_X86_64_\w+\s+(capture_\w+)", line):
            found.append((section, function, match[1]))
    return found


class TapPoints(unittest.TestCase):
    def test_apart_from_the_path_of_packets(self):
        for name, taps in TAPS.items():
            found = calls(name)
            self.assertEqual({tap for _, _, tap in found}, taps, name)
            self.assertEqual({section for section, _, _ in found}, {".text.unlikely"}, found)

    def test_nothing_else_taps(self):
        for path in OBJECTS.glob("*.c.o"):
            name = path.name[:-len(".c.o")]
            if name not in (*TAPS, "capture"):
                self.assertEqual(calls(name), [], name)


if __name__ == "__main__":
    unittest.main()
