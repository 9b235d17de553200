#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write a repaired copy of a Bochs 3.1 binary (Debian's, x86-64, SMP build).

Faults that kill guests:
1. 64-bit IDIV. As compiled by recent GCC, long_idiv() loses a store (strict
   aliasing; upstream issue bochs-emu/Bochs#668) and divides stack garbage: Linux
   dies with a divide error in clocksource registration.
2. Stale RIP in VM exits. With more than one CPU the main loop does not commit
   prev_rip after an exception was delivered. A VM exit that comes before the
   handler's first instruction (timer interrupt, EPT violation of its fetch) then
   saves the RIP of the faulting instruction with the stack of the handler, and the
   guest goes astray after its next IRET.
3. Virtual interrupts with IF=0. HandleExtInterrupt() delivers a pending virtual
   interrupt without asking whether it is masked, when a host interrupt comes in,
   and does not commit prev_rip either.
4. Posted interrupts. A notification that finds no request pending sets RVI to 0xff
   (-1 in a byte), and the guest gets vector 0xff.

Emulated time with several CPUs:
5. A fair clock. In each round every CPU runs one trace, a halted CPU is charged
   `quantum` instructions, and the clock advances by the mean: a polling CPU slows
   the clock, a halted one speeds it up, by a factor of up to 3. Now every CPU gets
   `quantum` instructions a round, and the clock advances by just that: each CPU runs
   at `ips`, whatever the others do, and one that was halted starts with nothing saved
   up. An exception is counted for the CPU that had it.
6. --exit-cost N: a VM exit, with the entry after it, costs N instructions of its
   CPU's time (0 in Bochs; about 1000 cycles on real parts).
7. Random numbers. RDRAND's generator is seeded with the host's clock: what firmware
   and guests do with the numbers takes other instructions in each run. Now its seed
   is constant, and two runs of the same image are the same.

All functions are exported, so they are found by name, and the places in them by
pattern; where anything is unexpected, nothing is written. A repaired file is refused.

usage: bochs-errata.py [--exit-cost N] IN OUT
"""
import argparse
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

IDIV = "_Z9long_idivP7Bit128sPlPKS_l"
RUN_TRACE = "_ZN8BX_CPU_C13cpu_run_traceEv"
IRET64 = "_ZN8BX_CPU_C6IRET64EP15bxInstruction_c"
EXT_INT = "_ZN8BX_CPU_C18HandleExtInterruptEv"
DELIVER = "_ZN8BX_CPU_C29VMX_Deliver_Virtual_InterruptEv"
POSTED = "_ZN8BX_CPU_C31VMX_Posted_Interrupt_ProcessingEh"
HIGHEST = "_ZNK15bx_local_apic_c20highest_priority_intEPKj"
SIMULATE = "_Z19bx_begin_simulationiPPc"
VMEXIT = "_ZN8BX_CPU_C6VMexitEjm"
CPU_INIT = "_ZN8BX_CPU_CC1Ej"
# room for our code: only the debugger, which is not built in, calls this
CAVE = "_Z29bx_dbg_print_amx_tile_commandji"
MAX_CPUS = 64
MEMBER = rb"(..\0\0)"                           # offset in the CPU object
ANY32 = rb"(....)"


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def number(code):
    return int.from_bytes(code, "little", signed=True)


def branch(opcode, source, target):
    """jump (e9) or call (e8) at source to target"""
    return bytes([opcode]) + (target - (source + 5)).to_bytes(4, "little", signed=True)


class Binary:
    def __init__(self, path):
        self.path = path
        self.image = bytearray(Path(path).read_bytes())
        self.symbols = {}
        for line in run("readelf", "--dyn-syms", "-W", path).splitlines():
            fields = line.split()
            if len(fields) >= 8 and fields[3] == "FUNC":
                self.symbols[fields[7].split("@")[0]] = (int(fields[1], 16), int(fields[2]))
        phoff, = struct.unpack_from("<Q", self.image, 32)
        size, count = struct.unpack_from("<HH", self.image, 54)
        self.loads = [phoff + i * size for i in range(count)
                      if struct.unpack_from("<I", self.image, phoff + i * size)[0] == 1]

    def refuse(self, why):
        sys.exit(f"{self.path}: {why}; nothing was written")

    def offset(self, address):
        for at in self.loads:
            offset, vaddr, _, filesz = struct.unpack_from("<QQQQ", self.image, at + 8)
            if vaddr <= address < vaddr + filesz:
                return offset + address - vaddr
        self.refuse(f"{address:#x} is in no segment")

    def grow_bss(self, size):
        """address of size zero bytes behind .bss, within its last page"""
        vaddr, = struct.unpack_from("<Q", self.image, self.loads[-1] + 16)
        memsz, = struct.unpack_from("<Q", self.image, self.loads[-1] + 40)
        start = (vaddr + memsz + 63) & ~63
        if (start + size - 1) // 4096 != (vaddr + memsz - 1) // 4096:
            self.refuse("no room behind .bss")
        struct.pack_into("<Q", self.image, self.loads[-1] + 40, start + size - vaddr)
        return start

    def function(self, name):
        """(address, bytes) of an exported function"""
        if name not in self.symbols:
            self.refuse(f"no symbol {name}")
        address, size = self.symbols[name]
        at = self.offset(address)
        return address, bytes(self.image[at:at + size])

    def find(self, pattern, code, what):
        matches = list(re.finditer(pattern, code, re.S))
        if len(matches) != 1:
            self.refuse(f"{what}: {len(matches)} places")
        return matches[0]

    def put(self, address, code, room):
        if len(code) > room:
            self.refuse(f"{len(code)} bytes do not fit at {address:#x}")
        at = self.offset(address)
        self.image[at:at + len(code)] = code


def link(source, at, constants, addresses):
    """({label: address}, code) of the routines, linked at the given address"""
    with tempfile.TemporaryDirectory() as tmp:
        obj, elf, raw = f"{tmp}/fix.o", f"{tmp}/fix.elf", f"{tmp}/fix.bin"
        run("gcc", "-c", str(source), "-o", obj,
            *[f"-Wa,--defsym,{k}={v}" for k, v in constants.items()])
        run("ld", "-e", "0", f"-Ttext={at:#x}",
            *[f"--defsym={k}={v:#x}" for k, v in addresses.items()], obj, "-o", elf)
        run("objcopy", "-O", "binary", "-j", ".text", elf, raw)
        fields = [line.split() for line in run("nm", elf).splitlines()]
        return {f[2]: int(f[0], 16) for f in fields if len(f) == 3}, Path(raw).read_bytes()


def repair(binary, exit_cost):
    idiv_at, idiv = binary.function(IDIV)
    trace_at, trace = binary.function(RUN_TRACE)
    ext_at, ext = binary.function(EXT_INT)
    posted_at, posted = binary.function(POSTED)
    loop_at, loop = binary.function(SIMULATE)
    exit_at, vmexit = binary.function(VMEXIT)
    cave_at, cave = binary.function(CAVE)
    init_at, init = binary.function(CPU_INIT)
    deliver_at = binary.function(DELIVER)[0]
    highest_at = binary.function(HIGHEST)[0]
    endbr64 = rb"^\xf3\x0f\x1e\xfa"

    # where things are: the CPU object is in %rbx, or in %rdi in the SMP loop
    frame = binary.find(endbr64 + rb"\x48\x83\xec(.)", trace, "start of cpu_run_trace")[1]
    rip = binary.find(rb"\x48\x01\x83" + MEMBER, trace, "RIP += length")[1]
    prev_rip = binary.find(rb"\x48\x8b\x83" + re.escape(rip) + rb".{0,16}?\x48\x89\x83" + MEMBER,
                           binary.function(IRET64)[1], "prev_rip = RIP")[1]
    due = binary.find(rb"\xf6\x83" + MEMBER + rb"\x02\x0f\x85" + ANY32, ext,
                      "test for a virtual interrupt")
    ext_end = binary.find(rb"\x48\x8b\x83" + re.escape(rip)
                          + rb"\x48\x89\x83" + re.escape(prev_rip)
                          + rb"\x48\x8b\x6c\x24\x10\x48\x8b\x5c\x24\x08", ext,
                          "end of HandleExtInterrupt")
    deliver = due.end() + number(due[2])
    binary.find(rb"^\x48\x89\xdf\x48\x8b\x5c\x24\x08\x48\x83\xc4\x18\xe9", ext[deliver:],
                "delivery of the virtual interrupt")
    rvi = binary.find(rb"\xe8" + ANY32 + rb"\x3a\x83" + MEMBER + rb"\x72\x06\x88\x83", posted,
                      "update of RVI")
    charge = binary.find(rb"\x48\x8b\x87" + MEMBER + rb"\x2b\x87" + MEMBER + rb"\x0f\x44\x05"
                         + ANY32 + rb"\x01\x44\x24.\x8b\x44\x24(.)", loop,
                         "charge of a CPU in the SMP loop")
    thrown = binary.find(rb"\x48\x8b\x06\xc6\x44\x24.\x00\x48\x83\x80" + re.escape(charge[1])
                         + rb"\x01", loop, "end of an exception in the SMP loop")
    call = binary.find(rb"\xe8" + ANY32 + rb"\x48\x8b\x35....\x48\x8b\x3c\xde", loop,
                       "call of cpu_run_trace")
    push = binary.find(endbr64 + rb"(\x41[\x54-\x57])", vmexit, "start of VMexit")[1]
    called = loop_at + call.start() + 5 + number(call[1])
    if called != trace_at or posted_at + rvi.start() + 5 + number(rvi[1]) != highest_at:
        binary.refuse("a call goes elsewhere")
    cpu_id = binary.find(rb"\x8b\x7b(.)\x48\x8b\x68", trace, "number of the CPU")[1]

    seed = binary.find(rb"\xe8" + ANY32 + rb"(\x89\xc7)\xe8", init, "srand(time())")

    labels, code = link(
        Path(__file__).with_suffix(".S"), cave_at,
        {"RIP": number(rip), "PREV_RIP": number(prev_rip), "TRACE_FRAME": frame[0],
         "PENDING": number(due[1]) - 1, "RVI": number(rvi[2]), "ICOUNT": number(charge[1]),
         "LAST_SYNC": number(charge[2]), "CPU_ID": cpu_id[0], "PROCESSOR": charge[4][0],
         "EXIT_COST": exit_cost, "VMEXIT_PUSH0": push[0], "VMEXIT_PUSH1": push[1]},
        {"cpu_run_trace": trace_at, "trace_rest": trace_at + 8, "highest_priority_int": highest_at,
         "quantum": loop_at + charge.end(3) + number(charge[3]),
         "share_end": binary.grow_bss(8 * MAX_CPUS),
         "next_cpu": loop_at + charge.start(), "vm_exit_rest": exit_at + 6})
    deliver_code = b"\x48\x89\x6c\x24\x10\x48\x89\xdf"    # save %rbp as the end expects it; this
    deliver_code += branch(0xe8, ext_at + deliver + len(deliver_code), deliver_at)
    deliver_code += branch(0xe9, ext_at + deliver + len(deliver_code), ext_at + ext_end.start())

    binary.put(cave_at, code, len(cave))

    def call_at(address, label, room, filler=b""):
        binary.put(address, branch(0xe8, address, labels[label]) + filler, room)

    def jump_at(address, label, room, filler=b""):
        binary.put(address, branch(0xe9, address, labels[label]) + filler, room)

    call_at(ext_at + due.start(), "virtual_interrupt_due", 7, b"\x66\x90")
    binary.put(ext_at + deliver, deliver_code, 24)
    call_at(posted_at + rvi.start(), "highest_request", 5)
    call_at(loop_at + call.start(), "run_share", 5)
    jump_at(loop_at + thrown.start(), "after_exception", 16)
    jump_at(exit_at, "vm_exit", 6, b"\x90")
    jump_at(idiv_at, "long_idiv", len(idiv))
    jump_at(trace_at, "run_trace", 8)
    binary.put(init_at + seed.start(2), b"\x31\xff", 2)      # edi = 0, not what time() told


def main():
    args = argparse.ArgumentParser(
        description="Repair Bochs 3.1 (Debian's binary); what and why is in this file's head.")
    args.add_argument("--exit-cost", type=int, default=0, metavar="N",
                      help="instructions that a VM exit costs (0)")
    args.add_argument("input")
    args.add_argument("output")
    args = args.parse_args()
    binary = Binary(args.input)
    repair(binary, args.exit_cost)
    Path(args.output).write_bytes(binary.image)
    Path(args.output).chmod(0o755)


main()
