/* SPDX-License-Identifier: BSD-2-Clause */
/* VT-d: accesses as "Software Access to Registers" wants them, whole and aligned. */
#include "hv/dev/vtd_impl.h"

#define CACHE_LINE 64u /* of every x86-64; a larger one is only written back twice */

uint32_t vtd_read32(const struct vtd_unit *u, unsigned at)
{
	return *(const volatile uint32_t *)(u->regs + at);
}

uint64_t vtd_read64(const struct vtd_unit *u, unsigned at)
{
	return *(const volatile uint64_t *)(u->regs + at);
}

void vtd_write32(const struct vtd_unit *u, unsigned at, uint32_t value)
{
	*(volatile uint32_t *)(u->regs + at) = value;
}

void vtd_write64(const struct vtd_unit *u, unsigned at, uint64_t value)
{
	*(volatile uint64_t *)(u->regs + at) = value;
}

/* CLFLUSH is ordered with the writes around it (SDM 2A, CLFLUSH): no fence is missing. */
void vtd_write_back(const void *p, size_t bytes)
{
	const char *line = (const char *)((uintptr_t)p & ~(uintptr_t)(CACHE_LINE - 1));

	for (; line < (const char *)p + bytes; line += CACHE_LINE)
		__asm__ volatile("clflush %0" : : "m"(*line) : "memory");
}
