/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests see of their own vswitch/env.h: knobs for what it answers, counts of what it was
 * asked. A port's owner is a struct env_port, or NULL for one whose calls nobody looks at.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "vswitch/env.h"

#define ENV_QUEUES 16

struct env_port {
	_Atomic unsigned interrupts[ENV_QUEUES];
	_Atomic unsigned more_work[ENV_QUEUES];
	_Atomic unsigned broken[ENV_QUEUES];
	const char *why;	      /* of the last one broken */
	_Atomic enum peer_state peer; /* answer of env_peer_state() */
	bool helper;		      /* answer of env_offload() */
	uint32_t flush_us;	      /* asked of env_will_flush() last */
	bool will_flush;	      /* answer of env_will_flush() */
	_Atomic long shared;	      /* pieces that are, with its driver domain, */
	_Atomic long disowned;	      /* ... and of them, those whose sender has taken them back */
	_Atomic unsigned shares_left; /* env_share() fails from so many calls on */
	_Atomic unsigned revoked, reclaimed;
	void (*on_interrupt)(struct port *port, unsigned queue); /* or NULL */
};

extern _Thread_local unsigned env_this_cpu; /* answer of env_cpu() */
extern uint64_t env_clock_us;		    /* answer of env_now_us() */

/* The n-th allocation from now fails (0: the next one); negative: none. */
extern long env_alloc_fail;
/* Allocations not freed yet. */
extern _Atomic long env_allocs;
