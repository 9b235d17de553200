/* SPDX-License-Identifier: BSD-2-Clause */
/* The source's boot arguments. Tested on the host. */
#include "guest/bench/bench.h"

#include <stddef.h>

#include "guest/lib/args.h"
#include "guest/lib/string.h"
#include "guest/lib/vq.h"

enum {
	RUNS_MAX = 1000,
	BURST_DEFAULT = 32,
	PDR_PERMILLE = 5,
	TRAIN_MAX = 64,
	RATE_MAX = 10000000, /* so that ticks by rate fit 64 bits for minutes */
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Sized for emulators of 100 million instructions a second: the whole demo within a minute. */
static uint64_t default_packets(uint32_t frame_bytes)
{
	if (frame_bytes <= 256)
		return 20000;
	if (frame_bytes <= 1514)
		return 10000;
	return frame_bytes <= WIRE_MAX_FRAME ? 3000 : 500;
}

enum { DEFAULT_TRANSACTIONS = 500 };

/* One "stream:BYTES" or the like in s..end; NULL if it is none, else where it ends. */
static const char *parse_case(const char *s, const char *end, struct bench_case *c)
{
	static const struct {
		const char *word;
		struct bench_case c;
	} words[] = {
		{ "stream:", { .test = BENCH_STREAM } },
		{ "rr:", { .test = BENCH_RR } },
		{ "ndr:", { .test = BENCH_STREAM, .search = true } },
		{ "pdr:", { .test = BENCH_STREAM, .search = true, .loss_permille = PDR_PERMILLE } },
	};
	uint64_t bytes;
	unsigned i = 0;
	size_t n;

	while (i < COUNT(words) && ((size_t)(end - s) <= strlen(words[i].word) ||
				    strncmp(s, words[i].word, strlen(words[i].word))))
		i++;
	if (i == COUNT(words))
		return NULL;
	*c = words[i].c;
	n = strlen(words[i].word);
	s = args_number(s + n, end, &bytes);
	c->frame_bytes = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
	c->train = 1;
	if (s && s < end && *s == '@' && c->test == BENCH_STREAM && !c->search)
		s = args_number(s + 1, end, &c->rate);
	if (!s || s == end || *s != '*' || c->search)
		return s;
	s = args_number(s + 1, end, &bytes);
	if (bytes == 0 || bytes > TRAIN_MAX)
		bytes = UINT32_MAX; /* refused below */
	*(c->test == BENCH_RR ? &c->train : &c->window) = (uint32_t)bytes;
	return s;
}

/* NULL, or why frames of this case cannot be sent. */
static const char *refused(const struct bench_case *c, unsigned mtu, bool large)
{
	if (c->frame_bytes > WIRE_MAX_FRAME && c->frame_bytes <= WIRE_MAX_LARGE &&
	    c->test == BENCH_STREAM && !c->window)
		return large ? NULL : "tests= names a frame that needs offload=on at both ends";
	if (c->frame_bytes < WIRE_MIN_FRAME || c->frame_bytes > WIRE_MAX_FRAME)
		return "tests= names a frame that is not of 60 to 9014 bytes";
	if (c->train > TRAIN_MAX)
		return "tests= names a request that is not of 1 to 64 frames";
	if (c->window == 1 || c->window > TRAIN_MAX)
		return "tests= names a window that is not of 2 to 64 frames";
	if (c->rate > RATE_MAX)
		return "tests= names a rate above 10000000 frames a second";
	if (c->frame_bytes > mtu + WIRE_ETHERNET)
		return "tests= names a frame larger than the device's MTU and 14 bytes: "
		       "raise max-frame-size";
	return NULL;
}

static const char *parse_cases(const char *s, const char *end, unsigned mtu, bool large,
			       struct bench_plan *plan)
{
	for (;; s++) { /* over the comma */
		struct bench_case *c = &plan->list[plan->cases];
		const char *error;

		if (plan->cases == BENCH_MAX_TESTS)
			return "tests= names more than 32 tests";
		s = parse_case(s, end, c);
		if (!s || (s < end && *s != ','))
			return "tests= wants stream:BYTES[@RATE][*WINDOW], rr:BYTES[*FRAMES], "
			       "ndr:BYTES or "
			       "pdr:BYTES, separated by commas";
		error = refused(c, mtu, large);
		if (error)
			return error;
		plan->cases++;
		if (s == end)
			return NULL;
	}
}

const char *plan_parse(const char *cmdline, unsigned mtu, bool large, struct bench_plan *plan)
{
	uint64_t runs, packets, transactions, burst;
	char word[8];
	const char *tests, *error;
	size_t bytes;

	*plan = (struct bench_plan){ 0 };
	tests = args_find(cmdline, "tests", &bytes);
	if (!tests)
		return "tests= is missing, as in tests=stream:1514,rr:64";
	error = parse_cases(tests, tests + bytes, mtu, large, plan);
	if (error)
		return error;
	if (!args_u64(cmdline, "runs", 1, &runs) || !runs || runs > RUNS_MAX)
		return "runs= is not a number from 1 to 1000";
	if (!args_u64(cmdline, "packets", 0, &packets) || packets > UINT32_MAX)
		return "packets= is not a number below 2^32";
	if (!args_u64(cmdline, "transactions", 0, &transactions) || transactions > UINT32_MAX)
		return "transactions= is not a number below 2^32";
	if (!args_u64(cmdline, "burst", BURST_DEFAULT, &burst) || !burst || burst > VQ_MAX)
		return "burst= is not a number from 1 to 256";
	if (!args_u64(cmdline, "begin", 0, &plan->begin_s) || plan->begin_s > UINT32_MAX)
		return "begin= is not a number of seconds since 1970";
	if (!args_u64(cmdline, "every", 1000, &plan->every_ms) || plan->every_ms > UINT32_MAX)
		return "every= is not a number of ms";
	plan->outside = args_string(cmdline, "outside", word, sizeof(word)) && !strcmp(word, "on");
	plan->runs = (uint32_t)runs;
	plan->burst = (uint32_t)burst;
	for (unsigned i = 0; i < plan->cases; i++) {
		struct bench_case *c = &plan->list[i];

		if (c->test == BENCH_RR)
			c->count = transactions ? transactions : DEFAULT_TRANSACTIONS;
		else
			c->count = packets ? packets : default_packets(c->frame_bytes);
		if (c->window && plan->outside)
			return "tests= names a window, but the sink outside does not answer";
	}
	return NULL;
}
