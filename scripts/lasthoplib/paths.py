# SPDX-License-Identifier: BSD-2-Clause
"""Where things are: the source tree, the cache that `make clean` keeps, the build output."""
import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
DEFAULT_CONFIG = SOURCE / "examples" / "bench.dts"


def cache():
    return Path(os.environ.get("LASTHOP_CACHE") or SOURCE / ".cache").absolute()


def build():
    """the Makefile's B, relative to the source tree as there"""
    return SOURCE / (os.environ.get("B") or "build")


def bochs_root():
    """the folder that Bochs runs in, once scripts/setup has made it"""
    return cache() / "bochs"


def efi_file():
    return build() / "BOOTX64.EFI"


def guests():
    return build() / "guest"


def checker():
    return build() / "host" / "lasthop-check"


def tracer():
    return build() / "host" / "lasthop-trace"
