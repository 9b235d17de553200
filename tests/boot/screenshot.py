# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's monitor beside a machine that runs (QMP): its keys, its reset, and what is on its screen, read
back from the dots with the font that drew them."""
import json
import os
import re
import socket
import time
from functools import cache

from lasthoplib import psf
from lasthoplib.console import Failure
from lasthoplib.serialline import ERASED, OTHER

SOCKET = "qmp.sock"
ARGUMENTS = ["-qmp", f"unix:{SOCKET},server=on,wait=off"]
FONT = "/usr/share/consolefonts/spleen-8x16.psfu.gz"
WIDTH, HEIGHT = 8, 16
LINES_A_SCALE = 1080            # hv/core/framebuffer.c
KEYS = {" ": "spc", "\n": "ret", "-": "minus", "/": "slash", ".": "dot", "]": "bracket_right", "\t": "tab"}


class Monitor:
    def __init__(self, folder):
        self.folder = folder
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        directory = os.open(folder, os.O_RDONLY)        # its path may be too long for a socket's
        try:
            self._socket.connect(f"/proc/self/fd/{directory}/{SOCKET}")
        finally:
            os.close(directory)
        self._file = self._socket.makefile("r")
        self._file.readline()                           # its greeting
        self.ask("qmp_capabilities")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()
        self._socket.close()

    def ask(self, command, **arguments):
        self._socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while line := self._file.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise Failure(f"QEMU: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise Failure(f"QEMU: {command}: it is gone")

    def type(self, text):
        """one key after the other, as somebody at the keyboard"""
        for c in text:
            keys = ["ctrl", "bracket_right"] if c == "\x1d" else [KEYS.get(c, c.lower())]
            if c.isupper():
                keys.insert(0, "shift")
            self.ask("send-key", keys=[{"type": "qcode", "data": key} for key in keys], **{"hold-time": 20})
            time.sleep(0.06)

    def screen(self):
        """the rows of text"""
        path = self.folder / "screen.ppm"
        self.ask("screendump", filename=str(path))
        return rows(path.read_bytes())


@cache
def glyphs():
    """{the dots of a glyph: its character}"""
    font = psf.load(FONT)
    found = {}
    for code, glyph in sorted(font.codes.items(), reverse=True):    # ASCII is to be the last
        found[font.glyphs[glyph]] = chr(code)
    return found


def cell(lines, x, scale):
    """the character there: one of two colours is behind it; none that the font has: U+FFFC"""
    dots = [line[3 * (x + i * scale):][:3] for line in lines for i in range(WIDTH)]
    back = dots[0]
    told = bytes(sum((dots[8 * row + i] != back) << 7 - i for i in range(WIDTH)) for row in range(HEIGHT))
    other = bytes(b ^ 0xff for b in told)
    return glyphs().get(told) or glyphs().get(other) or "\ufffc"


def rows(ppm):
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", ppm)
    if not head:
        raise Failure("the screenshot is no PPM")
    width, height, begin = int(head[1]), int(head[2]), head.end()
    scale = max(1, (height + LINES_A_SCALE // 2) // LINES_A_SCALE)
    lines = [ppm[begin + 3 * width * y:][:3 * width] for y in range(height)]
    found = []
    for row in range(height // (HEIGHT * scale)):
        those = lines[row * HEIGHT * scale:][:HEIGHT * scale:scale]
        found.append("".join(cell(those, column * WIDTH * scale, scale)
                             for column in range(width // (WIDTH * scale))).rstrip())
    return found


def as_terminal(serial, columns):
    """a transcript of the serial line in rows, from the first that is the loader's on"""
    text = serial[serial.index("lasthop: loader"):]
    return [line[at:at + columns].rstrip() for whole in text.split("\n")
            for line in [OTHER.sub("", ERASED.sub("", whole))]
            for at in range(0, max(1, len(line)), columns)]


def ended(found):
    """rows without the blank ones at the end"""
    while found and not found[-1]:
        found.pop()
    return found


def same_as_serial(monitor, folder, columns, seconds=20):
    """whether the screen comes to show the end of the serial line's text; what it shows, and what not"""
    end = time.monotonic() + seconds
    while True:
        shown = ended(monitor.screen())
        wanted = ended(as_terminal((folder / "serial.log").read_bytes().decode("utf-8", "replace"), columns))
        wanted = wanted[-len(shown):] if shown else []
        if (shown and shown == wanted) or time.monotonic() > end:
            return shown, [(a, b) for a, b in zip(shown, wanted) if a != b]
        time.sleep(0.2)
