/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core's own address space: direct map of RAM (RW, NX, without the image's pages), image W^X
 * by section, stacks with an unmapped guard page below, device memory on demand (UC).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/fail.h"
#include "hv/core/handover.h"

/* Builds the final tables and loads them on this CPU; paging_load() on the others. */
void paging_init(const struct handover *h);
void paging_load(void);
uint64_t paging_cr3(void);

/* Device memory at hpa, mapped uncached, RW, NX; the same range may be asked for again. NULL: the
 * processor has no such address. */
void *map_device(uint64_t hpa, size_t bytes);

/* A framebuffer as well, but write-combining. Nothing else of it is to be mapped by map_device(). */
void *map_framebuffer(uint64_t hpa, size_t bytes);

/* Firmware's tables, for reading: through the direct map where that has them, else as a device.
 * NULL as above. */
const void *map_firmware(uint64_t hpa, size_t bytes);

/* Whether none of it is RAM that the hand-over gave us: firmware's own, or no RAM at all. */
bool is_foreign(uint64_t hpa, uint64_t bytes);

/* A stack of `bytes` with a guard page below; returns its top, 16-byte aligned. */
void *stack_alloc(size_t bytes);

/* Whether an address that faulted is the page below a stack: the stack was too small. */
bool is_stack_guard(uint64_t va);

/* The trampoline page: writable while the core fills it, then R-X (identity) for start-up. */
void trampoline_writable(uint64_t hpa);
void trampoline_executable(uint64_t hpa);
