#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Is what `lasthop capture` writes read alike by tshark and tcpdump, with directions, drops and losses; and are
records found again where the line has lost some, is each counted that is not told, and what does Ctrl-C do?"""
import io
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from lasthoplib import capture, channel    # noqa: E402
from lasthoplib.capture import IN, NO_PAIR, OUT, RECORD, Records    # noqa: E402
from lasthoplib.console import Failure    # noqa: E402

MARK = 0x504F484C
VERDICTS = [["delivered", "copied"], ["flooded", "to all"], ["drop_no_buffer", "receiver has no free buffer"]]
BEGUN = {"port": "alice/net0", "switch": "lan", "mac": "52:54:00:00:00:01", "snap": 100,
         "time_us": 5_000_000, "wall_ns": 1_700_000_000_000_000_000, "mark": MARK}


def frame(number, size=64):
    head = bytes.fromhex("525400000002525400000001" "0800")
    ip = bytes.fromhex("45000032000000004011") + b"\0\0" + bytes([10, 0, 0, 1, 10, 0, 0, 2])
    udp = struct.pack(">HHHH", 1000 + number, 2000, size - 34, 0)
    return (head + ip + udp).ljust(size, b"\0")[:size]


def record(data, whole=None, time_us=5_000_100, direction=IN, verdict=0, pair=0, number=0, place=77, mark=MARK):
    length = (RECORD.size + len(data) + 4 + 7) // 8 * 8
    head = RECORD.pack(length, mark, place, len(data), len(data) if whole is None else whole, number,
                       time_us, pair, direction, verdict, 0)
    return (head + data).ljust(length - 4, b"\0") + struct.pack("<I", place)


def records_of(data):
    return Records(len(VERDICTS), MARK).feed(data)


def written(records, total=None):
    out = io.BytesIO()
    writer = capture.Writer(out, BEGUN, VERDICTS)
    writer.write(records)
    writer.end(total)
    return out.getvalue()


def tool(data, *argv):
    with tempfile.NamedTemporaryFile(suffix=".pcapng") as file:
        file.write(data)
        file.flush()
        done = subprocess.run([a.replace("FILE", file.name) for a in argv], capture_output=True, text=True,
                              check=False)
    return done.returncode, done.stdout, done.stderr


class Pcapng(unittest.TestCase):
    def setUp(self):
        self.records = records_of(
            record(frame(1)) + record(frame(2), direction=OUT, pair=3, time_us=5_000_200, number=1) +
            record(frame(3)[:40], whole=1514, verdict=2, number=9) +
            record(b"", whole=0, verdict=2, pair=NO_PAIR, number=10))
        self.data = written(self.records)

    def test_tshark(self):
        if not shutil.which("tshark"):
            self.skipTest("no tshark")
        fields = ["frame.number", "frame.time_epoch", "frame.len", "frame.cap_len",
                  "frame.packet_flags_direction", "frame.comment", "udp.srcport",
                  "frame.interface_name"]
        status, out, err = tool(self.data, "tshark", "-r", "FILE", "-T", "fields", "-E",
                                "separator=|", *(x for f in fields for x in ("-e", f)))
        self.assertEqual(status, 0, err)
        rows = [line.split("|") for line in out.splitlines()]
        self.assertEqual(len(rows), 4)
        self.assertEqual(rows[0][1], "1700000000.000100000")
        self.assertEqual(rows[1][1], "1700000000.000200000")
        self.assertEqual([r[2] for r in rows], ["64", "64", "1514", "0"])
        self.assertEqual([r[3] for r in rows], ["64", "64", "40", "0"])
        self.assertEqual([int(r[4], 0) for r in rows], [1, 2, 1, 1])
        self.assertEqual([r[5] for r in rows], ["", "", "dropped: receiver has no free buffer"] +
                         ["dropped: receiver has no free buffer"])
        self.assertEqual([r[6] for r in rows[:2]], ["1001", "1002"])
        self.assertEqual({r[7] for r in rows}, {"alice/net0"})

    def test_losses_are_in_the_file(self):
        if not shutil.which("capinfos"):
            self.skipTest("no capinfos")
        status, out, err = tool(self.data, "capinfos", "FILE")
        self.assertEqual(status, 0, err)
        self.assertIn("lasthop", out)
        self.assertRegex(out, r"Number of packets\s*[:=] 4")
        # isb_ifrecv, isb_ifdrop, as the specification has them
        self.assertIn(struct.pack("<HHQHHQ", 4, 8, 4 + 7, 5, 8, 7), self.data)
        self.assertIn(struct.pack("<HHQ", 4, 8, 7), self.data)          # epb_dropcount of the third
        # ... and with what was lost behind the last one
        self.assertIn(struct.pack("<HHQHHQ", 4, 8, 13, 5, 8, 13 - 4), written(self.records, 13))

    def test_tcpdump(self):
        if not shutil.which("tcpdump"):
            self.skipTest("no tcpdump")
        status, out, err = tool(self.data, "tcpdump", "-n", "-r", "FILE")
        self.assertEqual(status, 0, err)
        self.assertIn("10.0.0.1.1001 > 10.0.0.2.2000", out)
        self.assertEqual(len(out.splitlines()), 4, out)


class Find(unittest.TestCase):
    def stream(self, count):
        return [record(frame(n, 60 + n % 50), time_us=n, number=n, place=120 * n + 120) for n in range(count)]

    def test_in_pieces(self):
        data = b"".join(self.stream(50))
        for size in (1, 7, 32, 33, 200, 4096):
            records = Records(len(VERDICTS), MARK)
            found = [r for at in range(0, len(data), size) for r in records.feed(data[at:at + size])]
            self.assertEqual([r.time_us for r in found], list(range(50)), size)
            self.assertEqual({r.lost for r in found}, {0})

    def test_gaps(self):
        """what is told is right, whatever is missing and counted, and the stream is found again"""
        choose = random.Random(1)
        for _ in range(300):
            whole = self.stream(40)
            data = b"".join(whole)
            begin = choose.randrange(len(data) // 2)
            length = choose.randrange(1, 700)
            data = data[:begin] + data[begin + length:]
            found = records_of(data)
            times = [r.time_us for r in found]
            self.assertEqual(times, sorted(set(times)))
            for r in found:
                self.assertEqual(r.frame, frame(r.time_us, 60 + r.time_us % 50))
            self.assertEqual(times[-1], 39)
            self.assertEqual(len(found) + sum(r.lost for r in found), 40)
            self.assertGreaterEqual(len(times), 40 - 3 - length // 104 - 1)

    def test_garbage(self):
        choose = random.Random(2)
        for _ in range(50):
            records = Records(len(VERDICTS), MARK)
            for _ in range(20):
                records.feed(choose.randbytes(choose.randrange(300)))
            self.assertLess(len(records._rest), 1000)
        for bad in (record(b"x" * 8)[:4] + b"LHOP" + b"\xff" * 24,              # more kept than whole
                    record(b"x", direction=2), record(b"x", verdict=3), record(b"x", whole=1 << 20)):
            self.assertEqual(records_of(bad + record(b"y"))[-1].frame, b"y")

    def test_forged(self):
        """a guest's frame with what looks like a record, whose beginning the line has lost"""
        forged = record(b"from nobody", direction=OUT, number=5, mark=MARK + 1)
        data = record(b"x" * 7 + forged + b"x" * 9, number=0)[20:] + record(b"y", number=1)
        self.assertEqual([(r.frame, r.lost) for r in records_of(data)], [(b"y", 1)])

    def test_losses_between(self):
        found = records_of(record(b"a") + record(b"b", number=0xFFFFFFFF) + record(b"c", number=4))
        self.assertEqual([r.lost for r in found], [0, 0xFFFFFFFE, 4])


