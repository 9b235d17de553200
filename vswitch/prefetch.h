/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hints that a cache line will be needed soon: most lines of rings and buffers were written last by
 * another CPU, and come from there one after the other unless many are asked for at once. Of checked
 * addresses only: a hint cannot fault, but a speculative read of any address at a guest's wish is what
 * side channels are made of.
 */
#pragma once

#define PREFETCH_LINE 64u

static inline void prefetch_read(const void *p)
{
	__asm__ volatile("prefetcht0 (%0)" : : "r"(p));
}

/* ... and for this CPU alone. A processor without the instruction ignores it. */
static inline void prefetch_write(const void *p)
{
	__asm__ volatile("prefetchw (%0)" : : "r"(p));
}
