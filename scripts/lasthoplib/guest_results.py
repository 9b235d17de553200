# SPDX-License-Identifier: BSD-2-Clause
"""What Linux guests tell of their tests: "guest-result" events (hv/core/marker.h), each a line of
KEY=VALUE words (guest/linux/init). Nobody has verified them but the guest itself."""

ROUND_TRIP = ("sent", "received", "min_us", "avg_us", "max_us")
TRANSFER = ("mtu", "us", "bytes")
MIB = 1 << 20


def parse(text):
    """the words of one line; numbers where they are some"""
    words = dict(word.split("=", 1) for word in text.split() if "=" in word)
    return {k: int(v) if v.isdigit() else v for k, v in words.items()}


def entry(event, before=None):
    """a result event as an entry of the document's results, None if it is none we know; before: the
    guest's last one, from which on the machine's VM exits are counted"""
    told = parse(event.get("text", ""))
    made = {"path": "v2v", "vm": event.get("vm", ""), "test": str(told.get("test", ""))}
    if all(isinstance(told.get(k), int) for k in TRANSFER) and told["us"]:
        made |= {"name": "copy" if "verified" in told else "iperf3", "mtu": told["mtu"],
                 "seconds": told["us"] / 1e6, "bytes": told["bytes"],
                 "gbit_s": round(told["bytes"] * 8e-3 / told["us"], 6)}
        if before and "exits" in before and "exits" in event and told["bytes"]:
            made["exits_per_mib"] = round((event["exits"] - before["exits"])
                                          / told["bytes"] * MIB, 2)
        return made | {k: told[k] for k in ("packets", "lost", "retransmits")
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