class Stream:
    """a machine's; a piece may be something to call first"""

    def __init__(self, pieces):
        self.pieces, self.result, self.why, self.ended = list(pieces), BEGUN, "", False

    def read(self, _timeout):
        piece = self.pieces.pop(0) if self.pieces else b""
        while callable(piece):
            piece()
            piece = self.pieces.pop(0)
        return piece

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Machine:
    """that captures these pieces; of so many records in all"""

    def __init__(self, pieces, total, at_end=lambda: None):
        self.pieces, self.total, self.at_end, self.broken = pieces, total, at_end, ""

    def call(self, method, **_):
        if method == "see.tables":
            return {"verdicts": VERDICTS}
        assert method == "see.capture_end"
        self.at_end()
        if self.total is None:
            self.broken = channel.ENDED
            raise Failure("the line is gone")
        return {"records": self.total}

    def open(self, method, port):
        assert method == "see.capture"
        if port != "alice/net0":
            raise Failure("there is no such port")
        return Stream(self.pieces)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def end():
    os.kill(os.getpid(), signal.SIGTERM)


TEN = [record(frame(n), number=n) for n in range(10)]


class Pump(unittest.TestCase):
    def run_with(self, pieces, **how):
        out = io.BytesIO()
        writer = capture.Writer(out, BEGUN, VERDICTS)
        capture.pump(Stream(pieces), writer, Records(len(VERDICTS), MARK), **how)
        return writer.packets

    def test_ends(self):
        self.assertEqual(self.run_with([*TEN, None]), 10)
        self.assertEqual(self.run_with([b"".join(TEN), None], most=3), 3)
        asked = []
        self.assertEqual(self.run_with([*TEN[:4], lambda: asked.append(1), *TEN[4:]], stop=lambda: asked), 5)
        ticks = iter(range(100))
        self.assertEqual(self.run_with([*TEN, None], seconds=5, clock=lambda: next(ticks)), 4)


