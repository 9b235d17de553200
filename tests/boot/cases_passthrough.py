# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of passthrough: a guest that drives a NIC of the machine by its registers (passed.c)."""
import re

from cases import Case, config, refused
from cases_driver import netd
from configs import Vm
from lasthoplib.nics import Nic

E1000, E1000E = "<0x8086 0x100e>", "<0x8086 0x10d3>"


def passed(device, more=(), name="pass", chosen_by="pci-id"):
    return Vm(name, "passed.elf",
              more=[*more, "nic0 { compatible = \"lasthop,passthrough\"; "
                    f"{chosen_by} = {device}; }};"])


BOCHS_NIC = ["e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=null"]
WIRE = "hubport,hubid=0"                    # that leads nowhere
STAY, LAX = (f'bootargs = "{args}";' for args in ("stay=1", "stay=1 lax=1"))
RESTARTED = (Vm("loop", "loop.elf", nets=("lan",)),
             netd("e1000e", args="watchdog=60000"))
UNSAFE = ("role = \"driver-domain\";", "allow-unsafe-dma;")
GOOD = {"must_not": [r"\| FAIL "]}


def checks(confined):
    return [r"^pass\| \d+ checks, 0 failed$",
            r"\] vm pass: has .*, DMA " + ("confined by vtd$" if confined else "not confined$")]


def unsafe(line, check):
    """told at boot and in vm list"""
    line.wait(r"\] vm pass: WARNING: no IOMMU: its devices can read and write all memory ")
    line.wait(r"^pass\| \d+ checks, 0 failed$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    check("unsafe DMA: its devices can read and write all memory" in line.command("vm list"),
          "vm list tells of unsafe DMA")
    line.command("vm stop pass")


def cannot(name, on, vms, says, **more):
    """before anything is started"""
    return refused(f"passthrough-{name}", on, config(*vms), rf"\] lasthop\.dtb: /vms/pass/{says}",
                   r"\] cannot start: the config has errors, see above", **more)


def restarts(line, check):
    """paused, resumed, restarted: the device comes and goes with its VM, and nothing is left behind"""
    line.wait(r"\] uplink netd/up0: up$")
    line.type("\r")
    line.wait(r"^lasthop> ")
    free = []
    for command in ["vm pause netd", "vm resume netd"] + 5 * ["vm restart netd"]:
        answer = line.command(command)
        check(answer.endswith(": done\n"), f"{command}: {answer.strip()}")
        if "restart" in command:
            line.wait(r"\] uplink netd/up0: up again after \d+ ms$")
            free.append(int(re.search(r"^memory: (\d+) of", line.command("vm list"), re.M)[1]))
    # a page of counters for each of the two CPUs that has come to deal with the uplink in this life
    check(max(free) - min(free) <= 2 * 4, f"free memory after each: {', '.join(map(str, free))} KiB")
    line.command("vm stop loop")


CASES_PASSTHROUGH = [
    Case("tcg-pass-e1000e", "tcg", config(passed(E1000E)), cpus=2, backend="svm",
         nics=[Nic("e1000e", WIRE)], must=[r"\| PASS storm: ", r", bus reset, ", *checks(True)], **GOOD),
    Case("tcg-pass-e1000", "tcg", config(passed(E1000)), cpus=2, backend="svm",
         nics=[Nic("e1000", WIRE)], must=checks(True), **GOOD),
    Case("tcg-pass-unsafe", "tcg", config(passed(E1000E, (*UNSAFE, STAY))), cpus=2, backend="svm",
         iommu="intremap=off", nics=[Nic("e1000e", WIRE)], talk=unsafe, ends={"pass": "stopped"},
         must=checks(False), **GOOD),
    Case("tcg-pass-restart", "tcg", config(*RESTARTED), cpus=2, backend="svm",
         nics=[Nic("e1000e", WIRE)], talk=restarts,
         ends={"loop": "stopped", "netd": "running"}),
    # its NIC has INTx only, and says firmware's pin
    Case("bochs-pass-e1000", "bochs", config(passed(E1000, (*UNSAFE, LAX))), cpus=2, backend="vmx",
         bochsrc=BOCHS_NIC, talk=unsafe, ends={"pass": "stopped"}, must=checks(False), **GOOD),
    *(cannot(name, on, vms, says, **more) for name, on, vms, says, more in (
        ("absent", "tcg", [passed('"00:1e.0"', chosen_by="pci-address")],
         r"nic0: pci-address: there is no PCI function 00:1e\.0 in this machine\. It has ", {}),
        ("second", "tcg", [passed(E1000E, name="first"), passed(E1000E)],
         r"nic0: pci-id: there is no PCI function 8086:10d3 in this machine that no other node has",
         {"nics": [Nic("e1000e", WIRE)]}),
        ("conventional", "tcg", [passed(E1000)],
         r"nic0: pci-id: [0-9a-f]{2}:01\.0 is on a conventional bus, where the IOMMU cannot tell it from others: ",
         {"qemu": ["-device", "pcie-pci-bridge,id=bridge", "-device", "e1000,bus=bridge,addr=1,romfile="]}),
        ("no-iommu", "bochs", [passed(E1000)],
         r"nic0: pci-id: this machine has no IOMMU, so that 00:[0-9a-f]{2}\.0 could read and write "
         "all memory: ", {"bochsrc": BOCHS_NIC}))),
]
