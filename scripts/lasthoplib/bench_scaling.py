# SPDX-License-Identifier: BSD-2-Clause
"""`bench scaling`: throughput of several pairs of VMs at once, each vCPU on a CPU of its own, on Bochs
(docs/benchmark.md). All pairs begin each run at the same moment of the machine's clock."""
from . import bench_ablation, guestbench, options, plot, policies, results, running, table, testbed

ABOUT = "Throughput of 1 to 7 pairs of VMs at once, with no CPU idle and with as many idle as busy (Bochs)."
PAIRS = (1, 2, 4, 6, 7)         # 14 CPUs are the most
IDLE_PAIRS = (1, 2, 3)
FRAMES = (64, 1514)
WAKE_S, EVERY_MS = 20, 2000     # after the machine's start all guests are there; between runs
SIZES, PACKETS = (64, 256, 1514, 9014), 60000
TOGETHER = 0.9                  # of the time in which one measured, all did
COLUMNS = [("frame", "frame_bytes", "d"), ("pairs", "pairs", "d"), ("CPUs", "cpus", "d"),
           ("Gbit/s", "gbit_s", ".3f"), ("Mpps", "mpps", ".4f"), ("times one pair", "times_one", ".2f"),
           ("exits/pkt", "exits_per_packet", ".3f"), ("kicks/pkt", "kicks_per_packet", ".3f"),
           ("notif./pkt", "notifications_per_packet", ".3f"),
           ("root ticks/pkt", "root_ticks_per_packet", ".0f"), ("drops", "drops", "d")]


def arguments(parser):
    guestbench.add_bed(parser, ("bochs",))
    options.add_exit_cost(parser)
    parser.add_argument("--frame", type=int, action="append", choices=SIZES,
                        help="bytes; may be repeated (64 and 1514)")
    parser.add_argument("--pairs", type=int, action="append", choices=(1, 2, 3, 4, 5, 6, 7),
                        help="may be repeated (1, 2, 4, 6, 7; with idle CPUs 1, 2, 3)")
    parser.add_argument("--quick", action="store_true", help="1 and 7 pairs, no idle CPUs")


def machines(args):
    """[(pairs, CPUs)]"""
    asked = list(dict.fromkeys(args.pairs or ()))
    busy, idle = asked or PAIRS, [p for p in asked or IDLE_PAIRS if p in IDLE_PAIRS]
    if args.quick:
        busy, idle = (1, 7), ()
    return [(p, 2 * p) for p in busy] + [(p, 4 * p) for p in idle]


def overlap(events):
    """of the time in which any pair measured, the part in which all did"""
    begins = [e["begin_ns"] for e in events]
    ends = [e["begin_ns"] + e["nanoseconds"] for e in events]
    return max(0, min(ends) - max(begins)) / (max(ends) - min(begins))


def entry(size, events, cpus):
    made = results.stream_entry(size, events) | {"cpus": cpus, "overlap": round(overlap(events), 3)}
    ticks = results.total(events, "root_ticks") / len(events)   # each window counts all CPUs
    return made | {"root_ticks_per_packet": results.ratio(ticks, made["packets"])}


def measure(args, bed, pairs, cpus, watcher):
    machine = testbed.Machine(cpus, 0, args.exit_cost)
    bed.check(machine)
    frames = list(dict.fromkeys(args.frame or FRAMES))
    begin = bed.TIME0 + WAKE_S
    vms = [vm for n in range(pairs) for vm in guestbench.pair(
        n + 1, cpus=(2 * n, 2 * n + 1), tests=",".join(f"stream:{f}" for f in frames)
        + f" begin={begin} every={EVERY_MS} packets={PACKETS}")]
    config = guestbench.configured(f"scaling-{pairs}-{cpus}", vms, policies.on_bochs())
    found, said = guestbench.boot_steps(config, bed, machine, watcher)
    told = results.groups(e for e in found.get("", ()) if e["event"] == "result")
    made = [entry(size, events, cpus) for (_, size), events in told.items() if len(events) == pairs]
    name = f"{pairs} pairs on {cpus} CPUs"
    said += [f"{name}, {e['frame_bytes']} bytes: the pairs did not measure at the same time"
             for e in made if e["overlap"] < TOGETHER]
    if len(made) < len(frames):
        said.append(f"{name}: results are missing")
    return made, said + guestbench.mistakes([(name, made)])


def compare(entries):
    """each beside one pair on two CPUs"""
    one = {e["frame_bytes"]: e["mpps"]["median"] for e in entries if (e["pairs"], e["cpus"]) == (1, 2)}
    for e in entries:
        if one.get(e["frame_bytes"]):
            e["times_one"] = round(e["mpps"]["median"] / one[e["frame_bytes"]], 3)


def run(args, progress):
    bed = testbed.pick("bochs")
    watcher = running.Watcher(progress)
    made = guestbench.head("scaling", bed, testbed.Machine(14)) | {
        "exit_cost": args.exit_cost, "results": [], "complaints": []}
    args.begun = made
    for pairs, cpus in machines(args):
        watcher.say(f"{pairs} pairs on {cpus} CPUs")
        found, said = measure(args, bed, pairs, cpus, watcher)
        made["results"] += found
        made["complaints"] += said
    compare(made["results"])
    return made


def render(made):
    lines = [f"lasthop {table.commit(made)}, scaling: {made['emulator']}, {made['exit_cost']} "
             "instructions a VM exit, virtual time"]
    rows = sorted(made["results"], key=lambda e: (e["frame_bytes"], e["cpus"] != 2 * e["pairs"], e["pairs"]))
    lines += table.columns([[head for head, _, _ in COLUMNS]] + [
        [bench_ablation.cell(e, member, form) for _, member, form in COLUMNS] for e in rows])
    return "\n".join(lines)


def plots(made):
    """throughput against pairs, for each frame size"""
    drawn = {}
    for frame in sorted({e["frame_bytes"] for e in made["results"]}):
        series = {}
        for e in made["results"]:
            if e["frame_bytes"] == frame:
                name = "no CPU idle" if e["cpus"] == 2 * e["pairs"] else "as many idle as busy"
                series.setdefault(name, []).append((e["pairs"], e["gbit_s"]["median"]))
        drawn[f"bochs-{frame}"] = plot.lines(
            f"{frame} bytes, Bochs, {made['exit_cost']} instructions a VM exit", "pairs of VMs",
            "Gbit/s, all pairs together", series)
    return drawn
