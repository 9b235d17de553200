# SPDX-License-Identifier: BSD-2-Clause
"""The files that a device tree source includes; which of them cannot be read, and where it is named: dtc
tells its name at most.
"""
import os
import re
from pathlib import Path

MOST_FILES = 1000               # that are looked through: dtc gives up at 200 inside one another
LARGEST = 16 << 20              # bytes of each
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\]|\\.)*"'
                   r'|/(?P<kind>include|incbin)/[\s(]*"(?P<name>(?:[^"\\]|\\.)*)"', re.S)


def problem(path):
    """why dtc cannot read it; "" if it can"""
    if os.path.isdir(path):
        return "is a folder: name a file"
    if not os.path.exists(path):
        return "is missing: put it beside the file that names it"
    return "" if os.access(path, os.R_OK) else "cannot be read: look at its permissions"


def source(path):
    """the text of a regular file; "" of another, which may have no end"""
    if not os.path.isfile(path) or os.path.getsize(path) > LARGEST:
        return ""
    return Path(path).read_bytes().decode("utf-8", "surrogateescape")


def named(file):
    """(path, what in it names it, the text before that, path that it is named in) of each file that a
    source includes, and those include"""
    waiting, seen = [file], {file}
    while waiting and len(seen) < MOST_FILES:
        path = waiting.pop(0)
        text = source(path)
        for found in filter(lambda found: found["kind"], TOKEN.finditer(text)):
            inner = os.path.join(os.path.dirname(path), found["name"])
            yield inner, found, text[:found.start()], path
            if found["kind"] == "include" and inner not in seen:
                seen.add(inner)
                waiting.append(inner)


def files(file):
    return [inner for inner, *_ in named(file)]


def trail(file, inner, name=str):
    """[FILE:LINE] of what includes a file, the nearest first; none for the config itself. name(path): what to
    call a path"""
    places = {}
    for path, _, before, outer in named(file):
        places.setdefault(path, (outer, before.count("\n") + 1))
    made = []
    while inner != file and inner in places:
        outer, line = places.pop(inner)         # of files that include each other each is named once
        made.append(f"{name(outer)}:{line}")
        inner = outer
    return made


def broken(file):
    """(file, line, column, what is wrong) of the first that cannot be read; None: all can"""
    for inner, found, before, path in named(file):
        wrong = problem(inner)
        if wrong:
            return (path, before.count("\n") + 1, len(before) - before.rfind("\n"),
                    f"/{found['kind']}/ of \"{found['name']}\": it {wrong}")
    return None
