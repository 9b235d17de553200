/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a guest that touches an address without RAM or device stopped with a line in the log?
 * Boot arguments: access=read (default), write, or fetch-table (its page table lies there).
 */
#include "guest/lib/args.h"
#include "guest/lib/paging.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"

#define NOWHERE 0x7f00000000ull /* below 2^39: any CPU can say it */

int guest_main(void)
{
	volatile uint64_t *at = (volatile uint64_t *)paging_map(NOWHERE);
	char access[16];

	(void)args_string(guest_cmdline(), "access", access, sizeof(access));
	print("unmapped: about to %s %llx\n", access[0] ? access : "read", NOWHERE);
	if (!strcmp(access, "write")) {
		mmio_write64((uintptr_t)at, 1);
	} else if (!strcmp(access, "fetch-table")) {
		__asm__ volatile("movq %0, %%cr3" : : "r"(NOWHERE) : "memory");
	} else {
		print("unmapped: read %lx\n", mmio_read64((uintptr_t)at));
	}
	print("FAIL unmapped: the guest goes on\n");
	return 1;
}
