# SPDX-License-Identifier: BSD-2-Clause
"""Console fonts of the formats PSF 1 and 2 (console-setup's and kbd's): rows of bits, a table of the
characters that each glyph stands for."""
import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

PSF1, PSF2 = b"\x36\x04", b"\x72\xb5\x4a\x86"
PSF1_512, PSF1_TABLE = 1, 2
PSF2_TABLE = 1


@dataclass
class Font:
    width: int
    height: int
    glyphs: list        # of bytes, (width + 7) // 8 a row
    codes: dict         # {code point: number of the glyph}


def _psf1_codes(table):
    """UCS-2; 0xffff ends a glyph's characters, behind 0xfffe are sequences"""
    codes, glyph, single = {}, 0, True
    for code, in struct.iter_unpack("<H", table[:len(table) & ~1]):
        if code == 0xffff:
            glyph, single = glyph + 1, True
        elif code == 0xfffe:
            single = False
        elif single:
            codes.setdefault(code, glyph)
    return codes


def _psf2_codes(table):
    """the same in UTF-8, with 0xff and 0xfe"""
    codes = {}
    for glyph, text in enumerate(table.split(b"\xff")):
        for c in text.split(b"\xfe")[0].decode():
            codes.setdefault(ord(c), glyph)
    return codes


def load(path):
    """the font of a file, which may be compressed"""
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:2] == PSF1:
        mode, height = data[2:4]
        count, size, width, begin = 512 if mode & PSF1_512 else 256, height, 8, 4
        table, codes_of = mode & PSF1_TABLE, _psf1_codes
    elif data[:4] == PSF2:
        begin, flags, count, size, height, width = struct.unpack_from("<6I", data, 8)
        table, codes_of = flags & PSF2_TABLE, _psf2_codes
    else:
        raise ValueError(f"{path}: no PSF font")
    end = begin + count * size
    if len(data) < end or not table:
        raise ValueError(f"{path}: it ends early, or has no table of characters")
    glyphs = [data[at:at + size] for at in range(begin, end, size)]
    return Font(width, height, glyphs, {c: g for c, g in codes_of(data[end:]).items() if g < count})