class Run(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.file = os.path.join(self.folder.name, "file")
        self.addCleanup(self.folder.cleanup)
        capture.print = lambda *_, **__: None
        self.addCleanup(delattr, capture, "print")

    def ran(self, *how, **more):
        made = capture.run(Machine(*how, **more), "alice/net0", self.file)
        return made["packets"], made["lost"]

    def test_interrupt(self):
        """what has come is written, and what comes still"""
        before = signal.getsignal(signal.SIGINT)
        for ask in (interrupt, end):
            self.assertEqual(self.ran([*TEN[:3], ask, *TEN[3:]], 10), (10, 0))
            self.assertEqual(self.ran([*TEN[:3], ask, *TEN[3:]], 17), (10, 7))
        self.assertEqual(signal.getsignal(signal.SIGINT), before)

    def test_again(self):
        """what is under way then is counted as lost"""
        self.assertEqual(self.ran([*TEN[:3], interrupt, *TEN[3:]], 10, interrupt), (4, 6))
        with self.assertRaises(KeyboardInterrupt):      # it hangs
            self.ran([interrupt, interrupt, interrupt, *TEN], 10)

    def test_machine_that_ends_before_the_capture_does(self):
        self.assertEqual(self.ran([*TEN[:3], interrupt, *TEN[3:]], None), (10, 0))
        self.assertIn(struct.pack("<HHQ", 5, 8, 0), Path(self.file).read_bytes())   # isb_ifdrop

    def test_a_port_that_is_gone(self):
        """who asks for the end just then is told, too"""
        class Gone(Machine):
            def call(self, method, **params):
                if method == "see.capture_end":
                    raise Failure("it is not being captured")
                return super().call(method, **params)

            def open(self, method, port):
                made = super().open(method, port)
                made.why, made.ended = "the port is gone", True
                return made

        for pieces in (TEN, [*TEN[:3], interrupt, *TEN[3:]]):
            made = capture.run(Gone(pieces, 10), "alice/net0", self.file)
            self.assertEqual((made["packets"], made["why"]), (10, "the port is gone"))
            self.assertTrue(capture.render(made).endswith("lost by the capture: the port is gone"))

    def test_file(self):
        Path(self.file).write_bytes(b"precious")
        with self.assertRaises(Failure):
            capture.run(Machine(TEN, 10), "alice/net1", self.file)
        self.assertEqual(Path(self.file).read_bytes(), b"precious")
        for file in ("/dev/full", self.file + "/none"):
            with self.assertRaisesRegex(Failure, f"capture: {file}: .*: name a file"):
                capture.run(Machine(TEN, 10), "alice/net0", file)


if __name__ == "__main__":
    unittest.main()
