# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of passthrough: a guest that drives a NIC of the machine by its registers (passed.c)."""
from cases import Case, config
from configs import Vm

E1000, E1000E = "<0x8086 0x100e>", "<0x8086 0x10d3>"


def nic(model, name="nic", behind_port=True):
    """QEMU's arguments: a NIC of that model whose wire leads nowhere"""
    port = ["-device", f"pcie-root-port,id={name}port,chassis=1"] if behind_port else []
    bus = f",bus={name}port" if behind_port else ""
    return [*port, "-netdev", f"hubport,hubid=0,id={name}net",
            "-device", f"{model},netdev={name}net,romfile=,id={name}{bus}"]


def passed(device, more=()):
    return Vm("pass", "passed.elf",
              more=[*more, "nic0 { compatible = \"lasthop,passthrough\"; "
                    f"pci-id = {device}; }};"])


BOCHS_NIC = ["e1000: enabled=1, mac=52:54:00:12:34:56, ethmod=null"]
LAX = 'bootargs = "lax=1";'
UNSAFE = ("role = \"driver-domain\";", "allow-unsafe-dma;")
GOOD = {"must_not": [r"\| FAIL "]}


def checks(confined):
    return [r"^pass\| \d+ checks, 0 failed$",
            r"\] vm pass: has .*, DMA " + ("confined by vtd$" if confined else "not confined$")]


def unsafe(line, check):
    """told at boot and in vm list; a driver domain is started again until it is stopped"""
    line.wait(r"\] vm pass: WARNING: no IOMMU: its devices can read and write all memory ")
    line.wait(r"^pass\| \d+ checks, 0 failed$")
    line.wait(r"\] vm pass: started, ")
    line.type("\r")
    line.wait(r"^lasthop> ")
    check("unsafe DMA: its devices can read and write all memory" in line.command("vm list"),
          "vm list tells of unsafe DMA")
    line.command("vm stop pass")


CASES_PASSTHROUGH = [
    Case("tcg-pass-e1000e", "tcg", config(passed(E1000E)), cpus=2, backend="svm",
         qemu=nic("e1000e"), must=[r"\| PASS storm: ", r", bus reset, ", *checks(True)], **GOOD),
    Case("tcg-pass-e1000", "tcg", config(passed(E1000)), cpus=2, backend="svm",
         qemu=nic("e1000", behind_port=False), must=checks(True), **GOOD),
    Case("tcg-pass-unsafe", "tcg", config(passed(E1000E, UNSAFE)), cpus=2, backend="svm",
         iommu="intremap=off", qemu=nic("e1000e"), talk=unsafe, ends={"pass": "stopped"},
         must=checks(False), **GOOD),
    # its NIC has INTx only, and says firmware's pin
    Case("bochs-pass-e1000", "bochs", config(passed(E1000, (*UNSAFE, LAX))), cpus=2, backend="vmx",
         bochsrc=BOCHS_NIC, talk=unsafe, ends={"pass": "stopped"}, must=checks(False), **GOOD),
]
