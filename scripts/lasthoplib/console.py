# SPDX-License-Identifier: BSD-2-Clause
"""What the user reads: errors with their mend, and progress with the time elapsed."""
import os
import re
import sys
import time


class Failure(Exception):
    """Ends a verb: one sentence with the mend, and the exit status."""

    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


def _painted(text, stream, colour):
    """in a colour where there are colours, and they are wanted (NO_COLOR: none)"""
    wanted = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    return f"\033[{colour}m{text}\033[0m" if wanted else text


def red(text, stream):
    return _painted(text, stream, "1;31")


def green(text, stream):
    return _painted(text, stream, "1;32")


def cyan(text, stream):
    return _painted(text, stream, "1;36")


def strong(text, stream):
    return _painted(text, stream, "1")


def error(text, stream=None):
    stream = stream or sys.stderr
    lines = "\n".join(map(plain, text.split("\n")))
    print(red("error:", stream), lines, file=stream, flush=True)


def plain(text):
    """without what a terminal would act on, tabs aside"""
    return re.sub(r"[\0-\x08\x0a-\x1f\x7f-\x9f]", "?", text)


def count(number, word):
    return f"{number} {word}{'' if number == 1 else 's'}"


class Progress:
    """Lines that begin with the seconds since the start."""

    def __init__(self, stream=None):
        self.stream = stream or sys.stdout
        self.start = time.monotonic()

    def elapsed(self):
        return time.monotonic() - self.start

    def say(self, text):
        print(f"[{self.elapsed():6.1f} s] {plain(text)}", file=self.stream, flush=True)
