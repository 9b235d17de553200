/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: with several CPUs serving queues that all lead to one receiver, kicks that meet, and a
 * queue that is reset all the time, is every packet delivered or counted, in order, untorn, and no
 * wake-up lost, also while a receiver takes its offloads back and gives them again, falls asleep and wakes up,
 * and policies change? Two receivers are uplinks, which are lent what is long: of one, which gives it back late,
 * each byte is read where the sender has it; the other is the one that is reset, and so is a sender. Built with ThreadSanitizer as well. Each thread is a CPU, or a guest's driver.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lasthop/uplink.h"
#include "tests/unit/vswitch/driver.h"
#include "tests/unit/vswitch/packet.h"
#include "tests/unit/vswitch/policies.h"
#include "vswitch/gso.h"

#define SENDERS 4u
#define WORKERS 2u
#define LONG	1500u	  /* of what goes to uplinks */
#define FICKLE	30u	  /* source of the sender that is reset */
#define GIVE_UP 50000000u /* looks at a ring before a wake-up counts as lost */

static uint32_t packets = 30000;
static struct vswitch *sw;
static struct guest *sender[SENDERS], *sink, *victim, *wire, *fickle;
static _Atomic bool pending[SENDERS]; /* the sender's queue waits for a worker */
static _Atomic unsigned senders_left = SENDERS;
static _Atomic bool all_sent;

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	printf("FAIL vswitch/threads: %s\n", what);
	fflush(stdout);
	_Exit(1);
}

/* Even senders are served by their own CPU, as a kick's VM exit does it, odd ones by the
 * workers. */
static void kick(unsigned n)
{
	if (n % 2 == 0)
		port_kick(sender[n]->port, 1, 48);
	else
		atomic_store(&pending[n], true);
}

static void forward_more_work(unsigned n, unsigned *seen)
{
	unsigned now = atomic_load(&sender[n]->env.more_work[1]);

	if (now != *seen)
		atomic_store(&pending[n], true);
	*seen = now;
}

static const struct pkt_kind gso_kind = { .vlan = true };

/* To be segmented, or not, as the receiver wants it just now. */
static bool send_gso(struct guest *g, uint8_t *frame, unsigned dst, uint32_t seed,
		     enum layout layout)
{
	uint8_t header[PKT_HDR];
	uint32_t bytes = pkt_make(frame, &gso_kind, dst, 9, 1000, seed, 0);

	pkt_header(header, &gso_kind, 300);
	return drv_send(g, header, frame, bytes, layout);
}

static void *send_all(void *arg)
{
	unsigned n = (unsigned)(uintptr_t)arg, more_work = 0, idle = 0;
	struct guest *g = sender[n];
	uint8_t frame[1600];
	uint32_t sent = 0, reaped = 0;

	env_this_cpu = n;
	while (reaped < packets) {
		/* the last one sends one by one, just when the other side is about to ask for
		 * kicks */
		unsigned burst = n == SENDERS - 1 ? reaped == sent : 1 + sent % 7;

		for (unsigned i = 0; i < burst && sent < packets; i++) {
			unsigned dst = sent % 16 == 15 ? 200 : sent % 16 == 7 ? 201 : 100;
			uint32_t bytes = dst == 100 ? 60 + sent % 512 : LONG;

			frame_make(frame, bytes, dst, 10 + n, sent);
			if (sent % 32 >= 30 ? !send_gso(g, frame, dst, sent, sent % LAYOUT_COUNT)
					    : !drv_send(g, NULL, frame, bytes, sent % LAYOUT_COUNT))
				break;
			sent++;
		}
		if (g->tx.avail_idx != g->tx.kicked_at && drv_publish(&g->tx))
			kick(n);
		forward_more_work(n, &more_work);
		if (drv_reap(g) > 0)
			idle = 0;
		reaped = sent - (g->tx.slots - g->tx.free_count);
		check(++idle < GIVE_UP, "a wake-up was lost");
		if (idle % 512 == 511)
			sched_yield();
	}
	if (atomic_fetch_sub(&senders_left, 1) == 1)
		atomic_store(&all_sent, true);
	return NULL;
}

static void *work(void *arg)
{
	env_this_cpu = SENDERS + (unsigned)(uintptr_t)arg;
	while (!atomic_load(&all_sent)) {
		for (unsigned n = 0; n < SENDERS; n++)
			if (atomic_exchange(&pending[n], false))
				port_service(sender[n]->port, 1, 40);
		/* and without need, to meet the others */
		port_service(sender[env_this_cpu % SENDERS]->port, 1, 3);
		sched_yield();
	}
	return NULL;
}

