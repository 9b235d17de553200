/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: goes through its plan (see bench.h). */
#include "guest/bench/bench.h"

#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"

enum { BYE_TIMEOUT_MS = 2000 };

static bool call(struct link *link, const struct control *message, struct control *answer)
{
	if (link_call(link, message, answer, PEER_TIMEOUT_MS))
		return true;
	print("bench: the peer does not answer control message %u: %s\n", message->type,
	      net_trouble() ? net_trouble() : "no frame came back within a minute");
	return false;
}

static bool start(struct link *link, const struct bench_result *result, const struct bench_case *c,
		  uint32_t session)
{
	struct control answer, message = {
		.magic = WIRE_MAGIC,
		.type = CONTROL_START,
		.session = session,
		.start = { .test = c->test,
			   .frame_bytes = c->frame_bytes,
			   .run = result->run,
			   .runs = result->runs,
			   .count = c->count },
	};

	if (!call(link, &message, &answer))
		return false;
	if (answer.refused)
		print("bench: the sink refuses frames of %u bytes: raise its max-frame-size\n",
		      c->frame_bytes);
	return !answer.refused;
}

/* One run of one test; false: the guest has failed. */
static bool run(struct link *link, const struct bench_plan *plan, const struct bench_case *c,
		uint32_t number, uint32_t session)
{
	struct control answer,
		end = { .magic = WIRE_MAGIC, .type = CONTROL_END, .session = session };
	struct bench_result result = {
		.test = c->test,
		.frame_bytes = c->frame_bytes,
		.run = number,
		.runs = plan->runs,
	};
	uint64_t begin;

	if (!start(link, &result, c, session))
		return false;
	if (c->test == BENCH_RR && !rr_run(link, c, session, &result))
		return false;
	begin = rdtsc();
	if (c->test == BENCH_STREAM && !stream_run(link, plan, c, session, &end.end.stalls))
		return false;
	end.end.nanoseconds = clock_ns(rdtsc() - begin);
	end.end.sent = c->test == BENCH_RR ? result.sent : c->count;
	if (!call(link, &end, &answer))
		return false;
	if (answer.seen.corrupt)
		print("bench: the sink counts %lu corrupt frames\n", answer.seen.corrupt);
	if (c->test == BENCH_STREAM && !answer.seen.packets)
		print("bench: the sink has not seen a single frame of the stream\n");
	return !answer.seen.corrupt && (c->test == BENCH_RR || answer.seen.packets);
}

void source_bye(struct link *link, uint32_t session)
{
	struct control answer,
		bye = { .magic = WIRE_MAGIC, .type = CONTROL_BYE, .session = session };

	/* The answer may be lost and the sink gone: nothing is wrong then. */
	(void)link_call(link, &bye, &answer, BYE_TIMEOUT_MS);
}

int source_main(struct link *link, const struct bench_plan *plan)
{
	uint32_t session = (uint32_t)(rdtsc() >> 4) | 1;
	bool ok = true;

	if (!link_resolve(link)) {
		print("bench: nobody answers ARP for the peer's address\n");
		return 1;
	}
	for (unsigned i = 0; i < plan->cases && ok; i++)
		for (uint32_t n = 1; n <= plan->runs && ok; n++, session += 2) /* odd: never 0 */
			ok = run(link, plan, &plan->list[i], n, session);
	source_bye(link, session);
	return ok ? 0 : 1;
}
