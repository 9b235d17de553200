/* SPDX-License-Identifier: BSD-2-Clause */
/* See vm_past.h. */
#include "hv/core/vm_past.h"

#include <string.h>

static struct spinlock lock;
static struct vm_past pasts[CONFIG_MAX_VMS]; /* under lock, by place in the config */

void vm_past_add(const struct vm *vm)
{
	struct vm_past *past = &pasts[vm->id];
	struct vm_end_note *note = &past->last[0];

	spin_lock(&lock);
	memmove(past->last + 1, past->last, sizeof(past->last) - sizeof(past->last[0]));
	note->end = vm->end;
	memcpy(note->reason, vm->end_reason, sizeof(note->reason));
	note->tsc = vm->end_tsc;
	note->lived_us =
		vm->end_tsc > vm->start_tsc ? tsc_to_ns(vm->end_tsc - vm->start_tsc) / 1000 : 0;
	past->ends++;
	spin_unlock(&lock);
}

void vm_past_read(unsigned id, struct vm_past *out)
{
	spin_lock(&lock);
	*out = pasts[id];
	spin_unlock(&lock);
}
