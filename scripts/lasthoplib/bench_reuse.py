# SPDX-License-Identifier: BSD-2-Clause
"""`bench reuse`: packets from a guest to the wire, copied on the way, mapped for the NIC each for itself, or in
pages that stay mapped (policy buffer-reuse): what a packet costs, and how often the IOMMU's cache is invalidated
(docs/driver-domain.md)."""
import re

from . import boot, guest_results, guestbench, linuxguests, options, ports, results, running, table, testbed, wireend
from .bench_external import MODELS, NAMES, WHOSE, domain
from .console import Failure, count
from .nics import Nic
from .serialline import PROMPT
from .vmconfig import Vm

ABOUT = "Guest to wire: packets copied, mapped each for itself, or in pages that stay mapped."
WAYS = {"off": "copied", "per-packet": "mapped per packet", "on": "reuse"}       # policy buffer-reuse
FRAMES = (64, 1514)
COUNTERS = ("rx_packets", "rx_bytes", "lent", "lent_mapped", "lent_flushes")
OUT = "10.0.0.1"
IDLE = Vm("idle", "bench.elf", "role=sink ip=10.0.0.3", ("lan",), mtu=1500)     # a run lasts as long as a guest


def arguments(parser):
    parser.add_argument("--on", choices=("tcg", "kvm"), default="tcg", help="test bed (tcg)")
    options.add_cpus(parser)
    parser.add_argument("--nic", choices=MODELS, default="e1000e", help="the machine's (e1000e)")
    parser.add_argument("--frames", type=options.positive, default=20000, metavar="N",
                        help="of a run (20000)")
    parser.add_argument("--runs", type=options.positive, default=3, metavar="N", help="of each size and way (3)")
    parser.add_argument("--seconds", type=options.positive, default=5, metavar="S",
                        help="of TCP, each way (5)")


def bundled(args):
    """a guest for each step; all of them are told the same"""
    return [domain(args), IDLE] + [
        Vm(f"out-{way}-{size}", "bench.elf",
           f"role=source outside=on ip={OUT} peer={wireend.ADDRESS} tests=stream:{size} packets={args.frames} "
           f"runs={args.runs}", ("lan",), mtu=1500, more=['status = "disabled";'])
        for way in WAYS for size in FRAMES]


def linuxes(args):
    made = [linuxguests.guest(f"out-{way}-TSO", f"lasthop.ip={OUT}/24 lasthop.peer={wireend.ADDRESS} "
                              f"lasthop.tests=meet,ping,tcp lasthop.seconds={args.seconds}", nets=("lan",))
            for way in WAYS]
    for vm in made:
        vm.more.append('status = "disabled";')
    return [domain(args), IDLE, *made]


def counters(line):
    told = line.command("stat netd/up0")
    return {name: int(re.search(rf"^{name} +(\d+) ", told, re.M)[1]) for name in COUNTERS}


def talker(session, steps, found):
    def talk(line):
        try:
            line.wait(r"\] uplink netd/up0: up")
            line.type("\r")
            line.wait(f"^{PROMPT}", 60)
            for way, size in steps:
                session.watcher.say(f"{WAYS[way]}, {size}")
                guestbench.told(line, f"set buffer-reuse {way}", f"buffer-reuse is {way}")
                before = counters(line)
                guestbench.told(line, f"vm start out-{way}-{size}", "done")
                events = session.until_end(f"out-{way}-{size}", guestbench.LIMIT["tcg"])
                found[way, size] = events, {k: n - before[k] for k, n in counters(line).items()}
            for vm in "idle", "netd":
                guestbench.told(line, f"vm stop {vm}", "done")
        except Failure as failure:
            session.failed = str(failure)
            return False
        return True
    return talk


def measure(bed, args, net, made, steps, progress, document):
    """boots once; {step: (events, what the uplink has counted)}, and the rate of the machine's clock"""
    session, found = guestbench.Session(running.Watcher(progress)), {}
    machine = testbed.Machine(args.cpus, boot.memory_for(made.vms), nics=[Nic(args.nic, net)])
    outcome = boot.boot(bed, machine, made.blob, made.images, guestbench.LIMIT[bed.name],
                        on_event=session.event, on_wait=session.watcher.wait,
                        talk=talker(session, steps, found))
    document["complaints"] += [session.failed] if session.failed else []
    if outcome.ended != "end":
        running.explain(outcome, guestbench.LIMIT[bed.name])
        document["complaints"].append(outcome.why() or "the run did not come to its end")
        return {}, 1
    events = outcome.stream.events
    document["complaints"] += ports.unbalanced(ports.entries(events), ports.running(events))
    khz = outcome.stream.of("boot")[0]["tsc_khz"]
    outcome.discard()
    return found, khz


