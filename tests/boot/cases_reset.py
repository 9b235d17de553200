# SPDX-License-Identifier: BSD-2-Clause
"""Cases in which the machine is reset: the next boot tells how the one before it died, unless it ended
as somebody wanted."""
import re

from cases import RESETS, Case, fault
from configs import Vm, config
from lasthoplib import image
from lasthoplib.nics import Nic
from screenshot import ARGUMENTS, Monitor

HEADING = r"\] the boot before this one died; its last lines, which \"log died\" shows again:$"
AND_RESET = ["-action", "reboot=reset"]         # the test bed's -no-reboot comes before


def button(line, check):
    """by the button on the machine, then by the shell"""
    line.wait(r"^echo\| echo: ready$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    answer = line.command("log died")
    check("did not die, or left no log" in answer, f"log died, at first: {answer.strip()}")
    with Monitor(line.folder) as monitor:
        monitor.ask("system_reset")
    line.wait(HEADING)
    told = line.wait(r"^\[ *[0-9.]+\] acpi: ")
    lines = [row for row in told.splitlines() if row.startswith("died| ")]
    check(12 < len(lines) <= 40, f"{len(lines)} lines of the dead boot")
    check(any("] vm echo: started" in row for row in lines), "the VM's start is among them")
    line.wait(r"^echo\| echo: ready$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    answer = line.command("log died", logged=True)
    check([row for row in answer.splitlines() if row.startswith("died| ")] == lines, "log died shows the same lines")
    line.type("reset\r")
    line.wait(r"\] reset: by the user$")
    told = line.wait(r"^echo\| echo: ready$")
    check("lasthop: loader" in told and "died| " not in told, "the shell's reset is an orderly end")
    line.type("vm stop echo\r")
    line.wait(r"\] vm echo: ended: stopped: by the user$")
    check(True, "stopped")


def reset(on, name, **more):
    """a hypervisor that dies without a word"""
    case = fault(on, name)
    case.name = f"{on}-{name}-told"
    case.must = case.must[:2] + [HEADING, r"^died\| .*\] before the fault$",
                                 r"^died\| .*\] the first life's last words$"]
    for key, value in more.items():
        setattr(case, key, value)
    return case


# --- a boot that only tells what the machine has ---
def told(*rows, missing=False):
    """a hook: these features of (part, name) have the state; the log and the events say the same"""
    def hook(outcome):
        events = outcome.stream.of("feature")
        states = {(e["part"], e["name"]): e["state"] for e in events}
        wrong = {row[:2]: states.get(row[:2]) for row in rows if states.get(row[:2]) != row[2]}
        log = re.findall(r"\] check: +(\S+) +(.*): ([^:]+)$", outcome.serial(), re.M)
        same = [(e["part"], f"{e['where']} {e['name']}".strip(), e["state"]) for e in events] == log
        return [(not wrong, f"{len(rows)} features as wanted" + (f", but {wrong}" if wrong else "")),
                (same, f"the log has the same {len(events)} features as the events"),
                (("MISSING" in states.values()) == missing, "MISSING where wanted")]
    return hook


def check_only(name, on, *rows, says, missing=False, **more):
    """no config, and the file that says so"""
    return Case(f"{on}-check-{name}", on, None, cpus=2, ends={}, files={image.CHECK_ONLY: b""}, unchecked=True,
                must=[rf"\] check: {says}"], hooks=[told(*rows, missing=missing)], **more)


CHECKS = [
    check_only("svm", "tcg", ("CPU", "all CPUs alike", "ok"), ("SVM", "nested paging (NPT)", "ok"),
               ("VT-d", "interrupt remapping", "ok"), ("NIC", "MSI-X or MSI", "ok"),
               ("NIC", "bundled driver (else Linux as driver domain)", "ok"), says="lasthop can run here",
               nics=[Nic("e1000e")]),
    check_only("nothing", "tcg", ("CPU", "VT-x or SVM (AMD-V)", "MISSING"), says="lasthop cannot run here",
               missing=True, qemu=["-cpu", "qemu64,-svm"]),
    check_only("vmx", "bochs", ("VT-x", "extended page tables (EPT)", "ok"), ("apicv", "posted interrupts", "ok"),
               ("VT-d", "remapping units (table DMAR)", "missing (optional)"), says="lasthop can run here"),
]

CASES_RESET = [
    Case("tcg-reset-button", "tcg", config(Vm("echo", "echo.elf")), cpus=1, backend="svm", talk=button,
         ends={"echo": "stopped"}, qemu=ARGUMENTS + AND_RESET),
    *(reset("tcg", name, qemu=AND_RESET) for name in RESETS),
    reset("bochs", "reset"),
    *CHECKS,
]
