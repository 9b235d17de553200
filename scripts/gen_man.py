#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the manual pages: lasthop(1) and one page a verb from the argument parser, lasthop-config(5) from
docs/config.md.

usage: gen_man.py FOLDER    SOURCE_DATE_EPOCH is their date
"""
import argparse
import os
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from lasthoplib import cli, paths, roff                     # noqa: E402
from lasthoplib.roff import bold, item, italic, paragraph   # noqa: E402

EXIT_STATUS = (
    ("0", "All went well."),
    ("1", "It did not: the config has errors, a VM failed, frames were lost. One line a fault says what, and the "
          "mend."),
    ("2", "The command line is wrong, or a file that it names cannot be read or written."),
    ("130, 141, 143", "Ended by the keyboard, by the reader of its output, or by a signal to end."))
ENVIRONMENT = (
    ("LASTHOP_CACHE", "Folder of the test beds and of what runs leave behind, instead of `~/.cache/lasthop` (in a "
                      "source tree: `.cache`)."),
    ("NO_COLOR", "Set to anything: no colours on a terminal."),
    ("XDG_CACHE_HOME", "The folder that has `lasthop` with what LASTHOP_CACHE is not set for, instead of `~/.cache`."),
    ("XDG_RUNTIME_DIR", "The folder that has `lasthop` with the lines of machines that `lasthop run` runs, instead of "
                        "`/tmp/lasthop-UID`; of this user alone."))


def verbs_of(parser):
    """{name: parser}, and {name: its line of help}"""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return action.choices, {a.dest: a.help for a in action._choices_actions}
    return {}, {}


def filled(action, parser):
    """an argument's help, with what argparse fills in"""
    known = {key: value for key, value in vars(action).items() if value is not argparse.SUPPRESS}
    return (action.help or "") % {**known, "prog": parser.prog}


def value(action):
    """what stands for an argument's value in the text"""
    if action.choices is not None:
        return r"|\:".join(bold(str(choice)) for choice in action.choices)
    name = italic(action.metavar or action.dest.upper())
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(action.nargs, name)


def usage(action):
    """an argument in the synopsis"""
    if not action.option_strings:
        return value(action)
    made = bold(action.option_strings[-1]) + (f" {value(action)}" if action.nargs != 0 else "")
    return made if action.required else f"[{made}]"


def tag(action):
    """an argument where it is explained"""
    if not action.option_strings:
        return value(action).strip("[]")
    return ", ".join(map(bold, action.option_strings)) + (f" {value(action)}" if action.nargs != 0 else "")


def arguments(parser):
    return [a for a in parser._actions
            if a.help != argparse.SUPPRESS and not isinstance(a, argparse._SubParsersAction)]


def page(parser, name, about, up):
    """the page of a parser, and the pages of those below it: {file: text}"""
    verbs, helps = verbs_of(parser)
    version, date = paths.version(), time.strftime("%Y-%m-%d", time.gmtime(when()))
    first = about.split(": ")[0].rstrip(".")
    made = [roff.heading(name, first[0].lower() + first[1:], 1, version, date), ".SH SYNOPSIS", ".nh", ".ad l",
            " ".join([bold(parser.prog), *map(usage, arguments(parser))])
            + (rf" \fI{'VERB' if up is None else 'NAME'}\fR ..." if verbs else ""),
            ".ad b", ".hy", ".SH DESCRIPTION", paragraph(parser.description or about)]
    if verbs:
        made += [".SH VERBS" if up is None else ".SH NAMES"]
        made += [item(bold(verb), f"{helps[verb]} See **{name}-{verb}**(1).") for verb in verbs]
    made += [".SH OPTIONS"] + [item(tag(a), filled(a, parser)) for a in arguments(parser)]
    if parser.epilog:
        made += [".SH NOTES", paragraph(parser.epilog)]
    if up is None:
        made += [".SH EXIT STATUS", *(item(bold(status), text) for status, text in EXIT_STATUS),
                 ".SH ENVIRONMENT", *(item(bold(status), text) for status, text in ENVIRONMENT)]
    also = [up] if up else []
    also += [f"{name}-{verb}" for verb in sorted(verbs)]
    made += [".SH SEE ALSO", ",\n".join([rf"\fB{roff.literal(a)}\fR(1)" for a in also]
                                        + [r"\fBlasthop\-config\fR(5)"])]
    pages = {f"{name}.1": "\n".join(made) + "\n"}
    for verb, below in verbs.items():
        pages |= page(below, f"{name}-{verb}", below.description or helps[verb], name)
    return pages


def config_page():
    text = (paths.SOURCE / "docs/config.md").read_text().replace("scripts/lasthop", "lasthop")
    head = roff.heading("lasthop-config", "the config file of lasthop", 5, paths.version(),
                        time.strftime("%Y-%m-%d", time.gmtime(when())))
    return f"{head}\n.SH DESCRIPTION\n{roff.markdown(text)}\n.SH SEE ALSO\n" \
           r"\fBlasthop\fR(1), \fBlasthop\-check\fR(1), \fBdtc\fR(1)" + "\n"


def when():
    return int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())


def main():
    if len(sys.argv) != 2:
        print(__doc__.split("usage: ")[1].strip(), file=sys.stderr)
        return 2
    os.environ["COLUMNS"] = "80"
    top = cli.parser()
    pages = page(top, "lasthop", "Hypervisor and last-hop switch, the host side", None)
    pages["lasthop-config.5"] = config_page()
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("lasthop*.[15]"):
        old.unlink()
    for name, text in pages.items():
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
