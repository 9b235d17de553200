/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the reader of packed rings take every legal chain, wherever it lies in the ring, and
 * refuse every broken one by its name; do positions, used entries and events follow the wrap
 * counters? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "vswitch/vq.h"

enum { SIZE = 6, NEXT = 1, WRITE = 2, IND = 4 };

#define AV	0x80u	/* available in the first round */
#define US	0x8000u /* ... in the second */
#define RAM	0x10000u
#define RAM_END 0x20000u
#define TABLE	0x14000u
#define BUF	0x15000u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id, flags;
};

static _Alignas(64) uint8_t ram[RAM_END - RAM];
static struct gmem mem = { 1, { { RAM, sizeof(ram), ram } } };
static struct vq vq;
static struct seg seg[VQ_MAX_CHAIN];
static struct vq_chain chain;

static struct desc *ring(void)
{
	return (struct desc *)(void *)ram;
}

static struct queue_setup sound_setup(void)
{
	return (struct queue_setup){ SIZE, RAM, RAM + 0x1000, RAM + 0x2000,
				     VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC |
					     VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED };
}

static int setup(void **state)
{
	const struct queue_setup sound = sound_setup();
	const char *why;

	(void)state;
	memset(ram, 0, sizeof(ram));
	return vq_init(&vq, &sound, &mem, &why);
}

