/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues that have more work than one service may do: a list per CPU, served a slice at a time from
 * the run loop (MB_SWITCH_WORK). And busy transmit queues that are handed to an idle CPU, which polls
 * them while it has nothing else to do.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/core/list.h"

struct cpu;
struct port;

struct switch_work;

/* A turn, bounded; it may queue itself again. */
typedef void switch_work_fn(struct switch_work *work);

/* (c) constant (a) atomic [w] under the lock of the list it is in */
struct switch_work {
	struct list node;	    /* [w] */
	switch_work_fn *serve;	    /* (c) */
	struct port *port;	    /* (c) for those that are polled */
	unsigned queue;		    /* (c) */
	_Atomic uint32_t home;	    /* (a) whose list it is in, or about to be: CPU + 1; 0: none */
	_Atomic uint32_t busy;	    /* (a) CPUs that serve it now */
	_Atomic uint32_t server;    /* (a) the last that began to */
	_Atomic bool cancelled;	    /* (a) */
	_Atomic(struct cpu *) next; /* (a) while a CPU lets go of it: who polls it then, or NULL */
	_Atomic uint8_t patience;   /* (a) it is polled 2^patience times poll_us in vain */
	_Atomic uint64_t ended_tsc; /* (a) when that happened last */
	_Atomic uint64_t
		found_tsc; /* (a) when it was handed to be polled, or polled and not empty */
};

void switch_work_init(struct switch_work *work, switch_work_fn *serve);

/* A transmit queue of a port, which can be polled, too. */
void switch_work_init_queue(struct switch_work *work, struct port *port, unsigned queue);

/* Puts it into this CPU's list, or that of the CPU, unless it is in one. */
void switch_work_queue(struct switch_work *work);
void switch_work_queue_on(struct switch_work *work, struct cpu *cpu);

/* What is left of it is for who polls it next, while a CPU lets go of it. False: there is nobody, or he has it
 * already. */
bool switch_work_handed_on(struct switch_work *work);

/* This CPU is about to run a vCPU (cpu->current): what it was handed to be polled becomes work of its next
 * mail. */
void switch_work_hurry(void);

/* Hands it to an idle CPU, the nearest, to be polled; false: there is none, or it is in a list. */
bool switch_work_offer(struct switch_work *work);

/* Afterwards no CPU serves it, now or later. Its queue must have been stopped. Waits for a CPU that
 * serves it now: for a turn, or for one look at each queue that it polls; after a minute it panics.
 * The caller holds no lock that a turn takes. */
void switch_work_cancel(struct switch_work *work);

/* Serves this CPU's list, a bounded slice; true: there is more. */
bool switch_work_run(void);

/* For a CPU that has nobody to run and is idle by its flag: polls what it was handed until there is
 * mail, a timer is over, or the queues are empty for long enough. */
void switch_poll(void);
