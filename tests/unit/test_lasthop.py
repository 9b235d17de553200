#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does the host side read events, sum up results, show tables and place errors as it says?

No emulator runs here: events come from a fake stream, errors from a fake checker.
"""
import contextlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import boot, cli, dts, events, fdt, image, ports, results, running, table, testbed    # noqa: E402
from lasthoplib.console import Failure    # noqa: E402

SOURCE = """\
/dts-v1/;
/ {
\tcompatible = "lasthop,config-1";
\tlan: switch { compatible = "lasthop,switch"; };
\tvms {
\t\talice {
\t\t\tcompatible = "lasthop,vm"; cpus = <2>; memory-mib = <32>;
\t\t\tkernel = "a/* }.elf"; initrd = "b.cpio"; mem-mib = <1>;
\t\t\tnet0 { compatible = "lasthop,net"; switch = <&lan>; uplink; };
\t\t};
\t\tbob { compatible = "lasthop,vm"; memory-mib = <64>; kernel = "a.elf"; };
\t\tcarol { memory-mib = <128>; kernel = "../x"; status = "disabled"; };
\t};
};
"""


def stream(run, pair=0, **more):
    made = {"lasthop": 1, "event": "result", "vm": f"sink{pair}", "peer": f"source{pair}",
            "test": "stream", "frame_bytes": 1000, "run": run, "runs": 3, "nanoseconds": 1000, "begin_ns": 5000,
            "packets": 2, "bytes": 2000, "sent": 2, "lost": 0, "reordered": 0, "corrupt": 0,
            "sender_stalls": 1, "exits": 3, "notifications": 1, "copies": 2, "drops": 0,
            "way_drops": 0}
    return {**made, **more}


class Events(unittest.TestCase):
    def test_pieces_of_any_size_give_the_same_events(self):
        told = [{"lasthop": 1, "event": "boot", "cpus": 4}, {"lasthop": 1, "event": "end"}]
        text = "firmware chatter\n" + "\n".join(
            ["Booting " + json.dumps(told[0], separators=(",", ":")),
             json.dumps(told[1], separators=(",", ":"))]) + "\n"
        for size in (1, 2, 7, 1000):
            port = events.EventStream()
            for at in range(0, len(text), size):
                port.feed(text[at:at + size].encode())
            self.assertEqual(port.events, told, size)
            self.assertEqual(port.garbled, [])

    def test_an_unfinished_line_is_no_event(self):
        port = events.EventStream()
        self.assertEqual(port.feed(b'{"lasthop":1,"event":"end"}'), [])
        self.assertEqual(len(port.feed(b"\n")), 1)

    def test_damaged_lines_are_kept_apart(self):
        port = events.EventStream()
        port.feed(b'{"lasthop":1,"event":\n{"lasthop":1}\n{"lasthop":1,"event":"end"}\n\xff\n')
        self.assertEqual([len(port.events), len(port.garbled)], [1, 2])

    def test_a_line_without_end_is_bounded(self):
        port = events.EventStream()
        for _ in range(100):
            port.feed(b"x" * 10000)
        self.assertLessEqual(len(port._rest), events.LONGEST)


class Results(unittest.TestCase):
    def one(self, *told):
        bed = mock.Mock()
        bed.name, bed.clock = "bochs", "virtual"
        bed.emulator.return_value = "Bochs 3.1"
        return results.document(list(told), bed, testbed.Machine(cpus=2, exit_cost=1000),
                                [fdt.Vm("alice", 2, 32, [], False, False), fdt.Vm("bob", 1, 32, [], False, False),
                                 fdt.Vm("carol", 1, 32, [], True, False)], b"blob")

    def test_least_median_and_greatest_run(self):
        entry = self.one(stream(1), stream(2, nanoseconds=2000), stream(3, nanoseconds=500)
                         )["results"][0]
        self.assertEqual(entry["gbit_s"], {"min": 8.0, "median": 16.0, "max": 32.0})
        self.assertEqual(entry["mpps"], {"min": 1.0, "median": 2.0, "max": 4.0})
        self.assertEqual([entry["runs"], entry["packets"], entry["bytes"]], [3, 6, 6000])
        self.assertEqual(entry["exits_per_packet"], 1.5)
        self.assertEqual(entry["notifications_per_packet"], 0.5)
        self.assertEqual([entry["copies_per_packet"], entry["sender_stalls"]], [1.0, 3])
        self.assertEqual(entry["seconds"], round(3500e-9, 6))

    def test_pairs_are_added_run_by_run(self):
        entry = self.one(stream(1), stream(1, 1, nanoseconds=2000), stream(2), stream(2, 1)
                         )["results"][0]
        self.assertEqual([entry["pairs"], entry["runs"]], [2, 2])
        self.assertEqual(entry["gbit_s"], {"min": 16.0, "median": 24.0, "max": 32.0})
        self.assertEqual(entry["seconds"], round(3000e-9, 6))

    def test_pairs_that_took_turns_are_not_faster_than_one(self):
        for begin, wanted in ((6000, 16.0), (90000, 16.0), (5500, round(32 / 1.5, 4)), (5000, 32.0)):
            entry = self.one(stream(1), stream(1, 1, begin_ns=begin))["results"][0]
            self.assertEqual(entry["gbit_s"]["max"], wanted)
        told = [stream(1, pair, begin_ns=begin, nanoseconds=length) for pair, (begin, length) in
                enumerate(((100, 50), (0, 400), (390, 20), (1000, 100), (1100, 1)))]
        self.assertEqual(results.measured_ns(told), 410 + 101)

    def test_lost_frames_are_errors_only_if_nobody_counted_the_drop(self):
        entry = self.one(stream(1, lost=5, drops=9, way_drops=5),
                         stream(2, lost=2, corrupt=1, reordered=4))["results"][0]
        self.assertEqual([entry["drops"], entry["errors"]], [9, 7])
        # dropped, but elsewhere: that is not how they were lost
        entry = self.one(stream(1, lost=5, drops=9, way_drops=2))["results"][0]
        self.assertEqual(entry["errors"], 3)

    def test_nothing_received_is_no_division_by_zero(self):
        entry = self.one(stream(1, packets=0, bytes=0, nanoseconds=0))["results"][0]
        self.assertEqual([entry["gbit_s"]["max"], entry["exits_per_packet"]], [0, 0])

    def test_request_response(self):
        told = {"event": "result", "vm": "a", "peer": "b", "test": "rr", "frame_bytes": 64,
                "transactions": 10, "peer_exits": 20, "peer_wakeups": 5, "kicks": 2,
                "peer_exits_by": {"hlt": 10, "io": 10}}
        entry = self.one({**told, "run": 1, "p50_ns": 1000, "p99_ns": 9000},
                         {**told, "run": 2, "p50_ns": 3000, "p99_ns": 9500},
                         {**told, "run": 3, "p50_ns": 2000, "p99_ns": 1000, "drops": 1})["results"][0]
        self.assertEqual(entry, {
            "name": "rr", "path": "v2v", "frame_bytes": 64, "transactions": 30, "p50_us": 2.0,
            "p99_us": 9.0, "receiver_exits_per_transaction": 2.0, "wakeups_per_transaction": 0.5,
            "receiver_exits_by": {"hlt": 1.0, "io": 1.0},
            "kicks_per_transaction": 0.2, "notifications_per_transaction": 0.0, "drops": 1, "errors": 0})

    def test_ticks_of_the_hypervisor_are_of_one_pair(self):
        told = [stream(1, root_ticks=3000), stream(2, root_ticks=1000)]
        self.assertEqual(self.one(*told)["results"][0]["root_ticks_per_packet"], 1000)
        told.append(stream(2, 1, root_ticks=1000))
        self.assertNotIn("root_ticks_per_packet", self.one(*told)["results"][0])

    def test_a_request_without_a_good_answer_fails_the_run(self):
        told = {"event": "result", "vm": "a", "peer": "b", "test": "rr", "frame_bytes": 64,
                "transactions": 10, "run": 1, "lost": 2, "corrupt": 1, "drops": 3}
        made = self.one(told)
        self.assertEqual(made["results"][0]["errors"], 3)
        self.assertTrue([said for said in results.complaints(made) if "rr 64 bytes: 3 " in said])

    def test_the_document_has_the_schema_and_no_more(self):
        made = self.one({"event": "boot", "backend": "vmx", "cpus": 2}, stream(1))
        self.assertEqual(list(made), [
            "schema", "commit", "config_sha256", "testbed", "emulator", "backend", "cpus",
            "clock", "exit_cost", "vms", "results", "ports"])
        self.assertEqual(list(made["results"][0]), [
            "name", "path", "frame_bytes", "pairs", "runs", "seconds", "packets", "bytes",
            "sender_stalls", "gbit_s", "mpps", "exits_per_packet", "notifications_per_packet",
            "kicks_per_packet", "copies_per_packet", "drops", "errors"])
        self.assertEqual(json.loads(json.dumps(made)), made)

    def test_every_enabled_vm_must_have_ended_well(self):
        end = {"event": "vm-end", "vm": "alice", "vcpus": 2, "end": "ok", "reason": ""}
        made = self.one(end)
        self.assertEqual(made["vms"], [
            {"name": "alice", "role": "guest", "vcpus": 2, "end": "ok"},
            {"name": "bob", "role": "guest", "vcpus": 1, "end": "running"}])
        self.assertEqual(results.complaints(made), ["VM bob: running"])
        made = self.one(end, {**end, "vm": "bob"})
        self.assertEqual(results.complaints(made), [])
        made = self.one(end, {**end, "vm": "bob"}, stream(1, corrupt=1))
        self.assertEqual(len(results.complaints(made)), 1)

    def test_a_driver_domain_may_run_on(self):
        made = self.one({"event": "vm-end", "vm": "alice", "vcpus": 2, "end": "ok", "reason": ""})
        made["vms"][1]["role"] = "driver-domain"
        self.assertEqual(results.complaints(made), [])
        self.assertIn("driver domain", table.render(made))
        made["vms"][1]["end"] = "crash"
        self.assertEqual(results.complaints(made), ["VM bob: crash"])

    def test_ports_are_added_up_and_must_balance(self):
        end = {"event": "vm-end", "vcpus": 1, "end": "ok", "reason": ""}
        names = ("tx_packets", "tx_delivered", "tx_flooded", "tx_flood_copies", "tx_drop_receiver",
                 "tx_drop_long", "gso_segments", "gso_segmented", "rx_packets", "rx_drop_no_buffer")

        def told(name, **counters):
            return {"event": "port", "port": name, "switch": "lan",
                    "counters": dict.fromkeys(names, 0) | counters}
        good = [{**end, "vm": "alice"}, {**end, "vm": "bob"},
                told("alice/net0", tx_packets=1, tx_flooded=1, tx_flood_copies=1),
                told("alice/net0", tx_packets=9, tx_delivered=5, tx_drop_receiver=3, tx_drop_long=1,
                     gso_segments=4, gso_segmented=1),
                told("bob/net0", rx_packets=9, rx_drop_no_buffer=3)]
        made = self.one(*good)
        self.assertEqual([p["name"] for p in made["ports"]], ["alice/net0", "bob/net0"])
        self.assertEqual(made["ports"][0]["counters"]["tx_packets"], 10)
        self.assertEqual(results.complaints(made), [])
        for extra in (told("bob/net0", rx_packets=1), told("bob/net0", tx_packets=1)):
            said = results.complaints(self.one(*good, extra))
            self.assertEqual(len(said), 1, said)
            self.assertIn("not accounted for", said[0])
        self.assertEqual(results.complaints(self.one(*good[1:], told("bob/net0", rx_packets=1))),
                         ["VM alice: running"])
        self.assertEqual(results.complaints(self.one(*good[1:], told("bob/net0", tx_packets=1))),
                         ["VM alice: running", "port bob/net0: 1 packets sent are not accounted for"])

    def test_who_has_not_ended(self):
        events = [{"event": kind, "vm": vm} for kind, vm in (
            ("vm-start", "a"), ("vm-start", "b"), ("vm-end", "a"), ("vm-reset", "b"), ("vm-start", "b"), ("vm-start", "a"),
            ("vm-start", "c"), ("vm-end", "c"))]
        self.assertEqual(ports.running(events), {"a", "b"})

    def test_the_table_shows_what_the_document_says(self):
        told = stream(1, drops=77)
        rr = {"event": "result", "test": "rr", "frame_bytes": 64, "run": 1, "transactions": 4,
              "p50_ns": 1500, "p99_ns": 2500}
        with mock.patch.object(results, "commit", return_value="0123456789" * 4 + "-dirty"):
            text = table.render(self.one({"event": "boot", "backend": "vmx", "cpus": 2}, told, rr))
        for part in ("lasthop 012345678901-dirty: ","Bochs 3.1", "vmx", "virtual time", "16.000", "77", "1.5", "2.5", "alice"):
            self.assertIn(part, text)
        rows = [line for line in text.split("\n") if line.startswith("  ")]
        self.assertEqual(len({len(r) for r in rows[:3]}), 1, "columns are aligned")


class WithFolder(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)
        build = mock.patch.dict(os.environ, {"B": str(self.folder / "build")})
        build.start()
        self.addCleanup(build.stop)

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def fake_checker(self, *found):
        lines = "".join(json.dumps(f) + "\n" for f in found)
        path = self.write("build/host/lasthop-check",
                          f"#!/bin/sh\ncat <<'E'\n{lines}E\nexit {1 if found else 0}\n"
                          if found else "#!/bin/sh\nexit 0\n")
        path.chmod(0o755)

    def call(self, *argv):
        """exit status, stdout, stderr of the command"""
        out, err = io.StringIO(), io.StringIO()
        with mock.patch.object(sys, "argv", ["lasthop", *map(str, argv)]), \
                contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), \
                self.assertRaises(SystemExit) as end:
            cli.main()
        return end.exception.code, out.getvalue(), err.getvalue()


class Configs(WithFolder):
    def test_the_blob_tells_vms_memory_and_images(self):
        config = dts.Config(self.write("demo.dts", SOURCE))
        self.assertEqual([(v.name, v.cpus, v.memory_mib, v.disabled) for v in config.vms], [
            ("alice", 2, 32, False), ("bob", 1, 64, False), ("carol", 1, 128, True)])
        self.assertEqual(config.vms[0].images, ["a/* }.elf", "b.cpio"])
        self.assertEqual(boot.memory_for(config.vms), 32 + 64 + 512)
        config.vms[0].memory_mib = 1900
        self.assertEqual(boot.memory_for(config.vms), 1900 + 64 + 512 + 1024 + 3072)
        for vm in config.vms:
            vm.memory_mib = 1000
        self.assertEqual(boot.memory_for(config.vms), 2000 + 512 + 1000)

    def test_images_are_found_beside_the_config_then_among_the_guests(self):
        self.write("b.cpio", "beside")
        self.write("build/guest/b.cpio", "guest")
        self.write("build/guest/a.elf", "guest")
        self.write("x", "outside")
        config = dts.Config(self.write("demo.dts", SOURCE))
        self.assertEqual({k: v.read_text() for k, v in config.images.items()},
                         {"b.cpio": "beside", "a.elf": "guest"})

    def test_a_damaged_blob_has_no_vms(self):
        blob = dts.Config(self.write("demo.dts", SOURCE)).blob
        for damaged in (b"", b"\0" * 100, blob[:60], blob[:-20], b"\xd0\x0d\xfe\xed" + b"\xff" * 80):
            self.assertEqual(fdt.vms(damaged), [])

    def test_errors_stand_where_node_and_property_are(self):
        self.fake_checker(
            {"node": "/vms/alice", "property": "mem-mib", "text": "unknown property: did you mean memory-mib?"},
            {"node": "/vms/alice/net0", "property": "uplink", "text": "not here"},
            {"node": "/vms/bob", "property": "cpus", "text": "missing"},
            {"node": "/", "property": "", "text": "nothing right"},
            {"node": "/nowhere", "property": "", "text": "no place"})
        path = self.write("demo.dts", SOURCE)
        status, _, err = self.call("check", path)
        self.assertEqual(status, 1)
        for place in ("8:45", "9:56", "11:3", "2:1"):
            self.assertIn(f"{path}:{place}: error: ", err)
        self.assertIn(f"{path}: error: /nowhere: no place", err)
        self.assertIn("/vms/alice: mem-mib: unknown property: did you mean memory-mib?", err)
        shown = err.split("\n")
        at = next(i for i, line in enumerate(shown) if "mem-mib: unknown" in line)
        caret = shown[at + 2].index("^")
        self.assertEqual(shown[at + 1][caret:caret + 7], "mem-mib")
        self.assertIn("5 errors", err)

    def test_errors_as_json(self):
        self.fake_checker({"node": "/vms/bob", "property": "kernel", "text": "bad"})
        path = self.write("demo.dts", SOURCE)
        status, out, _ = self.call("check", "--json", "-", path)
        self.assertEqual((status, json.loads(out)), (1, {
            "schema": 1, "file": str(path), "errors": [
                {"file": str(path), "line": 11, "column": 64, "node": "/vms/bob",
                 "property": "kernel", "text": "bad"}]}))

    def test_syntax_errors_look_the_same(self):
        path = self.write("bad.dts", "/dts-v1/;\n/ { a = <1>\n b; };\n")
        status, _, err = self.call("check", path)
        self.assertEqual(status, 1)
        self.assertIn(f"{path}:2:12: error: syntax error: ; is missing here\n    2 | / {{ a = <1>\n"
                      "      |            ^", err)
        path = self.write("twice.dts", "/dts-v1/;\n/ { a = <1>; a = <2>; };\n")
        status, _, err = self.call("check", path)
        self.assertEqual(status, 1)
        self.assertRegex(err, r"twice\.dts:2:\d+: error: .*Duplicate property name")

    def test_a_blob_has_no_lines_but_errors_all_the_same(self):
        self.fake_checker({"node": "/vms/bob", "property": "kernel", "text": "bad"})
        path = self.folder / "demo.dtb"
        path.write_bytes(dts.Config(self.write("demo.dts", SOURCE)).blob)
        status, _, err = self.call("check", path)
        self.assertEqual(status, 1)
        self.assertIn(f"{path}: error: /vms/bob: kernel: bad", err)

    def test_exit_status(self):
        self.fake_checker()
        self.assertEqual(self.call("check", self.write("demo.dts", SOURCE))[0], 0)
        self.assertEqual(self.call("check", self.folder / "absent.dts")[0], 2)
        self.assertEqual(self.call("check", self.folder)[0], 2)
        self.write("build/host/lasthop-check", "#!/bin/sh\necho broken >&2\nexit 9\n")
        self.assertEqual(self.call("check", self.folder / "demo.dts")[0], 2)

    def test_one_is_no_plural(self):
        self.fake_checker()
        one = SOURCE[:SOURCE.index("\t\tbob")] + "\t};\n};\n"
        self.assertIn("demo.dts: 1 VM, no errors", self.call("check", self.write("demo.dts", one))[1])
        self.assertIn("booted: svm, 1 CPU, TSC", running.describe({"event": "boot", "backend": "svm",
                                                               "cpus": 1}))

    def test_without_dtc_the_mend_is_said(self):
        path = self.write("demo.dts", SOURCE)
        with mock.patch.dict(os.environ, {"PATH": str(self.folder)}):
            status, _, err = self.call("check", path)
        self.assertEqual(status, 2)
        self.assertRegex(err, r"^error: no dtc here: .*device-tree-compiler\n$")


class Images(WithFolder):
    def test_what_is_in_the_image_comes_out_again(self):
        self.write("build/BOOTX64.EFI", "loader")
        self.write("a.elf", "kernel" * 1000)
        self.fake_checker()
        path, out = self.write("demo.dts", SOURCE), self.folder / "usb.img"
        status, said, err = self.call("image", "--out", out, path)
        self.assertEqual(status, 0, err)
        self.assertIn("a.elf", said)
        part = f"{out}@@{2048 * 512}"

        def read(name):
            return subprocess.run(["mtype", "-i", part, name], capture_output=True).stdout

        self.assertEqual(read("::/EFI/BOOT/BOOTX64.EFI"), b"loader")
        self.assertEqual(read("::/lasthop/a.elf"), b"kernel" * 1000)
        self.assertEqual(read("::/lasthop/lasthop.dtb"), dts.Config(path).blob)
        verified = subprocess.run(["sfdisk", "--verify", out], capture_output=True, text=True)
        self.assertIn("No errors", verified.stdout + verified.stderr)

    def test_nothing_to_boot_is_said(self):
        with self.assertRaisesRegex(Failure, "call make first"):
            image.build(self.folder / "x.img", self.folder / "absent.efi", b"", {})

    def test_only_a_file_is_overwritten(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        efi = self.write("build/BOOTX64.EFI", "loader")
        for node in (pipe, self.folder, Path("/dev/null")):
            with self.assertRaisesRegex(Failure, "is no regular file: .* dd$"):
                image.build(node, efi, b"", {})
            self.assertTrue(node.exists())

    def test_names_that_leave_the_folder_are_not_copied(self):
        for name in ("", ".", "..", "../x", "a/b", "a\\b"):
            self.assertFalse(image.plain(name), name)


class TestBeds(WithFolder):
    def test_limits_of_a_test_bed_are_said_before_it_starts(self):
        with self.assertRaisesRegex(Failure, "at most 14"):
            testbed.Bochs(self.folder).check(testbed.Machine(cpus=15))
        for bed, most in ((testbed.Bochs(self.folder), 8192), (testbed.Qemu("tcg"), 1 << 40)):
            with self.assertRaisesRegex(Failure, "need a machine of .* MiB, .*: lower memory-mib$"):
                bed.check(testbed.Machine(memory_mib=most + 1))
        with self.assertRaisesRegex(Failure, "at most 255 .*lower --cpus"):
            testbed.Qemu("tcg").check(testbed.Machine(cpus=256))
        with self.assertRaisesRegex(Failure, "bochs"):
            testbed.Qemu("tcg").check(testbed.Machine(exit_cost=1000))

    def test_bochs_log_is_read_on_and_only_for_failures(self):
        path = self.folder / "bochs.log"
        log = testbed.BochsLog(path)
        self.assertEqual(log.fatal(), [])
        path.write_text("001w[CPU0  ] HALT\n002p[CPU0  ] >>PANIC<< VMEN")
        self.assertEqual(log.fatal(), [])
        with open(path, "a") as file:
            file.write("TER broken\n003w[CPU1  ] exception(): 3rd (13) exception with no resolution\n")
        self.assertEqual(len(log.fatal()), 2)
        self.assertIn("VMENTER broken", log.fatal()[0])

    def test_kvm_that_does_not_nest_is_said_with_its_mend(self):
        self.assertRegex(testbed.kvm_lacks(str(self.folder / "absent")), "No such file.*: .*load kvm")
        self.assertRegex(testbed.kvm_lacks("/dev/null"), "does not answer as KVM")

        def cpuid(leaf, ecx):
            def ioctl(fd, request, buffer):
                struct.pack_into("=2I6I", buffer, 0, 1, 0, leaf, 0, 0, 0, 0, ecx)
            return ioctl
        for leaf, ecx, wanted in ((1, 1 << 5, ""), (0x80000001, 1 << 2, ""), (1, ~(1 << 5) & 0xffffffff,
                                                                        "nested=1")):
            with mock.patch("fcntl.ioctl", cpuid(leaf, ecx)):
                self.assertRegex(testbed.kvm_lacks("/dev/null"), f"{wanted}$")
        with mock.patch.object(testbed, "kvm_lacks", return_value="no: do this"):
            self.assertEqual((testbed.pick("auto").name, testbed.pick("auto").note), ("tcg", ""))
            with self.assertRaisesRegex(Failure, "^--on kvm: no: do this, or use --on tcg$"):
                testbed.pick("kvm")
        with mock.patch("os.open", side_effect=PermissionError):    # a better one is there
            self.assertRegex(testbed.pick("auto").note, "^no access to /dev/kvm: join the group kvm")
        with mock.patch.object(testbed, "kvm_lacks", return_value=""):
            self.assertEqual([testbed.pick("auto").name, testbed.pick("kvm").name], ["kvm", "kvm"])

    def test_nothing_is_announced_that_is_refused(self):
        self.fake_checker()
        with mock.patch.dict(os.environ, {"LASTHOP_CACHE": str(self.folder)}):
            for argv in (["--on", "bochs"], ["--on", "bochs", "--cpus", "15"],
                         ["--on", "tcg", "--exit-cost", "1000"]):
                status, out, err = self.call("run", *argv, self.write("demo.dts", SOURCE))
                self.assertEqual((status, out), (1, ""))
                self.assertRegex(err, r"^error: .*: .*\n$|^error: .*: only there")

    def test_a_folder_for_a_run_that_cannot_be_made(self):
        cache = self.write("file", "")
        with mock.patch.dict(os.environ, {"LASTHOP_CACHE": str(cache)}), \
                self.assertRaisesRegex(Failure, "^.*/file/run: Not a directory: .*; LASTHOP_CACHE names"):
            testbed.Qemu("tcg").folder()

    def follow(self, script, timeout=20):
        """how a run ends whose emulator is a shell script"""
        process = subprocess.Popen(["sh", "-c", script], cwd=self.folder)
        try:
            return boot.follow(process, self.folder, lambda: [], timeout,
                               lambda e: None, lambda: None, until=None)
        finally:
            process.kill()
            process.wait()

    def test_the_last_words_are_waited_for(self):
        serial = self.write("serial.log", "first\n")
        process = subprocess.Popen(["sh", "-c", "sleep 1; echo '] all VMs have ended, 5 MiB' >> serial.log; "
                                    "exec sleep 60"], cwd=self.folder)
        try:
            boot._drain(process, serial, "end")
            self.assertIn("ended, 5 MiB", serial.read_text())
            self.assertIsNone(process.poll())
        finally:
            process.kill()
            process.wait()

    def test_what_a_guest_says_of_its_failure_is_shown(self):
        serial = ("vm| guest: no\nsource| guest: raise max\033[31m\n[ 1.0] x| guest: not it\n"
                  "sink| said guest: nothing\n")
        self.assertEqual(running.guest_words(serial), [("vm", "no"), ("source", "raise max?[31m")])
        self.assertEqual(len(running.guest_words("a| guest: b\n" * 1000)), running.LAST_LINES)

    def test_how_a_run_ends(self):
        end = """echo '{"lasthop":1,"event":"%s"}' >> e9.log; """
        for script, wanted in ((end % "end" + "exec sleep 60", "end"), (end % "panic", "panic"),
                               (end % "boot", "died"), ("exit 1", "died")):
            (self.folder / "e9.log").unlink(missing_ok=True)
            self.assertEqual(self.follow(script)[0], wanted, script)
        self.assertEqual(self.follow("echo > e9.log; exec sleep 60", timeout=0)[0], "timeout")
        (self.folder / "e9.log").unlink(missing_ok=True)
        self.assertEqual(self.follow("exec sleep 60", timeout=0)[0], "timeout")


if __name__ == "__main__":
    unittest.main()
