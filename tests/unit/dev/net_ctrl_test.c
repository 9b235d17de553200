/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the control queue do what virtio 1.2, 5.1.6.5 says, over both kinds of ring, is all
 * of it undone by a reset, and does it survive commands that are cut, too long or mad? */
#include "tests/unit/dev/transport.h"

#include "hv/dev/virtio_net.h"
#include "tests/unit/dev/fake_switch.h"

#include <cmocka.h>

enum { RING = 0x10000, DRIVER = 0x11000, DEVICE = 0x12000, DATA = 0x20000, SIZE = 16 };
enum { RX, MAC, VLAN, ANNOUNCE, MQ, OFFLOADS };
#define PAIRS 4u
#define ALL                                                                                        \
	(VIRTIO_F_VERSION_1 | NET_CTRL_FEATURES | VIRTIO_NET_F_MQ | VIRTIO_NET_F_GUEST_CSUM |      \
	 VIRTIO_NET_F_GUEST_TSO4)

static struct virtio_net *net;
static struct config config = { .switch_count = 1, .switches = { { "lan" } } };
static const struct config_net net_config = {
	.name = "net0", .mac = { 0x52, 0x54, 0, 0, 0, 1 }, .queue_pairs = PAIRS, .mtu = 1500
};
static uint16_t pos, used; /* the driver's positions in the ring */
static bool packed;
static unsigned control;

static void *ram(uint64_t gpa)
{
	return fake_vm.mem.extent[0].ptr + gpa;
}

static void set_up(unsigned queue)
{
	uint64_t from = 0x40000 * (queue != control);

	set_queue(queue, SIZE, RING + from, DRIVER + from, DEVICE + from);
}

static void start(uint64_t features, bool with_ring_packed)
{
	packed = with_ring_packed;
	control = features & VIRTIO_NET_F_MQ ? 2 * PAIRS : 2;
	pos = used = packed ? VQ_WRAP : 0;
	memset(ram(RING), 0, 0x3000);
	if (packed)
		features |= VIRTIO_F_RING_PACKED;
	negotiate(features);
	set_up(control);
	reg(STATUS, 1, true, 15);
	assert_int_equal(reg(STATUS, 1, false, 0), 15);
}

static int setup(void **state)
{
	(void)state;
	fake_reset(1);
	if (virtio_net_switches(&config) || transport_init())
		return 1;
	net = virtio_net_create(&fake_vm, &pcie, &net_config);
	return net == NULL;
}

static int teardown(void **state)
{
	(void)state;
	virtio_net_destroy(net);
	return fake_allocs != 0 || fake_port[0].used;
}

/* A chain of pieces (address, length, flags) into the ring. */
struct piece {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags;
};

static void put(const struct piece *p, unsigned count)
{
	uint16_t *avail = ram(DRIVER), first = pos;

	for (unsigned i = 0; i < count; i++) {
		unsigned at = packed ? pos & ~VQ_WRAP : i;
		uint8_t *d = (uint8_t *)ram(RING) + 16 * at;
		uint16_t flags = (uint16_t)(p[i].flags | (i + 1 < count ? NEXT : 0));

		memcpy(d, &p[i].address, 8);
		memcpy(d + 8, &p[i].bytes, 4);
		if (packed) {
			flags |= pos & VQ_WRAP ? 1u << 7 : 1u << 15;
			memcpy(d + 12, &first, 2); /* any id will do */
			memcpy(d + 14, &flags, 2);
			pos = (pos & ~VQ_WRAP) + 1 == SIZE ? (uint16_t)(~pos & VQ_WRAP)
							   : (uint16_t)(pos + 1);
		} else {
			uint16_t next = (uint16_t)(i + 1);

			memcpy(d + 12, &flags, 2);
			memcpy(d + 14, &next, 2);
		}
	}
	if (!packed) {
		avail[2 + pos % SIZE] = 0;
		avail[1] = ++pos;
	}
}

/* Commands given back so far, split ring. */
static unsigned answered(void)
{
	return ((uint16_t *)ram(DEVICE))[1];
}

/* Was the chain given back? */
static bool done(void)
{
	uint16_t flags;

	if (!packed)
		return answered() == pos;
	memcpy(&flags, (uint8_t *)ram(RING) + 16 * (used & ~VQ_WRAP) + 14, 2);
	used = pos;
	return (flags >> 7 & 1) == (flags >> 15 & 1);
}

