/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Host interrupt vectors for devices of the machine. A vector is one device's, on whatever CPU its
 * interrupts are sent to. What a driver domain makes its device do must not hold a CPU: more than
 * a bounded number of interrupts of a device in a millisecond, and each source of it that goes on is
 * held back for the rest of it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/core/fail.h"
#include "hv/core/lock.h"

struct host_irq;

/*
 * Both are called under the vector's lock, with interrupts off: never in the middle of other work,
 * since the hypervisor takes interrupts only in HLT, right after a VM exit (interrupts_take()) and
 * as the exit itself. They may take locks that stand behind host_irq in core/lock.h.
 */
struct host_irq_ops {
	/* An interrupt has come, or may have while the source was held back. */
	void (*handle)(struct host_irq *irq);
	/* Holds the source back, and lets it go again. */
	void (*hold)(struct host_irq *irq, bool on);
	/* It goes on sending while it is held back: cuts it off without its help, as far as the
	 * machine can, and connects it again. */
	void (*cut_off)(struct host_irq *irq, bool on);
};

/* What a device has sent, by all of its vectors, and how many it has; all zero at first. */
struct host_irq_window {
	struct spinlock lock;
	uint64_t begin_tsc;	/* [w] under the lock */
	unsigned count;		/* [w] since */
	_Atomic unsigned taken; /* (a) vectors */
};

/* Embedded in the device that has the vector; constant while it has it. */
struct host_irq {
	const struct host_irq_ops *ops;
	struct host_irq_window *window; /* its device's: as long as it has a vector */
	const char *owner;		/* for the log: the VM */
	int vector;			/* 0: none */
};

/* Once, on the boot CPU. */
void host_irq_init(void);

/* So many devices there are: each has an equal share of the vectors, so that none takes them from the others.
 * Before the first vector; without it one may have all. */
void host_irq_share(unsigned devices);

/* Gives irq a vector; the source may send from now on. An error, told, if there are no more
 * for its device. */
int host_irq_alloc(struct host_irq *irq) __must_check;

/* Takes it back; harmless without one. When it returns, no CPU is in a handler of it. */
void host_irq_free(struct host_irq *irq);

/* How many vectors devices have. Any CPU. */
unsigned host_irq_count(void);

/* A vector came in: hands it to its device. false: nobody has it. Any CPU. */
bool host_irq_handle(uint8_t vector);
