# SPDX-License-Identifier: BSD-2-Clause
"""`bench external`: streams between a guest and the wire of a NIC that a driver domain drives, what they cost
the hypervisor, the driver domain and the guest, and what they leave to VMs that talk to each other
(docs/benchmark.md)."""
import statistics

from . import boot, guest_results, guestbench, linuxguests, options, ports, results, running, table, testbed, wireend
from .console import Failure, count
from .nics import Nic
from .serialline import PROMPT
from .vmconfig import Vm

ABOUT = "Guest to wire and wire to guest, and whose CPU time a packet takes; beside VMs that talk to each other."
MODELS = {"e1000e": "<0x8086 0x10d3>", "virtio": "<0x1af4 0x1041>", "e1000": "<0x8086 0x100e>"}
FRAMES = (64, 1514)
OUT, IN = "10.0.0.1", "10.0.0.2"
WHOSE = ("root", "driver", "guest")             # members of a result: ..._ticks; of a guest-result: ..._us
NAMES = {"root": "hypervisor", "driver": "driver domain", "guest": "guest"}
ALONE = 5                                       # runs of the VMs' stream with nothing beside it
DIRECTIONS = {"out": "guest to wire", "in": "wire to guest"}


def arguments(parser):
    parser.add_argument("--on", choices=("tcg", "kvm"), default="tcg", help="test bed (tcg)")
    parser.add_argument("--cpus", type=options.positive, default=1, metavar="N",
                        help="of the machine (1: on tcg time is then counted in instructions)")
    parser.add_argument("--nic", choices=MODELS, default="e1000e", help="the machine's (e1000e)")
    parser.add_argument("--frames", type=options.positive, default=5000, metavar="N",
                        help="of a run (5000)")
    parser.add_argument("--runs", type=options.positive, default=3, metavar="N", help="of each test (3)")
    parser.add_argument("--rate", type=options.positive, default=10000, metavar="N",
                        help="frames a second at which their cost is measured (10000)")
    parser.add_argument("--mib", type=options.positive, default=32, metavar="N",
                        help="of TCP, each way (32)")


def counted(args, bed):
    """QEMU counts the instructions of one CPU, a nanosecond each; those of several share that clock, so that one
    would be charged with another's"""
    return bed.name == "tcg" and args.cpus == 1


def machine_for(args, bed, net, memory_mib=0):
    how = {"threads": "single", "qemu": ["-icount", "shift=0"]} if counted(args, bed) else {}
    return testbed.Machine(args.cpus, memory_mib, nics=[Nic(args.nic, net)], **how)


def domain(args):
    return Vm("netd", "netd.elf", "watchdog=20000", more=[
        'role = "driver-domain";',
        f'nic0 {{ compatible = "lasthop,passthrough"; pci-id = {MODELS[args.nic]}; }};',
        'up0 { compatible = "lasthop,net"; switch = <&lan>; uplink; };'])


def bundled(args):
    """the guests that are measured, started when it is their turn; a pair that talks meanwhile, of which the
    sink waits from the beginning on"""
    off = {"more": ['status = "disabled";'], "mtu": 1500}
    tests = ",".join(f"stream:{size},stream:{size}@{args.rate}" for size in FRAMES)
    sink, source = guestbench.pair(1, "packets=20000 runs=1000", 1000, tests="stream:1514", **off)
    return [domain(args), sink, source,
            Vm("out", "bench.elf", f"role=source outside=on ip={OUT} peer={wireend.ADDRESS} tests={tests} "
               f"packets={args.frames} runs={args.runs}", ("lan",), **off),
            Vm("in", "bench.elf", f"role=sink ip={IN}", ("lan",), **off)]


def inward(station, args):
    """the wire sends, in the order in which `out` does"""
    for size in FRAMES:
        for rate in 0, args.rate:
            for run in range(args.runs):
                station.source(IN, size, args.frames, run + 1, args.runs, rate)
    station.bye(IN)


def both_ways(line, session, station, args, name, found):
    for vm in DIRECTIONS:
        session.watcher.say(f"{DIRECTIONS[vm]}, {name}")
        guestbench.told(line, f"vm start {vm}", "done")
        if vm == "in":
            inward(station, args)
        found[name, vm] = session.until_end(vm, guestbench.LIMIT["tcg"])