/* One command as Linux sends it: header, data, answer. 0 or 1: the answer. */
static unsigned command(unsigned class, unsigned number, const void *data, uint32_t bytes)
{
	uint8_t *head = ram(DATA), *answer = ram(DATA + 0x1000 - 1);
	struct piece p[] = { { DATA, 2, 0 },
			     { DATA + 0x1000, bytes, 0 },
			     { DATA + 0x1000 - 1, 1, WRITE } };

	head[0] = (uint8_t) class;
	head[1] = (uint8_t)number;
	*answer = 0x77;
	memcpy(ram(DATA + 0x1000), data, bytes);
	put(p, 3);
	kick(control);
	assert_true(done());
	return *answer;
}

static unsigned command16(unsigned class, unsigned number, uint16_t value)
{
	return command(class, number, &value, 2);
}

static void both(void (*test)(void))
{
	for (unsigned i = 0; i < 2; i++) {
		start(ALL, i);
		test();
	}
}

static void modes(void)
{
	struct filter *f = &fake_port[0].filter;
	const bool *flag[] = { &f->promisc, &f->allmulti, &f->alluni,
			       &f->nomulti, &f->nouni,	  &f->nobcast };
	uint8_t on = 1, off = 0;

	assert_true(fake_port[0].filtered);
	for (unsigned i = 0; i < 6; i++) {
		assert_false(*flag[i]);
		assert_int_equal(command(RX, i, &on, 1), 0);
		assert_true(*flag[i]);
		assert_int_equal(command(RX, i, &off, 1), 0);
		assert_false(*flag[i]);
	}
	assert_int_equal(command(RX, 6, &on, 1), 1);
	assert_int_equal(command(RX, 0, &on, 0), 1); /* cut */
	assert_false(f->promisc);
	assert_int_equal(command(ANNOUNCE, 0, &on, 1), 1);
	assert_int_equal(command(99, 0, &on, 1), 1);
}

/* A MAC table of so many addresses each. */
static unsigned tables(uint32_t unis, uint32_t multis, uint32_t cut)
{
	static uint8_t data[8 + 6 * 300];
	uint32_t n = 0;

	memcpy(data, &unis, 4);
	n = 4;
	for (uint32_t i = 0; i < unis; i++, n += 6)
		memcpy(data + n, (uint8_t[]){ 2, 0, 0, 0, 0, (uint8_t)i }, 6);
	memcpy(data + n, &multis, 4);
	n += 4;
	for (uint32_t i = 0; i < multis; i++, n += 6)
		memcpy(data + n, (uint8_t[]){ 3, 0, 0, 0, 0, (uint8_t)i }, 6);
	return command(MAC, 0, data, n - cut);
}

static void mac_tables(void)
{
	struct filter *f = &fake_port[0].filter;

	assert_int_equal(f->mac, 0x525400000001);
	assert_int_equal(tables(3, 2, 0), 0);
	assert_int_equal(f->unis, 3);
	assert_int_equal(f->multis, 2);
	assert_int_equal(f->uni[2], 0x020000000002);
	assert_int_equal(f->multi[1], 0x030000000001);
	assert_int_equal(tables(5, 5, 1), 1); /* cut: nothing changes */
	assert_int_equal(tables(5, 0, 3), 1);
	assert_int_equal(f->unis, 3);
	assert_int_equal(tables(FILTER_ADDRESSES, 100, 0), 0);
	assert_false(f->alluni);
	assert_true(f->allmulti); /* more than there is room for */
	assert_int_equal(tables(100, 1, 0), 0);
	assert_true(f->alluni);
	assert_false(f->allmulti);
	assert_int_equal(f->multi[0], 0x030000000000);
	assert_int_equal(command(MAC, 0, (uint8_t[]){ 255, 255, 255, 255 }, 4), 1);
	assert_int_equal(command(MAC, 2, f, 6), 1);
}

static void mac_address(void)
{
	struct filter *f = &fake_port[0].filter;

	assert_int_equal(command(MAC, 1, (uint8_t[]){ 2, 0, 0, 0, 9, 9 }, 6), 0);
	assert_int_equal(f->mac, 0x020000000909);
	assert_int_equal(reg(CONFIG + 4, 2, false, 0), 0x0909);
	assert_int_equal(command(MAC, 1, (uint8_t[]){ 3, 0, 0, 0, 9, 8 }, 6), 1);
	assert_int_equal(command(MAC, 1, (uint8_t[]){ 0, 0, 0, 0, 0, 0 }, 6), 1);
	assert_int_equal(f->mac, 0x020000000909);
}

