# SPDX-License-Identifier: BSD-2-Clause
"""`bench native`: the data plane on this machine's own cores, beside DPDK's testpmd (docs/performance.md)."""
import json
import os
import statistics
import subprocess

from . import hugepages, options, paths, plot, testpmd
from .console import Failure
from .table import columns

ABOUT = "The data plane natively, the switch on one core and two guests on another, beside DPDK's testpmd."
FRAMES = (64, 256, 1514, 9014)
LARGE = 65536                   # a TCP frame of a GSO sender, passed whole
LARGE_RING = ("--ring", "64", "--frames", "32")
BATCH_BYTES = (65536, 1 << 20)  # policy batch-bytes: as at boot, and so that a batch has several such frames
BURST = 32                      # of testpmd and its guests: what they are built for
CORES = (0, 1)


def arguments(parser):
    parser.add_argument("--runs", type=options.positive, default=3, metavar="N", help="of each (3)")
    parser.add_argument("--seconds", type=options.positive, default=3, metavar="S", help="of a run (3)")
    parser.add_argument("--frames", type=options.positive, nargs="+", choices=(*FRAMES, LARGE), metavar="BYTES",
                        default=(*FRAMES, LARGE), help="64 256 1514 9014 65536 (all)")
    parser.add_argument("--no-peer", action="store_true", help="without testpmd")
    parser.add_argument("--copy", choices=("auto", "moves", "vectors", "rep"), default="auto",
                        help="policy `copy` (auto)")


def ours(frame, args, *more):
    command = [str(paths.build() / "bench/circulate"), "--frame", str(frame), "--seconds", str(args.seconds),
               "--switch-core", str(CORES[0]), "--guest-core", str(CORES[1]), "--routine", args.copy, *more]
    limit = args.seconds * 3 + 60
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]}: no result within {limit} s: is the machine busy?") from None
    if done.returncode:
        raise Failure(f"{command[0]} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def spread(values):
    return {"median": round(statistics.median(values), 2), "min": round(min(values), 2),
            "max": round(max(values), 2)}


def measure(args, progress, folder):
    """{(frame, batch-bytes): [(ours, the other's)]}, run by run in turn"""
    frames = [frame for frame in FRAMES if frame in args.frames]
    made = {(frame, BATCH_BYTES[0]): [] for frame in frames}
    if LARGE in args.frames:
        made |= {(LARGE, most): [] for most in BATCH_BYTES}
    for run in range(1, args.runs + 1):
        for frame in frames:
            a = ours(frame, args)
            b = testpmd.measure(frame, args.seconds, CORES, folder, BURST) if folder else None
            made[frame, BATCH_BYTES[0]].append((a, b))
            beside = f", testpmd {b['busy_ns_per_packet']:.1f}" if b else ""
            progress.say(f"run {run}/{args.runs}, {frame} bytes: {a['busy_ns_per_packet']:.1f} ns a packet"
                         f"{beside}")
        if LARGE not in args.frames:
            continue
        other = ours(LARGE, args, *LARGE_RING, "--copy")
        for most in BATCH_BYTES:
            made[LARGE, most].append((ours(LARGE, args, *LARGE_RING, "--batch-bytes", str(most)), other))
            progress.say(f"run {run}/{args.runs}, 64 KiB, batch-bytes {most}: "
                         f"{made[LARGE, most][-1][0]['busy_ns_per_packet']:.0f} ns a packet, "
                         f"memcpy {other['busy_ns_per_packet']:.0f}")
    return made


def result(frame, most, runs):
    row = {"frame_bytes": frame, "batch_bytes": most, "runs": len(runs), "drops": sum(a["drops"] for a, _ in runs),
           "balanced": all(a["balanced"] for a, _ in runs)}
    for name, which in (("lasthop", 0), ("memcpy" if frame == LARGE else "testpmd", 1)):
        if runs[0][which] is None:
            continue
        row[name] = {key: spread([pair[which][key] for pair in runs])
                     for key in ("busy_ns_per_packet", "mpps", "empty_polls_percent")}
    if runs[0][1] is not None:
        row["ratio"] = spread([b["busy_ns_per_packet"] / a["busy_ns_per_packet"] for a, b in runs])
    return row


def run(args, progress):
    if (os.cpu_count() or 1) < 2:
        raise Failure("bench native needs two cores")
    if not args.no_peer and testpmd.missing():
        raise Failure(testpmd.missing())
    if paths.INSTALLED:
        raise Failure("bench native builds its program first: call it in a source tree of lasthop")
    target = f"{os.environ.get('B') or 'build'}/bench/circulate"    # as the Makefile names it
    if subprocess.run([str(paths.SOURCE / "scripts/build"), target]).returncode:
        raise Failure("cannot build the benchmark, see above")
    if args.no_peer:
        made = measure(args, progress, None)
    else:
        with hugepages.reserved(testpmd.HUGE_PAGES) as folder:
            made = measure(args, progress, folder)
    rows = [result(*key, runs) for key, runs in made.items()]
    return {"format": "lasthop-bench-native-1", "copy": args.copy, "seconds": args.seconds, "results": rows,
            "complaints": [f"{row['frame_bytes']} bytes: the switch dropped {row['drops']} frames"
                           for row in rows if row["drops"]]
            + [f"{row['frame_bytes']} bytes: frames are not accounted for" for row in rows if not row["balanced"]]}


def peer_of(row):
    return next((row[name] for name in ("testpmd", "memcpy") if name in row), None)


def cells(row):
    mine, other = row["lasthop"], peer_of(row)
    busy = mine["busy_ns_per_packet"]
    made = [str(row["frame_bytes"]), str(row["batch_bytes"]), f"{busy['median']:.1f}", f"{busy['min']:.1f}-{busy['max']:.1f}",
            f"{1e3 / busy['median']:.2f}", f"{row['frame_bytes'] * 8 / busy['median']:.1f}",
            f"{mine['empty_polls_percent']['median']:.0f}"]
    if other is None:
        return made + ["-"] * 5
    ratio, theirs = row["ratio"], other["busy_ns_per_packet"]
    return made + ["testpmd" if "testpmd" in row else "memcpy", f"{theirs['median']:.1f}",
                   f"{theirs['min']:.1f}-{theirs['max']:.1f}",
                   f"{other['empty_polls_percent']['median']:.0f}",
                   f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})"]


def render(document):
    head = ["frame", "batch-bytes", "ns/pkt", "min-max", "Mpps", "Gbit/s", "empty %", "beside", "ns/pkt", "min-max", "empty %",
            "ratio"]
    return "\n".join(["the switch's core: busy time of a packet (polls that found nothing apart)"]
                     + columns([head] + [cells(row) for row in document["results"]]))


def plots(document):
    rows = [row for row in document["results"] if row["frame_bytes"] != LARGE]
    if not rows:
        return {}
    series = {name: [1e3 / row[name]["busy_ns_per_packet"]["median"] for row in rows]
              for name in ("lasthop", "testpmd") if all(name in row for row in rows)}
    return {"mpps": plot.bars("Packets that one core switches between two virtio ports", "Mpps",
                              [f"{row['frame_bytes']} bytes" for row in rows], series)}
