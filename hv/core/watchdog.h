/* SPDX-License-Identifier: BSD-2-Clause */
/* A driver domain's sign of life: HC_WATCHDOG tells when the next is due; a VM that misses it ends, and
 * as a driver domain is started again. */
#pragma once

#include "hv/core/vm.h"

void watchdog_init(struct vm *vm);

/* The hypercall's answer. period_ms: the guest's word; 0: none is due any more. */
int64_t watchdog_feed(struct vm *vm, uint64_t period_ms);

/* The VM was paused and goes on: it gets its whole time again. */
void watchdog_resume(struct vm *vm);

/* The VM goes away: none of its vCPUs runs any more. */
void watchdog_cancel(struct vm *vm);
