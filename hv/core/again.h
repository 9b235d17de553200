/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMs that are made later. Driver domains that could not be made again, since memory is short, or a device does not
 * come back from its reset: they are tried again, less often each time, until it works or the user stops them. And
 * VMs whose devices are still being reset. All of it under vm_table_lock, but for the last three.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* It is to be tried again later; true: for the first time in a row. The timer is this CPU's. */
bool again_wait(unsigned id);

/* The same, at a time that is known, and no try: its devices are being reset. */
void again_at(unsigned id, uint64_t tsc);

/* It is not tried again. True: it was to be. What comes next is its first time. */
bool again_cancel(unsigned id);

/* Whether it could not be made, and is to be tried again. */
bool again_waits(unsigned id);

/* One whose time has come, and which does not wait any more; negative: none. */
int again_take(void);

/* Whether this CPU is to leave its guest for vm_reap(), which then looks at again_take(). Any context. */
bool again_asks(void);
/* The same, whichever CPU was to; and: it has begun to look. */
bool again_due(void);
void again_looked(void);
