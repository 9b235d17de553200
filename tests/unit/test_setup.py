#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does set-up without root name what is missing, and stop? Is the package that BOCHS_DEB names taken
where the archive has none that fits, and only there; and what is said if it cannot be?

Nothing is downloaded: unpacking the archive's packages and the repair are faked, the package is ours.
"""
import gzip
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import bochsroot, paths    # noqa: E402
from lasthoplib.console import Failure    # noqa: E402

NO_ARCHIVE = "Bochs from Debian forky: E: nothing there"


class Fallback(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        self.root = self.folder / "root"
        self.extracted, self.said, self.refuse = [], [], {0}
        for name, fake in (("extract", self.extract), ("repair", self.repair)):
            patch = mock.patch.object(bochsroot, name, fake)
            patch.start()
            self.addCleanup(patch.stop)

    def extract(self, root, packages):
        """the archive, whose Bochs of the `refuse`d tries is none"""
        self.extracted.append(packages)
        if len(self.extracted) - 1 in self.refuse:
            raise Failure(NO_ARCHIVE)
        self.fill(root, "9.9-1")

    def fill(self, root, version):
        for name in ("OVMF_VARS_4M.fd", "OVMF_CODE_4M.fd"):
            path = root / "usr/share/OVMF" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        log = root / "usr/share/doc/bochs/changelog.Debian.gz"
        log.parent.mkdir(parents=True, exist_ok=True)
        with gzip.open(log, "wt") as file:
            file.write(f"bochs ({version}) unstable; urgency=medium\n")

    def repair(self, root):
        self.repaired = root

    def package(self, name="bochs"):
        """a .deb"""
        tree = self.folder / "tree"
        self.fill(tree, "3.1+dfsg-1")
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: 3.1\nArchitecture: all\nMaintainer: x <x@example.org>\n"
            "Depends: libc6 (>= 2.38), libltdl7 | libltdl8\nDescription: x\n")
        deb = self.folder / "b.deb"
        subprocess.run(["dpkg-deb", "-b", tree, deb], check=True, capture_output=True)
        return deb

    def install(self, deb):
        said = mock.Mock(say=self.said.append)
        with mock.patch.dict(os.environ, {"BOCHS_DEB": str(deb)}):
            bochsroot.install(self.root, said)

    def refused(self, deb):
        with self.assertRaises(Failure) as failed:
            self.install(deb)
        self.assertNotIn("\n", str(failed.exception))
        return str(failed.exception)

    def test_it_is_taken_where_the_archive_fails(self):
        deb = self.package()
        self.install(deb)
        self.assertEqual(self.extracted[1], ["libc6", "libltdl7", *bochsroot.ALWAYS])
        self.assertEqual((self.root / "version").read_text(), "3.1+dfsg-1\n")
        self.assertEqual(self.said, [f"{NO_ARCHIVE}; taking {deb}",
                                     f"unpacked and repaired Bochs 3.1+dfsg-1, {deb}"])
        self.assertEqual(self.repaired, self.root)

    def test_it_is_not_looked_at_where_the_archive_does(self):
        self.refuse = set()
        self.install("/absent")
        self.assertEqual(self.extracted, [["bochs", *bochsroot.ALWAYS]])
        self.assertEqual(self.said, ["unpacked and repaired Bochs 9.9-1, Debian forky's package"])

    def test_it_is_asked_for_where_it_would_help(self):
        self.assertEqual(self.refused(""),
                         f"{NO_ARCHIVE}; set BOCHS_DEB to a package of Bochs 3.1+dfsg-1")

    def test_what_cannot_be_taken_is_said_with_the_mend(self):
        damaged = self.folder / "damaged.deb"
        damaged.write_bytes(b"!<arch>\nnot one")
        other = self.package("other")
        for deb, why in (("/absent.deb", "No such file"), (self.folder, "Is a directory"),
                         (damaged, "ar"), (other, "it is the package other")):
            self.extracted = []
            told = self.refused(deb)
            self.assertRegex(told, f"^BOCHS_DEB={deb}: .*{why}.*: name the .deb of Bochs 3.1")

    def test_a_package_that_is_cut_off_is_said_as_well(self):
        whole = self.package().read_bytes()
        cut = self.folder / "cut.deb"
        cut.write_bytes(whole[:-100])
        self.assertRegex(self.refused(cut), f"^BOCHS_DEB={cut}: .*: name the .deb of Bochs 3.1")


class Packages(unittest.TestCase):
    """scripts/setup on a machine of ours: who calls it, and what dpkg-query says is installed"""

    def setup(self, user, installed):
        with tempfile.TemporaryDirectory() as folder:
            for name, script in (("id", f"echo {user}"), ("apt-get", "exit 1"), ("dpkg-query", installed)):
                path = Path(folder) / name
                path.write_text("#!/bin/sh\n" + script + "\n")
                path.chmod(0o755)
            return subprocess.run([paths.SOURCE / "scripts/setup", "--no-bochs"], text=True,
                                  capture_output=True, env=os.environ | {
                                      "PATH": f"{folder}:{os.environ['PATH']}"})

    ALL = 'shift 3; for p in "$@"; do [ "$p" = {} ] || echo "installed $p"; done'

    def test_without_root_the_missing_ones_are_named_in_one_line(self):
        done = self.setup(1000, self.ALL.format("mtools"))
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (1, "", "missing packages, as root call: apt-get install mtools \n"))
        done = self.setup(1000, "exit 1")
        self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (1, "", 1))
        self.assertIn(" qemu-system-x86 ", done.stderr)
        self.assertIn(" uidmap ", done.stderr)

    def test_with_nothing_to_do_nothing_is_said(self):
        for user in (0, 1000):
            done = self.setup(user, self.ALL.format("none"))
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


if __name__ == "__main__":
    unittest.main()
