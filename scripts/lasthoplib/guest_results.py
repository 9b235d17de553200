# SPDX-License-Identifier: BSD-2-Clause
"""What Linux guests tell of their tests: "guest-result" events (hv/core/marker.h), each a line of
KEY=VALUE words (guest/linux/init). Nobody has verified them but the guest itself."""

ROUND_TRIP = ("sent", "received", "min_us", "avg_us", "max_us")
BUSY = ("root_us", "guest_us", "driver_us")
TRANSFER = ("mtu", "us", "bytes")
MIB = 1 << 20


def parse(text):
    """the words of one line; numbers where they are some"""
    words = dict(word.split("=", 1) for word in text.split() if "=" in word)
    return {k: int(v) if v.isdigit() else v for k, v in words.items()}


def per_mib(begin, end, transferred):
    """what the machine spent between two result events, by MiB: VM exits, those of the guests' own timers
    among them, and CPU time; of polls that found nothing apart"""
    if not transferred or "exits" not in begin or "exits" not in end:
        return {}

    def spent(name, scale=1.0):
        return round((end.get(name, 0) - begin.get(name, 0)) * scale / transferred * MIB, 2)

    causes = {cause: round((number - begin.get("causes", {}).get(cause, 0)) / transferred * MIB, 2)
              for cause, number in end.get("causes", {}).items()}
    made = {"exits_per_mib": spent("exits"), "exits_by_cause": causes,
            "timer_exits_per_mib": causes.get("timer", 0.0)}
    if "guest_us" in begin and "guest_us" in end:
        made |= {"busy_ms_per_mib": round(sum(spent(kind, 1e-3) for kind in BUSY), 2),
                 "driver_ms_per_mib": spent("driver_us", 1e-3),
                 "root_ms_per_mib": spent("root_us", 1e-3), "poll_ms_per_mib": spent("poll_us", 1e-3)}
    return made


def entry(event, before=None):
    """a result event as an entry of the document's results, None if it is none we know; before: the
    guest's last one, from which on what the machine spends is counted"""
    told = parse(event.get("text", ""))
    made = {"path": "v2v", "vm": event.get("vm", ""), "test": str(told.get("test", ""))}
    if all(isinstance(told.get(k), int) for k in TRANSFER) and told["us"]:
        made |= {"name": "copy" if "verified" in told else "iperf3", "mtu": told["mtu"],
                 "seconds": told["us"] / 1e6, "bytes": told["bytes"],
                 "gbit_s": round(told["bytes"] * 8e-3 / told["us"], 6)}
        if before:
            made |= per_mib(before, event, told["bytes"])
        return made | {k: told[k] for k in ("packets", "lost", "ring", "retransmits")
                       if isinstance(told.get(k), int)}
    if all(isinstance(told.get(k), int) for k in ROUND_TRIP):
        return made | {"name": "ping"} | {k: told[k] for k in ROUND_TRIP}
    return None


def entries(events):
    made, last = [], {}
    for event in events:
        if event["event"] == "guest-result":
            made.append(entry(event, last.get(event.get("vm"))))
            last[event.get("vm")] = event
    return [e for e in made if e]


def describe(event):
    """one event as a progress line"""
    made = entry(event)
    if not made:
        return f"{event.get('vm')}: {event.get('text', '')}"
    if made["name"] == "ping":
        return (f"{made['vm']}: {made['test']} {made['received']}/{made['sent']} answered, "
                f"{made['avg_us']} us on average")
    return (f"{made['vm']}: {made['name']} {made['test']}, MTU {made['mtu']}: "
            f"{made['gbit_s'] * 1e3:.1f} Mbit/s")
