/* SPDX-License-Identifier: BSD-2-Clause */
/* The source: goes through its plan (see bench.h). */
#include "guest/bench/bench.h"

#include "guest/bench/search.h"
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
		.train = c->test == BENCH_RR ? c->train : c->window,
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

/* Until it is the turn of the run with this number, 0.. */
static bool wait_turn(const struct bench_plan *plan, uint32_t number)
{
	const uint64_t begin = plan->begin_s * 1000000000 + number * plan->every_ms * 1000000;
	uint64_t now = clock_wall_ns();

	if (plan->begin_s && now > begin) {
		print("bench: run %u was to begin %lu ms ago: raise begin= or every=\n", number,
		      (now - begin) / 1000000);
		return false;
	}
	for (; now < begin; now = clock_wall_ns())
		clock_wait(rdtsc() + clock_us((begin - now) / 1000 + 1));
	return true;
}

/* Which run of a test, and how it went */
struct run {
	uint32_t number, of;
	uint64_t rate; /* of a stream; 0: as fast as it goes */
	uint64_t sent, received, nanoseconds;
};

/* The result of a stream whose sink is outside; false: the hypervisor will not have it. */
static bool tell(struct bench_result *result, const struct control *end,
		 const struct control *answer)
{
	result->sent = end->end.sent;
	result->packets = answer->seen.packets;
	result->bytes = result->packets * result->frame_bytes;
	result->corrupt = answer->seen.corrupt;
	result->lost = result->sent > result->packets ? result->sent - result->packets : 0;
	result->nanoseconds = end->end.nanoseconds;
	result->age_ns = end->end.nanoseconds;
	result->sender_stalls = end->end.stalls;
	return bench_report(result);
}

/* One run of one test; false: the guest has failed. */
static bool run(struct link *link, const struct bench_plan *plan, const struct bench_case *c,
		struct run *r, uint32_t session)
{
	struct control answer,
		end = { .magic = WIRE_MAGIC, .type = CONTROL_END, .session = session };
	struct bench_result result = {
		.test = c->test,
		.frame_bytes = c->frame_bytes,
		.run = r->number,
		.runs = r->of,
	};
	const bool told =
		plan->outside && c->test == BENCH_STREAM; /* by us, of what the sink saw */
	uint64_t begin;

	if (!start(link, &result, c, session) || (told && !bench_begin(link)))
		return false;
	if (c->test == BENCH_RR && !rr_run(link, c, session, &result))
		return false;
	begin = rdtsc();
	if (c->test == BENCH_STREAM &&
	    !stream_run(link, plan, c, r->rate, session, &end.end.stalls))
		return false;
	end.end.nanoseconds = clock_ns(rdtsc() - begin);
	end.end.sent = c->test == BENCH_RR ? result.sent : c->count;
	if (!call(link, &end, &answer) || (told && !tell(&result, &end, &answer)))
		return false;
	r->sent = end.end.sent;
	r->received = answer.seen.packets;
	r->nanoseconds = end.end.nanoseconds;
	if (answer.seen.corrupt)
		print("bench: the sink counts %lu corrupt frames\n", answer.seen.corrupt);
	if (c->test == BENCH_STREAM && !answer.seen.packets)
		print("bench: the sink has not seen a single frame of the stream\n");
	return !answer.seen.corrupt && (c->test == BENCH_RR || answer.seen.packets);
}

static bool all_runs(struct link *link, const struct bench_plan *plan, unsigned index,
		     uint32_t *session)
{
	for (uint32_t n = 1; n <= plan->runs; n++) {
		struct run r = { .number = n, .of = plan->runs, .rate = plan->list[index].rate };

		*session += 2; /* odd: never 0 */
		if (!wait_turn(plan, index * plan->runs + n - 1) ||
		    !run(link, plan, &plan->list[index], &r, *session))
			return false;
	}
	return true;
}

static bool search(struct link *link, const struct bench_plan *plan, const struct bench_case *c,
		   uint32_t *session)
{
	struct search s;

	for (search_begin(&s, c->loss_permille); !s.done;) {
		struct run r = { .number = s.trials + 1, .of = SEARCH_MAX_TRIALS, .rate = s.rate };

		*session += 2;
		if (!run(link, plan, c, &r, *session))
			return false;
		search_note(&s, r.sent, r.received, r.nanoseconds);
	}
	print("lasthop: result test=search loss=%u frame=%u pps=%lu trials=%u\n", c->loss_permille,
	      c->frame_bytes, s.best, s.trials);
	return true;
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
		ok = plan->list[i].search ? search(link, plan, &plan->list[i], &session)
					  : all_runs(link, plan, i, &session);
	source_bye(link, session + 2);
	return ok ? 0 : 1;
}
