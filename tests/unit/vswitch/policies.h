/* SPDX-License-Identifier: BSD-2-Clause */
/* All policies at once, for tests: include/lasthop/policy.h. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "vswitch/policy.h"

static const struct policy all_policies[POLICY_COUNT] = {
#define WORD(id, name, words, initial, example, help) { name, words, 0, 0, initial, help },
	POLICY_WORDS(WORD)
#undef WORD
#define NUMBER(id, name, least, most, initial, help) { name, NULL, least, most, initial, help },
		POLICY_NUMBERS(NUMBER)
#undef NUMBER
};

static inline void policies_as_at_boot(void)
{
	for (unsigned id = 0; id < POLICY_COUNT; id++)
		policy_set((enum policy_id)id, all_policies[id].initial);
}

/* Gives one of them one of its values. */
static inline void policy_set_some(uint32_t random)
{
	const struct policy *p = &all_policies[random % POLICY_COUNT];
	uint32_t least = p->least, values = p->most - p->least + 1;

	if (p->words != NULL) {
		values = 0;
		for (const char *word = p->words; *word != '\0'; word += strlen(word) + 1)
			values++;
	}
	policy_set((enum policy_id)(p - all_policies), least + (random >> 8) % values);
}
