/* SPDX-License-Identifier: BSD-2-Clause */
/* See policy.h. */
#include "vswitch/policy.h"

_Atomic uint32_t policy_value[POLICY_COUNT] = {
#define POLICY_WORD(id, name, words, initial, example, help) [POLICY_##id] = initial,
	POLICY_WORDS(POLICY_WORD)
#undef POLICY_WORD
#define POLICY_NUMBER(id, name, least, most, initial, help) [POLICY_##id] = initial,
		POLICY_NUMBERS(POLICY_NUMBER)
#undef POLICY_NUMBER
};

void policy_set(enum policy_id id, uint32_t value)
{
	atomic_store_explicit(&policy_value[id], value, memory_order_relaxed);
}