static void setups(void **state)
{
	static const struct {
		struct queue_setup change; /* members that are not 0 replace the sound ones */
		int want;
	} cases[] = {
		{ { .size = 1 }, 0 },
		{ { .size = 32768 }, -1 }, /* does not fit */
		{ { .size = 32769 }, -1 },
		{ { .size = 0x80000000u }, -1 },
		{ { .desc = RAM + 8 }, -1 },
		{ { .driver = RAM + 2 }, -1 },
		{ { .device = RAM + 2 }, -1 },
		{ { .desc = RAM - 16 }, -1 },
		{ { .desc = RAM_END - 16 * SIZE }, 0 },
		{ { .desc = RAM_END - 16 * SIZE + 16 }, -1 },
		{ { .driver = RAM_END - 4 }, 0 },
		{ { .driver = RAM_END }, -1 },
		{ { .device = 0xfffffffffffffffc }, -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct queue_setup s = sound_setup();
		const struct queue_setup *c = &cases[i].change;
		const char *why = NULL;
		struct vq fresh;

		s.size = c->size ? c->size : s.size;
		s.desc = c->desc ? c->desc : s.desc;
		s.driver = c->driver ? c->driver : s.driver;
		s.device = c->device ? c->device : s.device;
		assert_int_equal(vq_init(&fresh, &s, &mem, &why), cases[i].want);
		assert_int_equal(why != NULL, cases[i].want != 0);
	}
}

/* The chain at `entry`; its descriptors are those of the ring, AV is put in where `stale` has no
 * bit. */
struct chain_case {
	const char *name;
	struct desc desc[SIZE];
	struct desc table[4];
	uint16_t entry;
	unsigned stale;
	enum vq_dir dir;
	enum vq_fault fault;
	unsigned nsegs, slots;
	uint64_t bytes;
};

/* clang-format off */
static const struct chain_case chains[] = {
	{ "one", { { BUF, 100, 3, 0 } }, { { 0 } }, 0, 0, VQ_READ, VQ_OK, 1, 1, 100 },
	{ "one, writable", { { BUF, 100, 3, WRITE } }, { { 0 } }, 0, 0, VQ_WRITE, VQ_OK, 1, 1, 100 },
	{ "nothing", { { BUF, 100, 3, 0 } }, { { 0 } }, 0, 1, VQ_READ, VQ_OK, 0, 0, 0 },
	{ "three, id in the last", { { 0 }, { BUF, 1, 7, NEXT }, { BUF, 2, 8, NEXT }, { BUF, 3, 3, 0 } },
	  { { 0 } }, 1, 0, VQ_READ, VQ_OK, 3, 3, 6 },
	{ "all of the ring", { { BUF, 1, 0, NEXT }, { BUF, 1, 0, NEXT }, { BUF, 1, 0, NEXT },
	  { BUF, 1, 0, NEXT }, { BUF, 1, 0, NEXT }, { BUF, 1, 3, 0 } },
	  { { 0 } }, 0, 0, VQ_READ, VQ_OK, 6, 6, 6 },
	{ "around the end", { { BUF, 2, 3, US }, { 0 }, { 0 }, { 0 }, { 0 }, { BUF, 1, 0, NEXT } },
	  { { 0 } }, 5, 1, VQ_READ, VQ_OK, 2, 2, 3 },
	{ "empty buffers are skipped", { { 1, 0, 0, NEXT }, { BUF, 2, 3, 0 } }, { { 0 } },
	  0, 0, VQ_READ, VQ_OK, 1, 2, 2 },
	{ "indirect", { { TABLE, 32, 3, IND } }, { { BUF, 4, 0, 0 }, { BUF, 5, 0, 0 } },
	  0, 0, VQ_READ, VQ_OK, 2, 1, 9 },
	{ "in a table flags but WRITE mean nothing", { { TABLE, 32, 3, IND | WRITE } },
	  { { BUF, 4, 9, 0xfffd }, { BUF, 5, 9, IND } }, 0, 0, VQ_READ, VQ_OK, 2, 1, 9 },
	{ "direct, then indirect", { { BUF, 1, 9, NEXT }, { TABLE, 16, 3, IND } },
	  { { BUF, 4, 0, 0 } }, 0, 0, VQ_READ, VQ_OK, 2, 2, 5 },
	{ "readable, then writable", { { BUF, 1, 9, NEXT }, { BUF, 2, 9, NEXT }, { BUF, 4, 3, WRITE } },
	  { { 0 } }, 0, 0, VQ_BOTH, VQ_OK, 3, 3, 7 },
	{ "wild id: the driver's affair", { { BUF, 100, 65535, 0 } }, { { 0 } },
	  0, 0, VQ_READ, VQ_OK, 1, 1, 100 },

	{ "longer than the ring", { { BUF, 1, 0, NEXT }, { BUF, 1, 0, NEXT }, { BUF, 1, 0, NEXT },
	  { BUF, 1, 0, NEXT }, { BUF, 1, 0, NEXT }, { BUF, 1, 3, NEXT } },
	  { { 0 } }, 0, 0, VQ_READ, VQ_BAD_LOOP, 6, 6, 6 },
	{ "runs into a stale entry", { { BUF, 1, 0, NEXT }, { BUF, 1, 0, 0 } }, { { 0 } },
	  0, 2, VQ_READ, VQ_BAD_NOT_AVAILABLE, 1, 1, 1 },
	{ "the next round's flags before the end", { { BUF, 1, 0, NEXT }, { BUF, 1, 0, US } },
	  { { 0 } }, 0, 2, VQ_READ, VQ_BAD_NOT_AVAILABLE, 1, 1, 1 },
	{ "this round's flags behind the end", { { BUF, 2, 3, 0 }, { 0 }, { 0 }, { 0 }, { 0 },
	  { BUF, 1, 0, NEXT } }, { { 0 } }, 5, 0, VQ_READ, VQ_BAD_NOT_AVAILABLE, 1, 1, 1 },
	{ "below RAM", { { RAM - 1, 1, 0, 0 } }, { { 0 } }, 0, 0, VQ_READ, VQ_BAD_NOT_RAM, 0, 1, 0 },
	{ "out of RAM", { { RAM_END - 1, 2, 0, 0 } }, { { 0 } },
	  0, 0, VQ_READ, VQ_BAD_NOT_RAM, 1, 1, 1 },
	{ "address wraps", { { UINT64_MAX, 0xffffffff, 0, 0 } }, { { 0 } },
	  0, 0, VQ_READ, VQ_BAD_NOT_RAM, 0, 1, 0 },
	{ "huge", { { RAM, 0xffffffff, 0, 0 } }, { { 0 } }, 0, 0, VQ_READ, VQ_BAD_NOT_RAM, 1, 1, 65536 },
	{ "writable to transmit", { { BUF, 1, 0, WRITE } }, { { 0 } },
	  0, 0, VQ_READ, VQ_BAD_DIRECTION, 0, 1, 0 },
	{ "readable after writable", { { BUF, 1, 0, WRITE | NEXT }, { BUF, 1, 0, 0 } }, { { 0 } },
	  0, 0, VQ_WRITE, VQ_BAD_DIRECTION, 1, 2, 1 },
	{ "readable after writable, control", { { BUF, 1, 0, WRITE | NEXT }, { BUF, 1, 0, 0 } },
	  { { 0 } }, 0, 0, VQ_BOTH, VQ_BAD_DIRECTION, 1, 2, 1 },
	{ "wrong direction in the table", { { TABLE, 32, 0, IND } }, { { BUF, 4, 0, 0 }, { BUF, 5, 0, WRITE } },
	  0, 0, VQ_READ, VQ_BAD_DIRECTION, 1, 1, 4 },
	{ "indirect with next", { { TABLE, 16, 0, IND | NEXT }, { BUF, 1, 0, 0 } },
	  { { BUF, 4, 0, 0 } }, 0, 0, VQ_READ, VQ_BAD_INDIRECT_NEXT, 0, 1, 0 },
	{ "empty table", { { TABLE, 0, 0, IND } }, { { 0 } },
	  0, 0, VQ_READ, VQ_BAD_INDIRECT_SIZE, 0, 1, 0 },
	{ "odd table", { { TABLE, 17, 0, IND } }, { { 0 } }, 0, 0, VQ_READ, VQ_BAD_INDIRECT_SIZE, 0, 1, 0 },
	{ "large table", { { TABLE, 16 * 1025, 0, IND } }, { { 0 } },
	  0, 0, VQ_READ, VQ_BAD_INDIRECT_SIZE, 0, 1, 0 },
	{ "table not in RAM", { { RAM_END - 16, 32, 0, IND } }, { { 0 } },
	  0, 0, VQ_READ, VQ_BAD_INDIRECT_NOT_RAM, 0, 1, 0 },
};
/* clang-format on */

static void fill(const struct desc *desc, unsigned stale)
{
	for (unsigned i = 0; i < SIZE; i++) {
		ring()[i] = desc[i];
		ring()[i].flags |= stale >> i & 1 ? 0 : AV;
	}
}

static void chain_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		const struct chain_case *c = &chains[i];
		enum vq_fault fault;

		fill(c->desc, c->stale);
		memcpy(ram + (TABLE - RAM), c->table, sizeof(c->table));
		fault = vq_read(&vq, c->entry | VQ_WRAP, 0, c->dir, UINT64_MAX, seg, VQ_MAX_CHAIN,
				&chain);
		if (fault != c->fault || chain.nsegs != c->nsegs || chain.slots != c->slots ||
		    chain.bytes != c->bytes || chain.whole != (fault == VQ_OK && c->slots > 0))
			fail_msg("%s: fault %d (%s), %u pieces, %u slots, %lu bytes", c->name,
				 (int)fault, vq_fault_text(fault), chain.nsegs, chain.slots,
				 (unsigned long)chain.bytes);
		if (fault == VQ_OK && c->slots > 0)
			assert_true(chain.id == 3 || chain.id == 65535);
		if (c->dir == VQ_BOTH && fault == VQ_OK)
			assert_int_equal(chain.readable, 2);
	}
}

