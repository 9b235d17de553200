# SPDX-License-Identifier: BSD-2-Clause
"""`bench ablation`: what each policy of the switch brings, alone and among the others (docs/benchmark.md).

One boot for each kind of ring; in it the policies are set at the shell, and the source is started once
for each combination of them.
"""
from . import guestbench, options, plot, policies, running, table, testbed

ABOUT = "What each policy of the data plane brings: none, each alone, all but one, all."
FRAMES = {"64": "stream:64", "256": "stream:256", "1514": "stream:1514", "64k": "stream:65536",
          "rr": "rr:64", "train": "rr:1514*32"}
TRAIN = ("rr", 1514)            # a request of 32 frames and an answer of one
RINGS = ("split", "packed")
STREAM = [      # heading, member
    ("Gbit/s", "gbit_s", ".3f"), ("Mpps", "mpps", ".4f"), ("exits/pkt", "exits_per_packet", ".3f"),
    ("kicks/pkt", "kicks_per_packet", ".3f"), ("notif./pkt", "notifications_per_packet", ".3f"),
    ("root ticks/pkt", "root_ticks_per_packet", ".0f")]
RR = [("p50 us", "p50_us", ".1f"), ("p99 us", "p99_us", ".1f"),
      ("receiver exits/trans.", "receiver_exits_per_transaction", ".2f"),
      ("kicks/trans.", "kicks_per_transaction", ".2f"),
      ("notif./trans.", "notifications_per_transaction", ".2f"),
      ("root ticks/trans.", "root_ticks_per_packet", ".0f")]


def combinations(names):
    """[(what it is called, the policies that are on)]"""
    return ([("none", [])] + [(f"{name} alone", [name]) for name in names]
            + [(f"all but {name}", [n for n in names if n != name]) for name in names]
            + [("all", list(names))])


def chosen(text):
    words = text.split(",")
    wrong = [word for word in words if word not in FRAMES]
    if wrong:
        raise options.argparse.ArgumentTypeError(f"{wrong[0]}: one of {', '.join(FRAMES)} is wanted")
    return words


def arguments(parser):
    guestbench.add_bed(parser)
    options.add_cpus(parser)
    parser.add_argument("--exit-cost", type=int, choices=(0, 1000), action="append",
                        help="instructions that a VM exit costs, on Bochs (0 and 1000, one after the other)")
    parser.add_argument("--tests", type=chosen, default=list(FRAMES), metavar="LIST",
                        help=f"some of {','.join(FRAMES)} (all)")
    parser.add_argument("--only", action="append", metavar="POLICY", choices=policies.switches(),
                        help="vary only this one, the others are on; may be repeated")
    parser.add_argument("--ring", action="append", choices=RINGS, help="only this kind of ring (both)")
    parser.add_argument("--quick", action="store_true",
                        help="4000 packets and 100 transactions a test, one kind of ring")


def wanted(args):
    """the combinations that the command line asks for"""
    names = policies.switches()
    made = combinations(names)
    if not args.only:
        return made
    return [(name, on) for name, on in made
            if name == "all" or any(name == f"all but {only}" for only in args.only)]


def one_boot(args, bed, machine, ring, combos, watcher):
    """{combination: its results}, complaints"""
    quick = " packets=4000 transactions=100" if args.quick else ""
    vms = guestbench.pair(1, f"ring={ring} offload=on burst=1", len(combos),
                          tests=",".join(FRAMES[t] for t in args.tests) + quick,
                          more=['status = "disabled";'])
    extra = policies.on_bochs() if bed.name == "bochs" else {}
    made = guestbench.configured(f"ablation-{ring}", vms, extra)
    names = policies.switches()
    steps = [(f"{ring} ring: {name}", {n: "on" if n in on else "off" for n in names}, "source1")
             for name, on in combos]
    found, said = guestbench.boot_steps(made, bed, machine, watcher, steps)
    rows = [(name, guestbench.entries(found[step], bed))
            for (name, _), (step, _, _) in zip(combos, steps) if step in found]
    return dict(rows), said + guestbench.mistakes(rows)


def run(args, progress):
    bed = testbed.pick(args.on)
    watcher = running.Watcher(progress)
    combos = wanted(args)
    made = guestbench.head("ablation", bed, testbed.Machine(args.cpus)) | {"boots": [], "complaints": []}
    args.begun = made
    costs = args.exit_cost or ((0, 1000) if bed.name == "bochs" else (0,))
    machines = [testbed.Machine(args.cpus, 0, cost) for cost in costs]
    for machine in machines:
        bed.check(machine)
    for cost, machine in zip(costs, machines):
        for ring in args.ring or RINGS[:1 if args.quick else None]:
            rows, said = one_boot(args, bed, machine, ring, combos, watcher)
            made["boots"].append({
                "ring": ring, "rows": [{"name": name, "on": on, "results": rows.get(name, [])}
                                       for name, on in combos]}
                | ({"exit_cost": cost} if bed.name == "bochs" else {}))
            made["complaints"] += said
    return made


def cell(result, member, form):
    value = result.get(member)
    if isinstance(value, dict):
        value = value["median"]
    return "-" if value is None else format(value, form)


def tests_of(boot):
    """[(name, frame)] of its rows, in order"""
    return list(dict.fromkeys((r["name"], r["frame_bytes"]) for row in boot["rows"]
                              for r in row["results"]))


def result_of(row, test):
    return next((r for r in row["results"] if (r["name"], r["frame_bytes"]) == test), {})


def called(test):
    return f"{test[0]}, {test[1]} bytes" + (", 32 of them and one back" if test == TRAIN else "")


def title(boot):
    cost = f", {boot['exit_cost']} instructions a VM exit" if "exit_cost" in boot else ""
    return f"{boot['ring']} ring{cost}"


def render(made):
    lines = [f"lasthop {table.commit(made)}, ablation: {made['emulator']} ({made['testbed']}), "
             f"{made['cpus']} CPUs, {made['clock']} time"]
    for boot in made["boots"]:
        for test in tests_of(boot):
            columns = STREAM if test[0] == "stream" else RR
            lines += ["", f"{called(test)}, {title(boot)}"]
            lines += table.columns([["policies", *(head for head, _, _ in columns)]] + [
                [row["name"], *(cell(result_of(row, test), m, form) for _, m, form in columns)]
                for row in boot["rows"]])
    return "\n".join(lines)


def values(boot, test, member):
    found = [result_of(row, test).get(member, 0) for row in boot["rows"]]
    return [v["median"] if isinstance(v, dict) else v for v in found]


def plots(made):
    """one for each test: a bar for each combination and exit cost, of the first kind of ring"""
    drawn = {}
    boots = [b for b in made["boots"] if b["ring"] == made["boots"][0]["ring"]]
    for name, frame in tests_of(boots[0]):
        member, unit = ("gbit_s", "Gbit/s") if name == "stream" else ("p50_us", "us, median")
        drawn[f"{made['testbed']}-{name}-{frame}"] = plot.bars(
            f"{called((name, frame))}, by the policies that are on ({made['testbed']})", unit,
            [row["name"] for row in boots[0]["rows"]],
            {title(b): values(b, (name, frame), member) for b in boots})
    return drawn
