# SPDX-License-Identifier: BSD-2-Clause
"""The verbs that look at a running machine, and change it: over its management channel."""
import argparse
import contextlib
import difflib
import json
import os
import queue
import re
import select
import sys
import termios
import textwrap
import threading
import time
import tty

from . import apply, channel, options, seeing
from .channel import Refused
from .console import Failure, count, plain
from .table import columns

WIDTH = 80
DETACH = 0x1D                   # Ctrl-]
DEAF_SECONDS = 30.0             # of a guest that takes no keys
LAST_SECONDS = 1.0              # for what was typed before that key
LOG_SECONDS = 3.0               # until the registers of a VM are in the log
CHANGES = ("start", "stop", "restart", "pause", "resume")
KINDS = ("boot", "vm-start", "vm-end", "vm-reset", "vm-waits", "vm-paused", "vm-resumed", "link", "uplink",
         "queue-stopped", "refused", "end")     # of events (hv/core/report.h)
UNITS = ("", "k", "M", "G", "T", "P")


def short(number):
    """in nine characters at most: what is larger in thousands, millions, …"""
    unit = 0
    while number > (99999999 if unit else 999999999) and unit + 1 < len(UNITS):
        number, unit = number // 1000, unit + 1
    return f"{number}{UNITS[unit]}"


def show(args, made, lines):
    """the result: for people, unless stdout is for programs"""
    args.write_json(args, {"schema": 1, **made})
    stream = sys.stderr if args.json == "-" else sys.stdout
    for line in lines:
        print(plain(line), file=stream)


def table(head, rows, left=(0,)):
    """in 80 columns: where the names are too long, each has a line of its own"""
    lines = [line[2:] for line in columns([head, *rows], left)]
    if max(map(len, lines)) <= WIDTH:
        return lines
    rest = columns([head[1:], *(row[1:] for row in rows)], [n - 1 for n in left if n])
    return [head[0], rest[0]] + [line for row, more in zip(rows, rest[1:]) for line in (row[0], more)]


def warning(text):
    return textwrap.wrap("warning: " + text, WIDTH, subsequent_indent="  ")


# --- VMs ---

def vm_rows(told):
    lines = table(("VM", "STATE", "VCPUS", "MIB", "EXITS", "WAKEUPS"),
                  [(vm["vm"], vm["state"], str(vm["cpus"]), str(vm["memory_mib"]), short(vm["exits"]),
                    short(vm["wakeups"])) for vm in told["vms"]], left=(0, 1))
    for vm in told["vms"]:
        if vm["unsafe_dma"]:
            lines += warning(f"{vm['vm']}: unsafe DMA: its devices can read and write all memory")
    return lines + [f"memory: {told['free_kib']} of {told['total_kib']} KiB free"]


def vm_list(args, machine):
    told = machine.call("vm.list")
    show(args, told, vm_rows(told))


def vm_exits(args, machine):
    told = machine.call("vm.exits", vm=args.vm)
    rows = sorted(((name, n) for name, n in told["exits"].items() if n), key=lambda row: -row[1])
    show(args, told, table(("EXIT", "COUNT"), [(name, str(n)) for name, n in rows]))


def vm_dump(args, machine):
    """the registers come into the log, when each vCPU has left its guest"""
    before = machine.call("log", lines=1)["lines"][-1:]
    told = machine.call("vm.dump", vm=args.vm)
    end, lines = time.monotonic() + LOG_SECONDS, []
    mine = re.compile(rf"\[ *[\d.]+\] vm {re.escape(args.vm)}: ")
    while time.monotonic() < end:
        log = machine.call("log", lines=1000)["lines"]
        fresh = log[len(log) - log[::-1].index(before[0]):] if before and before[0] in log else log
        lines = [line for line in fresh if mine.match(line)]
        if sum("tr " in line and "limit" in line for line in lines) >= told["vcpus"]:
            break
        time.sleep(0.1)
    off = [] if told["vcpus"] else [f"{args.vm}: all of its vCPUs are off"]
    show(args, {**told, "lines": lines}, lines + off)


def vm_change(args, machine):
    told = machine.call("vm." + args.what, vm=args.vm)
    show(args, told, [f"{args.vm}: {args.what}: done, it is {told['state']}"])


def vm(args, machine):
    needs = args.what != "list"
    if needs != bool(args.vm):
        raise Failure(f"vm {args.what}: which VM? vm list shows them" if needs
                      else f"vm list: \"{args.vm}\" is too much: it lists all", status=2)
    {"list": vm_list, "exits": vm_exits, "dump": vm_dump}.get(args.what, vm_change)(args, machine)


# --- switches ---

def link(port):
    """as the guest sees it, and why"""
    return "no uplink" if port["link"] == "up" and port["uplinks_away"] else port["link"]


def port_rows(ports):
    lines, last = [], None
    for port in ports:
        if port["switch"] != last:
            rows = [(p["port"], p["mac"], link(p), short(p["sent"]), short(p["received"]),
                     short(p["dropped"])) for p in ports if p["switch"] == port["switch"]]
            lines += [f"switch {port['switch']}",
                      *table(("PORT", "ADDRESS", "LINK", "SENT", "RECEIVED", "DROPPED"), rows,
                             left=(0, 1, 2))]
            last = port["switch"]
    return lines + [line for p in ports if p["warning"] for line in warning(f"{p['port']}: {p['warning']}")]


