# SPDX-License-Identifier: BSD-2-Clause
"""Text, and the little of Markdown that our documents use, as manual pages (man(7))."""
import re
import textwrap

WIDTH = 78
SIGNS = {"\\": r"\e", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", '"': r"\(dq"}
INLINE = re.compile(r"`(?P<code>[^`]+)`|\*\*(?P<bold>[^*]+)\*\*|\[(?P<text>[^]]+)\]\([^)]*\)")
CELL = re.compile(r"(?<!\\)\|")
CODE = ".PP\n.RS 4\n.nf\n{}\n.fi\n.RE"


def literal(text):
    """as it is, to be typed or compared: hyphens are minus signs"""
    made = "".join(SIGNS.get(c, c) for c in text).replace("-", r"\-")
    return r"\&" + made if made[:1] == "." else made


def bold(text):
    return rf"\fB{literal(text)}\fR"


def italic(text):
    return rf"\fI{literal(text)}\fR"


def prose(text):
    """words, with the marks of Markdown's code, bold and links"""
    made, at = [], 0
    for found in INLINE.finditer(text):
        made.append(_words(text[at:found.start()]))
        code = found["code"] or found["bold"]
        made.append(bold(code) if code else prose(found["text"]))
        at = found.end()
    return "".join([*made, _words(text[at:])])


def _words(text):
    return "".join(SIGNS.get(c, c) for c in text)


def paragraph(text):
    """in lines; none may begin as a request does"""
    lines = textwrap.wrap(prose(" ".join(text.split())), WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(r"\&" + line if line[0] in ".'" else line for line in lines)


def code(lines):
    return CODE.format("\n".join(map(literal, lines)))


def item(tag, text):
    return f".TP\n{tag}\n{paragraph(text) or ' '}".rstrip()


def heading(name, text, section, version, date):
    """of the page; then its name and what it is, in a line"""
    return (f'.TH "{name.upper()}" "{section}" "{date}" "lasthop {literal(version)}" "lasthop manual"\n'
            f".SH NAME\n{literal(name)} \\- {prose(text)}")


def _row(cells):
    """a table's row: what the first cell names; then what that is, in brackets; the last cell explains"""
    name, *told, text = (re.sub(r"\\\|", "|", cell.strip()) for cell in cells)
    told = ", ".join(cell for cell in told if cell)
    return item(prose(name) + (f" ({prose(told)})" if told else ""), text)


def table(lines):
    """each row as an item: terminals are narrower than tables with sentences in them"""
    return [_row(CELL.split(line.strip().strip("|"))) for line in lines[2:]]


def blocks(text):
    """(kind, lines) of a Markdown text: heading, code, table, paragraph"""
    kept, fenced = [], False
    for line in [*text.split("\n"), ""]:
        if line.startswith("```"):
            if fenced:
                yield "code", kept
            kept, fenced = [], not fenced
        elif fenced or line:
            kept.append(line)
        elif kept:
            kind = ("heading" if kept[0].startswith("#") else "table" if kept[0].startswith("|") else
                    "code" if all(k.startswith("    ") for k in kept) else "paragraph")
            yield kind, [k[4:] for k in kept] if kind == "code" else kept
            kept = []


def markdown(text):
    """the body of a page's section; the document's title is left out"""
    made = []
    for kind, lines in blocks(text):
        if kind == "heading" and lines[0].startswith("##"):
            made.append(f".SS {literal(lines[0].strip('# '))}")
        elif kind == "code":
            made.append(code(lines))
        elif kind == "table":
            made += table(lines)
        elif kind == "paragraph":
            made.append(".PP\n" + paragraph("\n".join(lines)))
    made[0] = made[0].removeprefix(".PP\n")      # there none is wanted, nor after a heading
    return re.sub(r"(\.SS .*)\n\.PP\n", r"\1\n", "\n".join(made))
