# SPDX-License-Identifier: BSD-2-Clause
"""Cases in which somebody sits at the serial line: the shell, and the consoles of the guests.

A case's `talk` is a function of the SerialLine and of check(good, fact); it must see that all VMs
end, since that ends the run.
"""
import re
import time

from cases import MEASURED, Case
from configs import Vm, config, ends, pair
from lasthoplib.serialline import NEXT_CONSOLE

COMMANDS = ("help", "vm list", "port", "fdb", "stat", "set", "log")


def long_pair(transactions=20000):
    """two VMs that are busy for longer than somebody types"""
    return pair(tests=f"tests=stream:64,stream:1514,rr:64 packets=2000 transactions={transactions}")


def states(line):
    """{VM: state} and the free memory in KiB, as vm list shows them"""
    answer = line.command("vm list")
    free = re.search(r"^memory: (\d+) of \d+ KiB free$", answer, re.M)
    rows = re.findall(r"^(\S+) +(running|paused|off|ending|starting) ", answer, re.M)
    return dict(rows), int(free[1]) if free else 0


def done(line, check, command):
    answer = line.command(command)
    verb, name = command.split()[1:]
    check(answer == f"vm {verb}: {name}: done\n", f"{command}: {answer.strip()}")


def ended(line, name, how="stopped: by the user"):
    line.wait(rf"\] vm {name}: ended: {how}$")


def tables(line, check):
    """every command answers with at most 80 columns"""
    for command in COMMANDS + ("help stat", "stat sink1/net0", "log 5"):
        rows = line.command(command, logged=command.startswith("log")).splitlines()
        wide = [row for row in rows if len(row) > 80 and not command.startswith("log")]
        check(rows and not wide, f"{command} answers in {len(rows)} lines"
              + (f", but {wide[0]!r} is too long" if wide else ""))
    answer = line.command("stat sink1/net0")
    check(re.search(r"^tx_packets +[1-9]\d* packets ", answer, re.M), "stat counts packets")
    rows = line.command("port sink1/net0").splitlines()
    check(len(rows) > 11 and re.match(r"csum +yes +(yes|no) +(yes|no) ", rows[3]),
          f"port sink1/net0 shows {len(rows)} rows, the first offload: {rows[3]}")
    check("source1/net0" in line.command("fdb"), "fdb knows the source's address")
    for wrong, says in (("frobnicate", 'no command "frobnicate"'), ("vm stop", "which VM?"),
                        ("vm stop nobody", "there is no VM of that name"),
                        ("stat nobody/net0", 'no port "nobody/net0"'),
                        ("vm frob sink1", 'no command "frob"'), ("vm dump nobody", "does not run"),
                        ("port sink1/net0 left", "up or down?"), ("fdb x", "wrong number of words"),
                        ("log x", "is no number"), ("set x 1", 'no policy "x"'),
                        ("set batching maybe", "batching takes off, on"),
                        ("set batch-packets 0", "batch-packets takes 1 to "),
                        ("port 1 2 3 4 5", "wrong number of words")):
        answer = line.command(wrong)
        check(says in answer and answer.count("\n") == 1, f"{wrong}: {answer.strip()}")


def policies(line, check):
    """each is changed and changed back, while the pair measures"""
    rows = re.findall(r"^(\S+) +(\S+) +of (\w+)(?:, (\w+))?", line.command("set"), re.M)
    for name, value, *others in rows:
        other = next(word for word in others if word != value)
        for new in (other, value):
            answer = line.command(f"set {name} {new}")
            check(answer == f"set: {name} is {new}\n", f"set {name} {new}: {answer.strip()}")
    check(len(rows) > 5 and rows == re.findall(
        r"^(\S+) +(\S+) +of (\w+)(?:, (\w+))?", line.command("set"), re.M),
        f"{len(rows)} policies are as they were")


def asked(line, command):
    """the answer, once the VM that has ended is gone for good: its last words go out before"""
    for _ in range(100):
        answer = line.command(command)
        if "try again" not in answer:
            break
        time.sleep(0.1)
    return answer


def settled(line, name):
    """states(), once the VM that has ended is gone for good, and its memory is back"""
    for _ in range(100):
        told = states(line)
        if told[0][name] == "off":
            break
        time.sleep(0.1)
    return told