def talker(session, station, args, found):
    def talk(line):
        try:
            line.wait(r"\] uplink netd/up0: up")
            line.type("\r")
            line.wait(f"^{PROMPT}", 60)
            both_ways(line, session, station, args, "alone", found)
            session.watcher.say("VM to VM, alone")
            guestbench.told(line, "vm start source1", "done")
            found["pair"] = []
            while len([e for e in found["pair"] if e["event"] == "result"]) <= ALONE:
                found["pair"].append(session.next(guestbench.LIMIT["tcg"]))
            both_ways(line, session, station, args, "beside", found)
            for vm in "source1", "sink1", "netd":
                guestbench.told(line, f"vm stop {vm}", "done")
        except Failure as failure:
            session.failed = str(failure)
            return False
        return True
    return talk


def costs(events, khz):
    """{whose: ns of CPU time a packet}, and how much of the whole each is"""
    packets = results.total(events, "packets")
    ns = {whose: results.total(events, f"{whose}_ticks") * 1e6 / khz / packets if packets else 0.0
          for whose in WHOSE}
    return shares(ns, "ns_per_packet", 1)


def shares(spent, name, digits):
    whole = sum(spent.values()) or 1.0
    return {name: {whose: round(value, digits) for whose, value in spent.items()},
            "share": {whose: round(value / whole, 4) for whose, value in spent.items()}}


def row(direction, name, size, fast, steady, khz):
    """fast: as fast as the sender goes, which costs time for what is dropped; steady: at the rate asked for"""
    made = {"direction": direction, "beside_vm_traffic": name == "beside", "frame_bytes": size, "runs": len(fast),
            "most_kpps": results.spread([1e6 * results.rate([e], "packets") for e in fast], 2),
            "most_gbit_s": results.spread([8 * results.rate([e], "bytes") for e in fast], 4),
            "kpps": round(1e6 * results.rate(steady, "packets"), 2),
            "packets": results.total(steady, "packets"), "lost": results.total(steady, "lost"),
            "corrupt": results.total(fast + steady, "corrupt"),
            # on the way in the wire's own queue loses some, and nobody counts
            "unaccounted": sum(map(results.unaccounted, fast + steady)) if direction == "out" else 0}
    # what the pair costs would be in it
    return made if name == "beside" else made | costs(steady, khz)


def rows(found, runs, khz):
    made = []
    for name in "alone", "beside":
        for direction in DIRECTIONS:
            for size in FRAMES:
                told = [e for e in found.get((name, direction), []) if e["event"] == "result" and
                        (e.get("vm"), e.get("frame_bytes")) == (direction, size)]
                if len(told) == 2 * runs:
                    made.append(row(direction, name, size, told[:runs], told[runs:], khz))
    return made


def pair_rates(found):
    """{what goes on beside it: kpps of the VMs' stream, the median of its runs}"""
    told = {"nothing": found.get("pair", [])} | {
        DIRECTIONS[vm]: found.get(("beside", vm), []) for vm in DIRECTIONS}
    made = {}
    for beside, events in told.items():
        runs = [e for e in events if e["event"] == "result" and e.get("vm") == "sink1"]
        if runs:
            made[beside] = {"runs": len(runs), "kpps": round(1e6 * statistics.median(
                results.rate([e], "packets") for e in runs), 2),
                "unaccounted": sum(map(results.unaccounted, runs))}
    return made


def small_frames(args, bed, net, progress, document):
    """one boot with the bundled guests; a document that has no rows says why"""
    made = guestbench.configured(f"external-{args.nic}", bundled(args), {}, images=("bench.elf", "netd.elf"))
    station, session, found = wireend.Station(), guestbench.Session(running.Watcher(progress)), {}
    machine = machine_for(args, bed, net)
    outcome = boot.boot(bed, machine, made.blob, made.images, guestbench.LIMIT[bed.name],
                        on_event=session.event, on_wait=session.watcher.wait,
                        talk=talker(session, station, args, found))
    station.close()
    if session.failed:
        document["complaints"].append(session.failed)
    if outcome.ended != "end":
        running.explain(outcome, guestbench.LIMIT[bed.name])
        document["complaints"].append(outcome.why() or "the run did not come to its end")
        return
    events = outcome.stream.events
    document["complaints"] += ports.unbalanced(ports.entries(events), ports.running(events))
    khz = outcome.stream.of("boot")[0]["tsc_khz"]
    document["rows"], document["vm_to_vm"] = rows(found, args.runs, khz), pair_rates(found)
    if len(document["rows"]) < 2 * len(DIRECTIONS) * len(FRAMES):
        document["complaints"].append("some runs have told nothing")
    document["complaints"] += [
        f"{DIRECTIONS[r['direction']]}, {r['frame_bytes']} bytes: {r['corrupt']} frames corrupt, "
        f"{r['unaccounted']} lost uncounted" for r in document["rows"] if r["corrupt"] or r["unaccounted"]]
    document["complaints"] += [f"VM to VM: {r['unaccounted']} frames lost uncounted"
                               for r in document["vm_to_vm"].values() if r["unaccounted"]]
    outcome.discard()


