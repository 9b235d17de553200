# SPDX-License-Identifier: BSD-2-Clause
"""NICs of an emulated machine: those that a config passes through to its VMs.

Each is behind a root port of its own, as in a PC of today: bus 1, 2, ... in the config's order. The
e1000 is older than PCI Express: it is on bus 0.
"""
import struct
from dataclasses import dataclass

from .console import Failure

COMPATIBLE = b"lasthop,passthrough\0"
MODELS = {(0x8086, 0x100e): "e1000", (0x8086, 0x10d3): "e1000e", (0x1af4, 0x1041): "virtio"}
USUAL = "e1000e"                # where the config names a place only
QEMU = {"e1000": "e1000", "e1000e": "e1000e",
        "virtio": "virtio-net-pci,disable-legacy=on,iommu_platform=on"}
ON_BUS_0 = ("e1000",)
FIRST_PORT, FIRST_ON_BUS_0 = 0x10, 0x08     # slots of bus 0
MOST = 8


@dataclass
class Nic:
    model: str
    net: str = "user"           # QEMU's network behind it, without its id


def of_config(devices):
    """the NICs for these passthrough nodes, [{property: bytes}]; a Failure that says which there is
    none of"""
    found = []
    for node in devices:
        if node.get("compatible") != COMPATIBLE:
            continue
        number = node.get("pci-id", b"")
        which = struct.unpack(">2I", number) if len(number) == 8 else None
        if which and which not in MODELS:
            raise Failure(f"pci-id <{which[0]:#x} {which[1]:#x}>: no test bed has such a device: " +
                          ", ".join(f"<{v:#x} {d:#x}> {name}" for (v, d), name in MODELS.items()))
        found.append(Nic(MODELS[which] if which else USUAL))
    return found[:MOST]


def qemu_arguments(nics):
    words = []
    for i, nic in enumerate(nics):
        place = f"addr={FIRST_ON_BUS_0 + i:#x}"
        if nic.model not in ON_BUS_0:
            words += ["-device", f"pcie-root-port,id=port{i},chassis={i + 1},addr={FIRST_PORT + i:#x}"]
            place = f"bus=port{i}"
        kind, _, options = nic.net.partition(",")
        words += ["-netdev", ",".join(filter(None, (kind, f"id=wire{i}", options))),
                  "-device", f"{QEMU[nic.model]},id=nic{i},netdev=wire{i},romfile=,{place}"]
    return words