def port_offloads(port):
    def yes(told):
        return "yes" if told else "no"
    return table(("OFFLOAD", "OFFERED", "ACCEPTED", "IN EFFECT"),
                 [(name, yes(o["offered"]), yes(o["accepted"]), yes(o["used"]))
                  for name, o in port["offloads"].items()], left=(0, 1, 2, 3)) + \
        ([] if port["driver"] else ["no driver of the guest runs"])


def port(args, machine):
    if args.link:
        told = machine.call("port.link", port=args.port, up=args.link == "up")
        show(args, told, [f"{told['port']}: link is {told['link']}"])
        return
    told = machine.call("port.list", **({"port": args.port} if args.port else {}))
    lines = port_rows(told["ports"])
    show(args, told, lines + (["", *port_offloads(told["ports"][0])] if args.port else []))


def fdb(args, machine):
    told = machine.call("fdb.list")
    lines = []
    for switch in told["switches"]:
        lines += [f"switch {switch['switch']}",
                  *table(("ADDRESS", "PORT", "SEEN"),
                         [(e["mac"], e["port"], f"{e['age_us'] // 1000000} s ago")
                          for e in switch["entries"]], left=(0, 1))]
        if not switch["all"]:
            lines.append(f"only the first {len(switch['entries'])} are shown: there are more")
    show(args, told, lines)


def stat(args, machine):
    told = machine.call("stat.list", **({"port": args.port} if args.port else {}))
    rows = [(c["name"], str(c["value"]), c["unit"], c["class"]) for c in told["counters"]
            if args.all or c["value"]]
    rows = rows or [("none", "-", "", "")]
    hidden = sum(not c["value"] for c in told["counters"]) * (not args.all)
    show(args, told, [f"{told['port']}: {count(told['ports'], 'port')}",
                      *table(("COUNTER", "VALUE", "UNIT", "CLASS"), rows, left=(0, 2, 3)),
                      *([f"{hidden} more are 0: --all shows them"] if hidden else [])])


def set_policy(args, machine):
    if args.policy and not args.value:
        told = [p for p in machine.call("policy.list")["policies"] if p["policy"] == args.policy]
        if not told:
            raise Failure(f"no policy \"{args.policy}\": lasthop set lists them")
        show(args, told[0], [f"{args.policy} is {told[0]['value']} (of {told[0]['values']})",
                             told[0]["help"]])
    elif args.policy:
        told = machine.call("policy.set", policy=args.policy, value=args.value)
        show(args, told, [f"{told['policy']} is {told['value']}"])
    else:
        told = machine.call("policy.list")
        show(args, told, table(("POLICY", "VALUE", "OF"),
                               [(p["policy"], p["value"], p["values"]) for p in told["policies"]],
                               left=(0, 1, 2)))


# --- streams ---

def events(args, machine):
    """a line of JSON each, as it comes, until the machine's end"""
    out = contextlib.nullcontext(sys.stdout) if args.json in (None, "-") else open(args.json, "w", encoding="utf-8")
    args.json_due = False
    rest, told = b"", 0
    with out as file, machine.open("events.open", replay=args.replay) as stream:
        while not args.count or told < args.count:
            piece = stream.read()
            if not piece:
                break
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                event = parsed(line)
                if event and (not args.only or event["event"] in args.only) and \
                        (not args.count or told < args.count):
                    told += 1
                    print(json.dumps(event), file=file, flush=True)
        if stream.lost:
            print(f"warning: {stream.lost} bytes of events were lost", file=sys.stderr)


def kinds(text):
    """of --only"""
    for kind in text.split(","):
        if kind not in KINDS:
            near = difflib.get_close_matches(kind, KINDS, 1)
            raise argparse.ArgumentTypeError(f"{plain(kind) or 'nothing'} is no kind of event"
                                             + (f": did you mean {near[0]}?" if near else f": {', '.join(KINDS)}"))
    return set(text.split(","))


def parsed(line):
    """an event; None: the line has lost its beginning"""
    try:
        event = json.loads(line)
        event["event"]
        return event
    except (ValueError, KeyError, TypeError):
        return None


class Typist(threading.Thread):
    """sends what is typed, aside: a guest that hangs takes no more at some time, and who types still detaches"""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self._stream, self._keys = stream, queue.SimpleQueue()
        self.start()

    def run(self):
        with contextlib.suppress(Failure):          # the stream has ended: its reader is told why
            while keys := self._keys.get():
                self._stream.send(keys)

    def type(self, keys):
        """nothing: that was all"""
        self._keys.put(keys)


