# SPDX-License-Identifier: BSD-2-Clause
"""The result document as tables for people."""
import re

from . import timeline
from .console import count

STREAM = [      # heading, cell
    ("frame", lambda r: str(r["frame_bytes"])),
    ("pairs", lambda r: str(r["pairs"])),
    ("Gbit/s", lambda r: f"{r['gbit_s']['median']:.3f}"),
    ("min", lambda r: f"{r['gbit_s']['min']:.3f}"),
    ("max", lambda r: f"{r['gbit_s']['max']:.3f}"),
    ("Mpps", lambda r: f"{r['mpps']['median']:.4f}"),
    ("exits/pkt", lambda r: f"{r['exits_per_packet']:.3f}"),
    ("notif./pkt", lambda r: f"{r['notifications_per_packet']:.3f}"),
    ("copies/pkt", lambda r: f"{r['copies_per_packet']:.3f}"),
    ("packets", lambda r: str(r["packets"])),
    ("stalls", lambda r: str(r["sender_stalls"])),
    ("drops", lambda r: str(r["drops"])),
    ("errors", lambda r: str(r["errors"])),
]
RR = [
    ("frame", lambda r: str(r["frame_bytes"])),
    ("transactions", lambda r: str(r["transactions"])),
    ("p50 us", lambda r: f"{r['p50_us']:.1f}"),
    ("p99 us", lambda r: f"{r['p99_us']:.1f}"),
    ("receiver exits/trans.", lambda r: f"{r['receiver_exits_per_transaction']:.3f}"),
    ("wake-ups/trans.", lambda r: f"{r['wakeups_per_transaction']:.3f}"),
    ("drops", lambda r: str(r["drops"])),
    ("errors", lambda r: str(r["errors"])),
]
IPERF = [
    ("test", lambda r: r["test"]),
    ("MTU", lambda r: str(r["mtu"])),
    ("Mbit/s", lambda r: f"{r['gbit_s'] * 1e3:.1f}"),
    ("MiB", lambda r: f"{r['bytes'] / (1 << 20):.1f}"),
    ("seconds", lambda r: f"{r['seconds']:.2f}"),
    ("packets", lambda r: str(r.get("packets", "-"))),
    ("lost", lambda r: str(r.get("lost", "-"))),
    ("retransmits", lambda r: str(r.get("retransmits", "-"))),
    ("ring", lambda r: str(r.get("ring", "-"))),
    ("exits/MiB", lambda r: str(r.get("exits_per_mib", "-"))),
    ("timers", lambda r: str(r.get("timer_exits_per_mib", "-"))),
    ("busy ms/MiB", lambda r: str(r.get("busy_ms_per_mib", "-"))),
]
COPY = IPERF[:5]
PING = [
    ("test", lambda r: r["test"]),
    ("sent", lambda r: str(r["sent"])),
    ("answered", lambda r: str(r["received"])),
    ("min us", lambda r: str(r["min_us"])),
    ("mean us", lambda r: str(r["avg_us"])),
    ("max us", lambda r: str(r["max_us"])),
]
TITLES = {"stream": ("stream, VM to VM, UDP", STREAM),
          "rr": ("request/response, VM to VM", RR),
          "ping": ("ping between Linux VMs", PING),
          "iperf3": ("iperf3 between Linux VMs, as received", IPERF),
          "copy": ("files between Linux VMs, equal by SHA-256", COPY)}


def columns(rows, left=()):
    """rows of cells as lines, right-aligned but for these columns"""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return [("  " + "  ".join(cell.ljust(w) if n in left else cell.rjust(w)
                              for n, (cell, w) in enumerate(zip(row, widths)))).rstrip() for row in rows]


def commit(made):
    """short, with the mark of a tree that has been changed since"""
    head, dash, mark = made["commit"].partition("-")
    if not re.fullmatch("[0-9a-f]{40}", head):      # an installed version
        return made["commit"]
    return head[:12] + dash + mark


def headline(made):
    clock = "virtual time" if made["clock"] == "virtual" else "wall time"
    cost = f", {made['exit_cost']} instructions a VM exit" if "exit_cost" in made else ""
    return (f"lasthop {commit(made)}: {made['emulator']} ({made['testbed']}, "
            f"{made['backend'] or 'no backend'}), {count(made['cpus'], 'CPU')}, {clock}{cost}")


def ending(vm):
    """a driver domain has none: the run is over when the guests are"""
    return "driver domain" if (vm["role"], vm["end"]) == ("driver-domain", "running") else vm["end"]


def render(made):
    lines = [headline(made), "", "VMs"]
    lines += columns([("name", "vCPUs", "end")] + [
        (vm["name"], str(vm["vcpus"]), ending(vm)) for vm in made["vms"]])
    for name, (title, cells) in TITLES.items():
        entries = [r for r in made["results"] if r["name"] == name]
        if entries:
            lines += ["", title]
            lines += columns([[head for head, _ in cells]]
                             + [[cell(r) for _, cell in cells] for r in entries])
    if told := made.get("timeline"):
        lines += ["", "timeline, by the machine's clock", *columns(timeline.rows(told), left=(1, 2)),
                  *timeline.sums(told)]
    return "\n".join(lines)
