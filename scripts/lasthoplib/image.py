# SPDX-License-Identifier: BSD-2-Clause
"""Bootable disk images, made without root: a GPT with one EFI system partition.

    \\EFI\\BOOT\\BOOTX64.EFI    loader with the core inside
    \\lasthop\\lasthop.dtb      the config
    \\lasthop\\NAME             each kernel and initrd that it names
"""
import os
import subprocess
import tempfile
from pathlib import Path

from .console import Failure

SECTOR = 512
FIRST = 2048                    # first sector of the partition
TAIL = 34                       # sectors of the backup GPT
SMALLEST = 40 << 20             # FAT32 wants 65525 clusters
ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
# The same content gives the same image, to the bit: firmware compares identifiers, so that others
# would cost it other instructions, and emulated time would differ. One disk of ours at a time.
DISK_ID = "1A570000-0000-4000-8000-000000000001"
PARTITION_ID = "1A570000-0000-4000-8000-000000000002"
VOLUME_ID = "1A570001"
FILE_TIME = "1767225600"        # 2026-01-01, seconds since 1970


def tool(*argv, text=None):
    """runs a tool that is silent when it succeeds"""
    try:
        done = subprocess.run([str(a) for a in argv], input=text, text=True, capture_output=True,
                              env=os.environ | {"SOURCE_DATE_EPOCH": FILE_TIME, "TZ": "UTC"})
    except FileNotFoundError:
        raise Failure(f"no {argv[0]} here: call scripts/setup") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()
        raise Failure(f"{argv[0]}: {last[-1] if last else 'failed'}")


def plain(name):
    """may this name of an image stand in \\lasthop?"""
    return bool(name) and "/" not in name and "\\" not in name and name not in (".", "..")


def is_file(path):
    try:
        return path.is_file()
    except OSError:             # a name that no file can have
        return False


def find_images(vms, folders):
    """{name: path} of the images of the VMs that exist, in the first folder that has one"""
    found = {}
    for name in (n for vm in vms for n in vm.images if plain(n)):
        path = next((f / name for f in folders if is_file(f / name)), None)
        if path:
            found[name] = path
    return found


def build(out, efi, dtb, images):
    """writes the disk image; dtb: bytes or None, images: {name: path}"""
    out = Path(out)
    if not Path(efi).is_file():
        raise Failure(f"no {efi}: call make first")
    if out.exists() and not out.is_file():
        raise Failure(f"{out} is no regular file: write the image to a file, then copy that with dd")
    content = Path(efi).stat().st_size + len(dtb or b"")
    content += sum(Path(p).stat().st_size for p in images.values())
    size = (max(content * 5 // 4 + (8 << 20), SMALLEST) + (1 << 20) - 1) >> 20 << 20
    out.unlink(missing_ok=True)
    with open(out, "wb") as file:
        file.truncate(size)
    tool("sfdisk", "-q", out, text=f"label: gpt\nlabel-id: {DISK_ID}\n"
         f"start={FIRST}, type={ESP}, uuid={PARTITION_ID}\n")
    part = f"{out}@@{FIRST * SECTOR}"
    # one sector a cluster, so that the smallest image is FAT32 as well
    tool("mformat", "-i", part, "-F", "-c", "1", "-N", VOLUME_ID, "-T", size // SECTOR - FIRST - TAIL, "::")
    tool("mmd", "-i", part, "::/EFI", "::/EFI/BOOT", "::/lasthop")
    tool("mcopy", "-i", part, efi, "::/EFI/BOOT/BOOTX64.EFI")
    for name, path in images.items():
        tool("mcopy", "-o", "-i", part, path, f"::/lasthop/{name}")
    if dtb is not None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(dtb)
            file.flush()
            tool("mcopy", "-o", "-i", part, file.name, "::/lasthop/lasthop.dtb")
    return size
