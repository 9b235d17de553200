/* SPDX-License-Identifier: BSD-2-Clause */
/* What the log shares with the console and the reports, and with a panic, where another CPU may have
 * died with a lock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/lock.h"

/* Guards the log's ring, the serial line, and what the console has to show on it. */
extern struct spinlock log_lock;

/* The next bytes of the log that the serial line does not have yet; they count as shown then. lost:
 * how many were overwritten before them. Under log_lock. */
size_t log_unshown(char *out, size_t room, uint64_t *lost);

/* Waits for the lock, but in a panic not for ever, as its holder may be dead: false means that it
 * goes on without it. */
bool log_lock_take(struct spinlock *lock);

/* A panic: from here on no lock of the log is waited for without a bound. */
void log_panic_begin(void);

/* The other CPUs are stopped: the line shows what it lacks of the log, and each line from here on at
 * once; log_tail() what was logged before. */
void log_panic_show(void);
