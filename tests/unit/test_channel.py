#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does the host's end of the management channel understand frames after garbage, keep the answers of several
clients apart, count what a stream lost, send an upload until all of it has arrived, and say in one sentence
why not? The machine is a socket of ours: no emulator runs here.
"""
import contextlib
import json
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from lasthoplib import channel, frames, serialline, share              # noqa: E402
from lasthoplib.console import Failure                                  # noqa: E402
from lasthoplib.frames import Frame                                     # noqa: E402


class Frames(unittest.TestCase):
    def test_a_frame_is_as_documented(self):
        self.assertEqual(Frame(frames.RESET).encode(),
                         b"\xc0\x07" + bytes(7) + b"\x70\xd6\xe7\x6f\xc0")

    def test_any_payload_survives_any_cut_behind_any_garbage(self):
        rng = random.Random(3)
        for size in (0, 1, 100, frames.MOST):
            sent = [Frame(frames.DATA, 0xC0, 0xDB, 0xDBDCDDC0, rng.choice((rng.randbytes(size),
                                                                        b"\xc0\xdb\xdc\xdd" * (size // 4))))
                    for _ in range(5)]
            stream = b"".join(rng.randbytes(50) + frames.DELIMITER + frame.encode() for frame in sent)
            for piece in (1, 7, 5000):
                decoder = frames.Decoder()
                got = [f for at in range(0, len(stream), piece) for f in decoder.feed(stream[at:at + piece])]
                self.assertEqual(got, sent)

    def test_no_wrong_bit_passes(self):
        whole = bytearray(Frame(frames.CALL, payload=b"{}").encode())
        for bit in range(8, 8 * (len(whole) - 1)):
            wrong = bytearray(whole)
            wrong[bit // 8] ^= 1 << bit % 8
            self.assertEqual(frames.Decoder().feed(bytes(wrong)), [])

    def test_text_without_an_end_is_bounded(self):
        decoder = frames.Decoder()
        for _ in range(100):
            decoder.feed(b"x" * 1000)
        self.assertLess(len(decoder._rest), 2 * frames.LONGEST)


class Machine(threading.Thread):
    """The other end of a line: answers by methods of ours. `drop` frames that it does not see first."""

    def __init__(self, sock, drop=0, methods=None):
        super().__init__(daemon=True)
        self.sock, self.drop, self.methods, self.calls = sock, drop, methods or {}, []
        self.uploaded, self.ended, self.begun = b"", None, []
        self.slow, self.taken = 0, 0                # seconds for a piece; bytes in all, those again too
        self.start()

    def send(self, *sent):
        with contextlib.suppress(OSError):          # the client has gone
            self.sock.sendall(b"".join(frame.encode() for frame in sent))

    def run(self):
        decoder = frames.Decoder()
        with self.sock:
            while data := self._receive():
                for frame in decoder.feed(data):
                    self._take(frame)

    def _receive(self):
        try:
            return self.sock.recv(65536)
        except OSError:
            return b""

    def _take(self, frame):
        if frame.kind == frames.RESET:
            self.begun.append(frame.client)
            self.send(frame)
        elif frame.kind == frames.CALL:
            self._call(frame)
        elif frame.kind == frames.DATA:
            self.taken += len(frame.payload)
            if self.drop:
                self.drop -= 1
            else:
                time.sleep(self.slow)
                further = frame.offset > len(self.uploaded)
                if frame.offset == len(self.uploaded):
                    self.uploaded += frame.payload
                self.send(Frame(frames.ACK, frame.client, frame.stream, len(self.uploaded), b"\1" * further))
        elif frame.kind == frames.END:
            self.ended = frame.payload
            self.send(Frame(frames.END, frame.client, frame.stream, 0, b'{"why":"","lost":0}'))

    def _call(self, frame):
        request = json.loads(frame.payload)
        self.calls.append(request)
        method = self.methods.get(request["method"])
        made = {"jsonrpc": "2.0", "id": request["id"]}
        if method:
            made["result"] = method(self, frame, **request.get("params", {}))
        else:
            made["error"] = {"code": -32601, "message": "no such method"}
        text = json.dumps(made).encode()
        half = len(text) // 2
        self.send(Frame(frames.ANSWER, frame.client, 0, 0, text[:half]),
                  Frame(frames.ANSWER_END, frame.client, 0, half, text[half:]))
        if after := made.get("result", {}).get("after"):
            self.send(*(Frame(kind, frame.client, stream, offset, payload.encode())
                        for kind, stream, offset, payload in after))


class Pair:
    """a line between two sockets"""

    def __init__(self, **more):
        mine, theirs = socket.socketpair()
        self.sock, self.machine = mine, Machine(theirs, **more)

    def send(self, data):
        self.sock.sendall(data)

    def receive(self):
        return self.sock.recv(65536)

    def close(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


METHODS = {"double": lambda m, f, n: {"n": 2 * n, "client": f.client},
           "stream": lambda m, f, after: {"stream": 17, "after": after},
           "put": lambda m, f: {"stream": 33}}


class Channels(unittest.TestCase):
    def setUp(self):
        patched = mock.patch.multiple(channel, ANSWER_SECONDS=2, BEGIN_SECONDS=0.5, AGAIN_SECONDS=0.1)
        patched.start()
        self.addCleanup(patched.stop)

    def connect(self, **more):
        line = Pair(methods=METHODS, **more)
        made = channel.Channel(line)
        self.addCleanup(made.close)
        return made, line.machine

    def test_calls(self):
        made, _ = self.connect()
        self.assertEqual(made.call("double", n=21), {"n": 42, "client": 0})
        with self.assertRaisesRegex(channel.Refused, "no such method") as told:
            made.call("nothing")
        self.assertEqual(told.exception.code, -32601)
        with self.assertRaisesRegex(Failure, "too long for a request"):
            made.call("double", n="x" * 5000)

    def test_a_machine_that_is_silent_or_gone(self):
        line = Pair()
        line.machine._take = lambda frame: None
        with self.assertRaisesRegex(Failure, "does not answer on the line"):
            channel.Channel(line)
        line.close()
        made, theirs = self.connect()
        theirs.sock.shutdown(socket.SHUT_RDWR)
        with self.assertRaisesRegex(Failure, "the line is gone: "):
            made.call("double", n=1)

    def test_a_piece_of_an_answer_that_is_lost(self):
        made, theirs = self.connect()
        theirs.methods = {"x": lambda m, f: theirs.send(Frame(frames.ANSWER, 0, 0, 5, b"..")) or {}}
        self.assertEqual(made.call("x"), {})        # what is not whole is left out
        theirs._call = lambda frame: theirs.send(Frame(frames.ANSWER_END, 0, 0, 7, b"{}"))
        with self.assertRaisesRegex(Failure, "no answer from the machine within 2 s"):
            made.call("x")

    def test_streams_count_what_is_lost(self):
        made, _ = self.connect()
        after = [(frames.DATA, 17, 0, "abc"), (frames.DATA, 17, 10, "k"), (frames.DATA, 17, 10, ""),
                 (frames.DATA, 18, 0, "not ours"), (frames.END, 17, 13, '{"why":"tired","lost":5}')]
        with made.open("stream", after=after) as stream:
            self.assertEqual(b"".join(stream), b"abck")
        self.assertEqual((stream.lost, stream.why), (7 + 2 + 5, "tired"))

    def test_a_stream_ends_with_the_machine(self):
        made, theirs = self.connect()
        after = [(frames.DATA, 17, 0, "last words")]
        with made.open("stream", after=after) as stream:
            threading.Timer(0.3, theirs.sock.shutdown, (socket.SHUT_RDWR,)).start()
            self.assertEqual(b"".join(stream), b"last words")
            self.assertEqual((stream.read(), made.broken), (b"", channel.ENDED))

    def test_a_stream_without_news(self):
        made, theirs = self.connect()
        with made.open("stream", after=[]) as stream:
            self.assertIsNone(stream.read(timeout=0.05))
        self.assertEqual(theirs.ended, b"")

    def test_uploads_are_repeated_until_they_are_there(self):
        data = bytes(range(256)) * 100
        for drop in (0, 1, 5):
            made, theirs = self.connect(drop=drop)
            told = []
            made.upload("put", data, progress=told.append)
            self.assertEqual((theirs.uploaded, theirs.ended), (data, b""))
            self.assertEqual(told[-1], len(data))

    def test_what_is_missing_is_sent_again_at_once(self):
        made, theirs = self.connect(drop=1)
        with mock.patch.object(channel, "AGAIN_SECONDS", 3600):
            sends = threading.Thread(target=made.upload, args=("put", bytes(9000)), daemon=True)
            sends.start()
            sends.join(60)
        self.assertFalse(sends.is_alive())
        self.assertEqual(len(theirs.uploaded), 9000)

    def test_a_slow_line_is_not_filled_with_the_same_again(self):
        made, theirs = self.connect()
        theirs.slow = 0.1
        with mock.patch.object(channel, "AGAIN_SECONDS", 0.02):
            made.upload("put", bytes(8192))
        self.assertEqual(len(theirs.uploaded), 8192)
        self.assertLessEqual(theirs.taken, 2 * 8192)

    def test_an_upload_that_is_broken_off(self):
        made, theirs = self.connect()
        with self.assertRaises(ZeroDivisionError):
            with made.open("put"):
                raise ZeroDivisionError
        self.assertEqual(theirs.ended, b"broken off")

    def test_whatever_a_machine_sends(self):
        rng = random.Random(5)
        made, theirs = self.connect()
        for turn in range(100):
            theirs.sock.sendall(rng.randbytes(200) + frames.DELIMITER)
            theirs.send(*(Frame(rng.randrange(1, 8), 0, rng.randrange(40), rng.randrange(1 << 32),
                                rng.choice((b"", b"null", b"[]", b'{"id":1}', rng.randbytes(30))))
                          for _ in range(5)))
            theirs.uploaded = b""
            self.assertEqual(made.call("double", n=turn)["n"], 2 * turn)


class Wire:
    """the machine's end of a serial port: a terminal's other side"""

    def __init__(self, fd):
        self.fd = fd

    def sendall(self, data):
        while data:
            data = data[os.write(self.fd, data):]

    def recv(self, room):
        return os.read(self.fd, room)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)


class SerialPorts(unittest.TestCase):
    def test_a_serial_port_is_a_line(self):
        theirs, mine = os.openpty()
        self.addCleanup(os.close, mine)
        machine_there = Machine(Wire(theirs), methods=METHODS)
        with channel.connect(os.ttyname(mine)) as made:
            self.assertEqual(made.call("double", n=21), {"n": 42, "client": 0})
            data = bytes(range(256)) * 20           # no byte means anything to the terminal
            made.upload("put", data)
            self.assertEqual(machine_there.uploaded, data)


class Shares(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name) / "line"
        self.share = share.Share(self.path)
        self.addCleanup(lambda: self.share.is_alive() and self.share.close())
        self.machine = Machine(self.share.emulator, methods=METHODS)

    def client(self):
        made = channel.connect(str(self.path))
        self.addCleanup(made.close)
        return made

    def test_clients_get_their_own_answers(self):
        clients = [self.client() for _ in range(5)]
        wrong = []

        def ask(client, k):
            numbers = {client.call("double", n=n)["client"] for n in range(k, k + 40)}
            wrong.append(len(numbers) != 1)

        threads = [threading.Thread(target=ask, args=(c, 100 * k)) for k, c in enumerate(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(wrong, [False] * 5)
        self.assertEqual(len(self.machine.calls), 200)

    def test_an_answer_that_lost_a_piece_is_asked_for_again_before_others_are(self):
        lose, whole, seen = ["once"], self.machine.send, []

        def send(*sent):
            if len(sent) == 2 and sent[1].kind == frames.ANSWER_END and lose:
                seen.append(lose.pop())
                whole(sent[1])                      # its first half is lost
            else:
                whole(*sent)

        def times(_machine, _frame, n):
            seen.append(n)
            return {"n": n}

        self.machine.send, self.machine.methods = send, {"x": times}
        with mock.patch.object(channel, "REPEAT_SECONDS", 0.5):
            one, two = self.client(), self.client()
            asking = threading.Thread(target=one.call, args=("x",), kwargs={"n": 1})
            asking.start()
            while len(seen) < 2:
                pass
            two.call("x", n=2)
            asking.join(10)
        self.assertEqual(seen, [1, "once", 1, 2])   # not the other between the two

    def test_a_client_that_goes_is_told_of(self):
        client = self.client()
        number = client.call("double", n=1)["client"]
        other = self.client()
        self.machine.begun.clear()
        client.line.close()                         # not by its own farewell
        for _ in range(100):
            other.call("double", n=1)
            if number in self.machine.begun:
                break
        self.assertIn(number, self.machine.begun)

    def test_garbage_of_a_client_stays_his(self):
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(os.fspath(self.path))
            rude.sendall(random.Random(1).randbytes(100000) + Frame(frames.DATA, 9, 5, 0, b"x").encode())
            client = self.client()
            self.assertEqual(client.call("double", n=4)["n"], 8)
            self.assertNotEqual(client.call("double", n=4)["client"], 9)

    def test_an_emulator_that_calls_a_port(self):
        """is the same user's, or is sent away; the one that is there stays"""
        path = Path(self.folder.name) / "other"
        made = share.Share(path, tcp=True)
        self.addCleanup(made.close)
        self.assertIsNone(made.emulator)
        Machine(socket.create_connection(("127.0.0.1", made.port)), methods=METHODS)
        with channel.connect(str(path)) as client:
            self.assertEqual(client.call("double", n=4)["n"], 8)
            with mock.patch.object(os, "geteuid", return_value=os.geteuid() + 1), \
                    socket.create_connection(("127.0.0.1", made.port), timeout=30) as other:
                self.assertEqual(other.recv(1), b"")
            self.assertEqual(client.call("double", n=4)["n"], 8)
        self.assertEqual(self.share.port, 0)        # who inherits its end is called by nobody

    def test_whose_a_connection_is(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            theirs = socket.create_connection(listener.getsockname())
            ours = listener.accept()[0]
            with ours:
                self.assertTrue(serialline.of_this_user(ours))
                with mock.patch.object(os, "geteuid", return_value=os.geteuid() + 1):
                    self.assertFalse(serialline.of_this_user(ours))
                theirs.close()                      # to the kernel it is root's then
                with mock.patch.object(os, "geteuid", return_value=0):
                    self.assertFalse(serialline.of_this_user(ours))
            theirs = socket.create_connection(listener.getsockname())
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            theirs.close()                          # by a reset
            with listener.accept()[0] as ours:
                self.assertFalse(serialline.of_this_user(ours))

    def test_the_end_of_the_machine_ends_all(self):
        client = self.client()
        self.share.close()
        with self.assertRaisesRegex(Failure, "the line is gone"):
            client.call("double", n=1)
        self.assertFalse(self.path.exists())


if __name__ == "__main__":
    unittest.main()
