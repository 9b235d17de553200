#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does `lasthop trace` tell what the switch does with a frame, stage by stage, and refuse what is none?"""
import contextlib
import io
import json
import os
import random
import struct
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import cli    # noqa: E402

CONFIG = """\
/dts-v1/;
/ {
	compatible = "lasthop,config-1";
	lan: lan { compatible = "lasthop,switch"; };
	far: far { compatible = "lasthop,switch"; };
	vms {
		a { compatible = "lasthop,vm"; memory-mib = <64>; kernel = "k";
			net0 { compatible = "lasthop,net"; switch = <&lan>; max-frame-size = <1500>;
				local-mac-address = [52 54 00 00 00 0a]; }; };
		b { compatible = "lasthop,vm"; memory-mib = <64>; kernel = "k";
			net0 { compatible = "lasthop,net"; switch = <&lan>; max-frame-size = <9000>;
				local-mac-address = [52 54 00 00 00 0b]; }; };
		c { compatible = "lasthop,vm"; memory-mib = <64>; kernel = "k";
			net0 { compatible = "lasthop,net"; switch = <&lan>;
				local-mac-address = [52 54 00 00 00 0c]; };
			net1 { compatible = "lasthop,net"; switch = <&far>;
				local-mac-address = [52 54 00 00 00 1c]; }; };
		d { compatible = "lasthop,vm"; memory-mib = <64>; kernel = "k"; status = "disabled";
			net0 { compatible = "lasthop,net"; switch = <&lan>; }; };
	};
};
"""
A, B, C, FAR = "52540000000a", "52540000000b", "52540000000c", "52540000001c"
NOBODY, ALL, GROUP, ZERO = "525400000099", "ff" * 6, "01005e000001", "00" * 6


def frame(dst, src, size=64):
    return (dst + src + "0800").ljust(2 * size, "0")


def pcap(frames, order="<", magic=0xa1b2c3d4, link=1):
    made = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for whole, kept in frames:
        made += struct.pack(order + "IIII", 0, 0, len(kept), whole) + kept
    return made


