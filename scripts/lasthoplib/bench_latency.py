# SPDX-License-Identifier: BSD-2-Clause
"""`bench latency`: request and response while other VMs, which only compute, share the receiver's CPU
(docs/benchmark.md). One boot for each number of them; in it the policies that are about latency are set at
the shell."""
from . import bench_ablation, guestbench, options, plot, policies, running, table, testbed
from .console import Failure
from .vmconfig import Vm

ABOUT = "Latency of a receiver that shares its CPU with 0 to 3 busy VMs, with and without the policies for it."
OTHERS = (0, 1, 2, 3)
SOURCE_CPU, SINK_CPU = 0, 1
ABOUT_LATENCY = ("preemptive-copy", "immediate-notification")
COLUMNS = [*bench_ablation.RR[:3], ("wake-ups/trans.", "wakeups_per_transaction", ".2f"),
           *bench_ablation.RR[4:]]


def arguments(parser):
    guestbench.add_bed(parser)
    options.add_cpus(parser)
    parser.add_argument("--exit-cost", type=int, choices=(0, 1000), default=1000,
                        help="instructions that a VM exit costs, on Bochs (1000)")
    parser.add_argument("--transactions", type=options.positive, default=300, metavar="N",
                        help="of each combination (300)")
    parser.add_argument("--others", type=int, action="append", choices=OTHERS,
                        help="busy VMs beside the receiver; may be repeated (0, 1, 2, 3)")


def combinations(names):
    """[(what it is called, the policies that are off)]"""
    few = [name for name in ABOUT_LATENCY if name in names]
    made = [("all", [])] + [(f"without {name}", [name]) for name in few]
    return made + ([("without " + ", ".join(few), few)] if len(few) > 1 else [])


def busy(number):
    return Vm(f"busy{number}", "bench.elf", "role=busy", affinity=(SINK_CPU,))


def one_boot(args, bed, machine, others, watcher):
    """(rows, complaints) with this many busy VMs"""
    combos = combinations(policies.switches())
    tests = f"rr:64 transactions={args.transactions}"
    vms = [busy(n + 1) for n in range(others)] + guestbench.pair(
        1, "", len(combos), (SINK_CPU, SOURCE_CPU), tests=tests, more=['status = "disabled";'])
    extra = policies.on_bochs() if bed.name == "bochs" else {}
    made = guestbench.configured(f"latency-{others}", vms, extra)
    steps = [(f"{others} others: {name}",
              {n: "off" if n in off else "on" for n in policies.switches()}, "source1")
             for name, off in combos]
    found, said = guestbench.boot_steps(made, bed, machine, watcher, steps,
                                        stop=[vm.name for vm in vms if vm.name.startswith("busy")])
    rows = [(name, guestbench.entries(found.get(step, []), bed))
            for (name, _), (step, _, _) in zip(combos, steps)]
    return ([{"others": others, "name": name, "results": results} for name, results in rows],
            said + guestbench.mistakes(rows))


def run(args, progress):
    bed = testbed.pick(args.on)
    machine = testbed.Machine(args.cpus, 0, args.exit_cost if bed.name == "bochs" else 0)
    bed.check(machine)
    if args.cpus <= SOURCE_CPU or args.cpus <= SINK_CPU:
        raise Failure(f"bench latency: the sender and the receiver need a CPU each: --cpus {SINK_CPU + 1} or more",
                      status=2)
    made = guestbench.head("latency", bed, machine) | {"rows": [], "complaints": []}
    args.begun = made
    if bed.name == "bochs":
        made["exit_cost"] = machine.exit_cost
    for others in dict.fromkeys(args.others or OTHERS):
        rows, said = one_boot(args, bed, machine, others, running.Watcher(progress))
        made["rows"] += rows
        made["complaints"] += said
    return made


def rr_of(row):
    return row["results"][0] if row["results"] else {}


def render(made):
    cost = f", {made['exit_cost']} instructions a VM exit" if "exit_cost" in made else ""
    lines = [f"lasthop {table.commit(made)}, latency under overcommit: {made['emulator']} "
             f"({made['testbed']}), {made['cpus']} CPUs, {made['clock']} time{cost}"]
    lines += table.columns([["others", "policies", *(head for head, _, _ in COLUMNS)]] + [
        [str(row["others"]), row["name"],
         *(bench_ablation.cell(rr_of(row), member, form) for _, member, form in COLUMNS)]
        for row in made["rows"]])
    return "\n".join(lines)


def plots(made):
    """median and 99th percentile against the VMs that share the CPU"""
    names = list(dict.fromkeys(row["name"] for row in made["rows"]))

    def series(member):
        return {name: [(row["others"], rr_of(row)[member]) for row in made["rows"]
                       if row["name"] == name and rr_of(row)] for name in names}
    return {f"{made['testbed']}-{member[:3]}": plot.lines(
        f"rr, 64 bytes, {what} ({made['testbed']})", "busy VMs that share the receiver's CPU", "us",
        series(member)) for member, what in (("p50_us", "median"), ("p99_us", "99th percentile"))}
