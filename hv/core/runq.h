/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who runs next, and where: a run queue per CPU, ordered by usage. Usage is a vCPU's CPU time with
 * its age taken off: it is halved every 2^27 ns (134 ms), for all alike, so that old debts and
 * credits expire. The one with the least runs; thereby all that compete get the same, whatever
 * their number and that of the CPUs, and whichever CPUs each is permitted.
 *
 * Times are ns of tsc_to_ns(). Any CPU may call these; the mailboxes are the caller's business.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct vcpu;

/* A vCPU that wakes counts as at most this far behind those that run: the boost that it gets. */
#define RUNQ_CREDIT_NS 2000000

/* A vCPU goes to another CPU only if it is behind the one that runs there by more than this: less
 * would move somebody at each slice's end, more would be unfair for longer. */
#define RUNQ_MIGRATE_NS 1000000

/* Whether the vCPU may run on the CPU. */
bool sched_permitted(const struct vcpu *vcpu, const struct cpu *cpu);

/* The vCPU has run on this CPU for `spent` until now. It is RUNNING. */
void runq_charge(struct cpu *cpu, struct vcpu *v, uint64_t spent, uint64_t now);

/* The CPU runs no vCPU any more. */
void runq_released(struct cpu *cpu);

/* Puts a vCPU that is RUNNABLE and in no queue into one and returns whose: an idle CPU's that it
 * is permitted, its last one if possible. If none idles: after a slice its last one's, at a wake-up
 * that where the vCPU running has most in advance. One that is loaded stays where it is. */
struct cpu *runq_put(struct vcpu *v, bool wakeup, uint64_t now);

/* Takes the vCPU that is to run on this CPU now; NULL if none may. It is still RUNNABLE, its ->cpu
 * is this one. */
struct vcpu *runq_take(struct cpu *self, uint64_t now);

/* Whether somebody waits, here or (elsewhere: too) in other queues, who is to run on this CPU
 * rather than its current vCPU, with uncharged time `spent`. */
bool runq_outranked(struct cpu *self, const struct vcpu *v, uint64_t spent, bool elsewhere,
		    uint64_t now);

/* What a vCPU gives away at most when it yields: an order of those who compete, not more. */
#define RUNQ_YIELD_NS 4000000

/* The vCPU that runs here lets the first in this CPU's queue by: it counts as having used as much.
 * False: nobody waits, or it is behind by more than RUNQ_YIELD_NS. */
bool runq_yield(struct cpu *self, struct vcpu *v, uint64_t now);

/* An idle CPU that may take over somebody who waits in this queue; NULL: none. */
struct cpu *runq_helper(struct cpu *queue);
