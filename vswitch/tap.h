/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tap points: where a port that is captured (vswitch/capture.h) has what passes it written down. All are
 * inside of a batch.
 */
#pragma once

#include "vswitch/capture.h"
#include "vswitch/switch_impl.h"

#define CAPTURE_COLD __attribute__((cold, noinline))

/* Where to; NULL, as is expected: nobody looks. Sequentially consistent, as everything that is taken away
 * by switch_quiesce(). */
static inline struct capture *capture_of(const struct port *port)
{
	struct capture *c = atomic_load_explicit(&port->capture, memory_order_seq_cst);

	return __builtin_expect(c != NULL, 0) ? c : NULL;
}

/* Of the sender: the batch's packets, after batch_forward(); a chain that could not be read. */
CAPTURE_COLD void capture_batch(struct capture *c, const struct batch *b);
CAPTURE_COLD void capture_unread(struct capture *c, unsigned queue);
/* Of a receiver: after rx_fill(); what rx_reserve() has dropped; what its guest does not want. */
CAPTURE_COLD void capture_filled(struct capture *c, const struct batch *b,
				 const struct rx_take *take);
CAPTURE_COLD void capture_refused(struct capture *c, const struct batch *b,
				  const struct rx_take *take);
CAPTURE_COLD void capture_filtered(struct capture *c, const struct batch *b, uint64_t set);
