/* SPDX-License-Identifier: BSD-2-Clause */
/* The arena: the upper end of RAM below 3 GiB. What a device or wild code writes there hurts
 * nobody. */
#include "guest/abuse/abuse.h"

#include "guest/lib/runtime.h"

enum { RAM = 1 };
enum { HIGH_RAM = 0x100000, ROOM_FOR_US = 4 << 20 };

static uint64_t base, end;

void arena_find(void)
{
	struct hvm_memmap_entry entry;

	for (unsigned i = 0; guest_memory(i, &entry); i++) {
		if (entry.address >= 1ull << 32)
			continue;
		if (entry.address + entry.bytes > end && entry.type == RAM)
			base = (entry.address + entry.bytes - ARENA_BYTES) & ~0xfffull;
		if (entry.address + entry.bytes > end && entry.address < 3ull << 30)
			end = entry.address + entry.bytes;
	}
	if (base < HIGH_RAM + ROOM_FOR_US)
		guest_fail("abuse: needs 12 MiB of memory");
}

uint64_t arena_base(void)
{
	return base;
}

uint64_t ram_end(void)
{
	return end;
}