/* What a device of the driver domain makes of a frame that is lent: it reads the sender's memory. */
static size_t read_lent(uint8_t *frame, size_t bytes)
{
	uint8_t buffer[UPLINK_LENT_BYTES];
	uint32_t hdr_len = frame[2] | (uint32_t)frame[3] << 8, at = DRV_HDR + hdr_len;
	struct uplink_piece piece;

	memcpy(buffer, frame, bytes);
	for (size_t i = uplink_pieces_at(hdr_len); i < bytes; i += sizeof(piece)) {
		memcpy(&piece, buffer + i, sizeof(piece));
		memcpy(frame + at, (const void *)(uintptr_t)piece.address, piece.bytes);
		at += piece.bytes;
	}
	return at;
}

static uint32_t wire_seq[SENDERS], wire_taken, wire_lent;

static void check_wire(const uint8_t *frame, size_t bytes)
{
	unsigned n = frame[11] - 10u;

	check(n < SENDERS, "a frame from nobody on the wire");
	for (uint32_t seq = wire_seq[n]; seq < packets; seq++) {
		if (seq % 16 != 7 || bytes != LONG || !frame_is(frame, bytes, 201, 10 + n, seq))
			continue;
		wire_seq[n] = seq + 1;
		return;
	}
	check(false, "a frame is torn on the wire, or out of order");
}

static void *transmit_all(void *arg)
{
	static uint8_t got[DRV_BUF];
	unsigned rounds = 0;

	(void)arg;
	env_this_cpu = SENDERS + WORKERS + 2;
	while (!atomic_load(&all_sent)) {
		size_t bytes;

		while ((bytes = drv_receive(wire, got, sizeof(got))) > 0) {
			bool lent = got[0] & UPLINK_LENT;

			wire_taken++;
			wire_lent += lent;
			if (got[DRV_HDR + 11] == FICKLE)
				continue; /* its pages have been revoked meanwhile */
			bytes = lent ? read_lent(got, bytes) : bytes;
			check_wire(got + DRV_HDR, bytes - DRV_HDR);
		}
		if (++rounds % 4 == 0 && wire->rx.avail_idx != wire->rx.kicked_at &&
		    drv_publish(&wire->rx))
			port_kick(wire->port, 0, VS_BATCH);
		sched_yield();
	}
	return NULL;
}

/* Sends something, and starts anew before that can be back. */
static void send_and_reset(uint32_t seed)
{
	uint8_t frame[LONG];

	for (unsigned i = 0; i < 4; i++) {
		frame_make(frame, LONG, 201, FICKLE, seed + i);
		drv_send(fickle, NULL, frame, LONG, i % LAYOUT_COUNT);
	}
	if (drv_publish(&fickle->tx))
		port_kick(fickle->port, 1, VS_BATCH);
	guest_reset(fickle);
}

/* Takes everything at the sink; checks each sender's order. */
static uint32_t next_seq[SENDERS], taken;

static void take_gso(const uint8_t *header, uint8_t *frame, size_t bytes)
{
	check(header[1] != 0 || bytes <= pkt_headers(&gso_kind) + 300, "a segment is too long");
	if (header[0] & PKT_NEEDS_CSUM)
		pkt_complete(frame, (uint32_t)bytes, pkt_l4(&gso_kind), 16);
	check(pkt_is_sound(frame, (uint32_t)bytes, &gso_kind), "a segment is torn");
	taken++;
}

static void take_one(const uint8_t *frame, size_t bytes)
{
	unsigned n = frame[11] - 10u;

	check(n < SENDERS, "a frame from nobody");
	for (uint32_t seq = next_seq[n]; seq < packets; seq++) {
		if (bytes != 60 + seq % 512 || !frame_is(frame, bytes, 100, 10 + n, seq))
			continue;
		next_seq[n] = seq + 1;
		taken++;
		return;
	}
	check(false, "a frame is torn, or out of order");
}

static void drain(void)
{
	static uint8_t got[DRV_BUF];
	size_t bytes;

	while ((bytes = drv_receive(sink, got, sizeof(got))) > 0)
		if (got[DRV_HDR + 11] == 9)
			take_gso(got, got + DRV_HDR, bytes - DRV_HDR);
		else
			take_one(got + DRV_HDR, bytes - DRV_HDR);
	drv_publish(&sink->rx);
}

/* The sink was interrupted: if it slept, it waits for a CPU. */
static void wake(struct port *port, unsigned queue)
{
	struct env_port *e = port_owner(port);
	enum peer_state asleep = PEER_BLOCKED;

	(void)queue;
	atomic_compare_exchange_strong(&e->peer, &asleep, PEER_RUNNABLE);
}

