/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The switch on one core, two simulated guests on another: frames circulate between the guests, which
 * send back what they get. Prints one line of JSON. The switch's core polls both transmit queues, as an
 * idle CPU does in the hypervisor; its busy cycles are those of polls that found something.
 *
 * With --copy: no switch, only memcpy of as many bytes in buffers of the same number and size.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "tests/bench/env.h"
#include "tests/bench/guest.h"
#include "vswitch/policy.h"

struct busy {
	uint64_t cycles, packets, batches, empty, elapsed;
};

static struct bench_guest *guest[2];
/* busy cycles per packet of pieces of the run */
#define MAX_WINDOWS 100000u
static double window[MAX_WINDOWS];
static unsigned windows;
static _Atomic bool stop;

static void pin(unsigned core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		perror("circulate: core");
		exit(1);
	}
}

static void *run_guests(void *core)
{
	pin(*(const unsigned *)core);
	bench_cpu = 1;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		bench_guest_poll(guest[0]);
		bench_guest_poll(guest[1]);
	}
	return NULL;
}

static void poll_one(struct port *port, struct busy *b)
{
	uint64_t start = __rdtsc();
	unsigned taken = port_poll(port, 1);

	if (taken == 0) {
		b->empty++;
		return;
	}
	b->cycles += __rdtsc() - start;
	b->packets += taken;
	b->batches++;
}

static void poll_window(struct busy *b)
{
	for (unsigned n = 0; n < 256; n++) {
		poll_one(guest[0]->port, b);
		poll_one(guest[1]->port, b);
	}
}

static struct busy run_switch(double seconds)
{
	uint64_t start = __rdtsc(), end = start + (uint64_t)(seconds * bench_tsc_hz());
	struct busy b = { 0 };

	windows = 0;
	while (__rdtsc() < end) {
		struct busy w = { 0 };

		poll_window(&w);
		b.cycles += w.cycles;
		b.packets += w.packets;
		b.batches += w.batches;
		b.empty += w.empty;
		if (windows < MAX_WINDOWS && w.packets > 0)
			window[windows++] = (double)w.cycles / (double)w.packets;
	}
	b.elapsed = __rdtsc() - start;
	return b;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of the windows' busy cycles per packet, the one that a quarter of them is below: what else runs on the
 * machine does not show in it. */
static double quarter(void)
{
	if (windows == 0)
		return 0;
	qsort(window, windows, sizeof(window[0]), compare);
	return window[windows / 4];
}

/* All buffers of one guest, one after the other, into the other's. */
static void copy_all(const struct frame_plan *plan, const struct bench_guest *from,
		     const struct bench_guest *to)
{
	for (size_t i = 0; i < from->buffers; i++) {
		memcpy(to->buf + i * plan->slot_bytes, from->buf + i * plan->slot_bytes,
		       plan->bytes);
		__asm__ volatile("" : : "r"(to->buf) : "memory");
	}
}

static struct busy run_memcpy(const struct frame_plan *plan, double seconds)
{
	uint64_t start = __rdtsc(), end = start + (uint64_t)(seconds * bench_tsc_hz());
	struct busy b = { 0 };

	for (; __rdtsc() < end; b.packets += 2 * guest[0]->buffers) {
		copy_all(plan, guest[0], guest[1]);
		copy_all(plan, guest[1], guest[0]);
	}
	b.cycles = b.elapsed = __rdtsc() - start;
	return b;
}

static double per(double a, uint64_t b)
{
	return b == 0 ? 0 : a / (double)b;
}

static void report(const struct frame_plan *plan, const struct busy *b, uint64_t drops,
		   bool balanced)
{
	double ns = 1e9 / bench_tsc_hz(), elapsed_ns = (double)b->elapsed * ns;

	printf("{\"frame_bytes\": %u, \"flows\": %u, \"packets\": %" PRIu64
	       ", \"ns_per_packet\": %.2f, \"busy_ns_per_packet\": %.2f"
	       ", \"quiet_ns_per_packet\": %.2f, \"mpps\": %.4f",
	       plan->bytes, plan->flows, b->packets, per(elapsed_ns, b->packets),
	       per((double)b->cycles * ns, b->packets), quarter() * ns,
	       (double)b->packets / elapsed_ns * 1e3);
	printf(", \"batch\": %.1f, \"busy_share\": %.4f, \"empty_polls_percent\": %.1f"
	       ", \"drops\": %" PRIu64 ", \"kicks\": %" PRIu64
	       ", \"interrupts\": %lu, \"balanced\": %s}\n",
	       per((double)b->packets, b->batches), (double)b->cycles / (double)b->elapsed,
	       per(100 * (double)b->empty, b->empty + b->batches), drops,
	       guest[0]->kicks + guest[1]->kicks, bench_interrupts, balanced ? "true" : "false");
}

static uint64_t drops(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < 2; i++)
		sum += port_counter_drops(guest[i]->port, false) +
		       port_counter_drops(guest[i]->port, true);
	return sum;
}

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

