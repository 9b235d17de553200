# SPDX-License-Identifier: BSD-2-Clause
"""An error in a source, shown as compilers do: its place, what is wrong, the line, and a caret under the very spot.

    In file included from demo.dts:3:
    lan.dtsi:14:16: error: /vms/alice: cpus: 33 is too large: 1 to 32 can be had
       14 |         cpus = <33>;
          |                ^~~~
"""
import functools
import re
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from .console import Failure, cyan, green, plain, red, strong

WIDEST = 120            # of a source line that is shown
LEAD = 20               # of it that is shown before the spot, if it is longer
LARGEST = 16 << 20      # bytes of a config: far more than one needs
CONFIGS_NAMED = 3       # of a folder's
WORD = re.compile(r"[\w,._+@?#-]+|/")
NO_LABEL = re.compile('non-existent node or label "(.*)"')
VALUE = re.compile(r'\s*=\s*(?:/\*.*?\*/\s*)*(?P<value>(?:"(?:[^"\\]|\\.)*"|/\*.*?\*/|[^";{}])+)')
# of a property: its name is what is wrong, or that it is there at all
ABOUT_NAME = re.compile("unknown property|missing[:,]|given twice|is given beside")


@dataclass
class Error:
    file: str
    line: int           # 0: not known
    column: int         # in characters, from 1
    node: str
    property: str
    text: str
    width: int = 1      # of the spot, in characters
    trail: list = field(default_factory=list)   # [FILE:LINE] that includes the file, the nearest first
    note: "Error" = None    # something else to look at

    def headline(self):
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        named = "".join(f"{part}: " for part in (self.node, self.property) if part)
        return place, named + self.text

    def show(self, stream, kind="error"):
        place, text = self.headline()
        kind = red("error:", stream) if kind == "error" else cyan(f"{kind}:", stream)
        print(f"{strong(plain(place) + ':', stream)} {kind} {plain(text)}", file=stream)
        source = source_line(self.file, self.line)
        if source is not None and self.column <= len(source) + 1:
            for line in picture(source, self.line, self.column - 1, self.width, stream):
                print(line, file=stream)
        if self.note:
            self.note.show(stream, "note")


def show_all(errors, stream):
    """in the order of the sources; how a file came to be read is told once"""
    told = ""
    for error in in_order(errors):
        if error.trail and error.file != told:
            for number, place in enumerate(error.trail):
                lead = "In file included from" if not number else " " * 17 + "from"
                print(f"{lead} {strong(plain(place), stream)}{':' if place is error.trail[-1] else ','}", file=stream)
        told = error.file
        error.show(stream)


def in_order(errors):
    """by file, in the order of their first errors, then by place"""
    files = list(dict.fromkeys(e.file for e in errors))
    return sorted(errors, key=lambda e: (files.index(e.file), e.line, e.column))


def cells(text):
    """how many columns of a terminal it takes"""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def picture(source, number, at, width, stream):
    """the source line, of a long one what is around the spot, and the caret under it"""
    first = max(0, at - LEAD) if at + width > WIDEST else 0
    text = ("..." if first else "") + source[first:first + WIDEST]
    at += (3 if first else 0) - first
    width = max(1, min(width, len(text) - at))
    text += "..." if len(source) > first + WIDEST else ""
    pad = "".join("\t" if c == "\t" else " " * cells(c) for c in text[:at])
    mark = green("^" + "~" * (cells(text[at:at + width]) - 1), stream)
    return f"{number:5} | {plain(text)}".rstrip(), f"{'':5} | {pad}{mark}"


def read(file):
    """a config's bytes, or one more than it may have: the file may have no end"""
    try:
        with open(file, "rb") as stream:
            return stream.read(LARGEST + 1)
    except IsADirectoryError:
        inside = sorted(str(path) for path in Path(file).glob("*.dts"))[:CONFIGS_NAMED]
        raise Failure(f"{file}: is a folder: name a config" + (f", such as {' or '.join(inside)}" if inside else ""),
                      status=2) from None
    except OSError as problem:
        raise Failure(f"{file or '(no name)'}: {problem.strerror}", status=2) from None


@functools.lru_cache(maxsize=8)
def source_bytes(file):
    """the lines of a source: what cannot be read, or has no end, has none"""
    try:
        content = read(file) if Path(file).is_file() else b""
    except Failure:
        return []
    return content.split(b"\n") if len(content) <= LARGEST else []


def source_line(file, line):
    lines = source_bytes(file)
    return lines[line - 1].decode("utf-8", "replace").rstrip("\r") if 0 < line <= len(lines) else None


def character(file, line, byte):
    """the column in characters of a column in bytes, as dtc counts"""
    lines = source_bytes(file)
    before = lines[line - 1][:byte - 1] if 0 < line <= len(lines) else b" " * (byte - 1)
    return len(before.decode("utf-8", "replace")) + 1


def word_at(place):
    """(place, width) of the word that begins there"""
    file, line, column = place
    found = WORD.match(source_line(file, line) or "", column - 1)
    return place, len(found[0]) if found else 1


def spot_of_property(place, text):
    """(place, width) of what is wrong with the property whose name is there: its name or its value"""
    file, line, column = place
    (_, width) = word_at(place)
    found = VALUE.match(source_line(file, line) or "", column - 1 + width)
    value = found["value"].rstrip() if found and not ABOUT_NAME.match(text) else ""
    return ((file, line, found.start("value") + 1), len(value)) if value else (place, width)


def label_after(place, text):
    """(place, width) of the first &LABEL from there on, where dtc says that there is no such label"""
    file, line, column = place
    label = NO_LABEL.search(text)
    pattern = re.compile(rf"&{re.escape(label[1])}(?!\w)") if label else None
    for number in range(line, len(source_bytes(file)) + 1) if pattern else ():
        found = pattern.search(source_line(file, number), column - 1 if number == line else 0)
        if found:
            return (file, number, found.start() + 1), len(found[0])
    return None


def before_brace(place, name):
    """where a node is named, of which dtc tells where its brace is"""
    file, line, column = place
    before = (source_line(file, line) or "")[:column - 1]
    at = before.rfind(name or "/")
    while at > 0 and (before[at - 1].isalnum() or before[at - 1] in ",._+-@"):
        at -= 1         # the name was cut off
    return file, line, at + 1 if at >= 0 else column
