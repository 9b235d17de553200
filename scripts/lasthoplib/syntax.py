# SPDX-License-Identifier: BSD-2-Clause
"""The mend of a syntax error, of which dtc tells no more than where it has noticed it."""
import re

from .diagnostics import source_bytes, source_line

STRING, COMMENT = r'"(?:[^"\\]|\\.)*"', r"/\*.*?\*/|//[^\n]*"
QUIET = re.compile(f"{STRING}|{COMMENT}", re.S)
DIRECTIVE = re.compile(r"\s*#\s*(include|define|undef|if|ifdef|ifndef|elif|else|endif|pragma|error)\b")
UNFINISHED = tuple(";{=,<[(&:/")        # behind one of these no ; is missing
WANTED = ('wanted is NAME = VALUE; or NAME { ... }; with numbers in < >, bytes in [ ] and strings in " "')


def blanked(found):
    """a string or a comment, in as many lines and characters, without what could be taken for something else"""
    blank = re.sub(r"[^\n]", " ", found[0])
    return blank if found[0][0] == "/" else f'"{blank[1:-1]}"'


def split(place):
    """the source as text before a place, and from it on"""
    file, line, column = place
    lines = [source_line(file, n + 1) for n in range(len(source_bytes(file)))]
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    return ("\n".join([*lines[:line - 1], here[:column - 1]]), "\n".join([here[column - 1:], *lines[line:]]))


def is_open(code, begin, end):
    return code.rfind(begin) > code.rfind(end)


def of_strings(before, rest):
    """where a string has no end, or one that is the next one's beginning; else None"""
    if rest.startswith('"') and not re.match(STRING, rest, re.S):
        return 'the string that begins here has no " at its end'
    last = [found for found in QUIET.finditer(before) if found[0][0] == '"'][-1:]
    if last and "\n" in last[0][0] and not before[last[0].end():].strip():
        line = before.count("\n", 0, last[0].start()) + 1
        return f'the string that begins in line {line} goes on up to here: its " is missing'
    return None


def mend(place):
    """(the place, what is to be done): the place may be another one, where something is missing"""
    file, line, _ = place
    before, rest = split(place)
    here = source_line(file, line) or ""
    if here.lstrip().startswith("#") or before.rstrip(" \t").endswith("#"):
        return (file, line, here.find("#") + 1), (
            'dtc has no preprocessor, /include/ "FILE" is its own way' if DIRECTIVE.match(here) else
            "comments stand between /* and */, or behind //")
    said = of_strings(before, rest)
    if said:
        return place, said
    code = QUIET.sub(blanked, before)
    depth, shut = code.count("{") - code.count("}"), code.rstrip()
    if depth > 0 and not QUIET.sub(blanked, rest).strip():
        return place, "the file ends, and a { in it is not closed: }; is missing"
    if depth <= 0 and rest.startswith("}"):
        return place, "no { is open here: this }; is one too many"
    if is_open(code, "[", "]"):
        return place, "in [ ] stand bytes, of two hexadecimal digits each"
    if is_open(code, "<", ">"):
        return place, ("a number has no unit" if re.search(r"[<\s(]\d+$", code) and rest[:1].isalpha() else
                       "in < > stand numbers and &LABELs, with spaces between them")
    if shut and not before[before.rfind("\n") + 1:].strip() and not shut.endswith(UNFINISHED):
        last = shut.count("\n") + 1
        return (file, last, len(shut) - shut.rfind("\n")), "; is missing here"
    return place, WANTED
