# SPDX-License-Identifier: BSD-2-Clause
"""`lasthop trace`: what the switch would do with a frame, told by the switch itself on the host
(scripts/trace.c)."""
import re
import struct
import subprocess
import tempfile

from . import paths
from .console import Failure, count

LARGEST = 65553                 # bytes of a frame: VS_MAX_FRAME
LARGEST_FILE = 64 << 20
MOST = 10000                    # frames of a file
HEADER = 14                     # bytes of Ethernet's
ETHERNET = 1                    # link type of a pcap file
FCS_TOLD = 0x4000000            # in the same word: bits 31:28 have the FCS's length, in 16 bits
MAGIC = {0xa1b2c3d4, 0xa1b23c4d}        # times in us, in ns
PCAPNG = b"\x0a\x0d\x0d\x0a"


def from_digits(text):
    """a frame's bytes as hex digits, with or without spaces, colons or dashes between bytes"""
    digits = re.sub(r"[\s:-]", "", text)
    if not digits or len(digits) % 2 or re.search("[^0-9a-fA-F]", digits):
        raise Failure(f"{text[:40] or '(empty)'}: a frame is an even number of hex digits, or @FILE.pcap")
    return bytes.fromhex(digits)


def from_pcap(file):
    """the frames of a capture; one cut short by it ends in zeros"""
    try:
        with open(file, "rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as problem:
        raise Failure(f"{file or '(no name)'}: {problem.strerror}: name a pcap file, @FILE.pcap", status=2) from None
    if data[:4] == PCAPNG:
        raise Failure(f"{file}: is a pcapng file: `editcap -F pcap FILE NEW` makes a pcap file of it")
    order = next((o for o in "<>" if len(data) >= 24 and struct.unpack(o + "I", data[:4])[0] in MAGIC),
                 None)
    if len(data) > LARGEST_FILE:
        raise Failure(f"{file}: is larger than {LARGEST_FILE >> 20} MiB")
    if not order:
        raise Failure(f"{file}: is no pcap file")
    link = struct.unpack(order + "I", data[20:24])[0]
    if link & 0xffff != ETHERNET:
        raise Failure(f"{file}: was not captured on an Ethernet link")
    fcs = 2 * (link >> 28) if link & FCS_TOLD else 0        # bytes behind each frame
    frames, at, room = [], 24, LARGEST_FILE
    while at < len(data):
        kept, whole = struct.unpack(order + "8xII", data[at:at + 16]) if at + 16 <= len(data) else (1, 0)
        number = f"{file}: frame {len(frames) + 1}"
        if kept > whole or whole > LARGEST + fcs or at + 16 + kept > len(data):
            raise Failure(f"{number}: is cut off or damaged")
        if kept < HEADER <= whole:
            raise Failure(f"{number}: the capture holds {kept} of its bytes, fewer than its header: "
                          "capture more of each frame")
        room -= whole
        if len(frames) == MOST or room < 0:
            raise Failure(f"{number}: is one too many, {MOST} or {LARGEST_FILE >> 20} MiB of frames are the most: "
                          f"`editcap -F pcap -r FILE NEW 1-{len(frames)}` makes a smaller file")
        whole = max(0, whole - fcs)
        frames.append(data[at + 16:at + 16 + min(kept, whole)].ljust(whole, b"\0"))
        at += 16 + kept
    if not frames:
        raise Failure(f"{file}: has no frames")
    return frames


def read_frames(text):
    frames = from_pcap(text[1:]) if text.startswith("@") else [from_digits(text)]
    if max(map(len, frames)) > LARGEST:
        raise Failure(f"the frame has more than {LARGEST} bytes, which none can have")
    return frames


def run(config, port, frames):
    """[{bytes, stages, verdict, why}], one a frame"""
    program = paths.tracer()
    if not program.is_file():
        raise Failure(f"no {program}: {paths.remake()}", status=2)
    with tempfile.NamedTemporaryFile(suffix=".dtb") as blob:
        blob.write(config.blob)
        blob.flush()
        done = subprocess.run([program, blob.name, port], text=True, errors="replace", capture_output=True,
                              input="".join(f.hex() + "\n" for f in frames), check=False)
    if done.returncode:
        raise Failure(f"{config.file}: {done.stderr.strip() or f'trace ended by {done.returncode}'}")
    told, stages = [], []
    for line in done.stdout.splitlines():
        stage, *text = line.split("\t")
        if stage == "verdict":
            told.append({"bytes": len(frames[len(told)]), "stages": stages,
                         "verdict": text[0], "why": text[1]})
            stages = []
        else:
            stages.append({"stage": stage, "text": text[0]})
    return told


def render(told):
    lines = []
    for number, frame in enumerate(told, 1):
        if len(told) > 1:
            lines.append(f"frame {number} of {count(len(told), 'frame')}")
        lines += [f"  {s['stage']:<9} {s['text']}" for s in frame["stages"]]
        lines.append(f"  {'verdict':<9} {frame['verdict'].replace('_', ' ')}: {frame['why']}")
    return lines
