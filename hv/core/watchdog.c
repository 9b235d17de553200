/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/watchdog.h"

#include "hv/core/lifecycle.h"
#include "hv/cpu/x86.h"
#include "lasthop/hypercall.h"

/* Under the VM's lock. */
static void arm(struct vm *vm)
{
	timer_set(&vm->watchdog.timer, rdtsc() + tsc_from_us(vm->watchdog.period_ms * 1000));
}

static void missed(struct timer *timer)
{
	struct vm *vm = container_of(timer, struct vm, watchdog.timer);
	uint64_t period_ms;

	spin_lock(&vm->lock);
	period_ms = vm->watchdog.period_ms;
	spin_unlock(&vm->lock);
	/* While it is paused it cannot answer: watchdog_resume() gives it its time. */
	if (period_ms && !atomic_load(&vm->paused))
		vm_end(vm, END_HANG, "no sign of life for %llu ms", (unsigned long long)period_ms);
}

void watchdog_init(struct vm *vm)
{
	timer_init(&vm->watchdog.timer, missed);
}

int64_t watchdog_feed(struct vm *vm, uint64_t period_ms)
{
	if (!vm->config->driver_domain)
		return HC_EUNKNOWN;
	if (period_ms > HC_WATCHDOG_MAX_MS)
		return HC_EINVAL;
	spin_lock(&vm->lock);
	vm->watchdog.period_ms = period_ms;
	if (period_ms)
		arm(vm);
	else
		timer_cancel(&vm->watchdog.timer);
	spin_unlock(&vm->lock);
	return 0;
}

void watchdog_resume(struct vm *vm)
{
	spin_lock(&vm->lock);
	if (vm->watchdog.period_ms)
		arm(vm);
	spin_unlock(&vm->lock);
}

void watchdog_cancel(struct vm *vm)
{
	spin_lock(&vm->lock);
	vm->watchdog.period_ms = 0;
	timer_cancel(&vm->watchdog.timer);
	spin_unlock(&vm->lock);
}
