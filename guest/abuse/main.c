/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that tries all that a guest must not, by seed. It may be stopped or reset for it; what is
 * beside it on the same machine must not notice. Boot arguments: seed=N, rounds=N (of each
 * category), first=N (the round to begin with), only=msr,vq,… (categories), fatal=N (one time in N
 * it does what is known to end a VM; 0, the default: never), no67=1 (see abuse.h), trace=1
 * (tells each round).
 */
#include <stddef.h>

#include "guest/abuse/abuse.h"
#include "guest/lib/args.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"

enum { DEFAULT_ROUNDS = 100 };

#define RESET "reset" /* only if it is asked for by name */

static const struct category categories[] = {
	{ "msr", act_msr, NULL, 20 },	     { "mmio", act_mmio, NULL, 100 },
	{ "vq", act_vq, mend_vq, 200 },	     { "pci", act_pci, mend_pci, 200 },
	{ "apic", act_apic, mend_apic, 50 }, { "io", act_io, NULL, 50 },
	{ "hcall", act_hcall, NULL, 50 },    { "cr", act_cr, mend_cr, 50 },
	{ "insn", act_insn, NULL, 10 },	     { "storm", act_storm, NULL, 20 },
	{ "race", act_race, mend_vq, 200 },  { RESET, act_reset, NULL, 20 },
};

bool address_prefix;

/* Is the name one of a comma-separated list? No list: all are. */
static bool listed(const char *list, size_t bytes, const char *name)
{
	size_t n = strlen(name), at = 0;

	if (!list)
		return strcmp(name, RESET) != 0;
	while (at < bytes) {
		size_t end = at;

		while (end < bytes && list[end] != ',')
			end++;
		if (end - at == n && !strncmp(list + at, name, n))
			return true;
		at = end + 1;
	}
	return false;
}

static void run(unsigned index, uint64_t seed, uint64_t first, uint64_t rounds, bool trace)
{
	const struct category *c = &categories[index];
	uint64_t faults = recover_faults, timeouts = recover_timeouts;

	for (uint64_t round = first; round < first + rounds; round++) {
		if (trace)
			print("abuse: %s round %lu\n", c->name, round);
		random_seed(seed, index, round);
		attempt(c->act, c->limit_ms);
		if (c->mend)
			attempt_mend(c->mend);
	}
	print("abuse: %s: %lu rounds, %lu faults, %lu cut off\n", c->name, rounds,
	      recover_faults - faults, recover_timeouts - timeouts);
}

int guest_main(void)
{
	const char *cmdline = guest_cmdline(), *only;
	uint64_t seed, rounds, first, fatal, no67, trace;
	size_t bytes = 0;

	if (!args_u64(cmdline, "seed", 1, &seed) ||
	    !args_u64(cmdline, "rounds", DEFAULT_ROUNDS, &rounds) ||
	    !args_u64(cmdline, "first", 0, &first) || !args_u64(cmdline, "fatal", 0, &fatal) ||
	    !args_u64(cmdline, "no67", 0, &no67) || !args_u64(cmdline, "trace", 0, &trace))
		guest_fail("abuse: seed, rounds, first, fatal, no67 and trace are numbers");
	address_prefix = !no67;
	only = args_find(cmdline, "only", &bytes);
	arena_find();
	fatal_set(fatal);
	recover_init();
	if (listed(only, bytes, "race"))
		race_begin(seed);
	print("abuse: seed %lu, %lu rounds\n", seed, rounds);
	for (unsigned i = 0; i < sizeof(categories) / sizeof(categories[0]); i++)
		if (listed(only, bytes, categories[i].name))
			run(i, seed, first, rounds, trace);
	return 0;
}
