# SPDX-License-Identifier: BSD-2-Clause
"""What kills a driver domain: the user at the shell, or a key at the console of one that is made for it
(tests/boot/mortal)."""
from .console import Failure
from .serialline import NEXT_CONSOLE

KERNEL = "mortal.elf"
TRIES, PATIENCE = 3, 60         # seconds
# how: (what is done, what it ends as)
FAULTS = {"restart": ("vm restart netd", "restart"), "triple fault": ("c", "crash"),
          "failure": ("f", "failed"), "hang": ("h", "hang")}


def _key(line, which, consoles):
    """typed at the console of netd, the first VM; then back to the log. Typed again if nothing comes of it: a
    guest that has just begun may throw away what was typed before"""
    for left in reversed(range(TRIES)):
        line.type(NEXT_CONSOLE)
        line.wait(r"^\[netd: ")
        line.type(which)
        try:
            line.wait(rf"^mortal: {which}$", PATIENCE)     # or one of an earlier life, replayed
        except Failure:
            pass
        line.type(NEXT_CONSOLE * consoles)
        line.wait(r"^\[log and shell: ")
        try:
            line.wait(r"\] uplink [^ ]+: down$", PATIENCE)
            return
        except Failure:
            if not left:
                raise


def fault(line, how, consoles):
    """netd is the first of so many VMs; the shell has been spoken to"""
    what, _ = FAULTS[how]
    if len(what) == 1:
        _key(line, what, consoles)
    else:
        line.command(what)
