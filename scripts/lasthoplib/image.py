# SPDX-License-Identifier: BSD-2-Clause
"""Bootable disk images, made without root: a GPT with one EFI system partition.

    \\EFI\\BOOT\\BOOTX64.EFI    loader with the core inside
    \\lasthop\\lasthop.dtb      the config
    \\lasthop\\NAME             each kernel and initrd that it names
"""
import itertools
import os
import shutil
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


def tool(*argv, text=None, folder=None):
    """runs a tool that is silent when it succeeds"""
    try:
        done = subprocess.run([str(a) for a in argv], input=text, text=True, capture_output=True,
                              errors="replace", cwd=folder,
                              env=os.environ | {"SOURCE_DATE_EPOCH": FILE_TIME, "TZ": "UTC"})
    except FileNotFoundError:
        raise Failure(f"no {argv[0]} here: call scripts/setup") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()
        raise Failure(f"{argv[0]}: {last[-1] if last else 'failed'}")


def plain(name):
    """may this name of an image stand in \\lasthop?"""
    return bool(name) and "/" not in name and "\\" not in name and name not in (".", "..")


def find_images(vms, folders):
    """{name: path} of the images of the VMs that exist, in the first folder that has one; the
    checker says what is wrong if that is no file"""
    found = {}
    for name in (n for vm in vms for n in vm.images if plain(n)):
        paths = [folder / name for folder in folders]
        path = next(itertools.chain(filter(os.path.isfile, paths), filter(os.path.exists, paths)), None)
        if path:
            found[name] = path
    return found


def check_out(out):
    """can a disk image be written there?"""
    out = Path(out)
    try:
        if out.exists() and not out.is_file():
            raise Failure(f"{out} is no regular file: write the image to a file, then copy that "
                          "with dd", status=2)
        tempfile.TemporaryFile(dir=out.parent).close()
    except OSError as problem:
        raise Failure(f"--out {out}: {problem.strerror}: name a file in a folder that is there "
                      "and can be written", status=2) from None


CHECK_ONLY = "check-only"       # a file of this name: the loader starts no VM (hv/boot/load.c)


def build_check(out, efi):
    """one that only tells what the machine has"""
    with tempfile.NamedTemporaryFile() as mark:
        return build(out, efi, None, {CHECK_ONLY: Path(mark.name)})


def build(out, efi, dtb, images):
    """writes the disk image; dtb: bytes or None, images: {name: path}"""
    out, efi = Path(out), Path(efi).absolute()
    if not efi.is_file():
        raise Failure(f"no {efi}: call make first")
    check_out(out)
    content = efi.stat().st_size + len(dtb or b"")
    content += sum(Path(p).stat().st_size for p in images.values())
    size = (max(content * 5 // 4 + (8 << 20), SMALLEST) + (1 << 20) - 1) >> 20 << 20
    # Aside, with a name that no tool can misread, and only when it is complete with its own.
    handle, name = tempfile.mkstemp(dir=out.parent, prefix="lasthop-", suffix=".tmp")
    aside = Path(name)
    try:
        os.truncate(handle, size)
        os.close(handle)
        fill(out.parent, aside.name, size, efi, dtb, images)
        umask = os.umask(0)
        os.umask(umask)
        aside.chmod(0o666 & ~umask)
        aside.replace(out)
    except Failure:
        if shutil.disk_usage(out.parent).free < content:    # few of the tools say so
            raise Failure(f"{out}: no space left there: {(content >> 20) + 1} MiB are wanted") from None
        raise
    finally:
        aside.unlink(missing_ok=True)
    return size


def fill(folder, disk, size, efi, dtb, images):
    """partitions the empty file of that name in the folder, and copies all files to it"""
    tool("sfdisk", "-q", disk, folder=folder,
         text=f"label: gpt\nlabel-id: {DISK_ID}\nstart={FIRST}, type={ESP}, uuid={PARTITION_ID}\n")

    def mtool(name, *argv):
        tool(name, "-i", f"{disk}@@{FIRST * SECTOR}", *argv, folder=folder)

    # one sector a cluster, so that the smallest image is FAT32 as well
    mtool("mformat", "-F", "-c", "1", "-N", VOLUME_ID, "-T", size // SECTOR - FIRST - TAIL, "::")
    mtool("mmd", "::/EFI", "::/EFI/BOOT", "::/lasthop")
    mtool("mcopy", efi, "::/EFI/BOOT/BOOTX64.EFI")
    for name, path in images.items():
        mtool("mcopy", "-so", path.absolute(), f"::/lasthop/{name}")
    if dtb is not None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(dtb)
            file.flush()
            mtool("mcopy", "-o", file.name, "::/lasthop/lasthop.dtb")
