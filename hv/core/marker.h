/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a guest without hypercalls (Linux) tells the hypervisor: lines on its console that begin
 * with "lasthop: ".
 *
 *   lasthop: end ok             its work is done: if it switches itself off now, it ended "ok"
 *   lasthop: end failed TEXT    … "failed", with this reason; any other end keeps its own word
 *   lasthop: result TEXT        a result for whoever runs the machine: event "guest-result"
 *
 * A guest that lies here lies about itself only.
 */
#pragma once

#include <stdint.h>

#include "hv/core/lock.h"

struct vm;

enum marker_end { MARKER_NONE, MARKER_OK, MARKER_FAILED };

struct marker { /* [m] under its lock */
	struct spinlock lock;
	char line[256];	     /* [m] the console's last line, so far as it fits */
	unsigned fill;	     /* [m] its length, which may be more than fits */
	enum marker_end end; /* [m] */
	char reason[80];     /* [m] */
	unsigned results;    /* [m] told so far */
};

/* A character that it wrote to its console. */
void marker_char(struct vm *vm, char c);

/* The guest has switched itself off: vm_end() with what it told. */
void marker_power_off(struct vm *vm);
