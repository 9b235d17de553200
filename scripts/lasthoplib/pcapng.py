# SPDX-License-Identifier: BSD-2-Clause
"""Writes pcapng (draft-ietf-opsawg-pcapng) for Wireshark and tcpdump: one section, one interface, whose times
are in ns since 1970."""
import struct

SECTION, INTERFACE, STATISTICS, PACKET = 0x0A0D0D0A, 1, 5, 6
MAGIC = 0x1A2B3C4D
ETHERNET = 1
INBOUND, OUTBOUND = 1, 2        # epb_flags, bits 0 and 1

END_OF_OPTIONS = 0
COMMENT = 1                     # of any block
USERAPPL = 4                    # of a section
IF_NAME, IF_DESCRIPTION, IF_MAC, IF_TSRESOL = 2, 3, 6, 9
EPB_FLAGS, EPB_DROPCOUNT, EPB_QUEUE = 2, 4, 6
ISB_IFRECV, ISB_IFDROP = 4, 5


def padded(data):
    return data + bytes(-len(data) % 4)


def options(given):
    """[(code, bytes or text)] as they stand in a block"""
    made = b""
    for code, value in given:
        value = value.encode() if isinstance(value, str) else value
        made += struct.pack("<HH", code, len(value)) + padded(value)
    return made + struct.pack("<HH", END_OF_OPTIONS, 0) if given else b""


def block(kind, body):
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def stamp(ns):
    return struct.pack("<II", ns >> 32 & 0xFFFFFFFF, ns & 0xFFFFFFFF)


def head(name, description, mac, snap):
    """what a file begins with; mac: six bytes"""
    section = struct.pack("<IHHq", MAGIC, 1, 0, -1) + options([(USERAPPL, "lasthop")])
    interface = struct.pack("<HHI", ETHERNET, 0, snap) + options([
        (IF_NAME, name), (IF_DESCRIPTION, description), (IF_MAC, mac), (IF_TSRESOL, b"\x09")])
    return block(SECTION, section) + block(INTERFACE, interface)


def packet(frame, whole, ns, direction, queue=None, lost=0, comment=""):
    """lost: packets since the one before"""
    given = [(EPB_FLAGS, struct.pack("<I", direction))]
    if comment:
        given.append((COMMENT, comment))
    if lost:
        given.append((EPB_DROPCOUNT, struct.pack("<Q", lost)))
    if queue is not None:
        given.append((EPB_QUEUE, struct.pack("<I", queue)))
    return block(PACKET, struct.pack("<I", 0) + stamp(ns) + struct.pack("<II", len(frame), whole) +
                 padded(frame) + options(given))


def statistics(ns, received, lost):
    """at the end: packets that there were, and those of them that are not in the file"""
    return block(STATISTICS, struct.pack("<I", 0) + stamp(ns) + options([
        (ISB_IFRECV, struct.pack("<Q", received)), (ISB_IFDROP, struct.pack("<Q", lost))]))
