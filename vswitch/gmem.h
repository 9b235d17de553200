/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's RAM as the switch sees it: a few contiguous extents, mapped. Address to pointer is a
 * bounds check and an add. Constant while any port of the VM exists.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define GMEM_EXTENTS 4

struct gmem {
	unsigned count;
	struct gmem_extent {
		uint64_t gpa;
		uint64_t bytes;
		uint8_t *ptr;
	} extent[GMEM_EXTENTS];
};

/* [gpa, gpa+bytes) as a pointer; NULL if it is not wholly in one extent. bytes may be 0. */
static inline void *gmem_ptr(const struct gmem *mem, uint64_t gpa, uint64_t bytes)
{
	for (unsigned i = 0; i < mem->count; i++) {
		const struct gmem_extent *e = &mem->extent[i];
		uint64_t offset = gpa - e->gpa; /* wraps to huge below the extent */

		if (offset < e->bytes && bytes <= e->bytes - offset)
			return e->ptr + offset;
	}
	return NULL;
}
