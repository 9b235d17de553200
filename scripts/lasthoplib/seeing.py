# SPDX-License-Identifier: BSD-2-Clause
"""The verbs that look inside of a running machine: top, capture, why, metrics (docs/observing.md)."""
import argparse
import sys

from . import capture, channel, livetrace, metrics, options, top, why
from .channel import Refused
from .console import Failure


def run_top(args, machine):
    top.run(machine, args.interval, args.count or (1 if args.once else None), args.press)
    args.write_json(args, {"schema": 1, **machine.call("see.sample")})


def run_capture(args, machine):
    if args.out == "-" == args.json:
        raise Failure("capture: stdout cannot take both the packets and --json: name a file", status=2)
    made = capture.run(machine, args.port, args.out, args.snap, args.ring_kib, args.count, args.seconds)
    args.write_json(args, {"schema": 1, **made})
    print(capture.render(made), file=sys.stderr)


def run_why(args, machine):
    answers = why.look(machine, args.vm)
    found = why.diagnose(answers)
    args.show(args, {**found, "vm": args.vm, "looks": answers}, why.render(answers, found))


def run_metrics(args, machine):
    tables, sample = machine.call("see.tables"), machine.call("see.sample")
    text = metrics.render(tables, sample)
    args.write_json(args, {"schema": 1, **sample})
    (sys.stderr if args.json == "-" else sys.stdout).write(text)


def trace_frames(args, frames):
    """what the running switch would do with them"""
    try:
        with channel.connect(args.line) as machine:
            return livetrace.run(machine, args.port, frames)
    except Refused as refused:
        raise Failure(f"trace: {refused}") from None


def snap_length(text):
    if not text.isascii() or not text.isdigit() or int(text) > 65553:
        raise argparse.ArgumentTypeError("wanted is a number of bytes, 0 to 65553")
    return int(text)


def interval(text):
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("wanted is a number of seconds, 0.1 to 3600")
    return seconds


def add_parsers(machine_verb):
    """each verb and its options; machine_verb: as in machine.add_parsers()"""
    at = machine_verb("top", run_top, "Show what a running machine does, each second; keys switch policies.")
    at.add_argument("--interval", type=interval, default=1.0, metavar="S", help="seconds between pictures (1)")
    at.add_argument("--once", action="store_true", help="one picture as text, and no keys")
    at.add_argument("--count", type=options.positive, metavar="N", help="so many pictures as text")
    at.add_argument("--press", default="", metavar="KEYS", help="press these keys, one before each picture")
    at = machine_verb("capture", run_capture, "Write what passes a port as pcapng, both directions, dropped "
                      "packets too; until Ctrl-C.")
    at.add_argument("port", metavar="PORT", help="VM/NODE")
    at.add_argument("out", nargs="?", default="-", metavar="FILE", type=options.file_name,
                    help="pcapng; -: stdout, for tcpdump -r - or wireshark -k -i - (-)")
    at.add_argument("--snap", type=snap_length, metavar="BYTES", help="of each frame, at most (all)")
    at.add_argument("--count", type=options.positive, metavar="N", help="end after so many packets")
    at.add_argument("--seconds", type=options.positive, metavar="S", help="end after this time")
    at.add_argument("--ring-kib", type=options.positive, metavar="KIB",
                    help="of memory for what the line has not taken yet, 256 to 65536 (1024)")
    at = machine_verb("why", run_why, "Tell what a VM does, and why it hangs, without disturbing it.")
    at.add_argument("vm", metavar="VM")
    machine_verb("metrics", run_metrics, "Write all counters as OpenMetrics text, for Prometheus.")
