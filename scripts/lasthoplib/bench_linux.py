# SPDX-License-Identifier: BSD-2-Clause
"""`bench linux`: iperf3 between Linux guests, one client and one server a pair, all pairs at once; beside it
the ceiling, loopback in one guest of two vCPUs (docs/performance.md)."""
from . import guest_results, linuxguests, options, running, table, testbed

ABOUT = "iperf3 between pairs of Linux VMs: TCP, small UDP, and what a MiB costs; the ceiling is loopback in one."
LIMIT = {"bochs": 3600, "tcg": 600, "kvm": 300}     # seconds of the host, a boot
SECONDS = {"bochs": 2, "tcg": 5, "kvm": 5}          # of each iperf3 test
PAIRS = (1, 2, 4)
TESTS = ("ping", "tcp", "udp-small")
COLUMNS = [("pairs", "pairs", "d"), ("TCP Mbit/s", "tcp", ".1f"), ("exits/MiB", "exits", ".2f"),
           ("timers", "timers", ".2f"), ("busy ms/MiB", "busy", ".2f"), ("polls", "polls", ".2f"),
           ("UDP sent kpps", "udp-sent", ".1f"), ("ring", "udp-ring", ".1f"), ("of sent, %", "udp-reached", ".1f"),
           ("received", "udp-small", ".1f"), ("ping us", "ping", ".0f")]
SUMS = ("tcp", "udp-sent", "udp-ring", "udp-small")


def arguments(parser):
    parser.add_argument("--on", choices=("auto", "tcg", "bochs", "kvm"), default="auto", help="test bed")
    options.add_cpus(parser)
    options.add_exit_cost(parser)
    parser.add_argument("--pairs", type=int, action="append", choices=PAIRS,
                        help="may be repeated (1, 2, 4)")
    parser.add_argument("--seconds", type=options.positive, metavar="S",
                        help="of each test (bochs 2, tcg 5)")


def window(events):
    """what a MiB of TCP cost while any pair was at it: they begin and end at different times, and the counters
    are the machine's"""
    last, begins, ends, transferred = {}, [], [], 0
    for event in (e for e in events if e["event"] == "guest-result"):
        told = guest_results.parse(event.get("text", ""))
        before, last[event.get("vm")] = last.get(event.get("vm")), event
        if told.get("test") == "tcp" and before and isinstance(told.get("bytes"), int):
            begins.append(before)
            ends.append(event)
            transferred += told["bytes"]
    if not ends:
        return {}

    def when(event):
        return event.get("us", 0)
    return guest_results.per_mib(min(begins, key=when), max(ends, key=when), transferred)


def mean(values):
    return sum(values) / len(values) if values else None


def entry(pairs, events, made):
    """all pairs together: rates added, the ping's mean"""
    told = [linuxguests.figures([r for r in made["results"] if r.get("vm") == f"client{n + 1}"])
            for n in range(pairs)]
    costs = window(events)
    sums = {key: sum(t[key] for t in told) for key in SUMS if all(t.get(key) is not None for t in told)}
    found = {"pairs": pairs, "timers": costs.get("timer_exits_per_mib"),
             "busy": costs.get("busy_ms_per_mib"), "polls": costs.get("poll_ms_per_mib"),
             "ping": mean([t["ping"] for t in told if t.get("ping")]),
             "exits_by_cause": costs.get("exits_by_cause", {})} | sums
    if "exits_per_mib" in costs:
        found["exits"] = round(costs["exits_per_mib"] - costs["timer_exits_per_mib"], 2)
    if sums.get("udp-sent") and "udp-ring" in sums:
        found["udp-reached"] = 100 * sums["udp-ring"] / sums["udp-sent"]
    return found


def ceiling(made):
    found = {r["test"]: r for r in made["results"]}
    udp = linuxguests.of_udp(found.get("loopback-udp"))
    return {"tcp": linuxguests.mbit(found.get("loopback-tcp")), "udp-small": udp.get("udp-small")}


def run(args, progress):
    on = testbed.pick(args.on).name
    seconds = args.seconds or SECONDS[on]
    document, complaints = {}, []
    for pairs in (0, *(args.pairs or PAIRS)):
        vms = [vm for n in range(pairs) for vm in linuxguests.pair(n + 1, TESTS, seconds)]
        config = linuxguests.configured(f"linux-{pairs}", on, vms or linuxguests.loopback(seconds))
        bed, machine = running.bed_for(args, config.vms)
        progress.say(f"{pairs} pairs" if pairs else "the ceiling: loopback in one guest")
        made, good, events = running.boot_config_events(config, bed, machine, LIMIT[bed.name],
                                                        running.Watcher(progress))
        if not good:
            complaints.append(f"{pairs} pairs: the guests failed")
        if not pairs:
            document = {k: v for k, v in made.items() if k not in ("vms", "results", "ports")}
            document |= {"name": "linux", "seconds": seconds, "policy": linuxguests.policy(on),
                         "ceiling": ceiling(made), "results": []}
        else:
            document["results"].append(entry(pairs, events, made))
    return document | {"complaints": complaints}


def cell(found, key, form):
    return "-" if found.get(key) is None else format(found[key], form)


def render(made):
    lines = [table.headline(made), "", "iperf3 between pairs of Linux VMs, all pairs together"]
    lines += table.columns([[head for head, _, _ in COLUMNS]] + [
        [cell(r, key, form) for _, key, form in COLUMNS] for r in made["results"]])
    lines += ["", "the ceiling, loopback in one guest of two vCPUs: TCP "
              f"{cell(made['ceiling'], 'tcp', '.1f')} Mbit/s, UDP of 18 bytes "
              f"{cell(made['ceiling'], 'udp-small', '.1f')} kpps"]
    for r in made["results"]:
        causes = ", ".join(f"{cause} {number:.2f}" for cause, number in r["exits_by_cause"].items() if number)
        lines.append(f"exits by cause, {r['pairs']} pairs, a MiB of TCP: {causes or '-'}")
    return "\n".join(lines)
