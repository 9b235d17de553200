/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: with several CPUs that write to one capture, and a reader that takes pieces of it meanwhile, is each
 * packet told once, whole and in its sender's order, or counted as lost; and may a capture be taken away and freed
 * while packets pass? Built with ThreadSanitizer as well.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/bytes.h"
#include "vswitch/capture.h"

#define SENDERS 3u
#define READER	SENDERS
#define TOGGLER (SENDERS + 1)
#define BYTES	100u
#define ROUNDS	300u

static uint32_t packets = 20000;
static struct vswitch *sw;
static struct guest *sender[SENDERS], *sink;
static struct capture *of_sink;
static _Atomic unsigned senders_left = SENDERS;

static uint64_t told;
static uint32_t next_seq[SENDERS], next_number;

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	printf("FAIL vswitch/capture_threads: %s\n", what);
	fflush(stdout);
	_Exit(1);
}

static void *send_all(void *arg)
{
	unsigned n = (unsigned)(uintptr_t)arg;
	uint8_t frame[BYTES];

	env_this_cpu = n;
	for (uint32_t seq = 0; seq < packets; seq++) {
		frame_make(frame, BYTES, 100, 10 + n, seq);
		store32(frame + 14, seq);
		port_inject(sender[n]->port, frame, BYTES);
	}
	atomic_fetch_sub(&senders_left, 1);
	return NULL;
}

static void hear(const struct capture_record *r, const uint8_t *frame)
{
	unsigned n = frame[11] - 10u;
	uint32_t seq = load32(frame + 14);
	uint8_t wanted[BYTES];

	check(r->mark == 77 && r->bytes == capture_bytes(BYTES) && r->kept == BYTES &&
		      r->direction == CAPTURE_OUT && n < SENDERS,
	      "a record is torn");
	check(seq >= next_seq[n] && r->number >= next_number, "out of order, or twice");
	next_seq[n] = seq + 1;
	next_number = r->number + 1;
	frame_make(wanted, BYTES, 100, 10 + n, seq);
	store32(wanted + 14, seq);
	check(memcmp(wanted, frame, BYTES) == 0, "a frame is torn");
	told++;
}

/* Pieces of any size, put together again. */
static size_t read_some(size_t room)
{
	static uint8_t bytes[1024];
	static size_t have;
	size_t got = capture_read(of_sink, bytes + have,
				  room < sizeof(bytes) - have ? room : sizeof(bytes) - have);
	struct capture_record r;

	have += got;
	while (have >= sizeof(r)) {
		memcpy(&r, bytes, sizeof(r));
		check(r.bytes <= sizeof(bytes), "a record is torn");
		if (have < r.bytes)
			break;
		hear(&r, bytes + sizeof(r));
		have -= r.bytes;
		memmove(bytes, bytes + r.bytes, have);
	}
	return got;
}

static void *read_all(void *arg)
{
	size_t room = 1;

	(void)arg;
	env_this_cpu = READER;
	while (atomic_load(&senders_left) > 0)
		read_some(room = room % 700 + 13);
	return NULL;
}

/* Captures of a sender come and go. */
static void *toggle(void *arg)
{
	static uint8_t out[4096];

	(void)arg;
	env_this_cpu = TOGGLER;
	for (unsigned i = 0; i < ROUNDS && atomic_load(&senders_left) > 0; i++) {
		struct capture *c = capture_create(CAPTURE_LEAST, 64, 78);

		check(c != NULL, "no memory");
		port_capture(sender[0]->port, c);
		while (capture_read(c, out, sizeof(out)) == 0 && atomic_load(&senders_left) > 0)
			;
		port_capture(sender[0]->port, NULL);
		capture_destroy(c);
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[SENDERS + 2];
	uint8_t frame[BYTES];

	if (getenv("LASTHOP_SOAK"))
		packets *= 50;
	sw = switch_create("lan");
	sink = guest_create(sw,
			    &(struct guest_config){ .name = "sink", .size = 1024, .per_slot = 1 });
	for (unsigned n = 0; n < SENDERS; n++)
		sender[n] = guest_create(sw, &(struct guest_config){ .name = "sender" });
	frame_make(frame, BYTES, 100, 100, 0);
	port_inject(sink->port, frame, BYTES); /* where it is */
	of_sink = capture_create(CAPTURE_LEAST, BYTES, 77);
	port_capture(sink->port, of_sink);
	for (unsigned n = 0; n < SENDERS; n++)
		pthread_create(&thread[n], NULL, send_all, (void *)(uintptr_t)n);
	pthread_create(&thread[READER], NULL, read_all, NULL);
	pthread_create(&thread[TOGGLER], NULL, toggle, NULL);
	for (unsigned i = 0; i < SENDERS + 2; i++)
		pthread_join(thread[i], NULL);
	port_capture(sink->port, NULL);
	while (read_some(1024) > 0)
		;
	check(capture_count(of_sink) == (uint64_t)SENDERS * packets, "a packet is missing");
	check(told > 1000, "hardly any was told"); /* what the ring holds alone */
	printf("1..1\nok 1 - %llu told, %llu lost\n", (unsigned long long)told,
	       (unsigned long long)(capture_count(of_sink) - told));
	capture_destroy(of_sink);
	for (unsigned n = 0; n < SENDERS; n++)
		guest_destroy(sender[n]);
	guest_destroy(sink);
	switch_destroy(sw);
	check(env_allocs == 0, "memory is not returned");
	return 0;
}
