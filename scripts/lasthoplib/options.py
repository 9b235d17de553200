# SPDX-License-Identifier: BSD-2-Clause
"""Options that several verbs and benchmarks have."""
import argparse
import difflib
import re


class Parser(argparse.ArgumentParser):
    """one that asks whether another word was meant; the parsers below it are of the same kind"""

    def error(self, message):
        found = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message, re.S)
        near = difflib.get_close_matches(found[1], re.findall(r"'([^']*)'", found[2]), 1) if found else []
        super().error(re.sub("[\0-\x1f\x7f-\x9f]", "?", message) + (f": did you mean {near[0]}?" if near else ""))


def positive(text):
    if not re.fullmatch("0*[1-9][0-9]{0,8}", text, re.ASCII):
        raise argparse.ArgumentTypeError("wanted is a number, 1 to 999999999")
    return int(text)


def file_name(text):
    if not text:
        raise argparse.ArgumentTypeError("the name of the file is empty")
    return text


def add_json(parser):
    parser.add_argument("--json", metavar="FILE", type=file_name,
                        help="write the result there; - is stdout")


def add_cpus(parser):
    parser.add_argument("--cpus", type=positive, default=4, metavar="N", help="of the machine (4)")


def add_exit_cost(parser):
    parser.add_argument("--exit-cost", type=int, choices=(0, 1000), default=0,
                        help="instructions that a VM exit costs, on Bochs (0)")
