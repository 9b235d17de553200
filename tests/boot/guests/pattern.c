/* SPDX-License-Identifier: BSD-2-Clause */
/* Does anybody write to memory that is ours? All of it that nothing uses holds a pattern of its own address,
 * looked at over and over until somebody stops us; ends, as failed, at the first word that is another. */
#include "guest/lib/apic.h"
#include "guest/lib/clock.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"

extern char guest_end_of_image[];

enum { RAM = 1, PAGE = 4096, BETWEEN_MS = 50 };
#define FOUR_GIB (1ull << 32)
#define PATTERN	 0x9e3779b97f4a7c15ul

static uint64_t first, end;

static void find_memory(void)
{
	struct hvm_memmap_entry entry;

	first = ((uintptr_t)guest_end_of_image + PAGE - 1) & ~(uint64_t)(PAGE - 1);
	for (unsigned i = 0; guest_memory(i, &entry); i++)
		if (entry.type == RAM && entry.address <= first &&
		    entry.address + entry.bytes > first && entry.address < FOUR_GIB)
			end = entry.address + entry.bytes;
	/* the hypervisor puts boot data at the upper end */
	end -= 1 << 20;
	if (end <= first || end > FOUR_GIB)
		guest_fail("pattern: no memory to look at");
}

static void look(uint64_t round)
{
	for (uint64_t at = first; at < end; at += 8)
		if (*(volatile uint64_t *)at != at * PATTERN)
			guest_fail("pattern: round %lu: %lx at %lx, not %lx", round,
				   *(volatile uint64_t *)at, at, at * PATTERN);
}

int guest_main(void)
{
	lapic_init();
	clock_init();
	find_memory();
	for (uint64_t at = first; at < end; at += 8)
		*(volatile uint64_t *)at = at * PATTERN;
	print("pattern: %lu KiB\n", (end - first) >> 10);
	for (uint64_t round = 1;; round++) {
		uint64_t until = rdtsc() + clock_ms(BETWEEN_MS);

		look(round);
		while (rdtsc() < until)
			clock_wait(until);
	}
}
