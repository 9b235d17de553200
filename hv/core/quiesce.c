/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A CPU counts the flushes that it has done, after each; one quiesce() goes on at a time and leaves no
 * MB_FLUSH behind, so the next step of the counter is the answer to this one's bit.
 */
#include "hv/core/quiesce.h"

#include "hv/core/smp.h"
#include "hv/core/vcpu.h"

static struct vm *flushing; /* whose nested translations MB_FLUSH drops */

void vm_flush_posted(void)
{
	hvm->flush_vm(flushing);
}

void quiesce(struct vm *vm)
{
	const unsigned count = cpu_count;
	uint64_t seen[MAX_CPUS], begin = rdtsc();

	flushing = vm;
	for (unsigned i = 0; i < count; i++) {
		seen[i] = atomic_load(&cpus[i]->flushes);
		if (cpus[i] != this_cpu())
			cpu_post(cpus[i], MB_FLUSH);
	}
	hvm->flush_vm(vm);
	for (unsigned i = 0; i < count; i++)
		while (cpus[i] != this_cpu() && atomic_load(&cpus[i]->flushes) == seen[i])
			cpu_await(begin, i, "it was to forget a VM that has ended");
}
