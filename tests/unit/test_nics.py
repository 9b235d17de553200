#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does an emulated machine get the NICs that a config passes through, and does a hostile blob cost nothing?"""
import struct
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import dts, fdt, nics               # noqa: E402
from lasthoplib.console import Failure              # noqa: E402

SOURCE = """\
/dts-v1/;
/ {
    compatible = "lasthop,config-1";
    lan: switch { compatible = "lasthop,switch"; };
    vms {
        netd {
            compatible = "lasthop,vm"; role = "driver-domain"; memory-mib = <16>; kernel = "a.elf";
            %s
            net0 { compatible = "lasthop,net"; switch = <&lan>; uplink; };
        };
    };
};
"""


def node(name, place):
    return f'{name} {{ compatible = "lasthop,passthrough"; {place} }};'


class Nics(unittest.TestCase):
    def of(self, *nodes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "c.dts")
            path.write_text(SOURCE % " ".join(nodes))
            config = dts.Config(path)
        return nics.of_config([d for vm in config.vms for d in vm.devices])

    def test_by_id_and_by_address(self):
        found = self.of(node("a", "pci-id = <0x8086 0x100e>;"), node("b", "pci-id = <0x1af4 0x1041>;"),
                        node("c", 'pci-address = "03:00.0";'))
        self.assertEqual([n.model for n in found], ["e1000", "virtio", "e1000e"])
        self.assertEqual(self.of(), [])

    def test_none_has_it(self):
        with self.assertRaisesRegex(Failure, r"<0x1234 0x1>: no test bed has such a device: <0x8086 0x100e>"):
            self.of(node("a", "pci-id = <0x1234 1>;"))

    def test_arguments(self):
        words = " ".join(nics.qemu_arguments([nics.Nic("e1000e"), nics.Nic("e1000", "tap,ifname=w")]))
        self.assertIn("pcie-root-port,id=port0,chassis=1", words)
        self.assertIn("user,id=wire0 -device e1000e,id=nic0,netdev=wire0,romfile=,bus=port0", words)
        self.assertIn("tap,id=wire1,ifname=w -device e1000,id=nic1,netdev=wire1,romfile=,addr=", words)
        self.assertEqual(nics.qemu_arguments([]), [])

    def test_a_blob_of_any_content(self):
        """what the parser of the hypervisor refuses, the host's reader survives"""
        for number in (b"", b"abc", struct.pack(">3I", 1, 2, 3)):
            self.assertEqual(nics.of_config([{"compatible": nics.COMPATIBLE, "pci-id": number}])[0].model,
                             nics.USUAL)
        self.assertEqual(nics.of_config([{"compatible": b"lasthop,net\0"}, {}]), [])
        self.assertEqual(len(nics.of_config([{"compatible": nics.COMPATIBLE}] * 100)), nics.MOST)
        self.assertEqual(fdt.vms(b"\xd0\x0d\xfe\xed" + bytes(100)), [])


if __name__ == "__main__":
    unittest.main()
