# SPDX-License-Identifier: BSD-2-Clause
"""Where things are: in the source tree, or installed below a prefix (`make install`).

    source tree               installed
    .                         PREFIX/share/lasthop     SOURCE: files that are read as they are
    build, or $B              PREFIX/lib/lasthop       build(): what make has made
    build, or $B              the cache                work(): what the verbs write for themselves
    .cache                    ~/.cache/lasthop         cache(): test beds, runs; LASTHOP_CACHE names another
"""
import os
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
INSTALLED = not (SOURCE / "Makefile").is_file()
DEFAULT_CONFIG = SOURCE / "examples" / "bench.dts"


def cache():
    own = SOURCE / ".cache"
    if INSTALLED:
        own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lasthop"
    return Path(os.environ.get("LASTHOP_CACHE") or own).absolute()


def build():
    """the Makefile's B, relative to the source tree as there"""
    if INSTALLED:
        return SOURCE.parents[1] / "lib" / "lasthop"
    return SOURCE / (os.environ.get("B") or "build")


def work():
    """a folder that can be written, but for what make has made there"""
    return cache() if INSTALLED else build()


def bochs_root():
    """the folder that Bochs runs in, once scripts/setup has made it"""
    return cache() / "bochs"


def efi_file():
    return build() / "BOOTX64.EFI"


def guests():
    return build() / "guest"


def linux_guests():
    """where guest/linux/build puts its images"""
    return work() / "guest" / "linux"


def checker():
    return build() / "host" / "lasthop-check"


def tracer():
    return build() / "host" / "lasthop-trace"


def remake():
    """the mend where something that make makes is missing"""
    return "install the package lasthop again" if INSTALLED else "call make first"


def install(*packages):
    """the mend where a program is missing: of these Debian packages"""
    named = f"install {' and '.join(packages)}"
    return named if INSTALLED else f"call scripts/setup, or {named}"


def setup():
    """the mend where the test bed Bochs is missing"""
    return ("scripts/setup of lasthop's source tree makes it; LASTHOP_CACHE names the .cache there"
            if INSTALLED else "call scripts/setup")


def make_linux(target):
    """the command that makes the images of Linux guests: this target of the Makefile, or what that calls"""
    if not INSTALLED:
        return f"make {target}"
    flavour = {"linux-guest": "", "linux-driver": "amd64"}.get(target, target.removeprefix("linux-"))
    return f"{SOURCE / 'guest/linux/build'} {linux_guests()} {flavour}".rstrip()


def version():
    """of lasthop, as scripts/version tells it"""
    if INSTALLED:
        return (SOURCE / "VERSION").read_text().strip()
    return subprocess.run([SOURCE / "scripts/version"], capture_output=True, text=True).stdout.strip() or "unknown"
