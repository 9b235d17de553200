# SPDX-License-Identifier: BSD-2-Clause
"""Cases in which somebody looks at the machine's screen, and uses its keyboard."""
from cases import FAULTS, HELLO, Case
from cases_reset import AND_RESET, HEADING
from configs import Vm, config
from screenshot import ARGUMENTS, Monitor, same_as_serial


def compared(monitor, line, check, columns, what):
    shown, wrong = same_as_serial(monitor, line.folder, columns)
    check(len(shown) > 10 and not wrong, f"{what}: {len(shown)} rows on the screen are the serial line's"
          + (f", but not {wrong[0]}" if wrong else ""))
    return shown


def at_keyboard(columns):
    """the shell and a guest's console are used without the serial line"""
    def talk(line, check):
        line.wait(r"^echo\| echo: ready$")
        with Monitor(line.folder) as monitor:
            monitor.type("vm list\n")
            line.wait(r"^lasthop> vm list$")
            line.wait(r"^echo +running ")
            monitor.type("Help Me\n")
            line.wait(r'^no command "Help"')
            check(True, "the shell answers to the keyboard")
            shown = compared(monitor, line, check, columns, "the shell")
            check(any(row.startswith("echo ") and " running " in row for row in shown), "vm list is on it")
            monitor.type("\x1d")
            line.wait(r"^\[echo: Ctrl-\] for the next console\]$")
            monitor.type("from the keyboard\n")
            line.wait(r"^echo: from the keyboard$")
            compared(monitor, line, check, columns, "a guest's console")
            monitor.type("\x1d")
            line.wait(r"^\[log and shell: ")
            monitor.type("vm stop echo\n")
            line.wait(r"\] vm echo: ended: stopped: by the user$")
    return talk


def screen_case(name, columns, **more):
    return Case(f"tcg-screen-{name}", "tcg", config(Vm("echo", "echo.elf")), cpus=2, backend="svm",
                talk=at_keyboard(columns), ends={"echo": "stopped"},
                qemu=ARGUMENTS + more.pop("qemu", []), **more)


def panic_shown(line, check):
    line.wait(r"\] stopped$")
    with Monitor(line.folder) as monitor:
        shown = compared(monitor, line, check, 160, "the panic")
        check(any("panic: CPU 0: " in row for row in shown) and any("fault_here+0x" in row for row in shown),
              "the reason and the back trace are on the screen")
        monitor.ask("system_reset")
    line.wait(HEADING)
    lines = [row for row in line.wait(r"^\[ *[0-9.]+\] acpi: ").splitlines() if row.startswith("died| ")]
    check(20 < len(lines) <= 40 and lines[-1].endswith("] stopped") and any("] panic: CPU 0: " in row for row in lines)
          and any("fault_here+0x" in row for row in lines), "after a reset, the next boot shows the panic's last lines")


CASES_SCREEN = [
    screen_case("keyboard", 160, must=[r"\] screen: 1280 x 800 pixels of 32 bits, 50 rows of 160 characters$",
                                       r"\] keyboard: at the PS/2 port, US layout$"]),
    # memory that the firmware has reserved, instead of a device's; another size
    screen_case("ramfb", 160, qemu=["-vga", "none", "-device", "ramfb"]),
    Case("tcg-screen-panic", "tcg", HELLO, cpus=2, ended="panic", ends={},
         efi=f"test/fault-{FAULTS.index('null-write')}.EFI", qemu=ARGUMENTS + AND_RESET, talk=panic_shown),
]
