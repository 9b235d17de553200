#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does what the Debian package holds work where there is no source tree, with what the package depends on?

The package is made from what make has built, unpacked into a folder, and its tool called there; one boot in QEMU.
With LASTHOP_SOAK=1 it is made once more, must be the same to the bit, and lintian looks at it.
"""
import os
import re
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HELLO = """\
/dts-v1/;
/ {
	compatible = "lasthop,config-1";
	vms {
		hello { compatible = "lasthop,vm"; memory-mib = <16>; kernel = "hello.elf"; };
	};
};
"""
# of the programs that the tool calls for check, image and trace; more it must not need
NEEDED = {"device-tree-compiler": ["dtc"], "fdisk": ["sfdisk"], "mtools": ["mformat", "mmd", "mcopy"]}


def build():
    """the package, made anew"""
    done = subprocess.run([ROOT / "scripts/deb"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.strip())


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = Path(holder.name)
        cls.version = subprocess.run([ROOT / "scripts/version"], capture_output=True, text=True).stdout.strip()
        cls.deb = build()
        cls.root = cls.folder / "root"
        subprocess.run(["dpkg-deb", "-x", cls.deb, cls.root], check=True)
        cls.usr = cls.root / "usr"
        cls.bin = cls.folder / "bin"
        cls.bin.mkdir()
        for program in (name for names in NEEDED.values() for name in names):
            (cls.bin / program).symlink_to(subprocess.run(
                ["sh", "-c", f"PATH=$PATH:/sbin:/usr/sbin; command -v {program}"], capture_output=True, text=True,
                check=True).stdout.strip())

    def setUp(self):
        holder = tempfile.TemporaryDirectory(dir=self.folder)
        self.addCleanup(holder.cleanup)
        self.home = Path(holder.name)

    def call(self, *argv, path=None, **more):
        env = {"HOME": str(self.home), "PATH": path or str(self.bin), "B": "nowhere", **more}
        return subprocess.run([self.usr / "bin/lasthop", *map(str, argv)], capture_output=True, text=True, cwd=self.home,
                              env=env)

    def good(self, *argv, **more):
        done = self.call(*argv, **more)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def field(self, name):
        return subprocess.run(["dpkg-deb", "-f", self.deb, name], capture_output=True, text=True, check=True
                              ).stdout.strip()

    def test_version_and_dependencies(self):
        self.assertEqual(self.field("Version"), self.version)
        self.assertEqual(self.good("--version"), f"lasthop {self.version}\n")
        self.assertEqual(subprocess.run(["dpkg", "--validate-version", self.version]).returncode, 0)
        depends = set(re.findall(r"(?:^|, )([\w.+-]+)", self.field("Depends")))
        self.assertLessEqual({*NEEDED, "python3", "python3-argcomplete", "libc6", "libfdt1"}, depends)
        self.assertIn("qemu-system-x86", self.field("Recommends"))

    def test_what_is_in_it(self):
        files = [path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink()]
        for path in files:
            content, mode = path.read_bytes(), path.stat().st_mode
            self.assertNotIn(str(ROOT).encode() + b"/", content, path)
            self.assertEqual(bool(mode & stat.S_IXUSR), content[:2] == b"#!" or path.parent.name == "host", path)
            self.assertFalse(mode & 0o022, path)
        for link in (path for path in self.root.rglob("*") if path.is_symlink()):
            self.assertTrue(link.exists(), link)
        told = {str(path.relative_to(self.usr)) for path in files}
        for wanted in ("lib/lasthop/BOOTX64.EFI", "lib/lasthop/guest/netd.elf", "share/man/man1/lasthop-run.1.gz",
                       "share/man/man5/lasthop-config.5.gz", "share/bash-completion/completions/lasthop",
                       "share/doc/lasthop/README.md", "share/doc/lasthop/SECURITY.md",
                       "share/doc/lasthop/docs/config.md", "share/doc/lasthop/copyright"):
            self.assertIn(wanted, told)
        examples = {path.name for path in (self.usr / "share/doc/lasthop/examples").iterdir()}
        self.assertEqual(examples, {path.name for path in (ROOT / "examples").glob("*.dts")})

    def test_its_examples_have_no_errors_but_linux_s_images(self):
        for path in sorted((self.usr / "share/doc/lasthop/examples").iterdir()):
            done = self.call("check", path)
            kernels = "vmlinuz" in path.read_text()
            self.assertEqual(done.returncode, int(kernels), done.stderr)
            for error in re.findall(r"^\S+:\d+:\d+: error: (.*)", done.stderr, re.M):
                self.assertRegex(error, r": (vmlinuz|linux)\S* is missing: .*, or call "
                                 rf"{self.usr}/share/lasthop/guest/linux/build {self.home}/.cache/lasthop/guest/linux")
        self.assertEqual(self.call("check", "absent.dts").returncode, 2)

    def test_an_image_with_its_config_and_guests(self):
        self.good("image", "--out", "usb.img")      # of examples/bench.dts
        listed = subprocess.run(["mdir", "-b", "-i", self.home / "usb.img@@1M", "::/lasthop", "::/EFI/BOOT"],
                                capture_output=True, text=True, env=os.environ | {"MTOOLS_SKIP_CHECK": "1"}).stdout
        self.assertEqual({line.rsplit("/", 1)[1] for line in listed.split()},
                         {"lasthop.dtb", "bench.elf", "BOOTX64.EFI"})

    def test_trace_and_completion(self):
        bench = self.usr / "share/lasthop/examples/bench.dts"
        self.assertIn("verdict", self.good("trace", bench, "source/net0", "ffffffffffff5254000000010800"))
        words = f""". {self.usr}/share/bash-completion/completions/lasthop; IFS='|'
            COMP_LINE='lasthop trace {bench} so'; COMP_POINT=${{#COMP_LINE}}; COMP_TYPE=9
            _python_argcomplete lasthop; echo "${{COMPREPLY[*]}}" """
        done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, cwd=self.home,
                              env={"HOME": str(self.home), "PATH": f"{self.usr}/bin:/usr/bin:/bin"})
        self.assertEqual(done.stdout, "source/net0 \n", done.stderr)

    def test_errors_name_a_mend_that_is_there(self):
        (self.home / "x.dts").write_text(HELLO)
        empty = self.home / "bin"
        empty.mkdir()
        for argv, wanted in ((("check", "x.dts"), "no dtc here: install device-tree-compiler"),
                             (("bench", "native", "--no-peer"), "in a source tree of lasthop"),
                             (("run", "--on", "bochs", "/dev/null"), "")):
            done = self.call(*argv, path=str(empty))
            self.assertGreater(done.returncode, 0)
            self.assertIn(wanted, done.stderr)
            self.assertNotRegex(done.stderr, "Traceback|call make|call scripts/setup")
        done = self.call("run", "--on", "tcg", "x.dts")
        self.assertIn("no qemu-system-x86_64 or no OVMF here: install qemu-system-x86 and ovmf", done.stderr)
        done = self.call("run", "--on", "bochs", "x.dts")
        self.assertIn("scripts/setup of lasthop's source tree makes it; LASTHOP_CACHE names", done.stderr)

    def test_it_boots(self):
        (self.home / "x.dts").write_text(HELLO)
        said = self.good("run", "--on", "tcg", "--cpus", "2", "--timeout", "300", "x.dts", path=os.environ["PATH"])
        self.assertRegex(said, r"hello: ended, ok\n(.|\n)*\nlasthop \d\S+: QEMU ")
        self.assertEqual([path.name for path in (self.home / ".cache").iterdir()], ["lasthop"])

    def test_once_more_and_what_lintian_says(self):
        first = self.deb.read_bytes()
        self.assertEqual(build().read_bytes(), first)
        done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", self.deb.with_suffix(".changes")],
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


if __name__ == "__main__":
    if not os.environ.get("LASTHOP_SOAK"):      # not a test that is skipped: it is another run
        del Package.test_once_more_and_what_lintian_says
    sys.dont_write_bytecode = True
    unittest.main()
