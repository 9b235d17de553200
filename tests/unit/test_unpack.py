#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Does guest/linux/unpack find the ELF kernel in a bzImage, whatever it is compressed with, and does it say
what is wrong with a file that is none?"""
import bz2
import ctypes
import gzip
import lzma
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

UNPACK = Path(__file__).resolve().parents[2] / "guest/linux/unpack"
KERNEL = b"\x7fELF" + bytes(range(256)) * 33000          # more than one block of LZ4's


def lz4(data):
    library, out = ctypes.CDLL("liblz4.so.1"), b"\x02\x21\x4c\x18"
    for at in range(0, len(data), 8 << 20):
        block = data[at:at + (8 << 20)]
        room = ctypes.create_string_buffer(len(block) + len(block) // 255 + 16)
        size = library.LZ4_compress_default(block, room, len(block), len(room))
        out += struct.pack("<I", size) + room.raw[:size]
    return out


def zstd(data):
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_compress.restype = ctypes.c_size_t
    room = ctypes.create_string_buffer(len(data) + 1024)
    size = library.ZSTD_compress(room, ctypes.c_size_t(len(room)), data, ctypes.c_size_t(len(data)), 3)
    return room.raw[:size]


def image(payload, length=None, protocol=0x20f, sectors=4):
    """a bzImage as far as its header says where the payload lies"""
    setup = bytearray((sectors + 1) * 512)
    setup[0x1f1] = sectors
    setup[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", setup, 0x206, protocol)
    struct.pack_into("<II", setup, 0x248, 0x40, len(payload) if length is None else length)
    return bytes(setup) + bytes(0x40) + payload + b"behind it"


def sized(data):
    return data + struct.pack("<I", len(KERNEL))


class Unpack(unittest.TestCase):
    def run_on(self, data):
        """(exit status, what it said, what it made)"""
        with tempfile.TemporaryDirectory() as folder:
            source, to = Path(folder, "vmlinuz"), Path(folder, "vmlinux")
            source.write_bytes(data)
            done = subprocess.run([sys.executable, str(UNPACK), str(source), str(to)],
                                  capture_output=True, text=True, check=False)
            self.assertEqual([p.name for p in Path(folder).iterdir() if p != source],
                             ["vmlinux"] if to.exists() else [])
            return done.returncode, done.stderr, to.read_bytes() if to.exists() else None

    def test_formats(self):
        made = {"gzip": gzip.compress(KERNEL), "xz": sized(lzma.compress(KERNEL)),
                "bzip2": sized(bz2.compress(KERNEL)), "lz4": sized(lz4(KERNEL)),
                "zstd": sized(zstd(KERNEL))}
        for name, payload in made.items():
            with self.subTest(name):
                self.assertEqual(self.run_on(image(payload)), (0, "", KERNEL))

    def refused(self, data, why):
        status, said, made = self.run_on(data)
        self.assertEqual((status, made), (1, None), said)
        self.assertRegex(said, rf"^error: \S+vmlinuz: .*{why}")
        self.assertEqual(said.count("\n"), 1)

    def test_refused(self):
        good = sized(lz4(KERNEL))
        self.refused(b"", "is no Linux bzImage")
        self.refused(KERNEL, "is no Linux bzImage")
        self.refused(image(good, protocol=0x207), "boot protocol 2.07")
        self.refused(image(good)[:-len(good)], "is cut off")
        self.refused(image(good, length=0xffffffff), "is cut off")
        self.refused(image(sized(b"\0" * 100)), "a format that is not known")
        self.refused(image(good[:-4] + b"\xff\xff\xff\x7f"), "unpacks to 2047 MiB")
        self.refused(image(sized(lz4(KERNEL[:100000]))), "does not unpack to an ELF kernel")
        self.refused(image(sized(lz4(b"no" + KERNEL[2:]))), "does not unpack to an ELF kernel")
        for compress in (lz4, zstd, lzma.compress):
            data = bytearray(sized(compress(KERNEL)))
            data[8:len(data) // 2] = bytes(len(data) // 2 - 8)
            self.refused(image(bytes(data)), "is damaged|does not unpack|data is damaged")


if __name__ == "__main__":
    unittest.main()
