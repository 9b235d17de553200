/* SPDX-License-Identifier: BSD-2-Clause */
/* What apply.c, which changes the config, and apply_check.c share. */
#pragma once

#include "hv/core/apply.h"
#include "hv/core/percpu.h"

struct vm;
struct vswitch;

#define DECLARED_MAX (2 * CONFIG_MAX_VMS)

/* What is being gathered and done; in memory of its own, while there is something. */
struct change {
	struct config parsed; /* as the blob has it */
	struct config next;   /* the same, placed over the running one */
	struct config before;
	struct config_plan plan;
	bool checked; /* without errors */
	unsigned declared_count;
	char declared[DECLARED_MAX][CONFIG_MAX_FILE + 1];

	bool ran[CONFIG_MAX_VMS];     /* when it began */
	bool wanted[CONFIG_MAX_VMS];  /* it is to run after it */
	bool entered[CONFIG_MAX_VMS]; /* by vm_enter(), in this direction */
	struct vm *made[CONFIG_MAX_VMS];
	struct vswitch
		*aside[CONFIG_MAX_SWITCHES]; /* to be put at its place, or taken from there */
	unsigned at;			     /* the next VM to be made */
};

extern struct config *apply_running;
extern const char *apply_apicv_lacks;
extern struct change *apply_change;    /* NULL: nothing was begun */
extern struct cpu *_Atomic apply_home; /* that does the work; NULL: there is none */
