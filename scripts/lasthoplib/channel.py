# SPDX-License-Identifier: BSD-2-Clause
"""The host's end of the management channel (docs/management.md): calls, streams, uploads.

    with channel.connect(args.line) as machine:
        machine.call("vm.pause", vm="alice")            # the result, a dict; or Refused
        with machine.open("console", vm="alice") as stream:
            for piece in stream: ...                    # bytes; ends with the stream
            stream.lost, stream.why
        machine.upload("image.put", data, name="vmlinuz", bytes=len(data))
"""
import json
import threading
import time
from collections import deque

from . import frames, lines
from .console import Failure
from .frames import Frame

ANSWER_SECONDS = 60             # a machine under emulation takes its time
BEGIN_SECONDS = 60              # it may still be booting
REPEAT_SECONDS = 5.0            # a request without an answer is sent again
AGAIN_SECONDS = 1.0             # what got no answer is sent again, and later each time:
PATIENCE_SECONDS = 30.0         # a machine under emulation may have a line of some hundred bytes a second
ENDED = "the machine has ended"
WINDOW = 4096                   # bytes of ours under way
PIECE = 1024                    # ... in a frame
ACK_BYTES = 8192                # theirs are acknowledged so often at least


class Refused(Failure):
    """the machine answered with an error"""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Stream:
    """Bytes from the machine, to be iterated over; what is sent goes to it. Who does not read holds the
    machine up no longer than its window is open: then the stream's source loses."""

    def __init__(self, channel, number, result):
        self.channel, self.number, self.result = channel, number, result
        self.lost, self.why, self.ended = 0, "", False
        self._pieces, self._wanted, self._taken = deque(), 0, 0    # offsets are of the whole stream
        self._acked, self._sent, self._confirmed = 0, 0, 0
        self._missing = False       # it has got what is further on: something is lost

    # --- by the channel's reader, under its lock ---

    def _frame(self, frame):
        if frame.kind == frames.DATA:
            ahead = (frame.offset - self._wanted) & 0xFFFFFFFF
            if ahead < 1 << 31:
                self.lost += ahead
                self._wanted += ahead + len(frame.payload)
                if frame.payload:
                    self._pieces.append(frame.payload)
                else:
                    self._acked = -1                # it asks: answer even if nothing is new
        elif frame.kind == frames.ACK:
            ahead = (frame.offset - self._confirmed) & 0xFFFFFFFF
            if ahead <= self._sent - self._confirmed:
                self._confirmed += ahead
                self._missing = self._missing or bool(frame.payload)
        elif frame.kind == frames.END:
            self._end(frame)

    def _end(self, frame):
        self.ended = True
        self.lost += max(0, (frame.offset - self._wanted) & 0xFFFFFFFF) if frame.payload else 0
        try:
            told = json.loads(frame.payload or b"{}")
            self.why, self.lost = str(told.get("why", "")), self.lost + int(told.get("lost", 0))
        except (ValueError, AttributeError, TypeError):
            self.why = "its end was not understood"

    def _ack(self, least):
        """what was read; True: one is due"""
        waiting = sum(map(len, self._pieces))
        taken = self._wanted - waiting
        if not self.ended and (self._acked < 0 or taken - self._acked >= least):
            self._acked = taken
            self.channel._send(Frame(frames.ACK, 0, self.number, taken))

    # --- by its user ---

    def read(self, timeout=None):
        """the next bytes; b"" after the end, of the stream or of the machine; None: nothing came within the timeout
        (seconds)"""
        with self.channel._come:
            self._ack(ACK_BYTES if self._pieces else 1)
            if not self.channel._wait(lambda: self._pieces or self.ended or self.channel.broken == ENDED, timeout):
                return None
            return self._pieces.popleft() if self._pieces else b""

    def __iter__(self):
        while piece := self.read():
            yield piece

    def send(self, data, progress=lambda sent: None):
        """all of it, in order; returns when the machine has it"""
        start, data = self._sent, memoryview(bytes(data))
        base, at = self._sent, 0                    # at: of data, next to send
        self._sent += len(data)
        last, patience, again = time.monotonic(), AGAIN_SECONDS, -1     # again: from there, once
        with self.channel._come:
            self._missing = False
            while self._confirmed < base + len(data):
                if self.ended:
                    raise Refused(0, self.why or "the machine has closed the stream")
                confirmed = self._confirmed - start
                if self._missing and confirmed > again:
                    at = again = confirmed
                elif time.monotonic() - last > patience:    # a piece: its answer tells where the machine is
                    self._piece(base, data, confirmed)
                    last, patience = time.monotonic(), min(2 * patience, PATIENCE_SECONDS)
                self._missing = False
                at = max(at, confirmed)
                while at < len(data) and at - confirmed < WINDOW:
                    at += self._piece(base, data, at)
                before = self._confirmed
                self.channel._wait(lambda: self._confirmed > before or self.ended or
                                   (self._missing and self._confirmed - start > again), patience)
                if self._confirmed > before:
                    patience = min(max(AGAIN_SECONDS, 4 * (time.monotonic() - last)), PATIENCE_SECONDS)
                    last = time.monotonic()
                    progress(self._confirmed - start)

    def _piece(self, base, data, at):
        """sends the next one from there; its length"""
        piece = bytes(data[at:at + PIECE])
        self.channel._send(Frame(frames.DATA, 0, self.number, base + at, piece))
        return len(piece)

    def close(self, complete=True):
        """ends it, and waits until the machine knows; what still comes is dropped"""
        with self.channel._come:
            for again in range(5):
                if self.ended or self.channel.broken:
                    break
                self.channel._send(Frame(frames.END, 0, self.number, self._sent,
                                         b"" if complete else b"broken off"))
                self.channel._wait(lambda: self.ended or self.channel.broken, AGAIN_SECONDS * 2 ** again)
            self.channel._streams.pop(self.number, None)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(kind is None)


