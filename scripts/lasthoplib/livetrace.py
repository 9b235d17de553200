# SPDX-License-Identifier: BSD-2-Clause
"""`lasthop trace PORT FRAME`: what the running switch would do with a frame, by its addresses, filters, links and
buffers of now, in the words of `lasthop trace CONFIG PORT FRAME` (scripts/trace.c). Nothing is sent."""
import struct

HEAD = 256                      # bytes that the switch looks at
SHORTEST = 14
PROTOCOLS = {0x0800: "IPv4", 0x0806: "ARP", 0x86DD: "IPv6", 0x88CC: "LLDP"}


def mac(data):
    return ":".join(f"{byte:02x}" for byte in data)


def frame_text(frame):
    if len(frame) < SHORTEST:
        return f"{len(frame)} bytes"
    kind, vlan = struct.unpack_from(">H", frame, 12)[0], ""
    if kind == 0x8100 and len(frame) >= 18:
        tag, kind = struct.unpack_from(">HH", frame, 14)
        vlan = f", VLAN {tag & 0xFFF}"
    name = PROTOCOLS.get(kind, "an 802.3 length" if kind < 0x600 else "another protocol")
    return f"{len(frame)} bytes, from {mac(frame[6:12])} to {mac(frame[:6])}{vlan}, type 0x{kind:04x} ({name})"


def source_text(told, port, source):
    if told["source"] == "known":
        return f"{source} is known behind {port}"
    was = f": it is behind {told['was']}" if "was" in told else ""
    return f"{source} would be learned behind {port}{was}"


def lookup_text(told, dst):
    but = " but uplinks" if told["uplink"] else ""
    if told["group"]:
        return f"{dst} is a group: to every other port{but}"
    if "behind" in told:
        return f"{dst} is behind {told['behind']}"
    return f"{dst} is not known: to every other port{but}"


def stages(told, frame, texts):
    """[(stage, text)]; texts: {verdict: text}"""
    port, why = told["port"], texts[told["verdict"]]
    passes = f"{SHORTEST} to {told['most_bytes']} bytes"
    yield "port", (f"{port} on switch {told['switch']}, MTU {told['most_bytes'] - 18}, link "
                   f"{'up' if told['link'] else 'down'}{', uplink' if told['uplink'] else ''}")
    yield "frame", frame_text(frame)
    if told["verdict"] == "drop_unplugged":
        yield "link", why
        return
    if not told["length_passes"]:
        yield "length", f"{why}: {passes} pass"
        return
    yield "length", f"within the {passes} that pass"
    if not told["source_passes"]:
        yield "source", f"{mac(frame[6:12])}: {why}"
        return
    yield "source", source_text(told, port, mac(frame[6:12]))
    yield "lookup", lookup_text(told, mac(frame[:6]))
    for to in told["receivers"]:
        dropped = to["verdict"].startswith("drop")
        yield "receiver", f"{to['port']}: " + (f"would be dropped: {texts[to['verdict']]}" if dropped
                                               else "would be copied to its ring")


def run(machine, port, frames):
    """[{bytes, stages, verdict, why}], one a frame, as trace.run()"""
    texts = dict(machine.call("see.tables")["verdicts"])
    made = []
    for frame in frames:
        told = machine.call("see.trace", port=port, frame=frame[:HEAD].hex(), bytes=len(frame))
        made.append({"bytes": len(frame), "verdict": told["verdict"], "why": texts[told["verdict"]],
                     "stages": [{"stage": s, "text": t} for s, t in stages(told, frame, texts)]})
    return made
