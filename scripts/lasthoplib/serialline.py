# SPDX-License-Identifier: BSD-2-Clause
"""Somebody at the machine's serial line: types, and waits for what must be seen."""
import os
import re
import socket
import sys
import threading
import time
from pathlib import Path

from .console import Failure

PROMPT = "lasthop> "
ESTABLISHED = "01"              # state of a connection in /proc/net/tcp
NEXT_CONSOLE = "\x1d"           # Ctrl-]
ERASED = re.compile(r"[^\n]*\r\x1b\[K")                 # a line that was begun and taken back
OTHER = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r")
HALF = re.compile(rb"\r?(\x1b(\[[0-9;]*)?)?$")          # it may go on
NO_ANSWER = re.compile(r"\[ *\d+\.\d+\] |[\w-]+\| ")    # lines of the log and of the guests


def received(machine):
    """what came; nothing: it has died"""
    try:
        return machine.recv(65536)
    except OSError:
        return b""


def address(told):
    """of a socket, as /proc/net/tcp writes it"""
    host, port = told
    return f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"


def of_this_user(sock):
    """is a process of our user at the other end of a connection within this host? One that has closed it already
    is nobody's."""
    try:
        wanted = [address(sock.getpeername()), address(sock.getsockname()), ESTABLISHED, str(os.geteuid())]
    except OSError:                             # reset
        return False
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any([*row[1:4], row[7]] == wanted for row in rows)


class SerialLine:
    """The emulator calls `port` of this machine. What comes is copied to serial.log, until the
    machine dies, and is `seen` without control sequences until somebody has waited for it or for
    what came later."""

    def __init__(self, folder):
        self.seen, self.folder = "", folder      # of the run
        self.tap = None                          # is given all that comes, as it is
        self._half = b""
        self._come = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._machine, self._closed = None, False
        self._log = open(folder / "serial.log", "wb", buffering=0)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:                             # an emulator that was started again calls again
            try:
                machine = self._listener.accept()[0]
            except OSError:                     # closed
                return
            with machine:
                if not of_this_user(machine):
                    continue
                with self._come:
                    self._machine = machine
                    self._come.notify()
                self._read_all(machine)

    def _read_all(self, machine):
        while data := received(machine):
            self._log.write(data)
            if tap := self.tap:
                tap(data)
            data = self._half + data
            half = HALF.search(data)
            text, self._half = data[:half.start()].decode("utf-8", "replace"), data[half.start():]
            with self._come:
                line = self.seen.rfind("\n") + 1
                self.seen = self.seen[:line] + OTHER.sub("", ERASED.sub("", self.seen[line:] + text))
                self._come.notify()

    def close(self):
        """after the machine's death; who waits for more is told"""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._reader.join(5)
        with self._come:
            self._closed = True
            self._come.notify_all()
        self._log.close()

    def type(self, text):
        self.send(text.encode())

    def send(self, data):
        with self._come:
            self._until(lambda: self._machine, "the machine", 60)
        self._machine.sendall(data)

    def _until(self, found, what, seconds):
        """what found() gives, as soon as that is true"""
        end = time.monotonic() + seconds
        while not (value := found()):
            if self._closed:
                raise Failure(f"/{what}/ was not seen on the serial line before the machine's end, "
                              f"last: {self.seen[-200:]!r}")
            if not self._come.wait(end - time.monotonic()) and time.monotonic() > end:
                raise Failure(f"/{what}/ is not seen on the serial line within {seconds} s, "
                              f"last: {self.seen[-200:]!r}")
        return value

    def wait(self, pattern, seconds=300):
        """waits until the expression (of lines) is seen; what came before it"""
        with self._come:
            match = self._until(lambda: re.search(pattern, self.seen, re.M), pattern, seconds)
            before, self.seen = self.seen[:match.start()], self.seen[match.end():]
        return before

    def wait_all(self, *patterns, seconds=300):
        """waits until all are seen, in whatever order"""
        with self._come:
            for pattern in patterns:
                self._until(lambda p=pattern: re.search(p, self.seen, re.M), pattern, seconds)
            self.seen = ""

    def command(self, text, seconds=300, logged=False):
        """runs a command of the shell; its answer. Lines of the log and of the guests are no part
        of it, unless it has asked for them, and are still to be waited for."""
        self.type(text + "\r")
        before = self.wait(re.escape(PROMPT + text) + r"\n", seconds)
        answer = self.wait(f"^{PROMPT}", seconds)
        lines = (before if logged else before + answer).splitlines(True)
        with self._come:
            self.seen = "".join(x for x in lines if NO_ANSWER.match(x)) + self.seen
        return "".join(x for x in answer.splitlines(True) if logged or not NO_ANSWER.match(x))
