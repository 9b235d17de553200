# SPDX-License-Identifier: BSD-2-Clause
"""What kills a driver domain: the user at the shell, or a key at the console of one that is made for it
(tests/boot/mortal)."""
from .serialline import NEXT_CONSOLE

KERNEL = "mortal.elf"
# how: (what is done, what it ends as)
FAULTS = {"restart": ("vm restart netd", "restart"), "triple fault": ("c", "crash"),
          "failure": ("f", "failed"), "hang": ("h", "hang")}


def _key(line, which, consoles):
    """typed at the console of netd, the first VM; then back to the log"""
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[netd: ")
    line.type(which)
    line.wait(rf"^mortal: {which}$")
    line.type(NEXT_CONSOLE * consoles)
    line.wait(r"^\[log and shell: ")


def fault(line, how, consoles):
    """netd is the first of so many VMs; the shell has been spoken to"""
    what, _ = FAULTS[how]
    if len(what) == 1:
        _key(line, what, consoles)
    else:
        line.command(what)
