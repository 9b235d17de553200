# SPDX-License-Identifier: BSD-2-Clause
"""The ports' counters (docs/counters.md): "port" events, one for each life of a port, which begins
and ends with its VM's."""


def entries(events):
    """one entry for each port, in the order of their ends: its lives are added up"""
    found = {}
    for event in events:
        if event["event"] != "port":
            continue
        port = found.setdefault(event["port"], {"name": event["port"], "switch": event["switch"],
                                                "counters": {}})
        for name, value in event["counters"].items():
            port["counters"][name] = port["counters"].get(name, 0) + value
    return list(found.values())


def drops(counters, prefix):
    return sum(value for name, value in counters.items() if name.startswith(prefix + "_drop_"))


def running(events):
    """VMs that have not ended: a driver domain, which nobody waits for"""
    last = {e["vm"]: e["event"] for e in events if e["event"] in ("vm-start", "vm-end")}
    return {vm for vm, event in last.items() if event == "vm-start"}


def unbalanced(ports, alive=()):
    """which of the equations in docs/counters.md do not hold: a packet was lost uncounted. Of VMs that are alive none
    need hold, nor of their switches, which are taken for all."""
    said = []
    rest = {}       # of each switch: sent less received
    for port in ports:
        if port["name"].split("/")[0] in alive:
            continue
        c = port["counters"]
        sent = c["tx_packets"] - c["tx_delivered"] - c["tx_flooded"] - drops(c, "tx")
        if sent:
            said.append(f"port {port['name']}: {sent} packets sent are not accounted for")
        rest[port["switch"]] = rest.get(port["switch"], 0) + (
            c["tx_delivered"] + c["tx_drop_receiver"] + c["tx_flood_copies"] + c["gso_segments"]
            - c["gso_segmented"] - c["rx_packets"] - drops(c, "rx"))
    return said + [f"switch {name}: {n} packets delivered are not accounted for"
                   for name, n in rest.items() if n and not alive]
