#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Do completion and manual pages say what the argument parser says, and do they hold what may stand in a parser?

Completion is asked through the protocol of argcomplete's shell function: a line, a place in it, descriptor 8.
"""
import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lasthoplib import cli, completion, policies, roff    # noqa: E402
from lasthoplib.console import Failure    # noqa: E402

PYTHON = "/usr/bin/python3"     # the one that python3-argcomplete is for


def parsers(parser, words=()):
    """(words that lead to it, parser) of each parser"""
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from parsers(below, (*words, name))


ASK = """
import io, json, os, sys
sys.path.insert(0, sys.argv[1])
import argcomplete
from lasthoplib import cli, completion
for line in sys.stdin:
    os.environ["COMP_LINE"] = "lasthop " + json.loads(line)
    os.environ["COMP_POINT"] = str(len(os.environ["COMP_LINE"]))
    answer = io.StringIO()
    top = cli.parser()
    completion.prepare(top)
    argcomplete.CompletionFinder()(top, always_complete_options=False, exit_method=lambda _: None,
                                   output_stream=answer)
    print(json.dumps(answer.getvalue()), flush=True)
"""


class Shell:
    """what argcomplete answers to a shell in a folder, in one process for all questions"""

    def __init__(self, folder):
        env = os.environ | {"_ARGCOMPLETE": "1", "COMP_TYPE": "9", "_ARGCOMPLETE_IFS": "\013", "IFS": "\013",
                            "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:"}
        self.process = subprocess.Popen([PYTHON, "-c", ASK, ROOT / "scripts"], env=env, cwd=folder, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def tab(self, line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        return [word.strip() for word in json.loads(self.process.stdout.readline()).split("\013") if word.strip()]

    def close(self):
        self.process.communicate()      # ends it, too


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shell = Shell(ROOT)
        cls.addClassCleanup(cls.shell.close)

    def tab(self, line):
        return self.shell.tab(line)

    def test_a_shell_is_answered(self):
        words = r"""eval "$(register-python-argcomplete lasthop)"; PATH=$1:$PATH; IFS='|'
            COMP_LINE='lasthop run --on b'; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
            _python_argcomplete lasthop; echo "$COMP_LINE: ${COMPREPLY[*]}" """
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "lasthop").write_text(f'#!/bin/sh\nexec {PYTHON} {ROOT}/scripts/lasthop "$@"\n')
            (Path(folder) / "lasthop").chmod(0o755)
            done = subprocess.run(["bash", "-c", words, "bash", folder], capture_output=True, text=True)
        self.assertEqual(done.stdout, "lasthop run --on b: bochs \n", done.stderr)

    def test_verbs_options_choices(self):
        top = dict(parsers(cli.parser()))
        self.assertEqual(set(self.tab("")), {words[0] for words in top if len(words) == 1})
        self.assertEqual(set(self.tab("bench ")), {words[1] for words in top if words[:1] == ("bench",) and words[1:]})
        self.assertEqual(self.tab("run --on "), ["auto", "kvm", "tcg", "bochs"])
        self.assertEqual(self.tab("run --on b"), ["bochs"])
        self.assertIn("--timeout", self.tab("run --t"))

    def test_every_verb_offers_its_options(self):
        for words, parser in parsers(cli.parser()):
            wanted = {o for a in parser._actions for o in a.option_strings if o.startswith("--")}
            self.assertEqual(set(self.tab(" ".join([*words, "--"]))), wanted, words)

    def test_files_and_folders(self):
        self.assertIn("examples/bench.dts", self.tab("check examples/b"))
        self.assertIn("examples/", self.tab("check ex"))
        self.assertEqual(self.tab("check Make"), [])         # no config
        self.assertEqual(self.tab("run --json Make"), ["Makefile"])
        self.assertEqual(self.tab("bench peer --svg exa"), ["examples/"])
        self.assertEqual(self.tab("bench peer --svg Make"), [])
        self.assertEqual(self.tab("run --cpus "), [])
        self.assertEqual(self.tab("check /no/such/folder/"), [])

    def test_ports_are_those_of_the_config(self):
        self.assertEqual(self.tab("trace examples/bench.dts "), ["sink/net0", "source/net0"])
        self.assertEqual(self.tab("trace examples/bench.dts so"), ["source/net0"])
        self.assertEqual(self.tab("trace examples/uplink.dts netd/"), ["netd/net0"])     # a NIC is no port
        self.assertEqual(self.tab("trace Makefile "), [])
        self.assertEqual(self.tab("trace absent.dts "), [])

    def test_vms_are_those_of_the_config(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("vm", metavar="VM")
        completion.prepare(parser)
        complete = parser._actions[-1].completer
        told = argparse.Namespace(config=str(ROOT / "examples/bench.dts"))
        self.assertEqual(complete(prefix="", parsed_args=told), ["sink", "source"])
        self.assertEqual(complete(prefix="", parsed_args=argparse.Namespace()), [])

    def test_policies_and_their_words(self):
        self.assertEqual(set(self.tab("set ")), set(policies.names()))
        self.assertEqual(self.tab("set copy "), ["auto", "moves", "vectors", "rep"])
        self.assertEqual(self.tab("set buffer-reuse o"), ["off", "on"])
        self.assertEqual(self.tab("set poll-us "), [])

    def test_what_a_machine_tells(self):
        machine = mock.MagicMock()
        machine.__enter__.return_value.call = lambda method: {
            "vm.list": {"vms": [{"vm": "alice"}, {"vm": "bob"}]},
            "port.list": {"ports": [{"port": "alice/net0"}]}}[method]
        told = argparse.Namespace(line=None)
        with mock.patch.object(completion.channel, "connect", return_value=machine):
            self.assertEqual(completion.vms(parsed_args=told), ["alice", "bob"])
            self.assertEqual(completion.ports(parsed_args=told), ["alice/net0"])
            self.assertEqual(completion.vms(parsed_args=argparse.Namespace()), [])     # a verb that asks none
        for broken in (Failure("no machine runs"), OSError()):
            with mock.patch.object(completion.channel, "connect", side_effect=broken):
                self.assertEqual(completion.vms(parsed_args=told), [])

    def test_a_machine_that_does_not_answer_is_not_waited_for(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as silent:
            silent.bind(f"{folder}/x.line")
            silent.listen()
            done = subprocess.run([PYTHON, "-c", "import sys; sys.path.insert(0, sys.argv[1]); from argparse import "
                                   "Namespace as N; from lasthoplib import completion as c; "
                                   "c.vms(parsed_args=N(line=sys.argv[2]))", ROOT / "scripts", f"{folder}/x.line"])
        self.assertEqual(done.returncode, -signal.SIGALRM)

    def test_names_of_files_are_never_commands(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("a'; touch hit; '.dts", "a$(touch hit).dts", "a b.dts", ".hidden.dts"):
                (Path(folder) / name).touch()
            shell = Shell(folder)
            found = [shell.tab(line) for line in ("check a\\'", "check \"a$", "check a\\ ", "check ")]
            shell.close()
            self.assertEqual([len(words) for words in found], [1, 1, 1, 3])
            self.assertFalse((Path(folder) / "hit").exists())


class Manual(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = Path(holder.name)
        subprocess.run([ROOT / "scripts/gen_man.py", cls.folder], check=True,
                       env=os.environ | {"SOURCE_DATE_EPOCH": "86400"})

    def shown(self, page):
        done = subprocess.run(["mandoc", "-T", "utf8", "-O", "width=300", self.folder / page], check=True,
                              capture_output=True, text=True)
        return re.sub(".\b", "", done.stdout)

    def test_mandoc_has_nothing_to_say(self):
        pages = sorted(self.folder.iterdir())
        said = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True, text=True)
        self.assertEqual((said.stdout + said.stderr, said.returncode), ("", 0))

    def test_a_page_for_each_verb_with_all_its_arguments(self):
        wanted = {"lasthop-config.5"}
        for words, parser in parsers(cli.parser()):
            page = "-".join(("lasthop", *words)) + ".1"
            wanted.add(page)
            text = self.shown(page)
            self.assertIn("Jan  2, 1970" if "Jan  2" in text else "1970-01-02", text)
            for action in parser._actions:
                for option in action.option_strings:
                    self.assertIn(option, text)
                for choice in action.choices or ():
                    self.assertIn(str(choice), text)
                if action.help and "%" not in action.help:
                    self.assertIn(" ".join(action.help.replace("`", "").split()), " ".join(text.split()))
        self.assertEqual({path.name for path in self.folder.iterdir()}, wanted)

    def test_the_config_page_has_each_property_with_its_limits(self):
        text = self.shown("lasthop-config.5")
        found = re.findall(r"^\| `([\w-]+)` \| (\w+) \| (\w+) \| ?([^|]*?) ?\| ([\w/]+) \| ",
                           (ROOT / "docs/config.md").read_text(), re.M)
        self.assertGreater(len(found), 30)
        for name, *told in found:
            self.assertIn(f"{name} ({', '.join(filter(None, told))})", text)
        self.assertIn('kernel = "bench.elf";', text)

    def test_whatever_text_says_is_shown_as_it_is(self):
        hostile = r".SH x \fB 'quoted' `code` ^ ~ a-b \\ -- .TH \" \n(x"
        page = self.folder / "hostile.1"
        page.write_text(roff.heading("hostile", "x", 1, "1", "1970-01-02") + "\n.SH TEXT\n"
                        + roff.item(roff.bold(hostile), hostile.replace("`", "")) + "\n"
                        + roff.markdown("    .so /etc/passwd\n    'br\n\n.br at the begin\n"))
        text = self.shown("hostile.1")
        page.unlink()
        self.assertIn(hostile, text)
        self.assertIn(hostile.replace("`", ""), text)
        for line in (".so /etc/passwd", "'br", ".br at the begin"):
            self.assertIn(line, text)


if __name__ == "__main__":
    unittest.main()