static void indirect_needs_feature(void **state)
{
	const struct desc d[SIZE] = { { TABLE, 16, 0, IND } };

	(void)state;
	fill(d, 0);
	vq.indirect = false;
	assert_int_equal(vq_read(&vq, VQ_WRAP, 0, VQ_READ, 1, seg, 1, &chain), VQ_BAD_INDIRECT_OFF);
}

static void longest_table(void **state)
{
	const struct desc d[SIZE] = { { RAM + 0x3001, 1024 * 16, 0, IND } };
	struct desc entry = { BUF, 1, 0, 0 };

	(void)state;
	fill(d, 0);
	for (unsigned i = 0; i < 1024; i++)
		memcpy(ram + 0x3001 + i * 16, &entry, 16);
	/* the indirect descriptor counts as well */
	assert_int_equal(vq_read(&vq, VQ_WRAP, 0, VQ_READ, UINT64_MAX, seg, VQ_MAX_CHAIN, &chain),
			 VQ_BAD_LONG);
	ring()[0].len -= 16;
	assert_int_equal(vq_read(&vq, VQ_WRAP, 0, VQ_READ, UINT64_MAX, seg, VQ_MAX_CHAIN, &chain),
			 VQ_OK);
	assert_true(chain.whole);
	assert_int_equal(chain.bytes, 1023);
}

/* Pieces end when enough are there, the walk does not: the id is at the chain's end. */
static void stops_early(void **state)
{
	const struct desc d[SIZE] = {
		{ BUF, 10, 0, NEXT }, { BUF, 10, 0, NEXT }, { 1, 10, 0, NEXT }, { TABLE, 7, 3, IND }
	};

	(void)state;
	fill(d, 0);
	ring()[3].len = 16;
	assert_int_equal(vq_read(&vq, VQ_WRAP, 0, VQ_READ, 11, seg, 8, &chain), VQ_OK);
	assert_int_equal(chain.bytes, 20);
	assert_int_equal(chain.slots, 4);
	assert_int_equal(chain.id, 3);
	assert_false(chain.whole);
	assert_int_equal(vq_read(&vq, VQ_WRAP, 0, VQ_READ, 100, seg, 1, &chain), VQ_OK);
	assert_int_equal(chain.bytes, 10);
	assert_false(chain.whole);
}

