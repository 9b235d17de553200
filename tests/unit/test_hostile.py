#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does `lasthop` stay small, and say in one sentence what is wrong, whatever it is given?

Odd configs, files, names and command lines, with the real checker of the build; no emulator runs.
"""
import json
import os
import re
import resource
import struct
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import kernels    # noqa: E402
from test_lasthop import SOURCE, WithFolder    # noqa: E402

from lasthoplib import dts, fdt, image, paths    # noqa: E402
from lasthoplib.console import Failure    # noqa: E402

CHECKER = paths.checker()       # before WithFolder puts the build elsewhere


def blob(structure, strings=b""):
    """a device tree blob around a structure block"""
    at = 40 + 16
    sizes = at, at + len(structure)
    return struct.pack(">10I", fdt.MAGIC, sizes[1] + len(strings), at, sizes[1], 40, 17, 16, 0,
                       len(strings), len(structure)) + bytes(16) + structure + strings


def begin(name):
    return struct.pack(">I", fdt.BEGIN_NODE) + name + bytes(4 - len(name) % 4)


def end(count=1):
    return struct.pack(">I", fdt.END_NODE) * count


END = struct.pack(">I", fdt.END)


class Hostile(WithFolder):
    def setUp(self):
        super().setUp()
        (self.folder / "build/host").mkdir(parents=True)
        (self.folder / "build/host/lasthop-check").symlink_to(CHECKER.absolute())
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)

    def refused(self, status, pattern, *argv):
        """the call ends with that status and says that; what it said"""
        got, out, err = self.call(*argv)
        self.assertEqual(got, status, out + err)
        self.assertRegex(err, pattern)
        self.assertNotIn("Traceback", err)
        return err


class Sizes(Hostile):
    def test_nesting_costs_no_memory(self):
        for depth in (9, 50000):
            deep = blob(begin(b"") + begin(b"a") * depth + end(depth + 1) + END)
            with self.assertRaisesRegex(ValueError, "nested more than 8"):
                fdt.vm_nodes(deep)
            Path("deep.dtb").write_bytes(deep)
            self.refused(1, r"deep\.dtb: error: /: has nodes nested more than 8 deep",
                         "check", "deep.dtb")
        shallow = blob(begin(b"") + begin(b"a") * 8 + end(9) + END)
        self.assertEqual(fdt.vm_nodes(shallow), [])

    def test_long_names_are_not_kept_for_each_node(self):
        name = b"a" * 100000
        wide = blob(begin(b"") + begin(name) + (begin(b"b") + end()) * 10000 + end(2) + END)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.assertEqual(fdt.vms(wide), [])
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 200000)

    def test_a_file_without_end_is_not_read_to_its_end(self):
        for file in ("/dev/zero", "zeros.dts", "zeros.dtb"):
            if not file.startswith("/"):
                with open(file, "wb") as sparse:
                    sparse.truncate(1 << 40)
            self.refused(1, f"^{file}: error: is too large for a config: at most 16 MiB are read\n"
                         f"error: {file}: 1 error\n$", "check", file)

    def test_an_include_without_end_is_not_read_to_its_end(self):
        self.write("incbin.dts", '/dts-v1/;\n/ { a = /incbin/("/dev/zero"); };\n')
        self.refused(1, "incbin.dts: error: is too large: dtc wants more memory", "check",
                     "incbin.dts")
        self.write("include.dts", '/dts-v1/;\n/include/ "/dev/zero"\n')
        self.refused(1, "/dev/zero:1:1: error: syntax error", "check", "include.dts")
        self.write("loop.dts", '/dts-v1/;\n/include/ "loop.dts"\n')
        self.refused(1, "loop.dts: error: Includes nested too deeply\n", "check", "loop.dts")

    def test_limits_of_the_user_stay(self):
        self.write("x.dts", "/dts-v1/;\n/ { };\n")
        done = subprocess.run(["prlimit", "--as=500000000", "--cpu=50", sys.executable,
                               paths.SOURCE / "scripts/lasthop", "check", "x.dts"],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("x.dts:2:1: error: /: has no node vms", done.stderr)


class Places(Hostile):
    def test_whatever_the_name_of_the_file(self):
        source = SOURCE.replace("cpus", "cpsu")
        for name in ("-dash.dts", "-", "a:b,c.dts", "x:1:2-3:4, y.dts", "a b/* c */.dts",
                     "e\udcff.dts", "d:1.2-3: x/-d.dts", "--json=x"):
            self.write(name, source)
            err = self.refused(1, r"/vms/alice: cpsu: .*did you mean cpus\?\n", "check", "--", name)
            self.assertIn(f"{name}:7:31: error: /vms/alice: cpsu: ", err)
            self.write(name, "/dts-v1/;\n/ { a = <1>\n b; };\n")
            err = self.refused(1, "error: syntax error: .*\n    2 \\| / { a = <1>\n      \\|            \\^\n", "check", "--", name)
            self.assertTrue(err.startswith(f"{name}:2:12: error: "), err)

    def test_long_names_have_lines_too(self):
        node, prop = "n" * 200, "p" * 200
        self.write("long.dts", SOURCE.replace("net0", node).replace("uplink", prop)
                   .replace("bob", "b" * 41))
        err = self.refused(1, "unknown property", "check", "long.dts")
        self.assertRegex(err, r"long.dts:9:\d+: error: /vms/alice/n+: p+: unknown property")
        self.assertRegex(err, r"long.dts:9:\d+: error: /vms/alice/n+: the name is 200 characters")
        self.assertIn("long.dts:11:3: error: /vms/b", err)
        self.write("long.dts", SOURCE.replace("bob", "b" * 40).replace("carol", "b" * 41))
        self.assertNotRegex(self.refused(1, "errors", "check", "long.dts"),
                            r"long.dts:\d+:\d+: error: /vms/b")    # which of the two?


class Kinds(Hostile):
    def test_a_source_is_known_by_its_content(self):
        self.write("noext", "// a comment first\n" + SOURCE)
        self.refused(1, r"noext:9:45: error: /vms/alice: mem-mib: ", "check", "noext")
        Path("blob.dts").write_bytes(dts.Config(self.write("a.dts", SOURCE)).blob)
        self.refused(1, r"blob.dts: error: /vms/alice: mem-mib: ", "check", "blob.dts")

    def test_a_pipe_is_read_once(self):
        os.mkfifo("pipe")
        with subprocess.Popen(["sh", "-c", "cat > pipe"], stdin=subprocess.PIPE, text=True) as cat:
            cat.stdin.write(SOURCE)
            cat.stdin.close()
            self.refused(1, r"pipe:8:45: error: /vms/alice: mem-mib: ", "check", "pipe")


class Terminals(Hostile):
    def test_nothing_in_a_file_or_its_name_moves_the_cursor(self):
        name = "a\033[31m\n.dts"
        self.write(name, SOURCE.replace("cpus = <2>;", "/* \033[2J\a\x9b\t */ cpsu;"))
        err = self.refused(1, r"a\?\[31m\?.dts:7:45: error: /vms/alice: cpsu: ", "check", name)
        self.assertIsNone(re.search(r"[^\t\n -~\ufffd]", err))
        self.write("a.dts", SOURCE.replace("cpus = <2>;", "/* \033[2J\a\x9b\t */ cpsu;"))
        err = self.refused(1, r"/\* \?\[2J\?\?\t \*/ cpsu;", "check", "a.dts")
        self.assertIsNone(re.search(r"[^\t\n -~]", err))
        self.refused(2, r"^error: \?\[31m: No such file or directory\n$", "check", "\033[31m")


    def test_closed_streams_are_no_error(self):
        for closed in (">&-", "2>&-", ">&- 2>&-", "<&-"):
            self.write("x.dts", "/dts-v1/;\n/ { };\n")
            done = subprocess.run(["sh", "-c", f'exec "$0" check x.dts {closed}',
                                   paths.SOURCE / "scripts/lasthop"], capture_output=True, text=True)
            self.assertEqual(done.returncode, 1)
            self.assertNotIn("Traceback", done.stderr)


class Machines(Hostile):
    def test_cpus_that_the_machine_lacks_are_told_with_their_line(self):
        self.write("x.dts", '/dts-v1/;\n/ { compatible = "lasthop,config-1"; vms { a {\n'
                   'compatible = "lasthop,vm"; memory-mib = <64>; kernel = "bench.elf";\n'
                   'cpu-affinity = <1 3>; }; }; };\n')
        Path("bench.elf").symlink_to(CHECKER.parent.absolute().parent / "guest/bench.elf")
        self.assertEqual(self.call("check", "x.dts")[0], 0)
        self.refused(1, r"^x.dts:4:16: error: /vms/a: cpu-affinity: CPU 3 is not there: this machine "
                     "has CPUs 0 to 2", "run", "--cpus", "3", "--on", "tcg", "x.dts")


class Kernels(Hostile):
    def config(self, more=""):
        self.write("x.dts", '/dts-v1/;\n/ { compatible = "lasthop,config-1"; vms { a {\n'
                   'compatible = "lasthop,vm"; memory-mib = <64>;\nkernel = "k";\n' + more
                   + "}; }; };\n")

    def test_what_no_vm_can_start_is_refused_in_one_line(self):
        self.config()
        for name, (content, says) in kernels.UNFIT.items():
            with self.subTest(name):
                Path("k").write_bytes(content)
                for argv in (["check"], ["run", "--on", "tcg"], ["image", "--out", "x.img"]):
                    err = self.refused(1, r"\Ax.dts:4:1: error: /vms/a: kernel: k "
                                       + re.escape(says), *argv, "x.dts")
                    self.assertEqual(err.count("error: /vms"), 1, err)
                self.assertFalse(Path("x.img").exists())

    def test_an_initrd_that_does_not_fit_is_refused_in_one_line(self):
        self.config('initrd = "i";\n')
        Path("k").write_bytes(kernels.bzimage())
        for size, says in ((16 << 20, "i with 16 MiB does not fit behind the kernel, which needs "
                            "the first 48 of 64 MiB: raise memory-mib"),
                           (64 << 20, "i has 64 MiB, the VM only 64: raise memory-mib")):
            Path("i").write_bytes(b"")
            os.truncate("i", size)
            err = self.refused(1, r"\Ax.dts:5:1: error: /vms/a: initrd: " + re.escape(says),
                               "check", "x.dts")
            self.assertEqual(err.count("error: /vms"), 1, err)
        os.truncate("i", 15 << 20)
        self.assertEqual(self.call("check", "x.dts")[0], 0)


class Syntax(Hostile):
    def test_dtc_says_what_is_wrong_and_we_the_mend(self):
        for source, wanted in (
                ("/ { };", r"x.dts:1:1: error: syntax error: a config begins with /dts-v1/;"),
                ("", "x.dts:1:1: error: the file is empty: a config begins with /dts-v1/;"),
                (" \n\n", "x.dts:1:1: error: the file is empty: "),
                ('/dts-v1/;\n#include "a.h"\n/ { };', 'x.dts:2:1: .*: dtc has no preprocessor, /inc'),
                ("\ufeff/dts-v1/;\n/ { };", r"x.dts:1:1: .*: the file begins with a byte order mark"),
                ("/dts-v1/;\n/ { a = 5; };", r"x.dts:2:9: .*: .* with numbers in < >"),
                ('/dts-v1/;\n/* /include/ "no" */ /include/ "build"\n',
                 'x.dts:2:22: error: /include/ of "build": it is a folder: name a file\n'),
                ('/dts-v1/;\n/ { a = "/include/";\n b = /incbin/ ("none", 0, 4); };',
                 'x.dts:3:6: error: /incbin/ of "none": it is missing: put it beside'),
                ("/dts-v1/;\n/ { a = <99999999999999999999>; };",
                 r"^x.dts:2:10: error: Integer literal '9+' out of range\n"),
                ("/dts-v1/;\n/ { a: b { c = <&d>; }; };",
                 r"x.dts:2:17: error: /b: Reference to non.*: no node has that label, as in .*\n.*\n +\| +\^~\n"),
                ("/dts-v1/;\n/ { lan: b { }; c { d = <&lna>; }; };", r": did you mean &lan\?\n")):
            self.write("x.dts", source)
            self.refused(1, wanted, "check", "x.dts")

    def test_a_missing_file_is_told_where_it_is_named(self):
        self.write("part/y.dtsi", '/ {\n\tvms { };\n};\n/include/ "z.dtsi" // not there\n')
        self.write("x.dts", '/dts-v1/;\n/include/ "part/y.dtsi"\n/include/ "x.dts"\n')
        wanted = 'part/y.dtsi:4:1: error: /include/ of "z.dtsi": it is missing: put it beside'
        err = self.refused(1, f"^In file included from x.dts:2:\n{wanted}", "check", "x.dts")
        self.assertIn('    4 | /include/ "z.dtsi" // not there\n      | ^\n', err)

    def test_node_and_property_of_dtc_are_told_apart(self):
        self.write("x.dts", '/dts-v1/;\n/ { b { phandle = "x"; }; };')
        self.refused(1, "bad length", "check", "x.dts", "--json", "x.json")
        told = json.loads(Path("x.json").read_text())["errors"][0]
        self.assertEqual((told["node"], told["property"]), ("/b", "phandle"))


class Kernels(Hostile):
    def test_what_is_no_file_is_told_as_what_it_is(self):
        self.write("x.dts", '/dts-v1/;\n/ { compatible = "lasthop,config-1"; vms { a {\n'
                   'compatible = "lasthop,vm"; memory-mib = <64>; kernel = "k"; initrd = "i";\n'
                   '}; }; };\n')
        self.refused(1, "kernel: k is missing: put it", "check", "x.dts")
        self.write("l.dts", Path("x.dts").read_text().replace('"k"', '"vmlinuz"'))
        self.refused(1, "vmlinuz is missing: put it beside the config, or call make linux-guest, which",
                     "check", "l.dts")
        Path("k").mkdir()
        os.mkfifo("i")          # nobody writes to it: an open would wait for ever
        for verb in (["check"], ["image", "--out", "x.img"], ["run", "--on", "tcg"]):
            err = self.refused(1, "x.dts:3:56: error: /vms/a: kernel: k is a folder: name a file\n",
                               *verb, "x.dts")
            self.assertIn("initrd: i is there, but cannot be read\n", err)
        (self.folder / "build/guest").mkdir()
        (self.folder / "build/guest/k").symlink_to(CHECKER.parent.absolute().parent / "guest/bench.elf")
        self.assertNotIn("kernel: ", self.refused(1, "initrd", "check", "x.dts"))


class Outputs(Hostile):
    def setUp(self):
        super().setUp()
        self.write("build/BOOTX64.EFI", "loader")
        self.good = self.write("good.dts", SOURCE.replace("a/* }.elf", "a.elf")
                               .replace("mem-mib = <1>;", "").replace(" uplink;", "")
                               .replace('carol { ', 'carol { compatible = "lasthop,vm"; ')
                               .replace("../x", "a.elf"))
        (self.folder / "a.elf").symlink_to(CHECKER.parent.absolute().parent / "guest/bench.elf")
        self.write("b.cpio", "initrd")

    def test_json_that_cannot_be_written(self):
        for file in ("no/x.json", str(self.folder), "good.dts/x", "n" * 300, "/dev/full"):
            for verb in (["check"], ["image", "--out", "x.img"], ["run", "--on", "tcg"]):
                if file == "/dev/full" and verb != ["check"]:
                    continue        # it takes all but the end
                err = self.refused(2, "^error: --json .*: name a file in a folder that is there and "
                                   "can be written\n$", *verb, "--json", file, self.good)
                self.assertIn(f"--json {file}: ", err)
        self.assertFalse(Path("x.img").exists())

    def test_json_tells_also_what_ended_the_verb(self):
        self.write("x.json", "old")
        for argv in (["check", "absent.dts"], ["image", "--out", "no/x.img", str(self.good)],
                     ["run", "--on", "bochs", "--cpus", "99", str(self.good)]):
            said = self.refused(2 if argv[0] != "run" else 1, "^error: ", *argv, "--json", "x.json")
            told = json.loads(Path("x.json").read_text())
            self.assertEqual((told["schema"], told["file"]), (1, argv[-1]))
            self.assertEqual([f"error: {e['text']}\n" for e in told["errors"]], [said])
            self.assertEqual(list(told["errors"][0]),
                             ["file", "line", "column", "node", "property", "text"])

    def test_no_name_is_no_file(self):
        for argv in (["check", "--json", ""], ["image", "--out", ""]):
            self.refused(2, "the name of the file is empty", *argv, "good.dts")

    def test_a_build_that_has_no_place(self):
        done = subprocess.run([paths.SOURCE / "scripts/build", "all"], capture_output=True, text=True,
                              env=os.environ | {"B": "/proc/none"})
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, "^error: /proc/none: .*: B=FOLDER names another folder")

    def test_a_full_disk_is_told(self):
        with mock.patch.object(image, "fill", side_effect=Failure("sfdisk: failed")), \
                mock.patch("shutil.disk_usage", return_value=mock.Mock(free=5)):
            self.refused(1, r"^error: x.img: no space left there: 1 MiB are wanted\n$",
                         "image", "--out", "x.img", self.good)

    def test_nothing_to_run_is_told_before_a_boot(self):
        self.write("off.dts", self.good.read_text().replace(
            '"lasthop,vm";', '"lasthop,vm"; status = "disabled";', 2))
        self.refused(1, '^error: off.dts: every VM has status = "disabled": nothing would run\n$',
                     "run", "--on", "tcg", "off.dts")

    def test_images_that_cannot_be_written(self):
        for out in ("no/x.img", "good.dts/x.img", "n" * 300):
            err = self.refused(2, "^error: --out .*: name a file in a folder that is there and can "
                               "be written\n$", "image", "--out", out, self.good)
            self.assertIn(f"--out {out}: ", err)
        self.refused(2, "is no regular file", "image", "--out", "build", self.good)

    def test_names_that_tools_could_misread(self):
        for name in ("-x.img", "@@1", "x@@1048576", "a:b", "c:", "d,e", "%s", "./-", "e\udcff"):
            status, _, err = self.call("image", f"--out={name}", self.good)
            self.assertEqual(status, 0, err)
            self.assertEqual(list(Path().glob("lasthop-*")), [])
            Path(name).rename("read.img")
            read = subprocess.run(["mtype", "-i", "read.img@@1M", "::/lasthop/b.cpio"],
                                  capture_output=True)
            self.assertEqual(read.stdout, b"initrd")

    def test_no_result_takes_the_place_of_an_input(self):
        Path("link").symlink_to("good.dts")
        os.link("good.dts", "hard")
        for argv in (["check", "--json", "link"], ["check", "--json", "hard"],
                     ["check", "--json", "b.cpio"], ["run", "--json", "b.cpio"],
                     ["image", "--out", "-"], ["image", "--out", "./good.dts"],
                     ["image", "--out", "b.cpio"], ["image", "--out", "x", "--json", "x"],
                     ["run", "--json", str(self.good)]):
            before = self.good.read_text()
            self.refused(2, "^error: --(json|out) .*: name (another file|one)\n$", *argv, "good.dts")
            self.assertEqual((self.good.read_text(), Path("b.cpio").read_text()), (before, "initrd"))
            self.assertFalse(Path("x").exists())

    def test_nor_of_what_it_includes_or_of_the_loader(self):
        self.write("part.dtsi", "// nothing\n")
        self.write("whole.dts", '/dts-v1/;\n/include/ "part.dtsi"\n/include/ "good.dts"\n')
        for argv in (["check", "--json", "part.dtsi"], ["image", "--out", "good.dts"],
                     ["image", "--out", "build/BOOTX64.EFI"]):
            self.refused(2, f"^error: {argv[1]} .* would be lost: name another", *argv, "whole.dts")
        self.assertEqual(Path("part.dtsi").read_text(), "// nothing\n")

    def test_a_failed_image_leaves_the_old_one(self):
        self.write("x.img", "old")
        with mock.patch.object(image, "fill", side_effect=Failure("mcopy: no")):
            self.refused(1, "^error: mcopy: no\n$", "image", "--out", "x.img", self.good)
        self.assertEqual(Path("x.img").read_text(), "old")
        self.assertEqual(list(Path().glob("lasthop-*")), [])


if __name__ == "__main__":
    unittest.main()
