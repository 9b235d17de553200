/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scheduling: one run queue per CPU, time slices, affinity. More vCPUs than CPUs is normal.
 */
#pragma once

#include "hv/core/vcpu.h"

#define SLICE_US 1000

/* The end of every CPU's start-up: runs vCPUs, else idles. */
_Noreturn void sched_loop(void);

/* Puts a runnable vCPU into the run queue of the best permitted CPU: its last if idle, else an idle
 * one, else the shortest queue. wakeup: ahead of those that used up their slice. */
void sched_enqueue(struct vcpu *vcpu, bool wakeup);

/* Takes this CPU's mailbox and does what it asks for; returns the bits. One pass of the run loop:
 * the CPU holds no pointer to a VM but that of its current vCPU. */
uint32_t sched_mail(void);

/* Whether this CPU has somebody else to run (a hint, no lock). */
bool sched_waiting(void);

/* Whether the vCPU may run on the CPU. */
bool sched_permitted(const struct vcpu *vcpu, const struct cpu *cpu);
