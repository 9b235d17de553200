#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does docs/linux.md say of each case with Linux where it is run, and of no other, and does the manual name all
of the environment that is read?"""
import re
import subprocess
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import gen_man      # noqa: E402

LINUX = re.compile(r"(tcg|bochs)-((?:example-)?linux(?:-.*)?)")


def listed(*argv):
    """{(test bed, case)}: those with Linux"""
    names = subprocess.run([sys.executable, ROOT / "tests/boot/run.py", "--list", *argv],
                           capture_output=True, text=True, check=True).stdout.split()
    return {match.groups() for match in map(LINUX.fullmatch, names) if match}


def documented():
    """the same by `make test`, and by `make soak`"""
    text = (ROOT / "docs/linux.md").read_text().partition("## What was run where")[2]
    test, soak = set(), set()
    for what in re.findall(r"^\| .* \|$", text, re.M):
        cells = [cell.strip() for cell in what[1:-1].split("|")]
        if len(cells) != 4:             # the second table: bundled guests
            continue
        for bed, where in zip(("tcg", "bochs"), cells[2:]):
            cases = {(bed, name) for name in re.findall(r"`([\w-]+)`", cells[1])}
            if where:
                (soak if "`make soak`" in where else test).update(cases)
    return test, soak


class Documents(unittest.TestCase):
    def test_the_manual_has_the_environment_that_is_read(self):
        read = {name for file in (ROOT / "scripts/lasthoplib").glob("*.py")
                for name in re.findall(r'environ(?:\.get\(|\[)"(\w+)"', file.read_text())}
        told = {name for name, _ in gen_man.ENVIRONMENT}
        self.assertEqual(told, read - {"B", "BOCHS_DEB", "TERM"})      # the Makefile's, scripts/setup's, the terminal's

    def test_what_was_run_where_is_what_is_run(self):
        test, soak = documented()
        self.assertEqual(test, listed())
        self.assertEqual(soak, listed("--soak"))

    def test_other_cases_that_it_names_are_there(self):
        names = subprocess.run([sys.executable, ROOT / "tests/boot/run.py", "--list"],
                               capture_output=True, text=True, check=True).stdout.split()
        text = (ROOT / "docs/linux.md").read_text().partition("What Linux 6.1 cannot show")[2]
        for row in re.findall(r"^\| .* \| (.*) \|$", text, re.M)[1:]:
            for name in re.findall(r"`([\w*-]+)`", row):
                pattern = re.compile("(tcg|bochs)-" + name.replace("*", ".*"))
                beds = {match[1] for match in map(pattern.fullmatch, names) if match}
                self.assertTrue(beds == {"tcg", "bochs"} or name == "refuses-*", (name, beds))


if __name__ == "__main__":
    unittest.main()