def large_frames(args, bed, net, progress, document):
    """one boot with a Linux guest: TCP, whose segments the NIC cuts"""
    guest = linuxguests.guest("linux", f"lasthop.ip={OUT}/24 lasthop.peer={wireend.ADDRESS} "
                              f"lasthop.tests=meet,ping,tcp,tcp-reverse lasthop.mib={args.mib}",
                              nets=("lan",))
    config = linuxguests.configured(f"external-{args.nic}", bed.name, [domain(args), guest])
    machine = machine_for(args, bed, net, boot.memory_for(config.vms))
    with wireend.iperf_server():
        _, good, events = running.boot_config_events(config, bed, machine, guestbench.LIMIT[bed.name],
                                                     running.Watcher(progress))
    if not good:
        document["complaints"].append("the Linux guest failed")
    told = [e for e in events if e["event"] == "guest-result"]
    for before, event in zip(told, told[1:]):
        entry = guest_results.entry(event, before)
        if not entry or entry["name"] != "iperf3":
            continue
        mib = entry["bytes"] / guest_results.MIB
        spent = {whose: (event.get(f"{whose}_us", 0) - before.get(f"{whose}_us", 0)) / mib for whose in WHOSE}
        document["tso"].append({"direction": "in" if entry["test"].endswith("reverse") else "out",
                                "mbit_s": round(entry["gbit_s"] * 1e3, 1), "bytes": entry["bytes"]}
                               | shares(spent, "us_per_mib", 1))
    document["complaints"] += [f"TCP, {what}: no result" for way, what in DIRECTIONS.items()
                               if way not in {r["direction"] for r in document["tso"]}]


def run(args, progress):
    bed = testbed.pick(args.on)
    bed.check(testbed.Machine(args.cpus))
    wireend.enter()
    net = wireend.plug()
    document = guestbench.head("external", bed, testbed.Machine(args.cpus)) | {
        "clock": "instructions" if counted(args, bed) else bed.clock, "nic": args.nic,
        "rate": args.rate, "rows": [], "vm_to_vm": {}, "tso": [], "complaints": []}
    args.begun = document
    progress.say(f"starting {bed.emulator()} ({bed.name}), {count(args.cpus, 'CPU')}, with {args.nic}")
    small_frames(args, bed, net, progress, document)
    large_frames(args, bed, net, progress, document)
    return document


def split(made, name):
    if name not in made:                        # the pair's is in it
        return ["-"] * (2 * len(WHOSE))
    return [f"{made[name][whose]:.0f}" for whose in WHOSE] + [f"{made['share'][whose]:.0%}" for whose in WHOSE]


def render(made):
    who = [NAMES[whose] for whose in WHOSE]
    lines = [f"lasthop {table.commit(made)}, external: {made['emulator']} ({made['testbed']}), "
             f"{made['nic']}, {count(made['cpus'], 'CPU')}, "
             + ("1 ns an instruction" if made["clock"] == "instructions" else f"{made['clock']} time"), "",
             f"UDP: the most that arrives; and of {made['rate']} a second, CPU time in ns a packet, and its shares"]
    lines += table.columns([["way", "beside", "frame", "most kpps", "Gbit/s", "kpps", "lost", *who, *who]] + [
        [DIRECTIONS[r["direction"]], "VM to VM" if r["beside_vm_traffic"] else "nothing", str(r["frame_bytes"]),
         f"{r['most_kpps']['median']:.1f}", f"{r['most_gbit_s']['median']:.3f}", f"{r['kpps']:.1f}",
         str(r["lost"]), *split(r, "ns_per_packet")] for r in made["rows"]], left=(0, 1))
    lines += ["", "VM to VM, 1514 bytes"]
    lines += table.columns([["beside", "runs", "kpps"]] + [
        [beside, str(r["runs"]), f"{r['kpps']:.1f}"] for beside, r in made["vm_to_vm"].items()], left=(0,))
    lines += ["", "TCP of a Linux guest, segmented by the NIC; CPU time in us a MiB, and its shares"]
    lines += table.columns([["way", "Mbit/s", *who, *who]] + [
        [DIRECTIONS[r["direction"]], f"{r['mbit_s']:.1f}", *split(r, "us_per_mib")] for r in made["tso"]],
        left=(0,))
    return "\n".join(lines)
