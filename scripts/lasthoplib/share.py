# SPDX-License-Identifier: BSD-2-Clause
"""One line of a machine shared by any number of clients: `run` does it (docs/management.md).

Each client gets a number, which it finds in all frames that answer it. The machine answers one call at a
time: the next one is passed on when the answer has come.

The emulator inherits its end of the line, a socket without a name. One that can only call a port (tcp) does
that; who else of this host calls there is sent away, unless it is the same user.
"""
import os
import selectors
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, field, replace

from . import frames
from .console import Failure
from .serialline import of_this_user

MOST_CLIENTS = 250
ANSWER_SECONDS = 60
CLIENT_BYTES = 8 << 20          # that wait for one who does not read: he is let go
MACHINE_BYTES = 1 << 16         # that wait for the machine: clients are not read meanwhile


@dataclass
class End:
    """a socket, what waits for it, and the frames that come"""
    socket: socket.socket
    number: int = 0             # of a client
    wanted: int = 0             # what the selector looks for
    out: bytearray = field(default_factory=bytearray)
    decoder: frames.Decoder = field(default_factory=frames.Decoder)


class Share(threading.Thread):
    """the emulator has the socket `emulator`, or calls `port` of this host; clients come to the Unix socket `path`"""

    def __init__(self, path, tcp=False):
        super().__init__(daemon=True)
        self.path = path
        self._calls, self._calling, self._since = deque(), 0, 0.0
        self._answered = 0                          # bytes of its answer so far
        self._clients, self._machine, self._last = {}, None, 0
        self._selector = selectors.DefaultSelector()
        self._wake, waker = socket.socketpair()
        self._waker = waker
        self._for_machine, self.port, self.emulator = None, 0, None
        self._for_clients = socket.socket(socket.AF_UNIX)
        try:
            self._for_clients.bind(os.fspath(path))
        except OSError as problem:
            raise Failure(f"{path}: {problem.strerror or problem}: no line for other verbs there") from None
        self._for_clients.listen(64)
        for sock, what in ((self._wake, None), (self._for_clients, self._accept_client)):
            self._selector.register(sock, selectors.EVENT_READ, what)
        if tcp:
            self._for_machine = socket.create_server(("127.0.0.1", 0))
            self.port = self._for_machine.getsockname()[1]
            self._selector.register(self._for_machine, selectors.EVENT_READ, self._accept_machine)
        else:
            ours, self.emulator = socket.socketpair()
            self._machine = self._end(ours, 0)
        self.start()

    def settle(self, seconds):
        """before the machine's death: the last answers arrive, as that of the call which ended the last VM"""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._machine and (
                self._calling or self._calls or any(c.out for c in list(self._clients.values()))):
            time.sleep(0.05)

    def close(self):
        """after the machine's death: all clients are told"""
        self._waker.send(b"x")
        self.join(5)

    def run(self):
        try:
            while not self._turn():
                pass
        finally:
            for end in [*self._clients.values(), *([self._machine] if self._machine else [])]:
                end.socket.close()
            for sock in filter(None, (self._for_machine, self.emulator, self._for_clients, self._wake, self._waker)):
                sock.close()
            try:
                os.unlink(self.path)
            except OSError:
                pass

    def _turn(self):
        for key, events in self._selector.select(1.0):
            if key.fileobj is self._wake:
                return True
            if isinstance(key.data, End):
                if key.fileobj.fileno() < 0:        # closed in this turn
                    continue
                if events & selectors.EVENT_WRITE:
                    self._flush(key.data)
                if events & selectors.EVENT_READ:
                    self._read(key.data)
            else:
                key.data()
        if self._calling and time.monotonic() - self._since > ANSWER_SECONDS:
            self._calling = 0
        self._next_call()
        self._watch()
        return False

    # --- ends ---

    def _accept_machine(self):
        sock = self._for_machine.accept()[0]
        if not of_this_user(sock):
            sock.close()
            return
        if self._machine:                           # an emulator that was started again
            self._drop(self._machine)
        self._machine = self._end(sock, 0)
        for client in self._clients:
            self._to_machine(frames.Frame(frames.RESET, client))

    def _accept_client(self):
        sock = self._for_clients.accept()[0]
        if len(self._clients) >= MOST_CLIENTS:
            sock.close()
            return
        while True:
            self._last = self._last % 255 + 1
            if self._last not in self._clients:
                break
        self._clients[self._last] = self._end(sock, self._last)

    def _end(self, sock, number):
        sock.setblocking(False)
        end = End(sock, number)
        self._select(end, selectors.EVENT_READ)
        return end

    def _select(self, end, wanted):
        if end.wanted and wanted:
            self._selector.modify(end.socket, wanted, end)
        elif wanted:
            self._selector.register(end.socket, wanted, end)
        elif end.wanted:
            self._selector.unregister(end.socket)
        end.wanted = wanted

    def _drop(self, end):
        self._select(end, 0)
        end.socket.close()
        if end is self._machine:
            self._machine = None
        elif self._clients.pop(end.number, None):
            self._calls = deque(call for call in self._calls if call.client != end.number)
            self._to_machine(frames.Frame(frames.RESET, end.number))
            if self._calling == end.number:
                self._calling = 0

    def _read(self, end):
        try:
            data = end.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(end)
            return
        for frame in end.decoder.feed(data):
            if end is self._machine:
                self._from_machine(frame)
            else:
                self._from_client(end, replace(frame, client=end.number))
        end.decoder.text = b""

    def _flush(self, end):
        try:
            sent = end.socket.send(end.out)
        except BlockingIOError:
            return
        except OSError:                             # it has gone: what it said last is still to be read
            end.out.clear()
            return
        del end.out[:sent]

    def _watch(self):
        """who has something to be sent, and whether the machine keeps up"""
        full = self._machine and len(self._machine.out) > MACHINE_BYTES
        for end in [*self._clients.values(), *([self._machine] if self._machine else [])]:
            if len(end.out) > CLIENT_BYTES:
                self._drop(end)
                continue
            waits = full and end is not self._machine
            wanted = (0 if waits else selectors.EVENT_READ) | (selectors.EVENT_WRITE if end.out else 0)
            if end.wanted != wanted:
                self._select(end, wanted)

    # --- frames ---

    def _to_machine(self, frame):
        if not self._machine:
            return
        self._machine.out += frame.encode()

    def _from_machine(self, frame):
        client = self._clients.get(frame.client)
        if client:
            client.out += frame.encode()
        if frame.client == self._calling and self._is_done(frame):
            self._calling = 0

    def _is_done(self, frame):
        """the client has its whole answer: one that lost a piece is asked for again, and is the machine's last
        until then"""
        if frame.kind in (frames.ANSWER, frames.ANSWER_END):
            whole = frame.offset in (0, self._answered)
            self._answered = frame.offset + len(frame.payload) if whole else -1
        return frame.kind == frames.RESET or (frame.kind == frames.ANSWER_END and self._answered >= 0)

    def _from_client(self, end, frame):
        if frame.kind == frames.CALL:
            if end.number == self._calling:         # the same again
                self._to_machine(frame)
            else:
                self._queue(frame)
            return
        if frame.kind == frames.RESET:
            self._calls = deque(call for call in self._calls if call.client != end.number)
        self._to_machine(frame)

    def _queue(self, frame):
        """the same again, or it has given the other up"""
        for at, call in enumerate(self._calls):
            if call.client == frame.client:
                self._calls[at] = frame
                return
        self._calls.append(frame)

    def _next_call(self):
        while self._calls and not self._calling:
            call = self._calls.popleft()
            self._calling, self._since, self._answered = call.client, time.monotonic(), 0
            self._to_machine(call)