def per_packet(counted):
    packets = counted["rx_packets"] or 1
    return {"packets": counted["rx_packets"], "bytes_per_packet": round(counted["rx_bytes"] / packets, 1),
            "lent": round(counted["lent"] / packets, 4),
            "pages_mapped_per_packet": round(counted["lent_mapped"] / packets, 4),
            "invalidations_per_packet": round(counted["lent_flushes"] / packets, 4)}


def stream_row(way, size, events, counted, khz):
    told = [e for e in events if e["event"] == "result"]
    packets = results.total(told, "packets") or 1
    runs = results.by_run(told)
    return {"way": way, "frame": str(size), "corrupt": results.total(told, "corrupt"), "kpps": results.spread(
                [1e6 * results.rate(run, "packets") for run in runs] or [0.0], 2),
            "ns": {whose: round(results.total(told, f"{whose}_ticks") * 1e6 / khz / packets) for whose in WHOSE}
            } | per_packet(counted)


def tcp_row(way, events, counted):
    told = [e for e in events if e["event"] == "guest-result"]
    packets = counted["rx_packets"] or 1
    for before, event in zip(told, told[1:]):
        entry = guest_results.entry(event, before)
        if entry and entry["name"] == "iperf3":
            return {"way": way, "frame": "TSO", "mbit_s": round(entry["gbit_s"] * 1e3, 1),
                    "ns": {whose: round(1e3 * (event.get(f"{whose}_us", 0) - before.get(f"{whose}_us", 0)) / packets)
                           for whose in WHOSE}} | per_packet(counted)
    return None


def run(args, progress):
    bed = testbed.pick(args.on)
    bed.check(testbed.Machine(args.cpus))
    wireend.enter()
    net = wireend.plug()
    document = guestbench.head("reuse", bed, testbed.Machine(args.cpus)) | {
        "nic": args.nic, "rows": [], "complaints": []}
    args.begun = document
    progress.say(f"starting {bed.emulator()} ({bed.name}), {count(args.cpus, 'CPU')}, with {args.nic}")
    station = wireend.Station()
    made = guestbench.configured(f"reuse-{args.nic}", bundled(args), {}, images=("bench.elf", "netd.elf"))
    steps = [(way, size) for size in FRAMES for way in WAYS]
    found, khz = measure(bed, args, net, made, steps, progress, document)
    station.close()
    document["rows"] = [stream_row(*step, *found[step], khz) for step in steps if step in found]
    document["complaints"] += [f"{WAYS[r['way']]}, {r['frame']} bytes: {r['corrupt']} frames corrupt"
                               for r in document["rows"] if r["corrupt"]]
    document["complaints"] += [f"{WAYS[r['way']]}, {r['frame']} bytes: no result"
                               for r in document["rows"] if not r["kpps"]["median"]]
    made = linuxguests.configured(f"reuse-{args.nic}", bed.name, linuxes(args))
    with wireend.iperf_server():
        found, _ = measure(bed, args, net, made, [(way, "TSO") for way in WAYS], progress, document)
    rows = {way: tcp_row(way, *told) for (way, _), told in found.items()}
    document["rows"] += [row for row in rows.values() if row]
    document["complaints"] += [f"{WAYS[way]}: the Linux guest told no result" for way, row in rows.items() if not row]
    return document


def render(made):
    lines = [f"lasthop {table.commit(made)}, reuse: {made['emulator']} ({made['testbed']}), "
             f"{made['nic']}, {made['cpus']} CPUs, {made['clock']} time", "",
             "guest to wire; CPU time in ns a packet to the uplink"]
    lines += table.columns([["frame", "way", "rate", "bytes", *(NAMES[w] for w in WHOSE), "together", "lent",
                             "pages mapped", "invalidations"]] + [
        [r["frame"], WAYS[r["way"]],
         f"{r['kpps']['median']:.1f} kpps" if "kpps" in r else f"{r['mbit_s']:.1f} Mbit/s",
         f"{r['bytes_per_packet']:.0f}", *(str(r["ns"][w]) for w in WHOSE), str(sum(r["ns"].values())),
         f"{r['lent']:.1%}", f"{r['pages_mapped_per_packet']:.3f}", f"{r['invalidations_per_packet']:.3f}"]
        for r in made["rows"]], left=(0, 1))
    return "\n".join(lines)
