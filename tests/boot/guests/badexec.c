/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a guest stopped or contained that executes what it may not? Boot arguments: from=nowhere
 * (default: no RAM there), device (a device's registers), garbage (random bytes as code: its own
 * exceptions end it).
 */
#include "guest/lib/args.h"
#include "guest/lib/paging.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"

#define NOWHERE 0x7f00000000ull
#define IOAPIC	0xfec00000ull

static uint64_t garbage[512];

static void fill_garbage(void)
{
	uint64_t x = 88172645463325252ull; /* xorshift64 */

	for (unsigned i = 0; i < 512; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		garbage[i] = x;
	}
}

static void jump(uintptr_t to)
{
	print("badexec: about to jump to %lx\n", to);
	__asm__ volatile("jmp *%0" : : "r"(to) : "memory");
}

int guest_main(void)
{
	char from[16];

	(void)args_string(guest_cmdline(), "from", from, sizeof(from));
	if (!strcmp(from, "garbage")) {
		fill_garbage();
		jump((uintptr_t)garbage);
	} else if (!strcmp(from, "device")) {
		jump(IOAPIC);
	} else {
		jump((uintptr_t)paging_map(NOWHERE));
	}
	return 1;
}
