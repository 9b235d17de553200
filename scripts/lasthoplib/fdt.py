# SPDX-License-Identifier: BSD-2-Clause
"""The little that the host needs from a config blob: which images to copy, how much memory.

Devicetree Specification 0.4, chapter 5. What is wrong in a blob is said by lasthop-check (the
hypervisor's own parser); here a blob that cannot be read has simply no VMs.
"""
import struct
from dataclasses import dataclass

MAGIC = 0xD00DFEED
BEGIN_NODE, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9


@dataclass
class Vm:
    name: str
    cpus: int
    memory_mib: int
    images: list        # file names: kernel, initrd
    disabled: bool


def _name(blob, at):
    end = blob.index(b"\0", at)
    return blob[at:end].decode("utf-8", "replace"), end + 1


def nodes(blob):
    """{path: {property: bytes}} in the order of the blob; ValueError if it is none"""
    try:
        magic, _, structure, strings = struct.unpack_from(">4I", blob)
        if magic != MAGIC:
            raise ValueError("no device tree blob")
        tree, path, at = {}, [], structure
        while True:
            token, = struct.unpack_from(">I", blob, at)
            at += 4
            if token == BEGIN_NODE:
                name, end = _name(blob, at)
                path.append(name)
                tree["/".join(path) or "/"] = {}
                at = (end + 3) & ~3
            elif token == PROP:
                size, name_at = struct.unpack_from(">2I", blob, at)
                value = blob[at + 8:at + 8 + size]
                tree["/".join(path) or "/"][_name(blob, strings + name_at)[0]] = value
                at = (at + 8 + size + 3) & ~3
            elif token == END_NODE:
                path.pop()
            elif token == END:
                return tree
            elif token != NOP:
                raise ValueError(f"token {token:#x}")
    except (struct.error, IndexError, KeyError) as problem:
        raise ValueError(str(problem)) from problem


def _text(value):
    return value.rstrip(b"\0").decode("utf-8", "replace")


def _cell(properties, name, default):
    value = properties.get(name, b"")
    return struct.unpack(">I", value)[0] if len(value) == 4 else default


def vms(blob):
    """the VMs of a config; none if the blob cannot be read"""
    try:
        tree = nodes(blob)
    except ValueError:
        return []
    found = []
    for path, properties in tree.items():
        if path.count("/") != 2 or not path.startswith("/vms/"):
            continue
        images = [_text(properties[p]) for p in ("kernel", "initrd") if p in properties]
        status = _text(properties.get("status", b"okay"))
        found.append(Vm(path[5:], _cell(properties, "cpus", 1),
                        _cell(properties, "memory-mib", 0), images, status == "disabled"))
    return found
