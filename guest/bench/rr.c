/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Request and response: a frame or a train of them there, the last one back, one at a time. The client sleeps
 * until the answer comes: what is measured is the way of an interrupt to a blocked guest, twice.
 */
#include "guest/bench/bench.h"

#include "guest/bench/histogram.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"

enum { ANSWER_MS = 10000, LOST_IN_A_ROW = 3 }; /* a slow host is no loss */

/* True if the answer with this number has come. */
static bool answered(struct link *link, const struct link_run *run, uint64_t sequence)
{
	struct wire_stamp stamp;
	struct net_frame frame;
	enum wire_kind kind;
	bool yes = false;

	while (!yes && (kind = link_receive(link, &frame)) != WIRE_NONE) {
		yes = kind == WIRE_RR && frame.bytes == run->frame_bytes &&
		      wire_copy(&frame, WIRE_HEADERS, &stamp, sizeof(stamp)) &&
		      stamp.magic == WIRE_MAGIC && stamp.session == run->session &&
		      stamp.sequence == sequence;
		net_release(&frame);
	}
	return yes;
}

/* One transaction, of `train` frames up to this number; *ticks is how long it took. False: no answer
 * in time. */
static bool transact(struct link *link, const struct link_run *run, uint64_t sequence,
		     uint32_t train, uint64_t *ticks)
{
	uint64_t begin = rdtsc(), deadline = begin + clock_ms(ANSWER_MS);

	net_tx_reclaim();
	while (train--)
		if (!link_push(link, run, sequence - train))
			return false;
	net_tx_flush();
	while (!answered(link, run, sequence)) {
		if (rdtsc() > deadline)
			return false;
		net_sleep(deadline);
	}
	*ticks = rdtsc() - begin;
	return true;
}

static void summarise(const struct histogram *h, const struct bench_case *c, uint64_t sent,
		      struct bench_result *result)
{
	result->sent = sent;
	result->packets = result->transactions = h->count;
	result->bytes = h->count * c->frame_bytes;
	result->lost = sent - h->count;
	result->p50_ns = histogram_quantile(h, 500);
	result->p99_ns = histogram_quantile(h, 990);
}

bool rr_run(struct link *link, const struct bench_case *c, uint32_t session,
	    struct bench_result *result)
{
	static struct histogram histogram;
	struct link_run run;
	uint64_t begin, sent = 0;
	unsigned in_a_row = 0;

	histogram_clear(&histogram);
	if (!link_prepare(link, &run, session, c->frame_bytes, PORT_RR)) {
		print("bench: the device does not send what was given to it\n");
		return false;
	}
	if (!bench_begin(link))
		return false;
	begin = rdtsc();
	while (histogram.count < c->count && in_a_row < LOST_IN_A_ROW) {
		uint64_t ticks, last = (sent + 1) * c->train - 1;

		sent++;
		if (transact(link, &run, last, c->train, &ticks)) {
			histogram_add(&histogram, clock_ns(ticks));
			in_a_row = 0;
		} else {
			in_a_row++;
		}
	}
	result->nanoseconds = clock_ns(rdtsc() - begin);
	summarise(&histogram, c, sent, result);
	if (in_a_row == LOST_IN_A_ROW)
		print("bench: rr: the peer left %u requests in a row unanswered\n", in_a_row);
	return bench_report(result) && in_a_row < LOST_IN_A_ROW;
}
