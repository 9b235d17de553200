#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does an error of a config show the very spot that is wrong, as a compiler's does, whoever finds it?

With dtc and the real checker of the build; no emulator runs.
"""
import io
import json
import os
import pty
import re
import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

import test_hostile    # noqa: E402

from lasthoplib import diagnostics, dts, paths, running    # noqa: E402

KERNEL = paths.guests() / "hello.elf"       # before setUp() puts the build elsewhere
HEAD = '/dts-v1/;\n/ {\n\tcompatible = "lasthop,config-1";\n'
LAN = '\tlan: switch { compatible = "lasthop,switch"; };\n'


def vms(*nodes):
    return HEAD + LAN + "\tvms {\n" + "".join(f"\t\t{node}\n" for node in nodes) + "\t};\n};\n"


def vm(name, more="", memory="memory-mib = <16>;"):
    return f'{name} {{ compatible = "lasthop,vm"; {memory} kernel = "k.elf"; {more} }};'


def net(mac):
    return f'net0 {{ compatible = "lasthop,net"; switch = <&lan>; local-mac-address = [{mac}]; }};'


class Hostile(test_hostile.Hostile):
    def setUp(self):
        super().setUp()
        (self.folder / "k.elf").symlink_to(KERNEL.absolute())


def marked(error):
    """the text under the caret"""
    line = diagnostics.source_line(error.file, error.line) or ""
    return line[error.column - 1:error.column - 1 + error.width]


class Spots(Hostile):
    def test_each_error_of_the_broken_configs_marks_a_name_or_a_value(self):
        seen, unplaced = 0, []
        for path in sorted((paths.SOURCE / "tests/config").glob("*.dts")):
            config = dts.Config(path)
            for error in config.check(with_images=False):
                seen += 1
                if not error.line:
                    unplaced.append(path.name)
                    continue
                name = error.property or error.node.rsplit("/", 1)[1] or "/"
                missing = error.text.startswith("missing")
                before = diagnostics.source_line(error.file, error.line)[:error.column - 1]
                spot = marked(error)
                if not missing and before.rstrip().endswith("="):
                    self.assertRegex(before, rf"(^|\W){re.escape(error.property)}\s*=\s*$", path.name)
                    self.assertRegex(spot, r'^(<.*>|\[.*\]|".*")$', path.name)
                else:
                    self.assertIn(spot, (name, error.node.rsplit("/", 1)[1] or "/"), path.name)
        self.assertGreater(seen, 75)
        self.assertEqual(unplaced, ["overlay.dts"])     # it has no tree that could be searched

    def test_in_a_file_whose_name_has_two_lines(self):
        for name in ("x\ny.dts", "x\ry.dts"):
            self.write(name, vms(vm("alice", "cpus = <33>;")))
            self.refused(1, r"x\?y.dts:6:82: error: /vms/alice: cpus: 33 is too large.*\n.*\n.*\^~~~\n", "check", name)
            self.write(name, HEAD + "\tfoo = <1>\n\tbar;\n};\n")
            self.refused(1, r"x\?y.dts:4:11: error: syntax error: ; is missing here\n.*\n.*\^", "check", name)

    def test_name_value_and_missing(self):
        self.write("x.dts", vms(vm("alice", "cpsu = <2>; cpus = <33>;"), vm("bob", memory="")))
        err = self.refused(1, "x.dts: 3 errors", "check", "x.dts")
        for line, text in (("x.dts:6:75: error: /vms/alice: cpsu: unknown property: did you mean cpus", "cpsu"),
                           ("x.dts:6:94: error: /vms/alice: cpus: 33 is too large", "<33>"),
                           ("x.dts:7:3: error: /vms/bob: memory-mib: missing: add memory-mib = <64>;", "bob")):
            self.assertIn(line, err)
            told = err[err.index(line):].split("\n")
            at = told[2].index("^")
            self.assertEqual(told[1][at:at + len(text)], text)
            self.assertEqual(told[2][at:], "^" + "~" * (len(text) - 1))

    def test_in_the_order_of_the_file(self):
        self.write("x.dts", vms(vm("alice", "cpus = <33>;", memory=""), vm("bob", "cpsu;")))
        lines = re.findall(r"^x.dts:(\d+:\d+)", self.refused(1, "3 errors", "check", "x.dts"), re.M)
        self.assertEqual(lines, sorted(lines, key=lambda at: tuple(map(int, at.split(":")))))
        self.assertEqual(len(lines), 3)

    def test_a_value_below_its_name(self):
        self.write("x.dts", vms(vm("alice", "cpus =\n\t\t\t<33>;")))
        self.refused(1, r"x.dts:6:75: error: /vms/alice: cpus: 33 is too large.*\n.*\n +\| \t\t +\^~~~\n",
                     "check", "x.dts")

    def test_a_comment_is_no_value(self):
        self.write("x.dts", vms(vm("alice", "cpus = /* = <2> */ <33>;")))
        self.refused(1, r"x.dts:6:94: error: /vms/alice: cpus: 33 is too large.*\n.*\n +\| \t\t +\^~~~\n",
                     "check", "x.dts")

    def test_columns_are_those_of_characters(self):
        self.write("x.dts", vms("/* ein Gerät für 東京 */ " + vm("alice", "cpsu;")))
        err = self.refused(1, "x.dts:6:98: error", "check", "x.dts")
        shown, mark = err.split("\n")[1:3]
        self.assertEqual(diagnostics.cells(shown[:shown.index("cpsu")]), mark.index("^"))

    def test_a_long_line_is_shown_where_it_is_wrong(self):
        self.write("x.dts", vms(vm("alice", "/* " + "x" * 500 + " */ cpus = <33>; /* " + "y" * 500 + " */")))
        err = self.refused(1, r"x.dts:6:589: error", "check", "x.dts")
        shown, mark = err.split("\n")[1:3]
        self.assertEqual(shown[mark.index("^"):][:4], "<33>")
        self.assertLess(len(shown), 140)
        self.assertRegex(shown, r"\| \.\.\.x+ .*y\.\.\.$")

    def test_the_mark_ends_with_what_is_shown(self):
        self.write("x.dts", vms(vm("alice", 'bootargs = "' + "x" * 3000 + '";')))
        shown, mark = self.refused(1, "is 3000 characters long", "check", "x.dts").split("\n")[1:3]
        self.assertEqual(len(mark), len(shown) - len("..."))

    def test_another_place_that_has_a_part_in_it(self):
        self.write("x.dts", vms(vm("alice", net("52 54 00 00 00 01")), vm("bob", net("52 54 00 00 00 01"))))
        err = self.refused(1, "x.dts: 1 error", "check", "x.dts")
        self.assertRegex(err, r"^x.dts:7:\d+: error: /vms/bob/net0: .*already.*\n.*\n.*\^~{18}\n"
                              r"x.dts:6:\d+: note: it has this address\n.*\n.*\^~{18}\nerror: ")


class Syntax(Hostile):
    def test_dtc_s_errors_look_the_same(self):
        for source, wanted in (
                (HEAD + "\tfoo = <1>\n\tbar;\n};\n",
                 r"^x.dts:4:11: error: syntax error: ; is missing here\n    4 \| \tfoo = <1>\n      \| \t         \^\n"),
                (HEAD + "\ta { };\n\ta { };\n};\n", r"^x.dts:5:2: error: /a: Duplicate node name\n.*\n      \| \t\^\n"),
                (HEAD + "\ta = <1>;\n\ta = <2>;\n};\n", r"^x.dts:\d:\d: error: /: a: Duplicate property name\n.*\n.*\^"),
                (HEAD + "\ta = <&lam>;\n" + LAN + "};\n", r"^x.dts:\d:\d+: error: .*did you mean &lan\?\n.*\n.*\^"),
                (HEAD + "\ta = <99999999999>;\n};\n", r"^x.dts:4:\d+: error: .*range.*\n.*\n.*\^")):
            self.write("x.dts", source)
            self.refused(1, wanted, "check", "x.dts")


    def test_the_mend_of_a_syntax_error(self):
        for line, wanted in (
                ("\ta = <1>; # number one", r":4:11: .*: comments stand between"),
                ("\t# number one", r":4:2: .*: comments stand between /\* and \*/"),
                ("#define N 1", r":4:1: .*: dtc has no preprocessor, /include/"),
                ('\ta = "b;', r":4:6: .*: the string that begins here has no \" at its end"),
                ('\ta = "b;\n\tc = "d";', r':5:7: .*: the string that begins in line 4 goes on up to here: its \" is mi'),
                ("\ta = <16M>;", r":4:9: .*: a number has no unit"),
                ("\ta = <1, 2>;", r":4:8: .*: in < > stand numbers"),
                ("\ta = [52 5];", r":4:10: .*: in \[ \] stand bytes, of two hexadecimal digits"),
                ("\ta = 5;", r":4:6: .*: wanted is NAME = VALUE; or .* strings in \" \""),
                ("\ta { }\n\n\tb { };", r":4:7: error: syntax error: ; is missing here"),
                ('\ta = "x"  /* of "x" */\n\tb;', r":4:9: error: syntax error: ; is missing here"),
                ("\ta\n\tb = <1>;", r":4:3: error: syntax error: ; is missing here"),
                ("\ta {\n\tb = <1>;", r":6:3: .*: the file ends, and a { in it is not closed"),
                ("\t};\n\t};", r":5:2: .*: no { is open here: this }; is one too many"),
                ("\ta { };\n\tb = <1>;", r":5:2: error: Properties must precede subnodes: move it above")):
            self.write("x.dts", f"{HEAD}{line}\n}};\n")
            self.refused(1, r"^x\.dts" + wanted, "check", "x.dts")


class Included(Hostile):
    def setUp(self):
        super().setUp()
        self.write("x.dts", HEAD + LAN + "\tvms {\n/include/ \"parts/vms.dtsi\"\n\t};\n};\n")

    def test_the_way_to_the_file_is_told(self):
        self.write("parts/vms.dtsi", '/include/ "one.dtsi"\n')
        self.write("parts/one.dtsi", vm("alice", "cpsu; cpus = <33>;") + "\n")
        err = self.refused(1, "x.dts: 2 errors", "check", "x.dts")
        self.assertRegex(err, r"^In file included from parts/vms.dtsi:1,\n +from x.dts:6:\n"
                              r"parts/one.dtsi:1:73: error: /vms/alice: cpsu: .*\n    1 \| alice .*\n +\| +\^~~~\n"
                              r"parts/one.dtsi:1:86: error: /vms/alice: cpus: ")
        self.assertEqual(err.count("In file included"), 1)

    def test_of_a_syntax_error_as_well(self):
        self.write("parts/vms.dtsi", "alice {\n\tcpus = <1>\n};\n")
        self.refused(1, r"^In file included from x.dts:6:\nparts/vms.dtsi:2:12: error: syntax error: ; is missing here\n"
                        r"    2 \| \tcpus = <1>\n      \| \t          \^\n", "check", "x.dts")

    def test_a_file_that_includes_itself_ends(self):
        self.write("parts/vms.dtsi", '/include/ "vms.dtsi"\n')
        self.refused(1, "error: ", "check", "x.dts")

    def test_programs_get_what_they_got(self):
        self.write("parts/vms.dtsi", vm("alice", "cpsu;"))
        status, out, _ = self.call("check", "--json", "-", "x.dts")
        self.assertEqual((status, json.loads(out)["errors"]), (1, [{
            "file": "parts/vms.dtsi", "line": 1, "column": 73, "node": "/vms/alice", "property": "cpsu",
            "text": "unknown property: did you mean cpus?"}]))


class NewUsers(Hostile):
    def test_what_is_no_config(self):
        for name, content, wanted in (("a.txt", "hello", "this is no config: neither"), ("b", "", "the file is empty"),
                                      ("c.dts", "\n", "the file is empty"), ("d.dtb", "x", "no device tree blob")):
            self.write(name, content)
            self.refused(1, f"^{name}(:1:1)?: error: (/: )?.*{wanted}", "check", name)
        Path("empty").mkdir()
        self.refused(2, "^error: empty: is a folder: name a config\n$", "check", "empty")
        self.write("full/x.dts", "")
        self.refused(2, "^error: full: is a folder: name a config, such as full/x.dts\n$", "run", "full")

    def test_another_word_was_meant(self):
        for argv, wanted in ((("chek", "x"), "check"), (("run", "--on", "bosch"), "bochs"),
                             (("bench", "lateny"), "latency"), (("vm", "strat", "x"), "start")):
            self.refused(2, f": did you mean {wanted}\\?\n$", *argv)
        self.assertNotIn("did you mean", self.refused(2, "invalid choice", "xyzzy"))
        self.assertNotRegex(self.refused(2, "invalid choice", "\033[31m\x9b"), "[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f]")


class Everywhere(Hostile):
    def test_run_and_image_refuse_a_config_as_check_does(self):
        self.write("x.dts", vms(vm("alice", "cpus = <33>;")))
        told = {verb: self.refused(1, r"\^~~~\n", *verb.split(), "x.dts")
                for verb in ("check", "run --on tcg", "image --out x.img")}
        self.assertEqual(len(set(told.values())), 1)
        self.assertIn("<33>;", self.refused(1, r"\^~~~\n", "trace", "x.dts", "alice/net0", "00"))

    def test_benchmarks_show_all_errors(self):
        self.write("x.dts", vms(vm("alice", "cpus = <33>; cpsu;")))
        config, err = dts.Config("x.dts"), io.StringIO()
        with mock.patch.object(sys, "stderr", err):
            self.assertEqual(str(dts.refused("x.dts", config.check(with_images=False))), "x.dts: 2 errors")
        self.assertEqual(err.getvalue().count("^~~~"), 2)

    def test_what_the_core_finds_has_a_place_too(self):
        self.write("x.dts", vms(vm("alice", "cpu-affinity = <1 7>;"), vm("bob", memory="memory-mib = <65536>;")))
        log = ("[     0.123] cpu: VT-x\n"
               "[     0.124] lasthop.dtb: /vms/alice: cpu-affinity: CPU 7 is not there: this machine has CPUs 0 to 3\n"
               "[     0.125] lasthop.dtb: /vms/bob: memory-mib: 65536 MiB wanted, 900 of 916 MiB are left: lower it\n"
               "lasthop cannot start: the config has errors, see above\n")
        errors = dts.Config("x.dts").errors_of_boot(log)
        self.assertEqual([(e.line, marked(e), e.text[:5]) for e in errors],
                         [(6, "<1 7>", "CPU 7"), (7, "<65536>", "65536")])
        self.assertEqual(dts.Config("x.dts").errors_of_boot("all is well\n"), [])

    def test_a_run_that_the_core_refuses_shows_it(self):
        self.write("x.dts", vms(vm("alice", "cpu-affinity = <1 7>;")))
        outcome = mock.Mock(ended="refused", words=[], serial_log=self.folder / "no.log")
        outcome.serial.return_value = "lasthop.dtb: /vms/alice: cpu-affinity: CPU 7 is not there\n"
        outcome.why.return_value = "lasthop cannot start: the config has errors, see above"
        outcome.stream.events = []
        bed, err = mock.Mock(note="", clock="wall"), io.StringIO()
        bed.name, bed.emulator.return_value = "tcg", "QEMU"
        machine = running.testbed.Machine()
        with mock.patch.object(running.boot, "boot", return_value=outcome), mock.patch.object(sys, "stderr", err):
            _, good = running.boot_config(dts.Config("x.dts"), bed, machine, 1, mock.Mock())
        self.assertFalse(good)
        self.assertRegex(err.getvalue(), r"x.dts:6:90: error: /vms/alice: cpu-affinity: CPU 7.*\n.*\n.*\^~~~~\n")


class Colours(Hostile):
    def shown(self, **env):
        """what a terminal gets"""
        self.write("x.dts", vms(vm("alice", "cpus = <33>;")))
        mine, its = pty.openpty()
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | env
        subprocess.run([sys.executable, paths.SOURCE / "scripts/lasthop", "check", "x.dts"], stderr=its,
                       stdout=subprocess.DEVNULL, env=environment)
        os.close(its)
        text = b""
        try:
            while piece := os.read(mine, 4096):
                text += piece
        except OSError:
            pass                # its end
        os.close(mine)
        return text.decode().replace("\r", "")

    def test_on_a_terminal_only_and_not_against_the_user_s_will(self):
        self.assertRegex(self.shown(), "^\033\\[1mx.dts:6:82:\033\\[0m \033\\[1;31merror:\033\\[0m /vms/alice: .*\n"
                                       ".*\n +\\| \t\t +\033\\[1;32m\\^~~~\033\\[0m\n")
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\033", self.shown(**env))
        self.assertNotIn("\033", self.refused(1, "error", "check", "x.dts"))


if __name__ == "__main__":
    unittest.main()
