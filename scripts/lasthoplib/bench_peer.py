# SPDX-License-Identifier: BSD-2-Clause
"""`bench peer`: two Linux guests under lasthop, then the same under KVM with vhost-net (peer.py), in the same
emulated machine, in turn; the medians of the runs side by side (docs/performance.md)."""
import statistics

from . import linuxguests, options, peer, running, table
from .console import count

ABOUT = ("Two Linux guests under lasthop, and the same under KVM with vhost-net and a bridge, in "
         "the same emulated machine.")
# key, heading, unit, which is better: 1 more, -1 less, 0 neither
ROWS = [
    ("tcp", "TCP, one stream", "Mbit/s", 1),
    ("exits", "VM exits in it, timers apart", "per MiB", -1),
    ("timers", "the guests' own timers' exits", "per MiB", 0),
    ("busy", "CPU time, empty polls apart", "ms/MiB", -1),
    ("polls", "polls that found nothing", "ms/MiB", 0),
    ("udp-sent", "UDP, 18 bytes, sent", "kpps", 0),
    ("udp-ring", "in the receiver's ring", "kpps", 1),
    ("udp-reached", "of what was sent", "%", 0),
    ("udp-small", "received", "kpps", 1),
    ("udp", "UDP, 1400 bytes, received", "Mbit/s", 1),
    ("ping-min", "ping, least", "us", -1),
    ("ping", "ping, mean", "us", -1),
    ("ceiling", "the ceiling: loopback, TCP", "Mbit/s", 0),
    ("udp-ceiling", "loopback, UDP, 18 bytes", "kpps", 0),
]


def arguments(parser):
    parser.add_argument("--on", choices=("tcg", "bochs"), default="tcg", help="test bed (tcg)")
    options.add_cpus(parser)
    options.add_exit_cost(parser)
    parser.add_argument("--runs", type=options.positive, default=1, metavar="N", help="of each, in turn (1)")


def median(runs, who, key):
    told = [run[who].get(key) for run in runs if run[who].get(key) is not None]
    return statistics.median(told) if told else None


def times_better(ours, theirs, better):
    if not better or not ours or not theirs:
        return None
    return round(ours / theirs if better > 0 else theirs / ours, 2)


def compared(runs):
    """rows of the document: medians, how many times better lasthop's is, and the same of each run"""
    made = []
    for key, name, unit, better in ROWS:
        ours, theirs = median(runs, "lasthop", key), median(runs, "kvm", key)
        made.append({"key": key, "name": name, "unit": unit, "lasthop": rounded(ours), "kvm": rounded(theirs),
                     "times_better": times_better(ours, theirs, better),
                     "each": [times_better(r["lasthop"].get(key), r["kvm"].get(key), better) for r in runs]})
    return made


def rounded(value):
    return None if value is None else round(value, 2)


def run(args, progress):
    vms = linuxguests.pair(1, linuxguests.TESTS, peer.SECONDS[args.on])
    config = linuxguests.configured("peer", args.on, vms)
    bed, machine = running.bed_for(args, config.vms)
    progress.say("the peer's disk images: made if there are none")
    peer.prepare(machine)
    runs, document = [], {}
    for number in range(1, args.runs + 1):
        progress.say(f"run {number} of {args.runs}: lasthop")
        made, good = running.boot_config(config, bed, machine, peer.LIMIT[args.on],
                                         running.Watcher(progress))
        if not good:
            return (document or compare(made, args, [])) | {"complaints": [
                f"run {number}: the guests of lasthop failed: only runs before it are compared"]}
        progress.say(f"run {number} of {args.runs}: the same guests under Linux with KVM")
        theirs, text = peer.measure(args.on, machine)
        runs.append({"lasthop": linuxguests.figures(made["results"]), "kvm": theirs,
                     "exits_by_cause": causes(made), "kvm_told": text.splitlines()})
        document = args.begun = compare(made, args, runs)
    return document


def compare(made, args, runs):
    return made | {"name": "peer", "policy": linuxguests.policy(args.on), "runs": runs, "compared": compared(runs)}


def causes(made):
    tcp = next((r for r in made["results"] if r["test"] == "tcp"), {})
    return tcp.get("exits_by_cause", {})


def cell(value, form):
    return "-" if value is None else format(value, form)


def render(made):
    cost = f", {made['exit_cost']} instructions a VM exit" if "exit_cost" in made else ""
    lines = [f"lasthop {table.commit(made)} and KVM with vhost-net, {made['emulator']} "
             f"({made['testbed']}), {count(made['cpus'], 'CPU')}, {made['clock']} time{cost}"]
    rows = [("", "", "lasthop", "KVM", "times better", "each run")]
    rows += [(r["name"], r["unit"], cell(r["lasthop"], ".1f"), cell(r["kvm"], ".1f"),
              cell(r["times_better"], ".2f"), " ".join(cell(e, ".2f") for e in r["each"]) if r["times_better"] else "")
             for r in made["compared"]]
    lines += table.columns(rows)
    for number, one in enumerate(made.get("runs", []), 1):
        told = ", ".join(f"{cause} {rate:.2f}" for cause, rate in one["exits_by_cause"].items() if rate)
        lines.append(f"exits of lasthop by cause, run {number}, a MiB: {told}")
    return "\n".join(lines)
