# SPDX-License-Identifier: BSD-2-Clause
"""From the events of a run to the result document that --json writes (docs/benchmark.md).

Each "result" event is one measured run of one pair of VMs. Runs of the same test and frame size
make one entry: of each run what all pairs received over the time in which any of them measured (their
windows need not overlap, so rates must not be added), then the least, median and greatest run are told;
counters are summed over all runs and divided by all packets.
"""
import hashlib
import statistics
import subprocess

from . import guest_results, paths, ports, timeline

SCHEMA = 1
STILL_RUNNING = "running"       # how a VM "ended" whose end we did not see; a driver domain may run on


def commit():
    """of the source tree, marked if it has been changed since; the version of an installed lasthop"""
    if paths.INSTALLED:
        return paths.version()
    def git(*argv):
        return subprocess.run(["git", "-C", str(paths.SOURCE), *argv],
                              capture_output=True, text=True)
    try:
        head = git("rev-parse", "--verify", "-q", "HEAD").stdout.strip()
        changed = git("status", "--porcelain", "-uno").stdout.strip()
    except FileNotFoundError:
        return "unknown"
    return (head or "unknown") + ("-dirty" if head and changed else "")


def spread(values, digits):
    return {"min": round(min(values), digits), "median": round(statistics.median(values), digits),
            "max": round(max(values), digits)}


def ratio(total, count):
    return round(total / count, 4) if count else 0.0


def total(events, name):
    return sum(int(e.get(name, 0)) for e in events)


def groups(events):
    """{(test, frame size): its result events}, in the order of arrival"""
    found = {}
    for event in events:
        found.setdefault((event.get("test"), event.get("frame_bytes")), []).append(event)
    return found


def by_run(events):
    runs = {}
    for event in events:
        runs.setdefault(event.get("run"), []).append(event)
    return list(runs.values())


def measured_ns(events):
    """the time of a run in which any of its pairs measured"""
    whole = end = 0
    for begin, length in sorted((int(e.get("begin_ns", 0)), int(e.get("nanoseconds", 0)))
                                for e in events):
        whole += max(0, begin + length - max(begin, end))
        end = max(end, begin + length)
    return whole


def rate(events, name):
    """a counter of a run per nanosecond, all pairs together"""
    time = measured_ns(events)
    return total(events, name) / time if time else 0.0


def unaccounted(event):
    """frames lost of a stream for which the switch counted no drop on their way: lost silently"""
    return max(0, int(event.get("lost", 0)) - int(event.get("way_drops", 0)))


def damaged(events):
    return total(events, "corrupt") + total(events, "reordered")


def stream_entry(frame_bytes, events):
    runs = by_run(events)
    packets = total(events, "packets")
    return {
        "name": "stream", "path": "v2v", "frame_bytes": frame_bytes,
        "pairs": len({(e.get("vm"), e.get("peer")) for e in events}), "runs": len(runs),
        "seconds": round(sum(map(measured_ns, runs)) / 1e9, 6), "packets": packets,
        "bytes": total(events, "bytes"), "sender_stalls": total(events, "sender_stalls"),
        "gbit_s": spread([8 * rate(run, "bytes") for run in runs], 4),
        "mpps": spread([1e3 * rate(run, "packets") for run in runs], 6),
        "exits_per_packet": ratio(total(events, "exits"), packets),
        "notifications_per_packet": ratio(total(events, "notifications"), packets),
        "kicks_per_packet": ratio(total(events, "kicks"), packets),
        "copies_per_packet": ratio(total(events, "copies"), packets),
        "drops": total(events, "drops"),
        "errors": damaged(events) + sum(map(unaccounted, events)),
    }


def by_cause(events, count):
    """the receiver's exits by cause (hv/core/exit_cause.h), divided"""
    causes = {}
    for event in events:
        for cause, exits in event.get("peer_exits_by", {}).items():
            causes[cause] = causes.get(cause, 0) + exits
    return {cause: ratio(exits, count) for cause, exits in causes.items()}


