#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The screen's font as C, from a PSF font of 8 by 16 dots: gen_font.py FONT > font.c

The glyphs that no character stands for are left out. hv/core/font.h declares what is written.
"""
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

from lasthoplib import psf      # noqa: E402


def main():
    font = psf.load(sys.argv[1])
    if (font.width, font.height) != (8, 16):
        raise SystemExit(f"{sys.argv[1]}: {font.width} by {font.height} dots, not 8 by 16")
    missing = [c for c in (*range(0x20, 0x7f), 0xfffd) if c not in font.codes]
    if missing:
        raise SystemExit(f"{sys.argv[1]}: no glyph for {', '.join(map(hex, missing))}")
    used = sorted(set(font.codes.values()))
    number = {glyph: i for i, glyph in enumerate(used)}
    codes = sorted((c, number[g]) for c, g in font.codes.items() if c <= 0xffff)
    print(f"/* Made by scripts/gen_font.py from {Path(sys.argv[1]).name}. */\n"
          '#include "hv/core/font.h"\n\n'
          "const unsigned char font_glyphs[][FONT_HEIGHT] = {")
    for glyph in used:
        print("\t{ " + ", ".join(f"0x{row:02x}" for row in font.glyphs[glyph]) + " },")
    print(f"}};\n\nconst unsigned font_glyph_count = {len(used)};\n\n"
          "const struct font_code font_codes[] = {")
    for code, glyph in codes:
        print(f"\t{{ 0x{code:04x}, {glyph} }},")
    print(f"}};\n\nconst unsigned font_code_count = {len(codes)};")


main()
