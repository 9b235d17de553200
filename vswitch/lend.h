/* SPDX-License-Identifier: BSD-2-Clause */
/* Buffer reuse, within the switch: see lend.c. */
#pragma once

#include "vswitch/switch_impl.h"

/* Those of the packets to this receive queue alone that are worth it, and may be, are shared with its driver
 * domain: p->pieces. Before they are given buffers; lend_end() must follow. */
void lend_begin(struct vs_cpu *cpu, struct port *to, unsigned queue, uint64_t set);
/* Afterwards: what was shared in vain is not any more; who had packets come back is told. */
void lend_end(struct vs_cpu *cpu, struct port *to, uint64_t set);

_Static_assert(HEAD_ROOM % 8 == 0, "where uplink_pieces_at() says");
_Static_assert(HEAD_ROOM + UPLINK_PIECES * sizeof(struct uplink_piece) == UPLINK_LENT_BYTES,
	       "what a buffer has to have room for");

/* Is the packet, whose head[] is full, lent to a receiver with these offloads? */
static inline bool lend_fits(const struct packet *p, uint64_t offloads)
{
	return p->pieces != 0 && (p->off.needs & ~offloads) == 0;
}

/* What of it is in the buffer. */
static inline uint32_t lend_bytes(const struct packet *p)
{
	return HEAD_ROOM + p->pieces * (uint32_t)sizeof(struct uplink_piece);
}

/* Under the reserve lock of a queue with loans, by which packet i is lent: in the buffer that begins with
 * descriptor `id`. */
void lend_packet(struct vs_cpu *cpu, struct port *to, struct queue *q, unsigned i, uint16_t id);
/* Under the same: what has come back by the available ring, up to index `avail`, goes back to its senders.
 * Before its buffers are taken again. */
void lend_collect(struct vs_cpu *cpu, struct port *to, struct queue *q, uint16_t avail);
/* Under the same: as long as something is lent the driver is asked for a kick. */
void lend_watch(struct vs_cpu *cpu, struct port *to, struct queue *q);
/* The driver of a receive queue has kicked. */
void lend_kicked(struct port *port, unsigned queue);

/* Memory for the loans of a receive queue that is about to start, if its driver takes them. */
void lend_start(struct port *port, unsigned queue, uint64_t features);
/* A queue, of either kind, has stopped, and nobody is inside: what it had lent may be changed; and all that it
 * was lent goes back. */
void lend_stop(struct port *port, unsigned queue);
