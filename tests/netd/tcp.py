# SPDX-License-Identifier: BSD-2-Clause
"""TCP frames that leave checksums and segmentation to a NIC, and what must come out of it."""
import random
import struct

import tap

ETHER = b"\x02\0\0\0\0\x63\x02\0\0\0\0\x01"
V4 = (bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
V6 = (b"\xfd" + bytes(14) + b"\x01", b"\xfd" + bytes(14) + b"\x02")
OPTIONS = b"\x01\x01\x08\x0a" + bytes(range(8))  # a time stamp
TCP_BYTES = 20 + len(OPTIONS)
CSUM_OFFSET = 16
PSH_FIN = 0x09


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def pseudo(version, length):
    source, target = V4 if version == 4 else V6
    return checksum(source + target + struct.pack(">II", length, 6))


def network(version, length, number):
    """the IP header before `length` bytes of TCP; number: how far its identification has moved"""
    if version == 6:
        return struct.pack(">IHBB", 0x60000000, length, 6, 64) + V6[0] + V6[1]
    head = struct.pack(">BBHHHBB", 0x45, 0, 20 + length, 0x1234 + number, 0x4000, 64, 6)
    return head + struct.pack(">H", 0xffff - checksum(head + V4[0] + V4[1])) + V4[0] + V4[1]


def ethernet(version, vlan):
    tag = b"\x81\0\0\x05" if vlan else b""
    return ETHER + tag + (b"\x08\0" if version == 4 else b"\x86\xdd")


def segment(version, vlan, payload, sequence, flags, number, done):
    """a frame; done: with its checksum, else with that of the pseudo header"""
    tcp = struct.pack(">HHIIBBHHH", 1000, 2000, sequence, 77, TCP_BYTES << 2, flags, 512, 0, 0)
    tcp += OPTIONS
    total = pseudo(version, len(tcp) + len(payload))
    total = 0xffff - checksum(struct.pack(">H", total) + tcp + payload) if done else total
    tcp = tcp[:CSUM_OFFSET] + struct.pack(">H", total) + tcp[CSUM_OFFSET + 2:]
    return (ethernet(version, vlan) + network(version, len(tcp) + len(payload), number) + tcp +
            payload)


def offset(version, vlan):
    """where TCP begins"""
    return 14 + 4 * vlan + (20 if version == 4 else 40)


class Large:
    """A frame, the virtio header that says what is to be done to it, and the frames of the wire"""

    def __init__(self, version, vlan, size, mss):
        self.name = f"IPv{version}{' in a VLAN' if vlan else ''}, {size} bytes at {mss}"
        payload = random.Random(size).randbytes(size)
        self.frame = segment(version, vlan, payload, 5000, 0x10 | PSH_FIN, 0, False)
        self.ip, self.tcp = 14 + 4 * vlan, offset(version, vlan)
        self.header = (1, 0, 0, 0, self.tcp, CSUM_OFFSET)
        if size > mss:
            self.header = (1, 1 if version == 4 else 4, self.tcp + TCP_BYTES, mss, self.tcp,
                           CSUM_OFFSET)
        cuts = range(0, size, mss)
        self.wire = [segment(version, vlan, payload[at:at + mss], 5000 + at,
                             0x10 | (PSH_FIN if at == cuts[-1] else 0), number, True)
                     for number, at in enumerate(cuts)]

    def differs(self, got):
        """None, or what is different in a frame behind its virtio header"""
        header, frame = tap.HEADER.unpack(got[:tap.HEADER.size]), got[tap.HEADER.size:]
        # the third, length of the headers, is a hint, and Linux likes to count more
        if [x for i, x in enumerate(header) if i != 2] != \
                [x for i, x in enumerate(self.header) if i != 2]:
            return f"header {header} came, wanted {self.header}"
        if frame != self.frame:
            at = next((i for i, (a, b) in enumerate(zip(frame, self.frame)) if a != b), -1)
            return f"{len(frame)} bytes of {len(self.frame)}, other from byte {at} on: " \
                f"{frame[:70].hex(' ')}"
        return None
