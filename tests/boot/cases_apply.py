# SPDX-License-Identifier: BSD-2-Clause
"""Cases of live change: `lasthop apply` against a machine with two VMs that ask and answer all the time, of
which it must not cost a packet."""
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import hooks
from cases import Case
from cases_mgmt import expect, verb
from cases_shell import ECHO, ended
from configs import Vm, config, pair
from lasthoplib import channel, paths

ASKING = pair(tests="tests=rr:64 transactions=1000000")
OTHER = replace(ECHO, name="other")
THIRD = Vm("third", "echo.elf", nets=("lan", "new"))


def source(line, name, text):
    """a config beside the line, as a file"""
    file = Path(line.second).with_suffix(f".{name}.dts")
    file.write_text(text)
    return str(file)


def counted(machine):
    """{(VM, counter): value} of the pair"""
    return {(vm.name, c["name"]): c["value"] for vm in ASKING
            for c in machine.call("stat.list", port=f"{vm.name}/net0")["counters"]}


def exchanged(machine, before, check):
    """since then the pair has gone on, and nothing of it was dropped; until its drivers ran, something may be"""
    since = {key: value - before[key] for key, value in counted(machine).items()}
    drops = {key: value for key, value in since.items() if "_drop_" in key[1] and value}
    check(not drops, f"the pair lost packets: {drops}" if drops else "the pair lost no packet")
    packets = since["source1", "tx_packets"]
    check(packets > 100, f"meanwhile the pair has exchanged {packets} packets")


def apply(line, check, file, *words, changes):
    """FILE is applied, or shown, and these are the differences: (sign of what, node, property)"""
    state = "shown" if "--dry-run" in words else "done"
    told = expect(line, check, "apply", file, *words, found=lambda t: t["state"] == state)
    got = {(c["what"][0], c["node"], c["property"]) for c in told.get("changes", [])}
    check(got == changes, f"the differences are {sorted(got)}" if got != changes else
          f"{len(got)} differences, as wanted")


def ports(machine):
    return [port["port"] for port in machine.call("port.list")["ports"]]


# a page for each CPU that comes to deal with one of four ports, once; the run's end shows that all comes back
COUNTERS_KIB = 4 * 4 * 2


def change(line, check):
    """a third VM, a switch and a policy; then one VM with other arguments, one gone; then files that the
    machine does not have; then all as before"""
    for _ in range(2):
        line.wait(r"^(echo|other)\| echo: ready$")
    first = source(line, "1", config(*ASKING, ECHO, OTHER))
    second = source(line, "2", config(*ASKING, ECHO, OTHER, THIRD, policy={"copy": "rep"}))
    third = source(line, "3", config(*ASKING, replace(ECHO, args="again"), policy={"copy": "rep"}))
    with channel.connect(line.second) as machine:
        while counted(machine)["source1", "tx_packets"] < 100:
            time.sleep(0.1)
        free, before = machine.call("vm.list")["free_kib"], counted(machine)
        more = {("a", "/vms/third", ""), ("a", "/new", ""), ("c", "/policy", "copy")}
        apply(line, check, second, "--dry-run", changes=more)
        now = machine.call("vm.list")["free_kib"]
        check(0 <= free - now <= COUNTERS_KIB, f"to look takes no memory: {free - now} KiB")
        apply(line, check, second, "--yes", changes=more)
        line.wait(r"^third\| echo: ready$")
        check("third/net1" in ports(machine), f"the ports are {', '.join(ports(machine))}")
        bad(line, machine, check)
        apply(line, check, third, "--yes", changes={("r", "/vms/third", ""), ("r", "/new", ""),
                                                    ("r", "/vms/other", ""), ("c", "/vms/echo", "bootargs")})
        check(names(machine) == ["sink1", "source1", "echo"] and len(ports(machine)) == 2,
              f"VMs are {names(machine)}, ports {ports(machine)}")
        line.wait(r"^echo\| echo: ready$")
        files(line, check)
        gone(line, machine, check)
        apply(line, check, first, "--yes", changes={("r", "/vms/fresh", ""), ("a", "/vms/other", ""),
                                                    ("c", "/vms/echo", "bootargs"), ("c", "/policy", "copy")})
        line.wait(r"^other\| echo: ready$")
        now = machine.call("vm.list")["free_kib"]
        check(0 <= free - now <= COUNTERS_KIB, f"{free - now} KiB of memory are used besides")
        exchanged(machine, before, check)
        for vm in (*ASKING, ECHO, OTHER):
            machine.call("vm.stop", vm=vm.name)
            ended(line, vm.name)


