/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files that VMs are made from: those that the loader handed over, and those that came later
 * (`lasthop apply`). By name; a file stays until another of its name replaces it.
 *
 * A file that came later is staged at first: only VMs that are made by the new config see it. Then it
 * takes the place of the one of its name, or is dropped.
 */
#pragma once

#include "hv/core/config.h"
#include "hv/core/fail.h"
#include "hv/core/handover.h"

/* A kernel and an initrd of each VM, before and after a change. */
#define IMAGES_MAX (4 * CONFIG_MAX_VMS)

void images_init(const struct handover *h);

/* The file of that name, NULL if there is none; staged: one that is staged first. What it points to stays
 * while a VM of the running config names the file, or it is staged. Any CPU. */
const struct handover_image *image_find(const char *name, bool staged);

/* The i-th, without those that are staged; false: there are no more. Any CPU. */
bool image_at(unsigned i, struct handover_image *out);

/* Stages a file that lies in memory of page_alloc(bytes), which is its own from now on; one of that name
 * that is staged goes. An error: there is no place, the memory is still the caller's. */
int image_stage(const char *name, void *data, uint64_t bytes) __must_check;

/* Staged files take their places (true), or go. What they replace and what no VM of the config names any
 * more goes: of those that came later, the memory comes back. No VM is being made that names one of them. */
void images_settle(bool keep, const struct config *config);

/* Bytes of memory that files take which came later. */
uint64_t images_bytes(void);
