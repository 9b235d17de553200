/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: does a port get the frames that its filter wants and no others, each other one counted;
 * and does each flow come in by the queue pair that it goes out by, or else by one and the same?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/switch_impl.h"

#define OWN   0x525400000001ull
#define OTHER 0x525400000002ull
#define GROUP 0x01005e000001ull
#define ALL   0xffffffffffffull

static struct vswitch *sw;
static struct guest *guest;
static struct port *from, *two_queues;
static uint8_t frame[2000], got[DRV_BUF];

static int setup(void **state)
{
	const struct port_config pc = { .name = "from", .mtu = 1500, .queue_pairs = 1 };

	(void)state;
	sw = switch_create("lan");
	guest = guest_create(sw, &(struct guest_config){ .name = "g" });
	from = port_create(sw, &pc);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_true(switch_counters_balance(sw));
	guest_destroy(guest);
	port_destroy(from);
	port_destroy(two_queues);
	two_queues = NULL;
	switch_destroy(sw);
	return env_allocs != 0;
}

/* A tagged frame if vlan is not 0. */
static void make(uint64_t dst, unsigned vlan)
{
	memset(frame, 0, 64);
	for (unsigned i = 0; i < 6; i++)
		frame[i] = (uint8_t)(dst >> (40 - 8 * i));
	frame[6] = 2;
	frame[12] = 0x81;
	frame[13] = vlan != 0 ? 0 : 1;
	frame[14] = (uint8_t)(0xe0 | vlan >> 8); /* priority 7 */
	frame[15] = (uint8_t)vlan;
}

static bool arrives(uint64_t dst, unsigned vlan)
{
	size_t bytes;

	make(dst, vlan);
	port_inject(from, frame, 64);
	bytes = drv_receive(guest, got, sizeof(got));
	drv_publish(&guest->rx);
	if (bytes == 0)
		return false;
	assert_memory_equal(got + DRV_HDR, frame, 64);
	return true;
}

