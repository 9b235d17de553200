/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a bundled guest stands on. The runtime sets up the machine and calls guest_main() with
 * interrupts off; its value is the guest's end status (0: all well).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/cpu.h"

/* Xen public/arch-x86/hvm/start_info.h: the structure that EBX points to at the PVH entry */
struct hvm_start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp;
	uint64_t memmap; /* version 1 on */
	uint32_t memmap_entries, reserved;
};

struct hvm_memmap_entry {
	uint64_t address, bytes;
	uint32_t type, reserved; /* type as in E820: 1 is RAM */
};

#define HVM_START_MAGIC 0x336ec578u

int guest_main(void); /* the guest's own */

const char *guest_cmdline(void); /* "" if there is none */
uint64_t guest_rsdp(void);

/* Entry i of the memory map; false past the last. */
bool guest_memory(unsigned i, struct hvm_memmap_entry *entry);

/* The number's answer, or HC_EUNKNOWN where there is no lasthop below us. */
int64_t hypercall(uint64_t number, uint64_t rdi, uint64_t rsi);
bool hypercall_present(void);
bool cpu_is_amd(void); /* VMMCALL instead of VMCALL */

/* Ends the VM: 0 if all went well. guest_fail() says why it did not. */
_Noreturn void guest_end(int status);
_Noreturn void guest_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
