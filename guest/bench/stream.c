/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sender of a stream: keeps the transmit ring full. It takes back what is done without
 * interrupts; only when the ring is full (a stall) it sleeps until half of it is done, since with
 * more VMs than CPUs a spinning sender would take the receiver's time. In a search it
 * spins until the next frame is due; at a rate of the plan's it sleeps, and sends what is due once a
 * millisecond: the time that a frame takes is to be seen. With a window it sleeps until the sink has answered.
 */
#include "guest/bench/bench.h"

#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"

enum { STALL_MS = 10, STUCK_MS = 20000, PAUSE_US = 1000, ANSWER_MS = 10000 };

/* Sleeps until a slot is free; false: none becomes free. */
static bool wait_for_slot(const struct link_run *run)
{
	uint64_t stuck = rdtsc() + clock_ms(STUCK_MS);

	for (net_tx_reclaim(); !link_room(run); net_tx_reclaim()) {
		uint64_t now = rdtsc();

		if (now > stuck)
			return false;
		net_tx_sleep(now + clock_ms(STALL_MS));
	}
	return true;
}

/* How many frames may be sent by now. */
static uint64_t due(uint64_t begin, uint64_t rate, uint64_t count)
{
	uint64_t n = rate ? (rdtsc() - begin) * rate / (clock_tsc_khz() * 1000) + 1 : count;

	return n < count ? n : count;
}

/* What the sink has sent back so far, of what was sent: *answered is the number above the highest. */
static void take_answers(struct link *link, const struct link_run *run, uint64_t sent,
			 uint64_t *answered)
{
	struct wire_stamp stamp;
	struct net_frame frame;
	enum wire_kind kind;

	while ((kind = link_receive(link, &frame)) != WIRE_NONE) {
		if (kind == WIRE_STREAM && wire_copy(&frame, WIRE_HEADERS, &stamp, sizeof(stamp)) &&
		    stamp.magic == WIRE_MAGIC && stamp.session == run->session &&
		    stamp.sequence >= *answered && stamp.sequence < sent)
			*answered = stamp.sequence + 1;
		net_release(&frame);
	}
}

/* Sleeps until the sink has got further. What it does not answer in time is lost, which it will tell. */
static void wait_for_answer(struct link *link, const struct link_run *run, uint64_t sent,
			    uint64_t *answered)
{
	uint64_t before = *answered, deadline = rdtsc() + clock_ms(ANSWER_MS);

	for (take_answers(link, run, sent, answered); *answered == before && rdtsc() < deadline;
	     take_answers(link, run, sent, answered))
		net_sleep(deadline);
	if (*answered == before)
		*answered = sent;
}

bool stream_run(struct link *link, const struct bench_plan *plan, const struct bench_case *c,
		uint64_t rate, uint32_t session, uint64_t *stalls)
{
	struct link_run run;
	uint64_t sent = 0, answered = 0, begin;

	*stalls = 0;
	if (!link_prepare(link, &run, session, c->frame_bytes, PORT_STREAM)) {
		print("bench: the device does not send what was given to it\n");
		return false;
	}
	begin = rdtsc();
	while (sent < c->count) {
		uint64_t until = due(begin, rate, c->count);
		unsigned burst = 0;

		if (c->window && sent == answered + c->window)
			wait_for_answer(link, &run, sent, &answered);
		if (c->window && until > answered + c->window)
			until = answered + c->window;
		net_tx_reclaim();
		while (burst < plan->burst && sent < until && link_push(link, &run, sent)) {
			burst++;
			sent++;
		}
		net_tx_flush();
		if (c->rate && sent == until && sent < c->count)
			clock_wait(rdtsc() + clock_us(PAUSE_US));
		if (burst || sent == until)
			continue;
		++*stalls;
		if (!wait_for_slot(&run)) {
			print("bench: the transmit ring is stuck after %lu frames\n", sent);
			return false;
		}
	}
	return true;
}
