/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A simulated guest of the benchmark: a virtio-net driver on split rings with the event index, that polls
 * as a busy Linux does, and sends back whatever it gets, without a copy: the receive buffer goes into the
 * transmit ring with its addresses exchanged, and comes back as a receive buffer.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "vswitch/switch.h"

struct frame_plan {
	uint32_t bytes;	     /* of a frame */
	unsigned ring;	     /* entries of each ring */
	unsigned frames;     /* in flight from each guest, at most `ring` */
	unsigned flows;	     /* addresses behind each guest */
	unsigned burst;	     /* frames a guest takes at a time */
	uint32_t slot_bytes; /* from one buffer to the next */
	uint64_t features;
};

struct ring {
	struct ring_desc {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} * desc;
	_Atomic uint16_t *avail, *used;
	uint16_t put, seen, told;
};

struct bench_guest {
	const struct frame_plan *plan;
	struct gmem mem;
	struct port *port;
	uint8_t *buf; /* plan->ring + plan->frames of them */
	uint32_t buffers;
	struct ring rx, tx;
	_Atomic uint64_t received;
	uint64_t kicks; /* that the device asked for */
};

/* A guest behind a new port, its receive buffers offered. number: 1 or 2. Aborts if it cannot. */
struct bench_guest *bench_guest_create(struct vswitch *sw, const struct frame_plan *plan,
				       unsigned number);
/* Puts its frames, to the other guest, into its ring. */
void bench_guest_send_first(struct bench_guest *g, unsigned number);
/* One look at its rings: sends back at most a burst. */
void bench_guest_poll(struct bench_guest *g);
