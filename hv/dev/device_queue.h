/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtqueue that is served by the device itself, not by the switch: the control queue of
 * virtio-net, the queues of virtio-rng and virtio-console. In the time of the vCPU that kicks, a few buffers at once;
 * what is left waits in the CPU's list of work (switch_env.h), so that a guest cannot hold a CPU.
 * Nor does it get much of another VM's time there, however fast it adds buffers.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/config.h"
#include "hv/core/lock.h"
#include "hv/dev/switch_env.h"
#include "hv/dev/virtio_pci.h"
#include "vswitch/vq.h"

#define DEVICE_QUEUE_SEGS  64u /* pieces of a buffer that are looked at */
#define DEVICE_QUEUE_QUOTA 8u  /* buffers served in one go */
#define DEVICE_QUEUE_NAME  (2 * CONFIG_MAX_NAME + 32)
#define DEVICE_QUEUE_KEEP  UINT32_MAX /* bytes written: the buffer is not done, and served again */

struct device_queue;

struct device_queue_kind {
	enum vq_dir dir;
	uint64_t want; /* bytes of a buffer that are looked at */
	/* One buffer, the pieces in q->seg[]: NULL, with the bytes written or DEVICE_QUEUE_KEEP, or
	 * why it breaks the rules. What was kept may be another buffer the next time. Under q->lock. */
	const char *(*serve)(struct device_queue *q, const struct vq_chain *chain,
			     uint32_t *written);
};

/* (c) constant after device_queue_init(); the rest is under lock, which is taken inside the
 * transport's. */
struct device_queue {
	const struct device_queue_kind *kind; /* (c) */
	struct virtio_pci *virtio;	      /* (c) */
	char name[DEVICE_QUEUE_NAME];	      /* (c) for the log */
	struct switch_work more;	      /* a turn of it, when there was more than the quota */
	_Atomic uint64_t next_tsc;	      /* no turn before then in another VM's time */
	struct spinlock lock;
	bool running;
	unsigned number;
	uint16_t next; /* position */
	struct vq vq;
	struct seg seg[DEVICE_QUEUE_SEGS];
};

/* The structure is zeroed. name: begins the log lines. */
void device_queue_init(struct device_queue *q, const struct device_queue_kind *kind,
		       struct virtio_pci *virtio, const char *name);

/* Starts the transport's queue of this number; false, and logged: the rings cannot be used. With
 * the lock held; device_queue_serve() then takes what is there already. */
bool device_queue_start(struct device_queue *q, unsigned number);

/* The transport's queue has been stopped: nothing of it is served any more. Takes the lock. */
void device_queue_stop(struct device_queue *q);

/* What is there, within the quota, and asks for a kick or another turn. With the lock held. */
void device_queue_serve(struct device_queue *q);

/* One buffer of a queue that runs; false: there is none, or the queue has been stopped, which is logged.
 * With the lock held. */
bool device_queue_serve_one(struct device_queue *q);

/* Any CPU, without a lock. */
void device_queue_kick(struct device_queue *q);

/* Afterwards no CPU serves it, now or later. It has been stopped (running). */
void device_queue_finish(struct device_queue *q);
