# SPDX-License-Identifier: BSD-2-Clause
"""What happened to an uplink, and to packets meanwhile: events of a run in the order of the machine's clock,
for a run in which an uplink went down."""
from . import guest_results

BETWEEN = ("frames", "requests")

LINKS = {"passes": "first frame from the world"}


def uplink(event):
    link = event.get("link", "")
    return event.get("at_ns", 0), {"who": event.get("port", ""), "what": LINKS.get(link, f"uplink {link}")}


def reset(event):
    reason = f": {event['reason']}" if event.get("reason") else ""
    return event.get("at_ns", 0), {"who": event.get("vm", ""), "what": f"{event.get('end')}{reason}"}


def between(event):
    """VMs, told by the guest that measured: frames of a stream, or requests that were to be answered. The
    window of a stream begins with its first frame, that of requests is told with its end."""
    stream = event.get("test") == "stream"
    lost = event.get("lost", 0)
    return (event.get("begin_ns", 0) + (event.get("nanoseconds", 0) if stream else 0),
            {"who": f"{event.get('peer')} -> {event.get('vm')}" if stream
                    else f"{event.get('vm')} <-> {event.get('peer')}",
             "what": "frames" if stream else "requests", "sent": event.get("packets", 0) + lost,
             "lost": lost})


def ping(event):
    made = guest_results.entry(event)
    if not made or made["name"] != "ping":
        return None
    return event.get("us", 0) * 1000, {"who": made["vm"], "what": "pings", "sent": made["sent"],
                                       "lost": made["sent"] - made["received"]}


KINDS = {"uplink": uplink, "vm-reset": reset, "result": between, "guest-result": ping}


def joined(entries):
    """runs of a test between VMs with nothing else in between are one entry, at the time of the last"""
    made = []
    for entry in entries:
        if made and entry["what"] in BETWEEN and \
                (made[-1]["who"], made[-1]["what"]) == (entry["who"], entry["what"]):
            for name in ("sent", "lost"):
                made[-1][name] += entry[name]
            made[-1]["at_s"] = entry["at_s"]
        else:
            made.append(dict(entry))
    return made


def downtimes(entries):
    """[seconds] that an uplink was down, each time until it came back"""
    since, found = {}, []
    for entry in entries:
        if entry["what"] == "uplink down":
            since[entry["who"]] = entry["at_s"]
        elif entry["what"] == "uplink up" and entry["who"] in since:
            found.append(round(entry["at_s"] - since.pop(entry["who"]), 6))
    return found


def made_of(events):
    """{"entries": [...], "down_s": [...]}; None if no uplink went down"""
    if not any(e["event"] == "uplink" and e.get("link") == "down" for e in events):
        return None
    found = sorted(filter(None, (KINDS[e["event"]](e) for e in events if e["event"] in KINDS)), key=lambda pair: pair[0])
    entries = [{"at_s": round(at / 1e9, 6)} | entry for at, entry in found]
    return {"entries": joined(entries), "down_s": downtimes(entries)}


def rows(made):
    """of a table"""
    return [("at s", "who", "what", "sent", "lost")] + [
        (f"{e['at_s']:.3f}", e["who"], e["what"], str(e.get("sent", "")), str(e.get("lost", "")))
        for e in made["entries"]]


def sums(made):
    """lines: what the table comes to"""
    down = made["down_s"]
    lines = [f"  the uplink came back {len(down)} times, after {sum(down) / len(down) * 1e3:.0f} ms on "
             f"average, {max(down) * 1e3:.0f} ms at most" if down else "  the uplink did not come back"]
    for names, where in ((BETWEEN, "between VMs"), (("pings",), "to the world")):
        found = [e for e in made["entries"] if e["what"] in names]
        if found:
            lines.append(f"  {where}: {sum(e['sent'] for e in found)} {' and '.join(sorted({e['what'] for e in found}))},"
                         f" {sum(e['lost'] for e in found)} lost")
    return lines