class Trace(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.config = os.path.join(self.folder.name, "c.dts")
        Path(self.config).write_text(CONFIG)

    def call(self, port, what, *options):
        """(exit status, standard output, standard error)"""
        out, err, argv = io.StringIO(), io.StringIO(), sys.argv
        sys.argv = ["lasthop", "trace", *options, self.config, port, what]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                cli.main()
        except SystemExit as end:
            return end.code, out.getvalue(), err.getvalue()
        finally:
            sys.argv = argv
        return None

    def told(self, port, what):
        """(verdict, {stage: [texts]}) of the last frame"""
        status, out, err = self.call(port, what, "--json", "-")
        self.assertEqual((status, err), (0, ""))
        last = json.loads(out)["frames"][-1]
        stages = {}
        for s in last["stages"]:
            stages.setdefault(s["stage"], []).append(s["text"])
        return last["verdict"], stages

    def test_to_one_port(self):
        verdict, stages = self.told("a/net0", frame(B, A, 100))
        self.assertEqual(verdict, "delivered")
        self.assertIn("is known behind a/net0", stages["source"][0])
        self.assertIn("is behind b/net0", stages["lookup"][0])
        self.assertEqual(stages["receiver"], ["b/net0: 100 bytes copied once, to its ring"])

    def test_to_all_ports(self):
        for dst, said in (ALL, "is a group"), (GROUP, "is a group"):
            verdict, stages = self.told("a/net0", frame(dst, A))
            self.assertEqual(verdict, "flooded")
            self.assertIn(said, stages["lookup"][0])
            self.assertEqual([t.split(":")[0] for t in stages["receiver"]], ["b/net0", "c/net0"])
        verdict, stages = self.told("b/net0", frame(NOBODY, B))
        self.assertEqual(verdict, "flooded")
        self.assertIn("is not known", stages["lookup"][0])
        self.assertEqual(stages["receiver"], [f"{p}: dropped: receiver does not want this address or VLAN"
                                              for p in ("a/net0", "c/net0")])

    def test_addresses_of_another_switch_are_not_known(self):
        self.assertEqual(self.told("a/net0", frame(FAR, A))[0], "flooded")
        self.assertEqual(self.told("c/net1", frame(A, FAR))[0], "drop_no_port")

    def test_an_address_that_moves(self):
        _, stages = self.told("a/net0", frame(B, C))
        self.assertIn("is learned behind a/net0: it was behind c/net0", stages["source"][0])

    def test_drops(self):
        for want, what, stage in (("drop_same_port", frame(A, A), "lookup"),
                                  ("drop_bad_source", frame(B, ALL), "source"),
                                  ("drop_bad_source", frame(B, ZERO), "source"),
                                  ("drop_short", frame(B, A)[:26], "length"),
                                  ("drop_long", frame(B, A, 1519), "length")):
            verdict, stages = self.told("a/net0", what)
            self.assertEqual(verdict, want)
            self.assertEqual(list(stages)[-1], stage)
        self.assertEqual(self.told("a/net0", frame(B, A, 1518))[0], "delivered")
        self.assertEqual(self.told("b/net0", frame(C, B, 9018))[0], "delivered")

    def test_digits_may_be_apart(self):
        text = ":".join(frame(B, A)[i:i + 2] for i in range(0, 128, 2))
        self.assertEqual(self.told("a/net0", text)[0], "delivered")
        self.assertEqual(self.told("a/net0", text.replace(":", " "))[0], "delivered")

    def test_frames_of_a_capture(self):
        file = Path(self.folder.name, "x.pcap")
        learns, uses = bytes.fromhex(frame(ALL, NOBODY)), bytes.fromhex(frame(NOBODY, A))
        for order, magic in ("<", 0xa1b2c3d4), (">", 0xa1b2c3d4), ("<", 0xa1b23c4d):
            file.write_bytes(pcap([(64, learns), (64, uses[:20])], order, magic))
            status, out, _ = self.call("a/net0", f"@{file}")
            self.assertEqual(status, 0)
            self.assertIn("frame 2 of 2 frames", out)
            self.assertIn("drop same port: destination is behind the port it came from", out)

    def test_a_capture_with_checksums(self):
        """the frame check sequence is no part of a frame: the longest one passes"""
        file = Path(self.folder.name, "x.pcap")
        for size, cut in (64, 64), (64, 40), (1518, 1518):
            whole = bytes.fromhex(frame(B, A, size)) + b"fcs!"
            file.write_bytes(pcap([(len(whole), whole[:cut + 4 if cut == size else cut])], link=0x24000001))
            status, out, _ = self.call("a/net0", f"@{file}")
            self.assertEqual(status, 0)
            self.assertIn(f"{size} bytes", out)
            self.assertIn("verdict   delivered", out)

    def test_not_utf8(self):
        status, _, err = self.call("\udcff", frame(B, A))
        self.assertEqual(status, 1)
        self.assertEqual(err.count("\n"), 1)

    def test_what_is_no_capture(self):
        file, one = Path(self.folder.name, "x.pcap"), [(64, bytes(64))]
        for content, said in ((b"", "no pcap file"), (b"\x0a\x0d\x0d\x0a" + bytes(40), "editcap"),
                              (pcap([]), "has no frames"), (pcap(one, link=113), "Ethernet"),
                              (pcap(one)[:-1], "frame 1: is cut off"), (pcap(one) + b"x", "frame 2: is cut off"),
                              (pcap([(64, bytes(13))]), "holds 13 of its bytes"),
                              (pcap([(14, bytes(14))] * 10001), "frame 10001: is one too many"),
                              (pcap([(65553, bytes(14))] * 1100), "1-1023"),
                              (pcap([(8, bytes(64))]), "damaged"), (pcap([(1 << 31, bytes(64))]), "damaged")):
            file.write_bytes(content)
            status, out, err = self.call("a/net0", f"@{file}")
            self.assertEqual((status, out), (1, ""), content[:30])
            self.assertIn(said, err)
        for name in "@/none/there", "@":
            status, _, err = self.call("a/net0", name)
            self.assertEqual(status, 2)
            self.assertIn("name a pcap file", err)
        self.assertEqual(self.call("a/net0", frame(B, A), "--line", "x")[0], 2)

    def test_a_capture_is_kept(self):
        file = Path(self.folder.name, "x.pcap")
        file.write_bytes(pcap([(64, bytes(64))]))
        for what in str(file), self.config:
            kept = Path(what).read_bytes()
            self.assertEqual(self.call("a/net0", f"@{file}", "--json", what)[0], 2)
            self.assertEqual(Path(what).read_bytes(), kept)

    def test_errors_are_one_line(self):
        for port, what, said in (("a/net9", frame(B, A), "name one of a/net0, b/net0, c/net0, c/net1, d/net0"),
                                 ("a", frame(B, A), "no such port"), ("d/net0", frame(B, A), "VM d is disabled"),
                                 ("a/net0", "", "even number"), ("a/net0", "123", "even number"),
                                 ("a/net0", "xy", "even number"), ("a/net0", "00" * 65554, "65553")):
            status, out, err = self.call(port, what)
            self.assertEqual((status, out, err.count("\n")), (1, "", 1), err)
            self.assertIn(said, err)

    def test_a_broken_config(self):
        Path(self.config).write_text(CONFIG.replace("<1500>", "<1>"))
        status, out, err = self.call("a/net0", frame(B, A))
        self.assertEqual((status, out), (1, ""))
        self.assertIn("/vms/a/net0: max-frame-size", err)

    def test_any_bytes(self):
        some = random.Random(1)
        file = Path(self.folder.name, "x.pcap")
        frames = [some.randbytes(some.choice((0, 1, 13, 14, 60, 1518, 1519, 65553))) for _ in range(300)]
        file.write_bytes(pcap([(len(f), f) for f in frames]))
        status, out, _ = self.call("b/net0", f"@{file}", "--json", "-")
        self.assertEqual(status, 0)
        self.assertEqual([f["bytes"] for f in json.loads(out)["frames"]], [len(f) for f in frames])


if __name__ == "__main__":
    unittest.main()
