# SPDX-License-Identifier: BSD-2-Clause
"""Kernels that no VM can start: {name: (content, what must be said of it)}, for a VM of 64 MiB. The
host's checker and the loader must say the same (tests/unit/test_hostile.py, tests/boot/cases.py)."""
import struct

MIB = 1 << 20


def bzimage(version=0x20f, xloadflags=0x7f, init_bytes=32 * MIB, payload=8192):
    """a Linux image with a header as Debian's ("The Linux/x86 Boot Protocol"), and nothing in it"""
    image = bytearray(1024 + payload)
    image[0x1f1] = 1                                        # setup_sects
    struct.pack_into("<I", image, 0x1f4, payload // 16)     # syssize
    struct.pack_into("<H4sH", image, 0x200, 0x6aeb, b"HdrS", version)
    struct.pack_into("<I", image, 0x22c, 0x7fffffff)        # initrd_addr_max
    struct.pack_into("<HI", image, 0x236, xloadflags, 2047)     # cmdline_size
    struct.pack_into("<QI", image, 0x258, 16 * MIB, init_bytes)     # pref_address
    return bytes(image)


def elf(bits, machine):
    return (b"\x7fELF" + bytes((bits, 1, 1)) + bytes(9)
            + struct.pack("<HHI", 2, machine, 1)).ljust(4096, b"\0")


UNFIT = {
    "text": (b"This is no kernel.\n" * 100, "is no kernel: a Linux bzImage, or an ELF64"),
    "empty": (b"", "is empty"),
    "linux-cut": (bzimage()[:-1], "is damaged or cut off: it has 8 KiB, its header tells 9"),
    "linux-header": (bzimage()[:0x240],
                     "is cut off: the header of a Linux bzImage does not end in the file"),
    "linux-old": (bzimage(version=0x20a), "is a Linux image of boot protocol 2.10: 2.12"),
    "linux-32-bit": (bzimage(xloadflags=0),
                     "is a 32-bit Linux image: one for x86-64 is wanted"),
    "linux-large": (bzimage(init_bytes=64 * MIB),
                    "needs at least 81 MiB of memory, the VM has 64: raise memory-mib"),
    "linux-arm64": (bytes(0x38) + b"ARM\x64" + bytes(4096),
                    "is a Linux image for arm64: one for x86-64 is wanted"),
    "elf-arm64": (elf(2, 183), "is an ELF file for another processor: ELF64 x86-64 is wanted"),
    "elf-i386": (elf(1, 3), "is an ELF file for another processor: ELF64 x86-64 is wanted"),
    "elf-cut": (elf(2, 62), "is damaged: its program headers are not inside the file"),
    "gzip": (b"\x1f\x8b" + bytes(100), "is compressed with gzip: unpack it"),
}
