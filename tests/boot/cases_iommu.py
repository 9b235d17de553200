# SPDX-License-Identifier: BSD-2-Clause
"""Boot tests of the IOMMU: VT-d as QEMU has it, and a device that nobody owns and that attacks."""
import re
from contextlib import closing

import qtest
from cases import BACKEND, HELLO, MEASURED, Case
from configs import Vm, config, ends, pair

SLOT = 0x10
ADDRESS = rf"00:{SLOT:02x}\.0"
MIB = 1 << 20
FREE = 0x50000000               # a page that no VM and no firmware has, in a machine of 2 GiB
MOST_PAGES = 4096               # looked at for one with content

LOOPING = [Vm("loop", "loop.elf"), *pair()]


def page_with_content(machine):
    """of the hypervisor, firmware or a VM, and which stays as it is"""
    for page in range(MOST_PAGES):
        content = machine.read(MIB + page * qtest.PAGE)
        if any(content) and content == machine.read(MIB + page * qtest.PAGE):
            return MIB + page * qtest.PAGE, content
    return None, b""


def attack(line, check, how):
    """while VMs run; then ends the one that would run for ever"""
    ecam = int(re.search(r"ECAM at (0x[0-9a-f]+)", line.wait(r", buses \d+ to \d+$"))[1], 16)
    line.wait(r"^loop\| loop: about to loop for ever$")
    with closing(qtest.Qtest(line.folder)) as machine:
        how(line, check, machine, qtest.Edu(machine, ecam, SLOT))
    line.type("\r")
    line.wait(r"^lasthop> ")
    if how is blocked:
        told = re.search(rf"^{ADDRESS} .*, (\d+) blocked$", line.command("pci"), re.M)
        check(told and int(told[1]) >= 2, f"pci tells {told[1] if told else 'nothing'} of what was blocked")
    line.command("vm stop loop")


def blocked(line, check, machine, edu):
    page, content = page_with_content(machine)
    check(page, f"a page with content, at {page:#x}")
    edu.read(page)                                      # its buffer stays zero
    line.wait(rf"\] iommu: {ADDRESS} reads {page:#x}: blocked: "
              r"no device of its bus is assigned \(0x1\)$", 60)
    edu.write(page)
    line.wait(rf"\] iommu: {ADDRESS} writes {page:#x}: blocked: "
              r"no device of its bus is assigned \(0x1\)$", 60)
    check(machine.read(page) == content, "the page is as it was")


def passes(line, check, machine, edu):
    """what the device can do where nothing keeps it from memory"""
    page, _ = page_with_content(machine)
    check(not any(machine.read(FREE)), "a page that is zero")
    edu.read(page)
    edu.write(FREE)
    check(any(machine.read(FREE)), "the device has written it")


def iommu(name, options, how, must, **more):
    return Case(f"tcg-iommu-{name}", "tcg", config(*LOOPING), cpus=2, backend=BACKEND["tcg"],
                iommu=options, qemu=[*qtest.ARGUMENTS, *qtest.Edu.arguments(SLOT)],
                talk=lambda line, check: attack(line, check, how), results=MEASURED,
                must=must, ends=ends(LOOPING, loop="stopped"), **more)


FACTS = ["firmware's memory is told from ours", "a device that is not assigned gets at nothing",
         "nor does one with nothing mapped",
         "it reads and writes what is mapped", "not what has that address in the machine",
         "it cannot write what it may read", "nor read what it may write",
         "the one right each that a copy takes is enough",
         "what was unmapped is still cached: a flush is due",
         "after the flush it is out of reach", "mapped again it is back", "large pages lead right",
         "a page cut out of a large one is out of reach", "its neighbour is not",
         "a device that was detached gets at nothing",
         "in another domain it has that one's pages, none of the first's",
         "an interrupt that it was given arrives", "by another device's handle it sends nothing",
         "nor by one that nobody has", "nor by one that was freed",
         "the entry for a pin comes masked", "unmasked, the pin's interrupt arrives"]
TOLD = [rf"\] iommu: {ADDRESS} {what} \({code}\)$" for what, code in (
    (r"reads 0x[0-9a-f]+: blocked: no device of its bus is assigned", "0x1"),
    (r"reads 0x[0-9a-f]+: blocked: it is not assigned", "0x2"),
    (r"writes 0x40000000: blocked: its page tables allow no write there", "0x5"),
    (r"reads 0x40001000: blocked: its page tables allow no read there", "0x6"))]


def core(bits, options):
    """domains and interrupts, by a core of its own that plays the device"""
    return Case(f"tcg-iommu-core-{bits}-bit", "tcg", HELLO, cpus=1, backend=BACKEND["tcg"],
                ends={"hello": "running"}, efi="test/iommu.EFI",
                iommu=f"intremap=on,aw-bits={bits},{options}", qemu=qtest.Edu.arguments(SLOT),
                must=[rf"\] PASS iommu: {re.escape(fact)}$" for fact in FACTS] + TOLD,
                must_not=[r"\] (FAIL|SKIP) iommu: "])


CASES_IOMMU = [
    # of what a unit may have: it caches what is not present, too; it can be made to snoop
    core(39, "caching-mode=on"), core(48, "snoop-control=on"),
    iommu("39-bit", "intremap=on,aw-bits=39", blocked,
          [r"\] iommu: vtd, 1 unit, 39-bit addresses, interrupt remapping$"]),
    iommu("48-bit", "intremap=on,aw-bits=48", blocked,
          [r"\] iommu: vtd, 1 unit, 48-bit addresses, interrupt remapping$"]),
    # it can't be used, and is not: the same attack succeeds, so the cases above prove something
    iommu("unusable", "intremap=off", passes,
          [r"\] error: iommu: firmware says that interrupts cannot be remapped$",
           r"\] iommu: not used: a VM gets a device only with allow-unsafe-dma$"],
          must_not=[r"\] iommu: vtd"]),
    Case("bochs-iommu-none", "bochs", config(Vm("hello", "hello.elf")), cpus=1,
         backend=BACKEND["bochs"], must=[r"\] iommu: none$"]),
]
