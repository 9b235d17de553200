/* SPDX-License-Identifier: BSD-2-Clause */
/* What the log and the reports share with a panic, where another CPU may have died with a lock. */
#pragma once

#include <stdbool.h>

#include "hv/core/lock.h"

/* Waits for the lock, but not for ever: false means that it goes on without it. */
bool spin_lock_bounded(struct spinlock *lock);

/* From here on, log_tail() shows what was logged before this call. */
void log_panic_begin(void);
