/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looks at a switch that works, which change nothing: the state of a queue, and what would become of a frame.
 * What they tell may be old when it is read. Control path, as switch_*.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lasthop/verdict.h"
#include "vswitch/switch.h"

enum queue_life { QUEUE_LIFE_STOPPED, QUEUE_LIFE_RUNNING, QUEUE_LIFE_BROKEN };

/* A queue whose ring is in memory that the driver writes: what is of the driver, is its word. Indices are those
 * of a split ring, modulo 65536; of a packed one entries with the wrap counter in bit 15. */
struct queue_look {
	enum queue_life life; /* only if it runs the rest has a meaning */
	bool packed, event_idx;
	uint32_t size;
	bool available;	     /* the driver has put something that was not taken, */
	uint16_t avail;	     /* ... up to here; packed: next */
	uint16_t next;	     /* the switch takes from here on */
	uint16_t used;	     /* what was given back ends here */
	bool kick_wanted;    /* the driver was asked to kick at the next, or at kick_at */
	uint16_t kick_at;    /* split with event index: behind the packet at which it is to kick */
	bool interrupt;	     /* the driver wants an interrupt for the next that is given back */
	bool lazy;	     /* transmit: port_flush() takes what comes without a kick */
	bool polled;	     /* transmit: a CPU polls it */
	bool held;	     /* transmit: waits for a receiver to run */
	bool interrupt_owed; /* an interrupt is put off */
};

/* false: there is no such queue, or no memory to look. */
bool port_queue_look(struct port *port, unsigned queue, struct queue_look *out);

/* What would become of a frame from a port's guest, and at each port it would go to. */
struct switch_trace {
	enum verdict verdict;
	uint32_t most_bytes; /* that pass, with the Ethernet header */
	/* in the order of the stages; a stage is reached if those before let the frame pass */
	bool length_passes, source_passes;
	enum { TRACE_KNOWN, TRACE_NEW, TRACE_MOVES } source;
	const struct port *was;	   /* where the source is known, if it is elsewhere */
	bool group;		   /* the destination is one */
	const struct port *behind; /* which the destination is; NULL: unknown, or a group */
	unsigned receivers;
	struct {
		const struct port *port;
		enum verdict verdict;
	} receiver[VS_MAX_PORTS];
};

/* frame: `bytes` of it, without virtio-net header, which asks for no offload; of more than VS_MAX_FRAME none is
 * read. Nothing is learned, counted or taken. false: no memory to look. */
bool port_trace(struct port *port, const void *frame, uint32_t bytes, struct switch_trace *out);
