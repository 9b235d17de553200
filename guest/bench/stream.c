/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sender of a stream: keeps the transmit ring full. It takes back what is done without
 * interrupts; only when the ring is full (a stall) it sleeps until half of it is done, since with
 * more VMs than CPUs a spinning sender would take the receiver's time.
 */
#include "guest/bench/bench.h"

#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"

enum { STALL_MS = 10, STUCK_MS = 20000 };

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

bool stream_run(struct link *link, const struct bench_plan *plan, const struct bench_case *c,
		uint32_t session, uint64_t *stalls)
{
	struct link_run run;
	uint64_t sent = 0;

	*stalls = 0;
	if (!link_prepare(link, &run, session, c->frame_bytes, PORT_STREAM)) {
		print("bench: the device does not send what was given to it\n");
		return false;
	}
	while (sent < c->count) {
		unsigned burst = 0;

		net_tx_reclaim();
		while (burst < plan->burst && sent < c->count && link_push(link, &run, sent)) {
			burst++;
			sent++;
		}
		net_tx_flush();
		if (burst)
			continue;
		++*stalls;
		if (!wait_for_slot(&run)) {
			print("bench: the transmit ring is stuck after %lu frames\n", sent);
			return false;
		}
	}
	return true;
}
