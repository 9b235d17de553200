/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy of the switches, changed while packets pass. */
#include "hv/core/policy_put.h"

#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "vswitch/policy.h"

void policy_put(enum policy_id id, uint32_t value)
{
	policy_set(id, value);
	platform->policy_changed();
	/* who is in a guest looks at its queues again, by the new rules */
	for (unsigned i = 0; i < cpu_count; i++)
		cpu_post(cpus[i], MB_KICK);
}
