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


UNSAFE = ("role = \"driver-domain\";", "allow-unsafe-dma;")

CASES_PASSTHROUGH = [
    Case("tcg-pass-e1000e", "tcg", config(passed(E1000E, UNSAFE)), cpus=2, backend="svm",
         qemu=nic("e1000e"),
         must=[r"\| PASS storm: ", r"^pass\| \d+ checks, 0 failed$"],
         must_not=[r"\| FAIL "]),
    Case("tcg-pass-e1000", "tcg", config(passed(E1000, UNSAFE)), cpus=2, backend="svm",
         qemu=nic("e1000", behind_port=False), must=[r"^pass\| \d+ checks, 0 failed$"],
         must_not=[r"\| FAIL "]),
]