def life(line, check):
    """every change of echo's state, while the pair measures"""
    line.wait(r"^echo\| echo: ready$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    check(states(line)[0]["echo"] == "running", "echo runs")
    done(line, check, "vm pause echo")
    check(states(line)[0]["echo"] == "paused", "vm list shows it paused")
    line.command("vm dump echo")
    line.wait(r"\] vm echo: vCPU 0: rip [0-9a-f]{16} ")
    done(line, check, "vm resume echo")
    line.command("vm dump echo")
    line.wait(r"\] vm echo: vCPU 0: rip [0-9a-f]{16} ")
    check(True, "a paused and a sleeping vCPU show their registers")
    done(line, check, "vm restart echo")
    line.wait(r"^echo\| echo: ready$")
    done(line, check, "vm stop echo")
    ended(line, "echo")
    check(states(line)[0]["echo"] == "off", "vm list shows it off")
    answer = asked(line, "vm pause echo")
    check("it does not run" in answer, f"vm pause echo: {answer.strip()}")
    answer = line.command("vm start sink1")
    check("it runs already" in answer, f"vm start sink1: {answer.strip()}")
    done(line, check, "vm start echo")
    line.wait(r"^echo\| echo: ready$")
    tables(line, check)
    policies(line, check)
    console(line, check)


def console(line, check):
    """Ctrl-] to the first VM, whose console is replayed; what is typed there arrives"""
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[echo: Ctrl-\] for the next console\]$")
    line.wait(r"^echo: ready$")
    check(True, "the console is replayed to who attaches")
    line.type("hello\r")
    line.wait(r"^echo: hello$")
    line.type("one line, then at once another of more than sixteen characters\rsecond\r")
    line.wait(r"^echo: one line, then at once another of more than sixteen characters$")
    line.wait(r"^echo: second$")
    check(True, "what is typed arrives at the guest, and nothing of it is lost")
    line.type("bye\r" + NEXT_CONSOLE)
    line.wait(r"^\[sink1: ")
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[source1: ")
    line.type(NEXT_CONSOLE)
    line.wait(r"^\[log and shell: ")
    line.wait(r"^echo\| echo: bye$")
    line.type("\r" + NEXT_CONSOLE + "again\r" + NEXT_CONSOLE * 3)
    line.wait(r"^\[log and shell: ")
    line.wait(r"^echo\| echo: again$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    check(True, "Ctrl-] goes round, and what was typed just before it arrives")
    line.type("vm lost\x15vm lisx\bt\r")        # Ctrl-U, and a backspace
    line.wait(r"^lasthop> vm list$")
    line.wait(r"^lasthop> ")
    done(line, check, "vm stop echo")


def flood(line, check):
    """a guest that prints for ever: the others, the shell and the log go on"""
    line.wait(r"^echo\| echo: ready$")
    line.type(NEXT_CONSOLE + "flood\r")
    line.wait(r"^flood 100: ")
    line.type(NEXT_CONSOLE * 3)
    line.wait(r"^\[log and shell: ")
    line.wait_all(r"^echo\| flood \d+: ", r"\] vm sink1: ended: ok$", seconds=600)
    check(True, "the others measure in the flood")
    check(states(line)[0]["echo"] == "running", "the shell answers in the flood")
    done(line, check, "vm stop echo")


def cycles(count):
    """a VM started and stopped again and again gives back all its memory"""
    def talk(line, check):
        line.wait(r"^cycled\| echo: ready$")
        line.type("\r")
        line.wait(r"^lasthop> ")
        line.command("vm stop cycled")
        ended(line, "cycled")
        before = settled(line, "cycled")
        for _ in range(count):
            asked(line, "vm start cycled")
            line.wait(r"^cycled\| echo: ready$")
            line.command("vm stop cycled")
            ended(line, "cycled")
        after = settled(line, "cycled")
        check(before == after and before[1], f"{before[1]} KiB free after a VM was stopped, "
              f"{after[1]} after {count} more times")
        done(line, check, "vm stop echo")
    return talk


def shell_case(name, vms, talk, end, on="tcg", **more):
    return Case(f"{on}-shell-{name}", on, config(*vms), cpus=2,
                backend={"tcg": "svm", "bochs": "vmx"}[on], talk=talk, ends=ends(vms, **end), **more)


def life_case(on, transactions):
    return shell_case("life", [ECHO, *long_pair(transactions)], life, {"echo": "stopped"}, on,
                      results=MEASURED)


def cycles_case(name, on, count):
    return shell_case(name, [ECHO, Vm("cycled", "echo.elf")], cycles(count),
                      {"echo": "stopped", "cycled": "stopped"}, on, limit=900 + 2 * count)


ECHO = Vm("echo", "echo.elf")
CASES_SHELL = [
    life_case("tcg", 20000),
    life_case("bochs", 60000),
    shell_case("flood", [ECHO, *long_pair()], flood, {"echo": "stopped"}, results=MEASURED),
    cycles_case("cycles", "tcg", 50),
    cycles_case("cycles", "bochs", 10),
]
SOAK_SHELL = [cycles_case("cycles-1000", on, 1000) for on in ("tcg", "bochs")]