static void vlans(void)
{
	struct filter *f = &fake_port[0].filter;

	assert_true(f->vlans);
	assert_int_equal(command16(VLAN, 0, 4095), 0);
	assert_int_equal(command16(VLAN, 0, 64), 0);
	assert_int_equal(f->vlan[63], 1ull << 63);
	assert_int_equal(f->vlan[1], 1);
	assert_int_equal(command16(VLAN, 1, 4095), 0);
	assert_int_equal(f->vlan[63], 0);
	assert_int_equal(command16(VLAN, 0, 4096), 1);
	assert_int_equal(command16(VLAN, 2, 1), 1);
}

static void pairs(void)
{
	assert_int_equal(fake_port[0].pairs, 1);
	assert_int_equal(command16(MQ, 0, PAIRS), 0);
	assert_int_equal(fake_port[0].pairs, PAIRS);
	assert_int_equal(command16(MQ, 0, PAIRS + 1), 1);
	assert_int_equal(command16(MQ, 0, 0), 1);
	assert_int_equal(command16(MQ, 1, 1), 1);
	assert_int_equal(fake_port[0].pairs, PAIRS);
}

static void offloads(void)
{
	uint64_t all = VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4, none = 0;
	uint64_t more = all | VIRTIO_NET_F_GUEST_TSO6, other = VIRTIO_F_VERSION_1;

	assert_int_equal(command(OFFLOADS, 0, &all, 8), 0);
	assert_int_equal(fake_port[0].guest_offloads, all);
	assert_int_equal(command(OFFLOADS, 0, &more, 8), 1); /* not negotiated */
	assert_int_equal(command(OFFLOADS, 0, &other, 8), 1);
	assert_int_equal(command(OFFLOADS, 0, &none, 7), 1);
	assert_int_equal(command(OFFLOADS, 1, &none, 8), 1);
	assert_int_equal(fake_port[0].guest_offloads, all);
	assert_int_equal(command(OFFLOADS, 0, &none, 8), 0);
	assert_int_equal(fake_port[0].guest_offloads, 0);
}

static void commands(void **state)
{
	(void)state;
	assert_int_equal(reg(QUEUES, 2, false, 0), 2 * PAIRS + 1);
	assert_int_equal(reg(CONFIG + 8, 2, false, 0), PAIRS);
	both(modes);
	both(mac_tables);
	both(mac_address);
	both(vlans);
	both(pairs);
	both(offloads);
}

static void a_reset_undoes_it(void **state)
{
	(void)state;
	start(ALL, false);
	mac_address();
	pairs();
	reg(STATUS, 1, true, 0);
	assert_false(fake_port[0].filtered);
	assert_int_equal(fake_port[0].pairs, 1);
	assert_int_equal(reg(CONFIG + 4, 2, false, 0), 0x0100);
	start(ALL, true);
	assert_int_equal(fake_port[0].filter.mac, 0x525400000001);
	assert_int_equal(fake_port[0].filter.unis, 0);
}

/* Without a feature its commands are refused; without CTRL_RX all addresses pass. */
static void features_count(void **state)
{
	uint8_t on = 1;

	(void)state;
	start(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_CTRL_VQ, false); /* and the queue's number is 2 */
	assert_true(fake_port[0].filter.alluni && fake_port[0].filter.allmulti);
	assert_false(fake_port[0].filter.vlans);
	assert_int_equal(command(RX, 0, &on, 1), 1);
	assert_int_equal(command(RX, 2, &on, 1), 1);
	assert_int_equal(command16(VLAN, 0, 1), 1);
	assert_int_equal(command16(MQ, 0, 1), 1);
	assert_int_equal(command(MAC, 1, (uint8_t[]){ 2, 0, 0, 0, 0, 9 }, 6), 1);
	assert_int_equal(tables(1, 1, 0), 1);
	start(ALL & ~VIRTIO_NET_F_CTRL_RX_EXTRA, true);
	assert_int_equal(command(RX, 1, &on, 1), 0);
	assert_int_equal(command(RX, 2, &on, 1), 1);
}

