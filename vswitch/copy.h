/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one copy: from a list of pieces to another. Source and target lie in different VMs or are the
 * switch's own; a guest may write into them meanwhile, what it reads then is its own affair.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "vswitch/vq.h"

/* Copies the first `head_bytes` from head, then from src[], into dst[], `bytes` in all. Both lists
 * must hold that many. */
void copy_packet(const struct seg *dst, const uint8_t *head, uint32_t head_bytes,
		 const struct seg *src, uint32_t bytes);

/* Copies the first `bytes` of seg[] into out and removes them from the list: returns the number of
 * whole pieces consumed; the piece after them is cut. The list must hold that many. */
unsigned copy_gather(uint8_t *out, uint32_t bytes, struct seg *seg);
