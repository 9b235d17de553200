#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Is the table of a machine's features told rightly, and are console fonts read as they are?"""
import json
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lasthoplib import host, paths, psf         # noqa: E402
from lasthoplib.console import Failure          # noqa: E402


def feature(state, name="f", part="CPU", where=""):
    return {"part": part, "where": where, "name": name, "state": state}


class Host(unittest.TestCase):
    def test_verdict(self):
        for states, told in (((host.OK, host.LESS), "lasthop can run here"),
                             ((host.OK, host.UNKNOWN), "lasthop may run here: 1 feature unknown"),
                             ((host.UNKNOWN, host.MISSING), "lasthop cannot run here: 1 feature MISSING")):
            self.assertTrue(host.verdict(list(map(feature, states))).startswith(told), states)

    def test_table(self):
        lines = host.table([feature(host.OK, "long name"), feature(host.LESS, "FLR", "NIC", "00:03.0")])
        self.assertEqual(lines, ["PART  FEATURE      STATE", "CPU   long name    ok",
                                 "NIC   00:03.0 FLR  missing (optional)"])

    def test_this_machine(self):
        """whatever it is: the program's lines are what the verb shows"""
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            done = subprocess.run([ROOT / "scripts/lasthop", "check", "--host", "--json", out.name],
                                  capture_output=True, text=True)
            made = json.loads(Path(out.name).read_text())
        self.assertEqual(made["features"], host.features())
        self.assertEqual(done.stdout.splitlines()[:-1], host.table(made["features"]))
        self.assertEqual(done.returncode, 0 if made["usable"] else 1)
        self.assertIn(feature(host.OK, "64-bit mode"), made["features"])

    def test_the_mend_of_a_program_that_is_missing(self):
        for installed, mend in ((False, "call make first"), (True, "install the package lasthop again")):
            with mock.patch.multiple(paths, INSTALLED=installed, checker=lambda: Path("/nowhere")), \
                    self.assertRaisesRegex(Failure, f"no /nowhere: {mend}"):
                host.features()

    def test_what_to_check(self):
        for words in ([], ["--host", "examples/bench.dts"]):
            done = subprocess.run([ROOT / "scripts/lasthop", "check", *words], capture_output=True, text=True,
                                  cwd=ROOT)
            self.assertEqual((done.returncode, done.stderr),
                             (2, "error: check: name a config, or say --host\n"))


class Psf(unittest.TestCase):
    def load(self, data):
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            return psf.load(file.name)

    def test_formats(self):
        glyphs = [bytes([n]) * 16 for n in range(256)]
        one = psf.PSF1 + bytes([psf.PSF1_TABLE, 16]) + b"".join(glyphs) + struct.pack(
            "<7H", 0x41, 0xffff, 0x42, 0x410, 0xfffe, 0x43, 0xffff)
        two = psf.PSF2 + struct.pack("<7I", 0, 32, psf.PSF2_TABLE, 2, 16, 16, 8) + glyphs[0] + glyphs[1] + \
            b"A\xff" + "B\u0410".encode() + b"\xfeC\xff"
        for data in (one, two):
            font = self.load(data)
            self.assertEqual((font.width, font.height), (8, 16))
            self.assertEqual(font.codes, {0x41: 0, 0x42: 1, 0x410: 1})
            self.assertEqual(font.glyphs[:2], glyphs[:2])

    def test_no_font(self):
        for data in (b"", b"PNG", psf.PSF1 + b"\0\x10" + bytes(256 * 16), psf.PSF1 + b"\2\x10" + bytes(100)):
            with self.assertRaises((ValueError, struct.error)):
                self.load(data)


if __name__ == "__main__":
    unittest.main()