static void the_link_is_told(void **state)
{
	uint64_t generation;

	(void)state;
	assert_int_equal(reg(CONFIG + 6, 2, false, 0), 1);
	start(ALL, false);
	generation = reg(GENERATION, 1, false, 0);
	virtio_net_set_link(net->port, false);
	assert_true(fake_port[0].unplugged);
	assert_int_equal(reg(CONFIG + 6, 2, false, 0), 0);
	assert_int_not_equal(reg(GENERATION, 1, false, 0), generation);
	assert_int_equal(reg(0x1000, 1, false, 0) & 2, 2); /* ISR, without MSI-X */
	virtio_net_set_link(net->port, true);
	assert_int_equal(reg(CONFIG + 6, 2, false, 0), 1);
}

static void wrap_around(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		start(ALL, i);
		for (unsigned n = 0; n < 70000; n++)
			assert_int_equal(command16(VLAN, 0, (uint16_t)(n % 4096)), 0);
	}
}

/* The rest at later turns, without another kick; nothing after the queue has been stopped. */
static void a_turn_is_bounded(void **state)
{
	struct piece p[] = { { DATA, 2, 0 }, { DATA + 16, 1, 0 }, { DATA + 32, 1, WRITE } };
	unsigned turns = 0;

	(void)state;
	for (unsigned stop = 0; stop < 2; stop++) {
		start(ALL, false);
		for (unsigned i = 0; i < SIZE; i++)
			put(p, 3);
		kick(control);
		assert_in_range(answered(), 1, SIZE - 1);
		assert_int_equal(fake_posted & MB_SWITCH_WORK, MB_SWITCH_WORK);
		while (!stop && switch_work_run())
			assert_true(++turns < SIZE);
		assert_true(stop || answered() == SIZE);
	}
	turns = answered();
	reg(STATUS, 1, true, 0);
	assert_false(switch_work_run());
	assert_int_equal(answered(), turns);
}

static void broken_chains(void **state)
{
	static const struct {
		struct piece p[4];
		unsigned count;
	} cases[] = {
		{ { { DATA, 2, 0 } }, 1 },				/* no answer */
		{ { { DATA, 1, WRITE }, { DATA, 2, 0 } }, 2 },		/* wrong order */
		{ { { 0xffffffff000, 2, 0 }, { DATA, 1, WRITE } }, 2 }, /* not RAM */
		{ { { DATA, 2, 0 }, { DATA, 1, WRITE }, { DATA, 1, 0 } }, 3 },
	};
	struct piece many[SIZE];

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		start(ALL, i % 2);
		put(cases[i / 2].p, cases[i / 2].count);
		kick(control);
		assert_int_equal(reg(STATUS, 1, false, 0), 15 | VIRTIO_NEEDS_RESET);
		kick(control); /* stopped */
	}
	/* the header in single bytes, and no more of it than an answer: an error, no fault */
	start(ALL, true);
	many[0] = (struct piece){ DATA, 1, 0 };
	many[1] = (struct piece){ DATA + 8, 4, WRITE };
	put(many, 2);
	kick(control);
	assert_true(done());
	assert_int_equal(*(uint8_t *)ram(DATA + 8), 1);
	assert_int_equal(reg(STATUS, 1, false, 0), 15);
	start(ALL, false);
	((uint16_t *)ram(DRIVER))[1] = SIZE + 1;
	kick(control);
	assert_int_equal(reg(STATUS, 1, false, 0), 15 | VIRTIO_NEEDS_RESET);
}

/* Rings and commands of random bytes: nothing but this device is hurt. */
static void garbage_by_seed(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ull;

	(void)state;
	for (unsigned i = 0; i < fake_rounds(300); i++) {
		start(ALL, i & 1);
		for (unsigned n = 0; n < 30; n++) {
			for (unsigned k = 0; k < 64; k++) {
				uint64_t r = fake_random(&seed);

				((uint64_t *)ram(RING))[r % (16 * SIZE / 8)] =
					r & 1 ? DATA + (r >> 40) % 64 : fake_random(&seed);
				((uint8_t *)ram(DATA))[r >> 8 & 63] = (uint8_t)(r >> 16 & 7);
			}
			((uint16_t *)ram(DRIVER))[1] += (uint16_t)(seed % 4);
			kick(control);
		}
	}
	start(ALL, false);
	vlans();
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(commands),	T(a_reset_undoes_it), T(features_count), T(the_link_is_told),
		T(wrap_around), T(a_turn_is_bounded), T(broken_chains),	 T(garbage_by_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
