# SPDX-License-Identifier: BSD-2-Clause
"""`bench rfc2544`: the highest rates without loss (NDR) and with 0.5 % (PDR), from VM to VM; and what is
received of a saturated stream (MRR) (docs/benchmark.md). The sender searches by itself
(guest/bench/search.h)."""
from . import bench_ablation, guest_results, guestbench, options, plot, policies, results, running
from . import table, testbed

ABOUT = "The highest rates that lose nothing (NDR) and at most 0.5 % (PDR), found by bisection."
FRAMES, PACKETS = (64, 256, 1514), 20000
LOSS = {0: "ndr", 5: "pdr"}     # per mille that may be lost
COLUMNS = [("frame", "frame_bytes", "d"), ("NDR Mpps", "ndr_mpps", ".4f"), ("Gbit/s", "ndr_gbit_s", ".3f"),
           ("PDR Mpps", "pdr_mpps", ".4f"), ("Gbit/s", "pdr_gbit_s", ".3f"),
           ("MRR Mpps", "mrr_mpps", ".4f"), ("Gbit/s", "mrr_gbit_s", ".3f"), ("trials", "trials", "d")]


def frame_bytes(text):
    value = options.positive(text)
    if not 60 <= value <= 9014:
        raise options.argparse.ArgumentTypeError("60 to 9014 bytes are wanted")
    return value


def arguments(parser):
    guestbench.add_bed(parser)
    options.add_cpus(parser)
    options.add_exit_cost(parser)
    parser.add_argument("--frame", type=frame_bytes, action="append", metavar="BYTES",
                        help="60 to 9014; may be repeated (64, 256, 1514)")
    parser.add_argument("--packets", type=options.positive, default=PACKETS, metavar="N",
                        help=f"of each trial ({PACKETS})")


def rates(name, frame, pps):
    return {f"{name}_mpps": round(pps / 1e6, 6), f"{name}_gbit_s": round(pps * frame * 8e-9, 6)}


def found(events):
    """an entry for each frame size of what the guests' searches told, beside the first trials, which
    were as fast as could be"""
    made = {}
    for event in events:
        told = guest_results.parse(event.get("text", "")) if event["event"] == "guest-result" else {}
        if told.get("test") == "search" and told.get("loss") in LOSS:
            entry = made.setdefault(told["frame"], {"frame_bytes": told["frame"], "trials": 0})
            entry["trials"] += told["trials"]
            entry |= rates(LOSS[told["loss"]], told["frame"], told["pps"])
    for frame, entry in made.items():
        first = [e for e in events if e["event"] == "result" and e["frame_bytes"] == frame and e["run"] == 1]
        entry |= rates("mrr", frame, 1e9 * results.rate(first[:1], "packets")) if first else {}
    return list(made.values())


def run(args, progress):
    bed = testbed.pick(args.on)
    machine = testbed.Machine(args.cpus, 0, args.exit_cost)
    bed.check(machine)
    frames = list(dict.fromkeys(args.frame or FRAMES))
    tests = ",".join(f"{name}:{frame}" for frame in frames for name in LOSS.values())
    config = guestbench.configured("rfc2544", guestbench.pair(1, tests=f"{tests} packets={args.packets}"),
                                   policies.on_bochs() if bed.name == "bochs" else {})
    told, said = guestbench.boot_steps(config, bed, machine, running.Watcher(progress))
    events = told.get("", [])
    made = guestbench.head("rfc2544", bed, machine) | {"results": found(events), "complaints": said}
    if bed.name == "bochs":
        made["exit_cost"] = machine.exit_cost
    if len(made["results"]) < len(frames):
        said.append("not every search came to its end")
    said += guestbench.mistakes([("a trial", guestbench.entries(events, bed))])
    return made


def render(made):
    cost = f", {made['exit_cost']} instructions a VM exit" if "exit_cost" in made else ""
    lines = [f"lasthop {table.commit(made)}, v2v: {made['emulator']} ({made['testbed']}), "
             f"{made['cpus']} CPUs, {made['clock']} time{cost}"]
    lines += table.columns([[head for head, _, _ in COLUMNS]] + [
        [bench_ablation.cell(e, member, form) for _, member, form in COLUMNS] for e in made["results"]])
    return "\n".join(lines)


def plots(made):
    entries = made["results"]
    return {made["testbed"]: plot.bars(
        f"v2v, by frame size ({made['testbed']})", "Mpps", [f"{e['frame_bytes']} bytes" for e in entries],
        {name.upper(): [e.get(f"{name}_mpps", 0) for e in entries] for name in ("ndr", "pdr", "mrr")})}
