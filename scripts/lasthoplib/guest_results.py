# SPDX-License-Identifier: BSD-2-Clause
"""What Linux guests tell of their tests: "guest-result" events (hv/core/marker.h), each a line of
KEY=VALUE words (guest/linux/init). Nobody has verified them but the guest itself."""

ROUND_TRIP = ("sent", "received", "min_us", "avg_us", "max_us")
TRANSFER = ("mtu", "us", "bytes")


def parse(text):
    """the words of one line; numbers where they are some"""
    words = dict(word.split("=", 1) for word in text.split() if "=" in word)
    return {k: int(v) if v.isdigit() else v for k, v in words.items()}


def entry(event):
    """a result event as an entry of the document's results, None if it is none we know"""
    told = parse(event.get("text", ""))
    made = {"path": "v2v", "vm": event.get("vm", ""), "test": str(told.get("test", ""))}
    if all(isinstance(told.get(k), int) for k in TRANSFER) and told["us"]:
        made |= {"name": "iperf3", "mtu": told["mtu"], "seconds": told["us"] / 1e6,
                 "bytes": told["bytes"], "gbit_s": round(told["bytes"] * 8e-3 / told["us"], 6)}
        return made | {k: told[k] for k in ("packets", "lost", "retransmits")
                       if isinstance(told.get(k), int)}
    if all(isinstance(told.get(k), int) for k in ROUND_TRIP):
        return made | {"name": "ping"} | {k: told[k] for k in ROUND_TRIP}
    return None


def entries(events):
    made = [entry(e) for e in events if e["event"] == "guest-result"]
    return [e for e in made if e]


def describe(event):
    """one event as a progress line"""
    made = entry(event)
    if not made:
        return f"{event.get('vm')}: {event.get('text', '')}"
    if made["name"] == "ping":
        return (f"{made['vm']}: {made['test']} {made['received']}/{made['sent']} answered, "
                f"{made['avg_us']} us on average")
    return (f"{made['vm']}: iperf3 {made['test']}, MTU {made['mtu']}: "
            f"{made['gbit_s'] * 1e3:.1f} Mbit/s")