/* By the policy's word. */
static void set_copy(const char *word)
{
	static const char words[] = POLICY_COPY;
	uint32_t value = 0;

	for (const char *w = words; *w != '\0'; w += strlen(w) + 1, value++)
		if (strcmp(w, word) == 0)
			policy_set(POLICY_copy, value);
}

static bool parse(int argc, char **argv, struct frame_plan *plan, double *seconds, unsigned core[2])
{
	static const struct option options[] = {
		{ "frame", 1, NULL, 'f' },	 { "ring", 1, NULL, 'r' },
		{ "frames", 1, NULL, 'n' },	 { "flows", 1, NULL, 'w' },
		{ "burst", 1, NULL, 'b' },	 { "seconds", 1, NULL, 's' },
		{ "switch-core", 1, NULL, 'x' }, { "guest-core", 1, NULL, 'g' },
		{ "routine", 1, NULL, 'p' },	 { "batch-bytes", 1, NULL, 'y' },
		{ "copy", 0, NULL, 'c' },	 { NULL, 0, NULL, 0 }
	};
	bool copy = false;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'f':
			plan->bytes = number(optarg);
			break;
		case 'r':
			plan->ring = number(optarg);
			break;
		case 'n':
			plan->frames = number(optarg);
			break;
		case 'w':
			plan->flows = number(optarg);
			break;
		case 'b':
			plan->burst = number(optarg);
			break;
		case 's':
			*seconds = strtod(optarg, NULL);
			break;
		case 'x':
			core[0] = number(optarg);
			break;
		case 'g':
			core[1] = number(optarg);
			break;
		case 'p':
			set_copy(optarg);
			break;
		case 'y':
			policy_set(POLICY_batch_bytes, number(optarg));
			break;
		case 'c':
			copy = true;
			break;
		default:
			exit(2);
		}
	}
	return copy;
}

int main(int argc, char **argv)
{
	struct frame_plan plan = { .bytes = 64,
				   .ring = 1024,
				   .frames = 512,
				   .flows = 1,
				   .burst = 64,
				   .features = VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC };
	unsigned core[2] = { 0, 1 };
	double seconds = 2;
	bool copy = parse(argc, argv, &plan, &seconds, core);
	struct vswitch *sw;
	struct busy b;
	pthread_t thread;

	plan.slot_bytes = plan.bytes > 10000 ? ((plan.bytes + 12 + 63) / 64 | 1) * 64 : 10432;
	if (plan.bytes > 9018)
		plan.features |= VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM |
				 VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_GUEST_TSO4;
	bench_tsc_hz();
	pin(core[0]);
	sw = switch_create("bench");
	for (unsigned i = 0; i < 2; i++)
		guest[i] = bench_guest_create(sw, &plan, i + 1);
	if (copy) {
		run_memcpy(&plan, seconds / 4);
		b = run_memcpy(&plan, seconds);
		report(&plan, &b, 0, true);
		return 0;
	}
	for (unsigned i = 0; i < 2; i++)
		port_poll_begin(guest[i]->port, 1);
	bench_guest_send_first(guest[0], 1);
	port_poll(guest[0]->port, 1); /* learned before it is flooded */
	bench_guest_send_first(guest[1], 2);
	if (pthread_create(&thread, NULL, run_guests, &core[1]) != 0)
		abort();
	run_switch(seconds / 4);
	b = run_switch(seconds);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	report(&plan, &b, drops(), switch_counters_balance(sw));
	return 0;
}
