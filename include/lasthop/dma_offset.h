/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Without an IOMMU (allow-unsafe-dma) a VM's devices take addresses of the host: lasthop puts dma-offset=0xN first
 * on the command line, and the guest adds it to each address that it gives a device. A guest that does so says it by
 * an ELF note; lasthop gives such devices to no other, which would have them write over memory that is not its own.
 */
#pragma once

#include <stdint.h>

#define LASTHOP_NOTE_NAME	"lasthop"
#define LASTHOP_NOTE_DMA_OFFSET 1 /* no descriptor */

/* Once in a guest, in any of its files. */
#define LASTHOP_ADDS_DMA_OFFSET                                                                    \
	static const struct {                                                                      \
		uint32_t name_bytes, descriptor_bytes, type;                                       \
		char name[sizeof(LASTHOP_NOTE_NAME)];                                              \
	} lasthop_adds_dma_offset __attribute__((used, aligned(4), section(".note.lasthop"))) = {  \
		sizeof(LASTHOP_NOTE_NAME), 0, LASTHOP_NOTE_DMA_OFFSET, LASTHOP_NOTE_NAME           \
	}