static void modes(void **state)
{
	static const struct {
		struct filter filter;
		bool own, other, group, all;
	} cases[] = {
		{ { .mac = OWN }, true, false, false, true },
		{ { .mac = OWN, .promisc = true, .nouni = true, .nobcast = true },
		  true,
		  true,
		  true,
		  true },
		{ { .mac = OWN, .alluni = true }, true, true, false, true },
		{ { .mac = OWN, .allmulti = true }, true, false, true, true },
		{ { .mac = OWN, .allmulti = true, .nomulti = true }, true, false, false, true },
		{ { .mac = OWN, .alluni = true, .nouni = true }, false, false, false, true },
		{ { .mac = OWN, .nobcast = true, .allmulti = true }, true, false, true, false },
		{ { .mac = OTHER }, false, true, false, true },
		{ { .mac = OWN, .unis = 1, .uni = { OTHER } }, true, true, false, true },
		{ { .mac = OWN, .multis = 2, .multi = { 1, GROUP } }, true, false, true, true },
		{ { .mac = OWN, .multis = 1, .multi = { 1, GROUP } }, true, false, false, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		port_set_filter(guest->port, &cases[i].filter);
		assert_int_equal(arrives(OWN, 0), cases[i].own);
		assert_int_equal(arrives(OTHER, 0), cases[i].other);
		assert_int_equal(arrives(GROUP, 0), cases[i].group);
		assert_int_equal(arrives(ALL, 0), cases[i].all);
	}
	port_set_filter(guest->port, NULL);
	assert_true(arrives(OTHER, 7) && arrives(GROUP, 0));
}

static void vlans(void **state)
{
	struct filter f = { .mac = OWN, .vlans = true };

	(void)state;
	f.vlan[0] = 1ull << 5;
	f.vlan[63] = 1ull << 63;
	port_set_filter(guest->port, &f);
	assert_true(arrives(OWN, 0) && arrives(OWN, 5) && arrives(OWN, 4095));
	assert_false(arrives(OWN, 6) || arrives(OWN, 4094) || arrives(OTHER, 5));
	f.promisc = true;
	port_set_filter(guest->port, &f);
	assert_true(arrives(OTHER, 6));
	f.promisc = f.vlans = false;
	port_set_filter(guest->port, &f);
	assert_true(arrives(OWN, 6));
	/* a frame that ends with its type has no tag to read */
	f.vlans = true;
	port_set_filter(guest->port, &f);
	make(OWN, 6);
	assert_int_equal(port_inject(from, frame, 14), VERDICT_FLOODED);
	assert_int_equal(drv_receive(guest, got, sizeof(got)), 14 + DRV_HDR);
}

/* Counted at the receiver, and a packet to it alone at its sender, too. */
static void counted(void **state)
{
	const struct filter f = { .mac = OWN };

	(void)state;
	port_set_filter(guest->port, &f);
	assert_false(arrives(OTHER, 0));
	assert_int_equal(port_counter(guest->port, STAT_rx_drop_filtered), 1);
	assert_int_equal(port_counter(from, STAT_tx_drop_receiver), 0);
	make(GROUP, 0); /* teaches the switch where OTHER is */
	memcpy(frame + 6, (uint8_t[]){ 0x52, 0x54, 0, 0, 0, 2 }, 6);
	port_inject(guest->port, frame, 64);
	make(OTHER, 0);
	assert_int_equal(port_inject(from, frame, 64), VERDICT_DROP_FILTERED);
	assert_int_equal(port_counter(guest->port, STAT_rx_drop_filtered), 2);
	assert_int_equal(port_counter(from, STAT_tx_drop_receiver), 1);
}

/* The filter changes while another CPU is inside a batch: it waits for that one. (One thread: the
 * old filter must be untouched until the batch ends.) */
static void tables_alternate(void **state)
{
	struct filter f = { .mac = 1 };
	const struct filter *first;

	(void)state;
	port_set_filter(guest->port, &f);
	first = atomic_load(&guest->port->filter);
	f.mac = 2;
	port_set_filter(guest->port, &f);
	assert_ptr_not_equal(atomic_load(&guest->port->filter), first);
	assert_int_equal(first->mac, 1);
	f.mac = 3;
	port_set_filter(guest->port, &f);
	assert_ptr_equal(atomic_load(&guest->port->filter), first);
}

/* --- steering --- */

struct flow {
	unsigned version; /* 4, 6, or 0: neither */
	uint8_t src, dst;
	uint8_t protocol;
	uint16_t sport, dport;
	bool tagged, fragment;
	unsigned options; /* words of IPv4 options */
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t hash_of(const struct flow *f, bool back, unsigned bytes)
{
	uint8_t ip[200] = { 0 };
	struct seg seg[4];
	struct packet p = { .bytes = bytes, .seg = seg, .head_bytes = HEAD_BYTES };
	unsigned at = f->tagged ? 4 : 0, header = f->version == 6 ? 40 : 20 + 4 * f->options;
	unsigned a = back ? f->dst : f->src, b = back ? f->src : f->dst;

	p.head[VNET_HDR_BYTES + 5] = (uint8_t)b;
	p.head[VNET_HDR_BYTES + 11] = (uint8_t)a;
	put16(p.head + VNET_HDR_BYTES + 12, f->tagged	      ? 0x8100
					    : f->version == 4 ? 0x0800
					    : f->version == 6 ? 0x86dd
							      : 0x88b5);
	put16(ip + 2, f->version == 4 ? 0x0800 : 0x86dd);
	if (f->version == 4) {
		ip[at] = (uint8_t)(0x45 + f->options);
		put16(ip + at + 6, f->fragment ? 0x2000 : 0);
		ip[at + 9] = f->protocol;
		ip[at + 15] = (uint8_t)a;
		ip[at + 19] = (uint8_t)b;
	} else {
		ip[at] = 0x60;
		ip[at + 6] = f->protocol;
		ip[at + 23] = (uint8_t)a;
		ip[at + 39] = (uint8_t)b;
	}
	put16(ip + at + header, back ? f->dport : f->sport);
	put16(ip + at + header + 2, back ? f->sport : f->dport);
	/* in pieces, the last one ends with the frame */
	seg[0] = (struct seg){ ip, 3 };
	seg[1] = (struct seg){ ip + 3, 18 };
	seg[2] = (struct seg){ ip + 21, 10 };
	seg[3] = (struct seg){ ip + 31, bytes > 45 ? bytes - 45 : 1 };
	return steer_hash(&p);
}

static void hash_is_symmetric(void **state)
{
	static const struct flow flows[] = {
		{ 4, 1, 2, 6, 1000, 80, false, false, 0 },
		{ 4, 1, 2, 17, 1000, 80, false, false, 0 },
		{ 4, 1, 2, 6, 1000, 80, true, false, 0 },
		{ 4, 1, 2, 6, 1000, 80, false, false, 10 },
		{ 4, 1, 2, 1, 0, 0, false, false, 0 },
		{ 6, 1, 2, 6, 1000, 80, false, false, 0 },
		{ 6, 1, 2, 17, 1000, 80, true, false, 0 },
		{ 0, 1, 2, 0, 0, 0, false, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++) {
		struct flow f = flows[i];

		assert_int_equal(hash_of(&f, false, 150), hash_of(&f, true, 150));
		if (f.protocol == 6 || f.protocol == 17) {
			f.sport++;
			assert_int_not_equal(hash_of(&f, false, 150),
					     hash_of(&flows[i], false, 150));
			f.sport--;
		}
		f.dst++;
		assert_int_not_equal(hash_of(&f, false, 150), hash_of(&flows[i], false, 150));
	}
}

/* A packet that is cut anywhere has a hash, and reads no further. Fragments of one packet, with and
 * without ports, have the same. */
static void hash_of_odd_packets(void **state)
{
	struct flow f = { 4, 1, 2, 17, 1, 2, false, true, 0 };
	uint32_t whole = hash_of(&f, false, 150);

	(void)state;
	f.sport = 99;
	assert_int_equal(hash_of(&f, false, 150), whole);
	for (unsigned bytes = ETH_HDR_BYTES; bytes < 150; bytes++) {
		hash_of(&f, false, bytes);
		hash_of(&(struct flow){ .version = 6, .protocol = 6 }, false, bytes);
		hash_of(&(struct flow){ .version = 4, .protocol = 6, .options = 10 }, false, bytes);
	}
}

static unsigned pair_of(struct port *port, unsigned sport, unsigned pairs, bool learn, unsigned by)
{
	uint8_t ip[40] = { 0x45, [9] = 17, [15] = 1, [19] = 2 };
	struct seg seg = { ip, sizeof(ip) };
	struct packet p = { .bytes = 54, .seg = &seg, .head_bytes = HEAD_BYTES };

	put16(p.head + VNET_HDR_BYTES + 12, 0x0800);
	put16(ip + 20, sport);
	if (learn)
		steer_learn(port, &p, by);
	return steer_pair(port, &p, pairs);
}

static void flows_are_spread(void **state)
{
	unsigned hits[4] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		hits[pair_of(guest->port, i, 4, false, 0)]++;
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(hits[i], 150, 350);
	for (unsigned i = 0; i < 1000; i++) /* as last sent */
		assert_int_equal(pair_of(guest->port, i, 4, true, i % 4), i % 4);
	for (unsigned i = 0; i < 1000; i++) /* a pair that is out of use is not used */
		assert_in_range(pair_of(guest->port, i, 2, false, 0), 0, 1);
}

/* A port with two pairs, of which only the second has a receive queue: the guest's rings. Each flow
 * goes to one of them, and all of what is for the second arrives. */
static void by_the_second_queue(void **state)
{
	const struct port_config pc = { .name = "two",
					.mtu = 1500,
					.queue_pairs = 2,
					.mem = &guest->mem,
					.owner = &guest->env };
	const struct queue_setup setup = { .size = guest->rx.size,
					   .desc = guest_gpa(guest, guest->rx.desc),
					   .driver = guest_gpa(guest, (void *)guest->rx.avail),
					   .device = guest_gpa(guest, (void *)guest->rx.used),
					   .features = guest->rx.features };
	struct port *two = two_queues = port_create(sw, &pc);
	uint64_t down = 0;
	const char *why;

	(void)state;
	port_stop_queue(guest->port, 0);
	assert_int_equal(port_start_queue(two, 2, &setup, &why), 0);
	port_set_pairs(two, 3); /* it has not so many */
	assert_int_equal(atomic_load(&two->pairs), 1);
	port_set_pairs(two, 2);
	for (unsigned i = 0; i < 128; i++) {
		uint64_t before = down;
		bool came;

		make(ALL, 0);
		put16(frame + 12, 0x0800);
		memcpy(frame + 14, (uint8_t[]){ 0x45, 0, 0, 40 }, 4);
		frame[14 + 9] = 6;
		put16(frame + 34, i / 2); /* each flow twice */
		drv_want_interrupt(&guest->rx, true);
		port_inject(from, frame, 64);
		came = drv_receive(guest, got, sizeof(got)) == 64 + DRV_HDR;
		drv_publish(&guest->rx);
		down = port_counter(two, STAT_rx_drop_link_down);
		assert_int_equal(down - before, !came);
	}
	assert_in_range(down, 40, 90);
	assert_int_equal(down % 2, 0);
	assert_int_equal(guest->env.interrupts[2], 128 - down);
	assert_int_equal(port_counter(two, STAT_rx_packets), 128 - down);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(modes),
		T(vlans),
		T(counted),
		T(tables_alternate),
		T(hash_is_symmetric),
		T(hash_of_odd_packets),
		T(flows_are_spread),
		T(by_the_second_queue),
	};

	return cmocka_run_group_tests_name("vswitch/filter", tests, NULL, NULL);
}