def console(args, machine):
    """a guest's console on this terminal, until Ctrl-] or the end of what is typed"""
    terminal = sys.stdin.isatty()
    with machine.open("console.open", vm=args.vm, replay=not args.no_replay) as stream:
        if terminal:
            print(f"[{plain(args.vm)}: Ctrl-] detaches]", file=sys.stderr)
        saved = termios.tcgetattr(0) if terminal else None
        seen = [] if args.json else None
        try:
            if terminal:
                tty.setraw(0)
            converse(stream, terminal, 2 if args.json == "-" else 1, seen)
        finally:
            if saved:
                termios.tcsetattr(0, termios.TCSADRAIN, saved)
        if terminal:
            print(f"\n[{machine.broken or 'detached'}]", file=sys.stderr)
        if stream.why:
            print(f"warning: {plain(args.vm)}: {plain(stream.why)}", file=sys.stderr)
        args.write_json(args, {"schema": 1, "vm": args.vm, "text": b"".join(seen or []).decode("utf-8", "replace"),
                               "lost": stream.lost, "why": stream.why})
        if stream.lost:
            print(f"warning: {stream.lost} bytes were lost before they were shown", file=sys.stderr)


def converse(stream, terminal, out, seen):
    """both directions, to the descriptor `out`; without a terminal, until both have nothing for a while. seen: a
    list that gets what comes, or None"""
    typist, typing, quiet = Typist(stream), True, time.monotonic()
    while True:
        piece = stream.read(timeout=0.02)
        if piece:
            quiet = time.monotonic()
            os.write(out, piece)
            if seen is not None:
                seen.append(piece)
        elif piece == b"":
            return
        if not typing:
            if time.monotonic() - quiet > (DEAF_SECONDS if typist.is_alive() else 1.0):
                return
        elif select.select([0], [], [], 0)[0]:
            keys, detach, _ = os.read(0, 256).partition(bytes([DETACH]))
            if keys:
                typist.type(keys)
            if detach or not keys:
                typist.type(b"")
                typing = False
            if detach or terminal and not keys:
                typist.join(LAST_SECONDS)
                return


def call(args, machine):
    """any method, for who knows it"""
    params = {}
    for word in args.param:
        name, equals, value = word.partition("=")
        if not equals:
            raise Failure(f"{word}: a parameter is NAME=VALUE", status=2)
        quoted = re.fullmatch(r'"(.*)"', value, re.DOTALL)
        plain_value = re.fullmatch(r"true|false|0|[1-9]\d*", value, re.ASCII)
        params[name] = quoted[1] if quoted else json.loads(value) if plain_value and len(value) <= 20 else value
    told = machine.call(args.method, **params)
    show(args, told, json.dumps(told, indent=1).split("\n"))


# --- the command line ---

def perform(args):
    try:
        with channel.connect(args.line) as machine:
            return args.machine_verb(args, machine) or 0
    except Refused as refused:
        raise Failure(f"{args.verb}: {refused}") from None


def add_parsers(verb, write_json, checked):
    """each verb and its options"""
    def machine_verb(name, function, about):
        at = verb(name, perform, about)
        at.add_argument("--line", metavar="PATH", type=options.file_name,
                        help="of the machine: a Unix socket or a serial port (the one that runs)")
        at.set_defaults(machine_verb=function, write_json=write_json, show=show)
        return at

    at = machine_verb("vm", vm, "List the VMs of a running machine, or change one.")
    at.add_argument("what", choices=("list", *CHANGES, "exits", "dump"))
    at.add_argument("vm", nargs="?", metavar="VM")
    at = machine_verb("port", port, "Show the switches' ports, one with its offloads, or change a link.")
    at.add_argument("port", nargs="?", metavar="VM/NODE")
    at.add_argument("link", nargs="?", choices=("up", "down"))
    machine_verb("fdb", fdb, "Show the addresses that the switches have learned.")
    at = machine_verb("stat", stat, "Show the counters of a port, or of all together.")
    at.add_argument("port", nargs="?", metavar="VM/NODE")
    at.add_argument("--all", action="store_true", help="those that are 0, too")
    at = machine_verb("set", set_policy, "Show the switches' policies, or change one while traffic runs.")
    at.add_argument("policy", nargs="?", metavar="POLICY")
    at.add_argument("value", nargs="?", metavar="VALUE")
    at = machine_verb("console", console, "Attach to a guest's console; Ctrl-] detaches.")
    at.add_argument("vm", metavar="VM")
    at.add_argument("--no-replay", action="store_true", help="not what it has printed before")
    at = machine_verb("events", events, "Tell what happens, a line of JSON each, until the machine's end.")
    at.add_argument("--replay", action="store_true", help="what has happened before, too")
    at.add_argument("--only", type=kinds, metavar="KIND[,KIND]...", help="such events alone: vm-start, link, …")
    at.add_argument("--count", type=options.positive, metavar="N", help="end after so many")
    apply.add_options(machine_verb("apply", apply.apply, "Show how a config differs from the running one, "
                                   "and change the machine to it."), checked)
    at = machine_verb("call", call, "Call any method of the management channel (docs/management.md).")
    at.add_argument("method", metavar="METHOD", help="\"methods\" lists them")
    at.add_argument("param", nargs="*", metavar="NAME=VALUE",
                    help="a number, true or false, or else a string; '\"VALUE\"': a string in any case")
    seeing.add_parsers(machine_verb)
