/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scheduling: the CPUs' loop, time slices, accounting. More vCPUs than CPUs is normal. Who runs
 * next and where is in runq.h.
 */
#pragma once

#include "hv/core/runq.h"
#include "hv/core/vcpu.h"

/* A switch costs some 10 us at worst (5000 cycles of a slow CPU), hence below 1 %; and whoever
 * answers a packet waits for a slice at each place in the queue, so that longer ones are felt. */
#define SLICE_US 1000

/* The same while there is a CPU for each vCPU and nobody waits for this one: each end is a VM exit.
 * Whoever comes to wait for it ends it (sched_hurry()). */
#define LONE_SLICE_US 10000

/* What a vCPU gets at least before one that was woken, and is behind it, takes its CPU. */
#define WAKEUP_US 200

/* The end of every CPU's start-up: runs vCPUs, else idles. */
_Noreturn void sched_loop(void);

/* Puts a vCPU that has become RUNNABLE, and is in no queue, into one and tells its CPU, or an idle
 * one that may take it. wakeup: it has slept, not used up a slice. */
void sched_enqueue(struct vcpu *vcpu, bool wakeup);

/* Takes this CPU's mailbox and does what it asks for; returns the bits. One pass of the run loop:
 * the CPU holds no pointer to a VM but that of its current vCPU. */
uint32_t sched_mail(void);

/* So many vCPUs more, or fewer, are there to be run. */
void sched_count(int vcpus);

/* The rest is called for the vCPU that this CPU runs. */

/* It begins a slice, and its CPU time counts from `start` (TSC). */
void sched_begin(struct vcpu *vcpu, uint64_t start);

/* Accounts for its CPU time until now. Before it gives up RUNNING: then its usage is another's. */
void sched_charge(struct vcpu *vcpu);

/* Somebody was put into the queue, or there are more vCPUs than CPUs now: the slice is one of many, and
 * if the vCPU is behind the one in the queue, the rest of it is short. */
void sched_hurry(struct vcpu *vcpu);

/* At the end of a slice: true if another is to run now, else the next slice has begun. */
bool sched_slice_over(struct vcpu *vcpu);

/* Whether others wait for this CPU. */
bool sched_contended(void);

/* It does nothing but wait, in a loop: its slice ends now if another's turn is near enough. */
void sched_yield(struct vcpu *vcpu);

/* Tells an idle CPU of somebody who waits in this CPU's queue and might run there. */
void sched_offer(void);
