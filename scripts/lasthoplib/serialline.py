# SPDX-License-Identifier: BSD-2-Clause
"""Somebody at the machine's serial line: types, and waits for what must be seen."""
import os
import re
import threading
import time

from .console import Failure

PIPE = "serial"                 # serial.in and serial.out in the run's folder: QEMU's ends
PROMPT = "lasthop> "
NEXT_CONSOLE = "\x1d"           # Ctrl-]
ERASED = re.compile(r"[^\n]*\r\x1b\[K")                 # a line that was begun and taken back
OTHER = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r")
HALF = re.compile(rb"\r?(\x1b(\[[0-9;]*)?)?$")          # it may go on
NO_ANSWER = re.compile(r"\[ *\d+\.\d+\] |[\w-]+\| ")    # lines of the log and of the guests


def make_pipes(folder):
    """before the machine starts"""
    for end in ("in", "out"):
        os.mkfifo(folder / f"{PIPE}.{end}")


class SerialLine:
    """What comes is copied to serial.log, until the machine dies, and is `seen` without control
    sequences until somebody has waited for it or for what came later."""

    def __init__(self, folder):
        self.seen = ""
        self._half = b""
        self._come = threading.Condition()
        self._typed = os.open(folder / f"{PIPE}.in", os.O_RDWR)
        self._shown = open(folder / f"{PIPE}.out", "rb", buffering=0)
        self._log = open(folder / "serial.log", "wb", buffering=0)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while data := self._shown.read(65536):
            self._log.write(data)
            data = self._half + data
            half = HALF.search(data)
            text, self._half = data[:half.start()].decode("utf-8", "replace"), data[half.start():]
            with self._come:
                line = self.seen.rfind("\n") + 1
                self.seen = self.seen[:line] + OTHER.sub("", ERASED.sub("", self.seen[line:] + text))
                self._come.notify()

    def close(self):
        """after the machine's death"""
        self._reader.join(5)
        os.close(self._typed)
        self._shown.close()
        self._log.close()

    def type(self, text):
        os.write(self._typed, text.encode())

    def _until(self, found, what, seconds):
        """what found() gives, as soon as that is true"""
        end = time.monotonic() + seconds
        while not (value := found()):
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
