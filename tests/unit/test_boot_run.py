# SPDX-License-Identifier: BSD-2-Clause
"""The boot tests' own judgement: which failures are expected, and which deaths of the test bed are its own."""
import contextlib
import importlib.util
import io
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

sys.dont_write_bytecode = True

ROOT = Path(__file__).resolve().parents[2]
sys.path[1:1] = [str(ROOT / folder) for folder in ("scripts", "tests", "tests/boot")]
spec = importlib.util.spec_from_file_location("boot_run", ROOT / "tests/boot/run.py")
run = importlib.util.module_from_spec(spec)
sys.modules["boot_run"] = run
spec.loader.exec_module(run)

CASE = SimpleNamespace(name="case")
DEATH = ("qemu: ../../hw/net/e1000e_core.c:169: e1000e_intrmgr_on_msix_throttling_timer: Assertion "
         "`msix_enabled(timer->core->owner)' failed.")


class Expected(unittest.TestCase):
    def settled(self, *facts):
        report = run.Report("case", "as known", "lacks .*NMI")
        for good, fact in facts:
            report.check(good, fact)
        report.settle()
        return report.passed, report.failed

    def test_the_check_that_is_known_to_fail(self):
        self.assertEqual(self.settled((True, "booted"), (False, "serial log lacks /an NMI/")), (1, 0))

    def test_another_check_fails(self):
        self.assertEqual(self.settled((False, "serial log lacks /an NMI/"), (False, "booted")), (0, 2))
        self.assertEqual(self.settled((True, "serial log lacks /an NMI/"), (False, "booted")), (1, 1))

    def test_nothing_fails(self):
        self.assertEqual(self.settled((True, "booted"))[1], 1)


class Again(unittest.TestCase):
    def ran(self, *words):
        """how many times a case is run whose machine says so each time, and how many checks fail at last"""
        runs, reports = [], {}

        def once(case, _here):
            report = run.Report(case.name)
            report.words = [words[len(runs)]]
            runs.append(report)
            report.check(not report.words[0], "ended")
            return report

        with mock.patch.object(run, "run_once", once), contextlib.redirect_stdout(io.StringIO()) as out:
            run.run_case(CASE, reports, False, True)
        self.assertEqual(out.getvalue().count("begun again"), len(runs) - 1)
        return len(runs), reports["case"].failed

    def test_a_fault_of_the_test_bed(self):
        self.assertEqual(self.ran(DEATH, ""), (2, 0))
        self.assertEqual(self.ran(DEATH, DEATH, DEATH), (3, 1))

    def test_any_other_death(self):
        self.assertEqual(self.ran("qemu: e1000e_core.c:169: Assertion", ""), (1, 1))
        self.assertEqual(self.ran(""), (1, 0))


if __name__ == "__main__":
    unittest.main()