/* It runs when it was woken, and sleeps again. */
static void *receive_all(void *arg)
{
	(void)arg;
	env_this_cpu = SENDERS + WORKERS + 1;
	while (!atomic_load(&all_sent)) {
		enum peer_state state = PEER_RUNNABLE;

		if (atomic_compare_exchange_strong(&sink->env.peer, &state, PEER_RUNNING))
			port_arrive(sink->port);
		drain();
		drv_want_interrupt(&sink->rx, true);
		state = PEER_RUNNING;
		atomic_compare_exchange_strong(&sink->env.peer, &state, PEER_BLOCKED);
		sched_yield();
	}
	return NULL;
}

/* A guest that resets its device again and again, while packets are on their way to it; and policies. */
static void *reset_all(void *arg)
{
	uint64_t offloads = 0;
	uint32_t random = 1;

	(void)arg;
	env_this_cpu = SENDERS + WORKERS;
	while (!atomic_load(&all_sent)) {
		guest_reset(victim);
		send_and_reset(random);
		port_set_guest_offloads(sink->port, offloads = ~offloads);
		random = random * 1664525 + 1013904223;
		policy_set_some(random >> 8);
		sched_yield();
	}
	return NULL;
}

static void introduce(struct guest *g, unsigned number)
{
	uint8_t frame[60];

	frame_make(frame, sizeof(frame), number, number, 0);
	port_inject(g->port, frame, sizeof(frame));
}

static struct guest *create(const char *name, unsigned size, bool packed, bool uplink)
{
	return guest_create(sw, &(struct guest_config){
					.name = name,
					.size = size,
					.rx_bytes = uplink ? 2048 : 256,
					.uplink = uplink,
					.features = (uplink ? UPLINK_F_REUSE : 0) |
						    VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |
						    VIRTIO_NET_F_MRG_RXBUF | OFFLOAD_FEATURES |
						    (packed ? VIRTIO_F_RING_PACKED : 0) });
}

static void run_threads(void)
{
	pthread_t thread[SENDERS + WORKERS + 3];
	unsigned count = 0;

	for (uintptr_t n = 0; n < SENDERS; n++)
		pthread_create(&thread[count++], NULL, send_all, (void *)n);
	for (uintptr_t n = 0; n < WORKERS; n++)
		pthread_create(&thread[count++], NULL, work, (void *)n);
	pthread_create(&thread[count++], NULL, receive_all, NULL);
	pthread_create(&thread[count++], NULL, transmit_all, NULL);
	pthread_create(&thread[count++], NULL, reset_all, NULL);
	while (count > 0)
		pthread_join(thread[--count], NULL);
	drain();
}

/* packed: receivers with packed rings, and every other pair of senders. */
static void play(bool packed)
{
	atomic_store(&senders_left, SENDERS);
	atomic_store(&all_sent, false);
	memset(next_seq, 0, sizeof(next_seq));
	memset(wire_seq, 0, sizeof(wire_seq));
	taken = wire_taken = wire_lent = 0;
	sw = switch_create("threads");
	policies_as_at_boot();
	sink = create("sink", 1024, packed, false);
	sink->env.peer = PEER_BLOCKED;
	sink->env.on_interrupt = wake;
	victim = create("victim", 64, false, true);
	wire = create("wire", 256, false, true);
	victim->env.shares_left = wire->env.shares_left = UINT32_MAX;
	fickle = create("fickle", 64, packed, false);
	for (unsigned n = 0; n < SENDERS; n++)
		sender[n] = create("sender", 256, packed == (n / 2 == 0), false);
	introduce(sink, 100);
	introduce(victim, 200);
	introduce(wire, 201);
	run_threads();
	check(switch_counters_balance(sw), "counters do not balance");
	check(port_counter(sink->port, STAT_rx_packets) == taken, "rx_packets is not what came");
	check(port_counter(sink->port, STAT_queue_stopped) == 0, "an honest queue was stopped");
	check(wire_lent > 0, "nothing was lent");
	guest_reset(wire);
	check(wire->env.shared == 0, "something is still lent");
	printf("PASS vswitch/threads: %s, %u sent by each of %u, %u taken, %lu without a buffer, "
	       "%lu resets, %lu reset in flight, %u on the wire, %u of them lent\n",
	       packed ? "packed" : "split", packets, SENDERS, taken,
	       (unsigned long)port_counter(sink->port, STAT_rx_drop_no_buffer),
	       (unsigned long)port_counter(victim->port, STAT_queue_resets),
	       (unsigned long)port_counter(victim->port, STAT_rx_drop_reset), wire_taken,
	       wire_lent);
	for (unsigned n = 0; n < SENDERS; n++)
		guest_destroy(sender[n]);
	guest_destroy(sink);
	guest_destroy(victim);
	guest_destroy(wire);
	guest_destroy(fickle);
	switch_destroy(sw);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		packets = (uint32_t)strtoul(argv[1], NULL, 0);
	play(false);
	play(true);
	return 0;
}
