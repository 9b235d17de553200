#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Do the verbs that speak to a running machine find it, show what it tells in 80 columns, end as it ends, and say in
one sentence what is wrong? The machine is a socket of ours: no emulator runs here.
"""
import contextlib
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lasthoplib import channel, cli, frames, lines, machine, share, testbed      # noqa: E402
from lasthoplib.console import Failure                                  # noqa: E402
from test_channel import Machine                                        # noqa: E402


class Verbs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        patched = mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": self.folder.name})
        patched.start()
        self.addCleanup(patched.stop)

    def run_verb(self, *words):
        """(status, stdout, stderr)"""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            args = cli.parser().parse_args(words)
            args.json_due = False
            status = cli.perform(args)
        return status, out.getvalue(), err.getvalue()

    def test_lines_are_found_and_errors_name_the_mend(self):
        status, _, err = self.run_verb("vm", "list")
        self.assertEqual(status, 1)
        self.assertIn("no machine runs: start one with `lasthop run`", err)
        one, two = share.Share(lines.path_for("one")), share.Share(lines.folder() / "two-1.line")
        self.assertEqual(len(lines.running()), 2)
        status, _, err = self.run_verb("vm", "list")
        self.assertIn("2 machines run: name one", err)
        self.assertIn(f"--line {two.path}", err)
        two.close()
        self.assertEqual(lines.find(), one.path)
        (lines.folder() / "dead-1.line").touch()
        self.assertEqual(lines.find(), one.path)
        self.assertFalse((lines.folder() / "dead-1.line").exists())
        one.close()
        for path, says in (("/dev/null", "serial port"), ("/nowhere", "No such file"),
                           (self.folder.name, "neither a Unix socket nor a serial port")):
            status, _, err = self.run_verb("vm", "list", "--line", path)
            self.assertEqual(status, 1)
            self.assertIn(says, err)

    def test_names_of_lines_fit(self):
        for name in ("x" * 255, "\u53f0" * 85, "\u00e9" * 40, "\udcff" * 200, ""):
            for deep in (0, 40, 104 - len(self.folder.name) - len(f"/lasthop/{os.getpid()}.line")):
                base = Path(self.folder.name) / ("d" * deep)
                with mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": str(base)}):
                    made = share.Share(lines.path_for(name))
                    self.assertEqual(lines.find(), made.path)
                    made.close()

    def test_what_a_dead_run_left_is_in_nobodys_way(self):
        with mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": self.folder.name}):
            left = socket.socket(socket.AF_UNIX)
            left.bind(str(lines.path_for("x")))
            left.close()
            share.Share(lines.path_for("x")).close()

    def test_a_run_goes_on_where_no_line_can_be(self):
        with mock.patch.dict(os.environ, {"XDG_RUNTIME_DIR": self.folder.name + "/" + "d" * 100}), \
                contextlib.redirect_stderr(io.StringIO()) as err:
            self.assertIsNone(cli.shared_line("x", testbed.Bochs))
        self.assertRegex(err.getvalue(), r"^warning: .*too long.*XDG_RUNTIME_DIR names another.*do not reach this mach.*\n$")
        for why, taken in (("No such file", "/nowhere/x.line"), ("Address already in use", self.folder.name)):
            with mock.patch.object(lines, "path_for", return_value=taken), \
                    contextlib.redirect_stderr(io.StringIO()) as err:
                self.assertIsNone(cli.shared_line("x", testbed.Bochs))
            self.assertIn(why, err.getvalue())

    def test_a_folder_of_others_is_refused(self):
        os.mkdir(Path(self.folder.name) / "lasthop", 0o777)
        os.chmod(Path(self.folder.name) / "lasthop", 0o777)
        with self.assertRaisesRegex(Failure, "not a folder of yours alone"):
            lines.folder()

    def machine(self, **methods):
        """one that runs, with these results"""
        made = share.Share(lines.path_for("m"))
        self.addCleanup(made.close)
        return Machine(made.emulator,
                       methods={name.replace("_", "."): (lambda m, f, told=told, **_: told)
                                for name, told in methods.items()})

    def test_tables_have_80_columns_with_the_longest_names_and_numbers(self):
        name, most = "a" * 31, (1 << 64) - 1
        port = {"port": f"{name}/{name}", "switch": name, "mac": "52:54:00:00:00:01", "link": "up", "uplinks_away": True,
                "sent": most, "received": most, "dropped": most, "driver": True, "warning": "of 9 offloads the guest's driver declined 9",
                "offloads": {"guest_tso4": {"offered": True, "accepted": False, "used": False}}}
        vm = {"vm": name, "state": "starting", "role": "guest", "cpus": 8, "memory_mib": 1 << 20,
              "exits": most, "wakeups": most, "unsafe_dma": True}
        self.machine(
            vm_list={"vms": [vm], "free_kib": 1 << 40, "total_kib": 1 << 40},
            port_list={"ports": [port]},
            fdb_list={"switches": [{"switch": name, "all": False, "entries": [
                {"mac": port["mac"], "port": port["port"], "age_us": 1 << 40}]}]},
            stat_list={"port": port["port"], "ports": 1, "counters": [
                {"name": "tx_drop_" + "x" * 16, "value": most, "unit": "packets", "class": "resource",
                 "help": ""}]},
            policy_list={"policies": [{"policy": "immediate-notification", "value": "1048576",
                                       "values": "1514 to 1048576", "help": ""}]})
        for words in (("vm", "list"), ("port",), ("port", "x/y"), ("fdb",), ("stat",), ("set",)):
            status, out, err = self.run_verb(*words)
            self.assertEqual((status, err), (0, ""), words)
            self.assertLessEqual(max(map(len, out.splitlines())), 80, out)

    def test_results_go_to_json_and_refusals_to_stderr(self):
        self.machine(vm_pause={"vm": "alice", "state": "paused"})
        status, out, _ = self.run_verb("vm", "pause", "alice", "--json", "-")
        self.assertEqual((status, json.loads(out)), (0, {"schema": 1, "vm": "alice", "state": "paused"}))
        status, out, err = self.run_verb("vm", "stop", "alice")
        self.assertEqual((status, out), (1, ""))
        self.assertIn("error: vm: no such method", err)
        status, _, err = self.run_verb("vm", "stop")
        self.assertEqual(status, 2)
        self.assertIn("which VM? vm list shows them", err)

    def ending(self, **methods):
        """one that ends soon after it has opened a stream"""
        made = share.Share(lines.path_for("ending"))

        def answer(told):
            if "stream" in told:
                threading.Timer(0.3, made.close).start()
            return told

        Machine(made.emulator, methods={name.replace("_", ".", 1): (lambda m, f, told=told, **_: answer(told))
                                        for name, told in methods.items()})

    def test_a_capture_ends_with_the_machine(self):
        begun = {"port": "a/net0", "switch": "lan", "mac": "52:54:00:00:00:01", "snap": 100, "time_us": 5, "wall_ns": 7,
                 "mark": 9, "stream": 17}
        self.ending(see_tables={"verdicts": [["delivered", "copied"]]}, see_capture=begun)
        file = Path(self.folder.name) / "file"
        status, out, err = self.run_verb("capture", "a/net0", str(file), "--json", "-")
        self.assertEqual((status, json.loads(out)["why"]), (0, channel.ENDED), err)
        self.assertIn("0 packets, 0 of them dropped by the switch, 0 lost by the capture: the machine has ended", err)
        self.assertIn(struct.pack("<HHQ", 5, 8, 0), file.read_bytes())      # isb_ifdrop

    def lasthop(self, words, **how):
        return subprocess.run([sys.executable, ROOT / "scripts/lasthop", *words], capture_output=True, text=True,
                              timeout=120, check=False, **how)

    def test_a_console_ends_with_the_machine(self):
        self.ending(console_open={"stream": 17, "after": [(frames.DATA, 17, 0, "last words")]})
        theirs, mine = os.pipe()
        done = self.lasthop(["console", "a", "--json", "-"], stdin=theirs)
        os.close(theirs)
        os.close(mine)
        self.assertEqual((done.returncode, done.stderr), (0, "last words"))
        self.assertEqual(json.loads(done.stdout)["text"], "last words")

    def test_standard_input_may_be_closed(self):
        self.machine(console_open={"stream": 17, "after": [(frames.DATA, 17, 0, "words")]})
        done = self.lasthop(["console", "a"], preexec_fn=lambda: os.close(0))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "words", ""))

    def test_parameters_of_a_call(self):
        """whatever their names, and strings though they look like numbers"""
        made = self.machine(any={})
        status, _, err = self.run_verb("call", "any", "method=1", "self=true", 'vm="123"', "name=12a", 'empty=""')
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(made.calls[0]["params"], {"method": 1, "self": True, "vm": "123", "name": "12a", "empty": ""})

    def test_who_types_to_a_guest_that_hangs_still_detaches(self):
        takes_none = mock.Mock(read=lambda timeout: time.sleep(timeout), send=lambda keys: threading.Event().wait())
        for keys in (b"x" * 20 + b"\x1d", b"x", b""):
            theirs, mine = os.pipe()
            stdin = os.dup(0)
            os.dup2(theirs, 0)
            try:
                os.write(mine, keys)
                os.close(mine)
                with mock.patch.object(machine, "DEAF_SECONDS", 0.2):
                    talks = threading.Thread(target=machine.converse, args=(takes_none, False, 1, None), daemon=True)
                    talks.start()
                    talks.join(30)
                self.assertFalse(talks.is_alive())
            finally:
                os.dup2(stdin, 0)
                os.close(stdin)
                os.close(theirs)

    def test_events_end_with_the_machine(self):
        told = [{"event": "vm-start", "vm": "a"}, {"event": "link"}, {"event": "end"}]
        text = "".join(json.dumps(event) + "\n" for event in told)
        self.machine(events_open={"stream": 17, "after": [(frames.DATA, 17, 0, text)]})
        status, out, err = self.run_verb("events", "--count", "2")
        self.assertEqual((status, err, list(map(json.loads, out.splitlines()))), (0, "", told[:2]))
        made = share.Share(lines.path_for("other"))

        def last_ones(_machine, _frame, replay):
            threading.Timer(0.3, made.close).start()
            return {"stream": 17, "after": [(frames.DATA, 17, 0, text)], "replay": replay}

        Machine(made.emulator, methods={"events.open": last_ones})
        status, out, err = self.run_verb("events", "--line", str(made.path), "--only", "link,end")
        self.assertEqual((status, err, list(map(json.loads, out.splitlines()))), (0, "", told[1:]))
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as err:
            cli.parser().parse_args(["events", "--only", "vm-strat"])
        self.assertIn("vm-strat is no kind of event: did you mean vm-start?", err.getvalue())

    def test_kinds_of_events_are_those_that_there_are(self):
        source = (ROOT / "hv/core/report.c").read_text()
        told = re.findall(r"begin\(&line, ([^;]*)\);.*?\n\t(send\w*)\(", source, re.S)
        events = re.findall(r'"([\w-]+)"', " ".join(kind for kind, how in told if how == "send_event"))
        events += re.findall(r'report_reason\("([\w-]+)"', source)
        self.assertEqual(set(machine.KINDS), set(events) - {"panic"})   # behind that nobody is told anything

    def test_events_that_lost_their_beginning_are_left_out(self):
        self.assertEqual(machine.parsed(b'{"event":"end"}'), {"event": "end"})
        for line in (b'ent":"end"}', b"", b"[]", b"1", b'{"x":1}', b"\xff"):
            self.assertIsNone(machine.parsed(line))


if __name__ == "__main__":
    unittest.main()
