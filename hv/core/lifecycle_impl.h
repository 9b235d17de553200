/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by lifecycle.c and vm_command.c. */
#pragma once

#include "hv/core/lifecycle.h"

extern bool vm_making[CONFIG_MAX_VMS]; /* under vm_table_lock: being made, not in the table yet */
extern enum vm_hold {
	HOLD_NONE,
	HOLD_END,		  /* lifecycle_take() wants it, and does not make it again */
	HOLD_AGAIN,		  /* ... and does */
	HOLD_TAKEN,		  /* it has it; vm_making is set, too */
} vm_hold[CONFIG_MAX_VMS];	  /* under vm_table_lock */
extern _Atomic unsigned vms_live; /* started, and not reaped; or to start again */

/* One more VM is to live, or (-1) no longer. */
void vm_count_live(bool driver_domain, unsigned by);

/* Makes and starts the VM whose place is marked as being made; after an error it still is. 0, too, if that takes
 * until its devices are back from their reset: it goes on later then, and an error is told as of one that could not be
 * made again. gap_us: after its last start at least. silently: the log has told already why it cannot be made. */
int vm_make(unsigned id, uint64_t gap_us, bool silently) __must_check;

/* A driver domain that could not be made again, and whose place is marked as being made, is tried later; told
 * the first time. It counts as live. */
void vm_make_later(unsigned id);

/* One that waits to be made again is not to be. again: it is made by who calls. Under vm_table_lock. */
void vm_forget_waiting(unsigned id, bool again, const char *why);

/* It ends for good, or its place is lifecycle_take()'s now. */
void vm_leave_place(unsigned id);

/* The machine's work is done when the last guest has ended; of driver domains alone, the last of those. */
void vm_tell_if_all_ended(bool guest);
