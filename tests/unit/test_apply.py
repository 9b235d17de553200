#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does an apply that leaves no guest running count as done though the machine ends with it, and no other that
finds its machine gone?"""
import io
import sys
import unittest
from pathlib import Path
from types import SimpleNamespace

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import apply, channel               # noqa: E402
from lasthoplib.console import Failure, Progress    # noqa: E402


def vm(name, disabled=False, driver_domain=False):
    return SimpleNamespace(name=name, disabled=disabled, driver_domain=driver_domain)


def change(what, name, effect="start/stop", to=""):
    return {"what": what, "node": f"/vms/{name}", "property": "", "effect": effect, "from": "", "to": to}


class Machine:
    """of these VMs; it ends, or dies, when it is asked for the second time how far it is"""

    def __init__(self, broken=channel.ENDED, **states):
        self.states, self.asked, self.dies, self.broken = states, 0, broken, ""

    def call(self, method):
        if method == "vm.list":
            return {"vms": [{"vm": name, "state": state} for name, state in self.states.items()]}
        self.asked += 1
        if self.asked > 1:
            self.broken = self.dies
            raise Failure("the line is gone")
        return {"state": "stops", "done": 0, "of": 0, "why": ""}


class Ends(unittest.TestCase):
    def test_which_applies_end_the_machine(self):
        for ends, vms, changes in (
                (True, [], [change("removed", "a")]),
                (True, [vm("a", disabled=True)], [change("changed", "a", to="disabled")]),
                (True, [vm("off")], [change("removed", "a")]),
                (True, [vm("netd", driver_domain=True)], [change("removed", "a")]),
                (False, [vm("a")], [change("changed", "off", "live")]),
                (False, [vm("off")], [change("removed", "a"), change("changed", "off", "restart")]),
                (False, [vm("new")], [change("removed", "a"), change("added", "new")]),
                (True, [vm("new", disabled=True)], [change("removed", "a"), change("added", "new")])):
            machine = Machine(a="running", off="off", netd="running")
            self.assertEqual(apply.ends_all(machine, SimpleNamespace(vms=vms), changes), ends, changes)

    def test_the_end_of_the_machine(self):
        progress = Progress(io.StringIO())
        self.assertEqual(apply.follow(Machine(), progress, True)["state"], "done")
        for machine, ends in ((Machine(), False), (Machine("Input/output error"), True)):
            with self.assertRaises(Failure):
                apply.follow(machine, progress, ends)


if __name__ == "__main__":
    unittest.main()
