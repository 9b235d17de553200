# SPDX-License-Identifier: BSD-2-Clause
"""Frames for tests: numbered, of any size, each byte known; and what became of them."""
import random
import struct

TYPE = 0x88b5                   # for local experiments
HEADERS = 14 + 8                # Ethernet, then run and number


def make(run, number, size, source=1):
    """the frame `number` of a run"""
    head = (b"\x02\0\0\0\0\x63" + b"\x02\0\0\0\0" + bytes([source]) +
            struct.pack(">HII", TYPE, run, number))
    return head + random.Random(run << 32 | number).randbytes(size - HEADERS)


def sizes(smallest, largest, count, seed):
    """the limits, and others between them"""
    pick = random.Random(seed)
    return [smallest, largest, *(pick.randint(smallest, largest) for _ in range(count - 2))]


def run_of(frame):
    return struct.unpack(">I", frame[14:18])[0] if len(frame) >= HEADERS else None


def compare(sent, got):
    """None, or how the frames that came differ from those sent"""
    for i, (a, b) in enumerate(zip(sent, got)):
        if a != b:
            return f"frame {i} of {len(a)} bytes came as {len(b)} bytes {b[:32].hex(' ')}"
    if len(sent) != len(got):
        return f"{len(got)} frames came of {len(sent)}"
    return None


def subset(sent, got):
    """None, or how `got` is not some of the frames sent, whole, in order and once each"""
    place = {frame: i for i, frame in enumerate(sent)}
    last = -1
    for i, frame in enumerate(got):
        if frame not in place:
            return f"frame {i} of {len(frame)} bytes was never sent: {frame[:32].hex(' ')}"
        if place[frame] <= last:
            return f"frame {i} came out of order or twice"
        last = place[frame]
    return None
