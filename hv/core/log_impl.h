/* SPDX-License-Identifier: BSD-2-Clause */
/* What the log shares with the console and the reports, and with a panic, where another CPU may have
 * died with a lock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "hv/core/lock.h"

/* Guards the log's ring, the serial line, and what the console has to show on it. */
extern struct spinlock log_lock;

/* The next bytes of the log that the serial line does not have yet; they count as shown then. Under
 * log_lock. */
size_t log_unshown(char *out, size_t room);

/* Waits for the lock, but not for ever: false means that it goes on without it. */
bool spin_lock_bounded(struct spinlock *lock);

/* From here on, log_tail() shows what was logged before this call. */
void log_panic_begin(void);
