# SPDX-License-Identifier: BSD-2-Clause
"""The switch's policies, read from their one list (include/lasthop/policy.h)."""
import re

from . import paths

HEADER = paths.SOURCE / "include/lasthop/policy.h"
ROW = re.compile(r'X\(\w+, "([\w-]+)", (\w+), ')
WORDS = re.compile(r'^#define (\w+)\s+("(?:[^"\\]|\\.)*")\s*(?:/\*.*\*/)?$', re.M)


def with_words(text=None):
    """{name: its words} of those that are no numbers"""
    text = text if text is not None else HEADER.read_text()
    lists = {name: [w for w in words.strip('"').split("\\0") if w]
             for name, words in WORDS.findall(text)}
    return {name: lists[words] for name, words in ROW.findall(text) if words in lists}


def names(text=None):
    """of all, also of those that are numbers"""
    return [name for name, _ in ROW.findall(text if text is not None else HEADER.read_text())]


def switches(text=None):
    """the names of those that are on or off"""
    return [name for name, words in with_words(text).items() if words == ["off", "on"]]


def on_bochs():
    """what a config for Bochs sets: the copy, since `rep movs` moves the clock of all its CPUs (docs/testbed.md),
    and thirty times the lag, since they are some thirty times slower than real ones"""
    return {"copy": "vectors", "lag-us": 3000}
