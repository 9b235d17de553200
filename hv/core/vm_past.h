/* SPDX-License-Identifier: BSD-2-Clause */
/* How the VMs' earlier lives ended: kept when the VM itself is gone. */
#pragma once

#include <stdint.h>

#include "hv/core/vm.h"

#define PAST_ENDS 4u

/* One end of a VM. */
struct vm_end_note {
	const char *end; /* hv/core/lifecycle.h; NULL: none */
	char reason[sizeof(((struct vm *)0)->end_reason)];
	uint64_t tsc;	   /* when */
	uint64_t lived_us; /* since its start */
};

struct vm_past {
	uint32_t ends;			    /* ever */
	struct vm_end_note last[PAST_ENDS]; /* newest first */
};

/* The VM has ended. Any CPU. */
void vm_past_add(const struct vm *vm);

/* Of the VM with this place in the config. Any CPU. */
void vm_past_read(unsigned id, struct vm_past *out);
