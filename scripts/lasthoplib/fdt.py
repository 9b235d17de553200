# SPDX-License-Identifier: BSD-2-Clause
"""The little that the host needs from a config blob: which images to copy, how much memory.

Devicetree Specification 0.4, chapter 5. What is wrong in a blob is said by lasthop-check (the
hypervisor's own parser); here a blob that cannot be read has simply no VMs.
"""
import struct
from dataclasses import dataclass, field

MAGIC = 0xD00DFEED
MAGIC_BYTES = struct.pack(">I", MAGIC)
BEGIN_NODE, END_NODE, PROP, NOP, END = 1, 2, 3, 4, 9
LONGEST_NAME = 64               # more than any that means something
DEEPEST = 8                     # CONFIG_MAX_DEPTH
WANTED = ("cpus", "memory-mib", "kernel", "initrd", "status", "role")
WANTED_OF_DEVICE = ("compatible", "pci-id", "pci-address")
NET = "lasthop,net"


@dataclass
class Vm:
    name: str
    cpus: int
    memory_mib: int
    images: list        # file names: kernel, initrd
    disabled: bool
    driver_domain: bool
    devices: list = field(default_factory=list)     # [{property: bytes}] of the nodes inside


def _name(blob, at):
    """the name there, or its beginning if it is longer than any that a config may have"""
    end = blob.find(b"\0", at, at + LONGEST_NAME)
    return blob[at:end if end >= 0 else at + LONGEST_NAME].decode("utf-8", "replace")


def _after_name(blob, at):
    return (blob.index(b"\0", at) + 4) & ~3


def _tokens(blob, at):
    """(token, where its content begins) up to END; content is not looked at"""
    while True:
        token, = struct.unpack_from(">I", blob, at)
        at += 4
        yield token, at
        if token == BEGIN_NODE:
            at = _after_name(blob, at)
        elif token == PROP:
            size, = struct.unpack_from(">I", blob, at)
            at = (at + 8 + size + 3) & ~3
        elif token == END:
            return
        elif token not in (END_NODE, NOP):
            raise ValueError(f"token {token:#x}")


def vm_nodes(blob):
    """[(name, {property: bytes}, [the same of each node inside, with its "name"])] of the nodes in /vms,
    in the order of the blob; ValueError if it is none. Kept is only what is asked for: a hostile blob costs no more
    memory than its size."""
    try:
        magic, size, structure, strings = struct.unpack_from(">4I", blob)
        if magic != MAGIC or size > len(blob):
            raise ValueError("no device tree blob, or a part of one")
        found, path = [], []
        for token, at in _tokens(blob, structure):
            if token == BEGIN_NODE:
                path.append(_name(blob, at))
                if len(path) > DEEPEST + 1:
                    raise ValueError(f"nodes nested more than {DEEPEST} deep")
                if len(path) == 3 and path[1] == "vms":
                    found.append((path[2], {}, []))
                elif len(path) == 4 and path[1] == "vms":
                    found[-1][2].append({"name": path[3].encode()})
            elif token == PROP and len(path) in (3, 4) and path[1] == "vms":
                size, name_at = struct.unpack_from(">2I", blob, at)
                name = _name(blob, strings + name_at)
                if len(path) == 3 and name in WANTED:
                    found[-1][1][name] = blob[at + 8:at + 8 + size]
                elif len(path) == 4 and name in WANTED_OF_DEVICE:
                    found[-1][2][-1][name] = blob[at + 8:at + 8 + size]
            elif token == END_NODE:
                path.pop()
        return found
    except (struct.error, IndexError) as problem:
        raise ValueError(str(problem)) from problem


def _text(value):
    return value.rstrip(b"\0").decode("utf-8", "replace")


def _cell(properties, name, default):
    value = properties.get(name, b"")
    return struct.unpack(">I", value)[0] if len(value) == 4 else default


def _vm(name, properties, devices):
    images = [_text(properties[p]) for p in ("kernel", "initrd") if p in properties]
    return Vm(name, _cell(properties, "cpus", 1), _cell(properties, "memory-mib", 0), images,
              _text(properties.get("status", b"okay")) == "disabled",
              _text(properties.get("role", b"")) == "driver-domain", devices)


def vms(blob):
    """the VMs of a config; none if the blob cannot be read"""
    try:
        return [_vm(*node) for node in vm_nodes(blob)]
    except ValueError:
        return []


def ports(blob):
    """the names of a config's ports, VM/NODE"""
    return [f"{vm.name}/{_text(device['name'])}" for vm in vms(blob) for device in vm.devices
            if _text(device.get("compatible", b"")) == NET]