def files(line, check):
    """a new VM from a file that is new, then the same one from another file of that name and size"""
    vms = [*ASKING, replace(ECHO, args="again")]
    file = source(line, "files", config(*vms, Vm("fresh", "own.elf"), policy={"copy": "rep"}))
    own = Path(file).with_name("own.elf")
    subprocess.run(["strip", "-o", own, paths.guests() / "echo.elf"], check=True)    # each byte takes its time
    content = own.read_bytes()
    for word, changes in ((b"ready", {("a", "/vms/fresh", "")}), (b"other", {("c", "/vms/fresh", "kernel")})):
        own.write_bytes(content.replace(b"echo: ready", b"echo: " + word))
        begun = time.monotonic()
        apply(line, check, file, "--yes", changes=changes)
        check(hooks.SHOWN, f"{len(content) >> 10} KiB sent and applied in {time.monotonic() - begun:.1f} s")
        line.wait(rf"^fresh\| echo: {word.decode()}$")


def gone(line, machine, check):
    """a client that vanishes in the midst of it leaves nothing"""
    before = machine.call("vm.list")["free_kib"]
    other = channel.connect(line.second)
    session = other.open("apply.begin").result["session"]
    stream = other.open("apply.upload", session=session, name="large", bytes=8 << 20)
    stream.send(bytes(1000))
    taken = before - machine.call("vm.list")["free_kib"]
    other.line.close()
    for _ in range(200):
        left = before - machine.call("vm.list")["free_kib"]
        if 0 <= left <= COUNTERS_KIB:
            break
        time.sleep(0.1)
    check(taken >= 8 << 10 and 0 <= left <= COUNTERS_KIB, f"a client that vanished had {taken} KiB, and leaves {left}")


def names(machine):
    return [vm["vm"] for vm in machine.call("vm.list")["vms"]]


def bad(line, machine, check):
    """a config that cannot be had changes nothing"""
    before = machine.call("vm.list")
    file = source(line, "bad", config(*ASKING, replace(
        ECHO, memory_mib=100000, affinity=(7,), more=['role = "driver-domain";', 'nic { compatible = '
                                                      '"lasthop,passthrough"; pci-id = <1 1>; };'])))
    status, text, _ = verb(line, "apply", file, "--yes")
    for says in ("echo: memory-mib: 100000 MiB wanted", "CPU 7 is not there",
                 "echo/nic: cannot change while lasthop runs"):
        check(status == 1 and says in text, f"a bad config: {status}, {says!r} in {text[-300:]!r}")
    after = machine.call("vm.list")
    same = [(vm["vm"], vm["state"]) for vm in after["vms"]] == [
        (vm["vm"], vm["state"]) for vm in before["vms"]] and after["free_kib"] == before["free_kib"]
    check(same, "it changes nothing")


def apply_case(on, **more):
    vms = [*ASKING, ECHO, OTHER]
    return Case(f"{on}-apply", on, config(*vms), cpus=2, backend={"tcg": "svm", "bochs": "vmx"}[on],
                talk=change, second_line=True, ends={vm.name: "stopped" for vm in (*vms, THIRD, Vm("fresh", ""))}, **more)


CASES_APPLY = [apply_case("tcg"), apply_case("bochs")]