def rr_entry(frame_bytes, events):
    transactions = total(events, "transactions")

    def median_us(name):
        return round(statistics.median(int(e.get(name, 0)) for e in events) / 1e3, 3)

    return {
        "name": "rr", "path": "v2v", "frame_bytes": frame_bytes, "transactions": transactions,
        "p50_us": median_us("p50_ns"), "p99_us": median_us("p99_ns"),
        "receiver_exits_per_transaction": ratio(total(events, "peer_exits"), transactions),
        "receiver_exits_by": by_cause(events, transactions),
        "wakeups_per_transaction": ratio(total(events, "peer_wakeups"), transactions),
        "kicks_per_transaction": ratio(total(events, "kicks"), transactions),
        "notifications_per_transaction": ratio(total(events, "notifications"), transactions),
        # one frame is under way at a time: there is no reason to lose any
        "drops": total(events, "drops"), "errors": damaged(events) + total(events, "lost"),
    }


def add_ticks(entry, events):
    """time of the whole machine in the hypervisor itself, in virtual time: of one pair only, since the
    windows of several overlap"""
    if len({(e.get("vm"), e.get("peer")) for e in events}) == 1 and "root_ticks" in events[0]:
        entry["root_ticks_per_packet"] = ratio(total(events, "root_ticks"), total(events, "packets"))
    return entry


ENTRY = {"stream": stream_entry, "rr": rr_entry}


def vm_ends(events, vms):
    """one entry for each VM that the config starts, in its order, then any other that ended"""
    ends = {e.get("vm"): e for e in events if e["event"] == "vm-end"}
    known = {vm.name: vm for vm in vms if not vm.disabled}
    names = list(known) + [name for name in ends if name not in known]

    def one(name):
        vm, end = known.get(name), ends.get(name, {})
        return {"name": name, "role": "driver-domain" if vm and vm.driver_domain else "guest",
                "vcpus": end.get("vcpus", vm.cpus if vm else 0),
                "end": end.get("end", STILL_RUNNING)}
    return [one(name) for name in names]


def document(events, bed, machine, vms, blob):
    boot = next((e for e in events if e["event"] == "boot"), {})
    made = {
        "schema": SCHEMA, "commit": commit(), "config_sha256": hashlib.sha256(blob).hexdigest(),
        "testbed": bed.name, "emulator": bed.emulator(), "backend": boot.get("backend", ""),
        "cpus": boot.get("cpus", machine.cpus), "clock": bed.clock,
    }
    if bed.name == "bochs":
        made["exit_cost"] = machine.exit_cost
    made["vms"] = vm_ends(events, vms)
    told = groups(e for e in events if e["event"] == "result")
    made["results"] = [ENTRY[test](size, found) for (test, size), found in told.items()
                       if test in ENTRY]
    if bed.clock == "virtual":
        made["results"] = [add_ticks(entry, told[entry["name"], entry["frame_bytes"]])
                           for entry in made["results"]]
    made["results"] += guest_results.entries(events)
    made["ports"] = ports.entries(events)
    if told := timeline.made_of(events):
        made["timeline"] = told
    return made


def complaints(made):
    """what keeps a run from being a success, apart from how it ended"""
    said = [f"VM {vm['name']}: {vm['end']}" for vm in made["vms"] if vm["end"] != "ok" and
            (vm["role"], vm["end"]) != ("driver-domain", STILL_RUNNING)]
    if not made["vms"]:
        said.append("no VM was started")
    said += ports.unbalanced(made["ports"], [vm["name"] for vm in made["vms"] if vm["end"] == STILL_RUNNING])
    return said + [f"{r['name']} {r['frame_bytes']} bytes: {r['errors']} frames lost, corrupt "
                   "or out of order" for r in made["results"] if r.get("errors")]
