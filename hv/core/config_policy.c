/* SPDX-License-Identifier: BSD-2-Clause */
/* The policies of include/lasthop/policy.h by name, and their values as text: for the config's node
 * `policy` and the shell's `set`. */
#include "hv/core/config_policy.h"

#include <string.h>

const struct policy policies[POLICY_COUNT] = {
#define POLICY_WORD(id, name, words, initial, example, help)                                       \
	[POLICY_##id] = { name, words, 0, 1, initial, help },
	POLICY_WORDS(POLICY_WORD)
#undef POLICY_WORD
#define POLICY_NUMBER(id, name, least, most, initial, help)                                        \
	[POLICY_##id] = { name, NULL, least, most, initial, help },
		POLICY_NUMBERS(POLICY_NUMBER)
#undef POLICY_NUMBER
};

const struct policy *policy_by_name(const char *name)
{
	for (unsigned id = 0; id < POLICY_COUNT; id++)
		if (!strcmp(policies[id].name, name))
			return &policies[id];
	return NULL;
}

const char *policy_word(const struct policy *policy, uint32_t value)
{
	const char *word = policy->words;

	for (; word && *word; word += strlen(word) + 1)
		if (!value--)
			return word;
	return NULL;
}

static bool parse_number(const char *text, uint32_t most, uint32_t *value)
{
	uint64_t n = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > most)
			return false;
	}
	*value = (uint32_t)n;
	return true;
}

bool policy_parse(const struct policy *policy, const char *text, uint32_t *value)
{
	const char *word;

	if (!policy->words)
		return parse_number(text, policy->most, value) && *value >= policy->least;
	for (uint32_t i = 0; (word = policy_word(policy, i)) != NULL; i++) {
		if (!strcmp(word, text)) {
			*value = i;
			return true;
		}
	}
	return false;
}