class Channel:
    """One client of a line. `line` has send(bytes), receive() -> bytes (b"": it is gone), close().
    Any thread may call and read."""

    def __init__(self, line, name="the machine"):
        self.line, self.name, self.broken = line, name, ""
        self._come = threading.Condition(threading.RLock())
        self._one_call = threading.Lock()
        self._streams, self._answer, self._answered, self._reset = {}, None, None, False
        self._number = 0
        self._decoder = frames.Decoder()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._begin()

    def _begin(self):
        """breaks off what a client before us has left; waits until the machine answers"""
        end = time.monotonic() + BEGIN_SECONDS
        with self._come:
            while not self._reset:
                self._send(Frame(frames.RESET), before=frames.OPENING)
                self._wait(lambda: self._reset, AGAIN_SECONDS)
                if not self._reset and time.monotonic() > end:
                    raise Failure(f"{self.name} does not answer on the line: does lasthop run there, and "
                                  "is this its second serial line?")

    # --- under _come ---

    def _send(self, frame, before=b"", after=b""):
        try:
            self.line.send(before + frame.encode() + after)
        except ConnectionError:
            pass                                    # the reader finds the end, behind what has come
        except OSError as problem:
            self._break(problem.strerror or str(problem))
            raise Failure(f"{self.name}: the line is gone: {self.broken}") from None

    def _break(self, why):
        self.broken = self.broken or why
        self._come.notify_all()

    def _wait(self, found, timeout=None):
        """until it is true; what it gave"""
        end = None if timeout is None else time.monotonic() + timeout
        while not (value := found()):
            if self.broken:
                raise Failure(f"{self.name}: the line is gone: {self.broken}")
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                return value
            self._come.wait(left)
        return value

    def _read(self):
        while True:
            try:
                data = self.line.receive()
            except ConnectionResetError:
                data, why = b"", ENDED
            except OSError as problem:
                data, why = b"", problem.strerror or str(problem)
            else:
                why = ENDED
            with self._come:
                if not data:
                    self._break(why)
                    return
                for frame in self._decoder.feed(data):
                    self._frame(frame)
                self._come.notify_all()

    def _frame(self, frame):
        if frame.kind == frames.RESET:
            self._reset = True
        elif frame.kind in (frames.ANSWER, frames.ANSWER_END):
            self._piece_of_answer(frame)
        elif frame.stream in self._streams:
            self._streams[frame.stream]._frame(frame)
        elif frame.kind == frames.DATA:             # of a call that we gave up
            self._send(Frame(frames.END, 0, frame.stream, 0, b"broken off"))

    def _piece_of_answer(self, frame):
        if frame.offset == 0:
            self._answer = b""
        if self._answer is None or frame.offset != len(self._answer):
            self._answer = None                     # a piece is lost
            return
        self._answer += frame.payload
        if frame.kind == frames.ANSWER_END:
            try:
                answered = json.loads(self._answer)
                if answered.get("id") == self._number:
                    self._answered = answered
                    number = (answered.get("result") or {}).get("stream")
                    if number is not None:          # its first bytes may be next
                        self._streams[number] = Stream(self, number, answered["result"])
            except (ValueError, AttributeError):
                pass
            self._answer = None

    # --- by users ---

    def call(self, method, /, **params):
        """the result of a method"""
        with self._one_call, self._come:
            self._number += 1
            self._answered = None
            request = {"jsonrpc": "2.0", "id": self._number, "method": method}
            if params:
                request["params"] = params
            text = json.dumps(request, separators=(",", ":")).encode()
            if len(text) > frames.MOST:
                raise Failure(f"{method}: {len(text)} bytes are too long for a request of {frames.MOST}")
            end, answered = time.monotonic() + ANSWER_SECONDS, None
            while not answered and time.monotonic() < end:      # repeated, it is answered and not done again
                self._send(Frame(frames.CALL, payload=text))
                answered = self._wait(lambda: self._answered, REPEAT_SECONDS)
        if not answered:
            raise Failure(f"{method}: no answer from {self.name} within {ANSWER_SECONDS} s: try again")
        if "error" in answered:
            raise Refused(answered["error"].get("code", 0), answered["error"].get("message", "?"))
        return answered["result"]

    def open(self, method, /, **params):
        """the stream that a method opens; its result is .result"""
        result = self.call(method, **params)
        return self._streams[result["stream"]]

    def upload(self, method, data, progress=lambda sent: None, **params):
        """opens a stream by the method, sends all of it, and ends it; the method's result"""
        with self.open(method, **params) as stream:
            stream.send(data, progress)
            stream.close()
            if stream.why:
                raise Refused(0, stream.why)
        return stream.result

    def close(self):
        with self._come:
            try:
                if not self.broken:
                    self._send(Frame(frames.RESET), after=frames.CLOSING)
            except Failure:
                pass
            self._break("closed")
        self.line.close()
        self._reader.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(line=None):
    """to the machine at that line, or to the one that runs"""
    path = line or lines.find()
    return Channel(lines.open_line(path), str(path))