/* Every size of ring, from every position: one step at a time is the same as many. */
static void positions(void **state)
{
	(void)state;
	for (uint32_t size = 1; size < 10; size++) {
		struct vq v = { .size = size, .packed = true };
		uint16_t from = vq_start(&v);

		for (uint32_t i = 0; i < 2 * size; i++) {
			uint16_t pos = from;

			for (uint32_t n = 0; n < 2 * size; n++) {
				assert_int_equal(vq_packed_distance(&v, from, pos), n);
				if (n <= size) {
					assert_int_equal(vq_advance(&v, from, n), pos);
					assert_true(vq_packed_fits(&v, from, pos,
								   (uint16_t)(size - n)));
					assert_false(vq_packed_fits(&v, from, pos,
								    (uint16_t)(size - n + 1)));
				}
				pos = vq_advance(&v, pos, 1);
			}
			assert_int_equal(pos, from);
			from = vq_advance(&v, from, 1);
		}
	}
	vq = (struct vq){ .size = 32768, .packed = true };
	assert_int_equal(vq_advance(&vq, 32767 | VQ_WRAP, 1), 0);
	assert_int_equal(vq_advance(&vq, 32767, 32768), 32767 | VQ_WRAP);
}

static void used_entries(void **state)
{
	const struct desc d[SIZE] = { { BUF, 1, 1, WRITE }, { BUF, 1, 2, WRITE } };

	(void)state;
	fill(d, 0);
	vq_put_used(&vq, VQ_WRAP, 77, 100, VQ_WRITE, true);
	vq_put_used(&vq, VQ_WRAP | 1, 78, 200, VQ_WRITE, false);
	assert_int_equal(ring()[0].flags, AV | WRITE); /* not yet */
	assert_int_equal(ring()[0].id, 77);
	assert_int_equal(ring()[0].len, 100);
	assert_int_equal(ring()[1].flags, AV | US | WRITE);
	assert_int_equal(ring()[1].id, 78);
	vq_publish(&vq, VQ_WRAP, VQ_WRAP | 2, VQ_WRITE);
	assert_int_equal(ring()[0].flags, AV | US | WRITE);
	assert_false(vq_has(&vq, VQ_WRAP));
	assert_false(vq_has(&vq, 0));
	ring()[0].flags = US; /* the driver's next round */
	assert_true(vq_has(&vq, 0));
	vq_put_used(&vq, 0, 5, 0, VQ_READ, true);
	assert_int_equal(ring()[0].flags, US);
	vq_publish(&vq, 0, 1, VQ_READ);
	assert_int_equal(ring()[0].flags, 0);
}

static void interrupts(void **state)
{
	static const struct {
		uint32_t flags;
		uint16_t event, before, end;
		bool want;
	} cases[] = {
		{ 0, 0, VQ_WRAP, VQ_WRAP | 1, true },
		{ 1, 0, VQ_WRAP, VQ_WRAP | 1, false },
		{ 3, 0, VQ_WRAP, VQ_WRAP | 1, true }, /* reserved */
		{ 2, VQ_WRAP, VQ_WRAP, VQ_WRAP | 1, true },
		{ 2, VQ_WRAP | 1, VQ_WRAP, VQ_WRAP | 1, false },
		{ 2, VQ_WRAP | 1, VQ_WRAP, VQ_WRAP | 3, true },
		{ 2, 0, VQ_WRAP, VQ_WRAP | 3, false }, /* the other round */
		{ 2, 0, VQ_WRAP | 5, 1, true },
		{ 2, 1, VQ_WRAP | 5, 1, false },
		{ 2, VQ_WRAP | 5, VQ_WRAP | 5, 1, true },
		{ 2, VQ_WRAP | 4, VQ_WRAP | 5, 1, false },
		{ 2, VQ_WRAP | 4, VQ_WRAP | 5, 5, false },
		{ 2, 5, 5, VQ_WRAP, true },
		{ 2, SIZE, VQ_WRAP, VQ_WRAP | 1, true }, /* nonsense */
		{ 2, 0xffff, VQ_WRAP, VQ_WRAP | 1, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		*vq.driver_event = cases[i].flags << 16 | cases[i].event;
		assert_int_equal(vq_wants_interrupt(&vq, cases[i].before, cases[i].end),
				 cases[i].want);
	}
	vq.event_idx = false; /* then "at this descriptor" means nothing */
	*vq.driver_event = 2u << 16 | VQ_WRAP | 1;
	assert_true(vq_wants_interrupt(&vq, VQ_WRAP, VQ_WRAP | 1));
}

static void kicks(void **state)
{
	(void)state;
	vq_arm_kick(&vq, VQ_WRAP | 3);
	assert_int_equal(*vq.device_event, 2u << 16 | VQ_WRAP | 3);
	vq_disarm_kick(&vq, 0);
	assert_int_equal(*vq.device_event >> 16, 1);
	vq.event_idx = false;
	vq_arm_kick(&vq, 3);
	assert_int_equal(*vq.device_event >> 16, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(setups),	  T(chain_table), T(indirect_needs_feature),
		T(longest_table), T(stops_early), T(positions),
		T(used_entries),  T(interrupts),  T(kicks),
	};

	return cmocka_run_group_tests_name("vswitch/vq_packed", tests, NULL, NULL);
}
