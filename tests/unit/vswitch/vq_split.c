/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the ring reader take every legal chain, and refuse every broken one by its
 * name? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "vswitch/vq.h"

enum { SIZE = 8, NEXT = 1, WRITE = 2, IND = 4 };

#define RAM	0x10000u /* two extents that touch each other, elsewhere in our memory */
#define RAM2	0x18000u
#define RAM_END 0x20000u
#define TABLE	0x14000u /* an indirect table */
#define BUF	0x15000u

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

static _Alignas(64) uint8_t low[RAM2 - RAM], high[RAM_END - RAM2];
static struct gmem mem = { 2, { { RAM, sizeof(low), low }, { RAM2, sizeof(high), high } } };
static struct vq vq;
static struct seg seg[VQ_MAX_CHAIN];
static struct vq_chain chain;

static struct queue_setup sound_setup(void)
{
	return (struct queue_setup){ SIZE, RAM, RAM + 0x1000, RAM + 0x2000,
				     VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC |
					     VIRTIO_F_EVENT_IDX };
}

static int setup(void **state)
{
	const struct queue_setup sound = sound_setup();
	const char *why;

	(void)state;
	memset(low, 0, sizeof(low));
	memset(high, 0, sizeof(high));
	return vq_init(&vq, &sound, &mem, &why);
}

static void setups(void **state)
{
	static const struct {
		struct queue_setup change; /* members that are not 0 replace the sound ones */
		uint64_t drop_feature;
		int want;
	} cases[] = {
		{ { 0 }, 0, 0 },
		{ { .size = 1 }, 0, 0 },
		{ { .size = 1024 }, 0, -1 }, /* table then is larger than the low extent */
		{ { .size = 3 }, 0, -1 },
		{ { .size = 65536 }, 0, -1 },
		{ { .size = 0x80000000u }, 0, -1 },
		{ { .desc = RAM + 8 }, 0, -1 },
		{ { .driver = RAM + 1 }, 0, -1 },
		{ { .device = RAM + 2 }, 0, -1 },
		{ { .desc = RAM - 16 }, 0, -1 },
		{ { .desc = RAM2 - 16 }, 0, -1 }, /* over two extents */
		{ { .driver = RAM2 - 22 }, 0, 0 },
		{ { .driver = RAM2 - 20 }, 0, -1 },
		{ { .device = RAM_END - 70 + 2 }, 0, -1 },
		{ { .device = RAM_END - 72 }, 0, 0 },
		{ { .device = 0xfffffffffffffffc }, 0, -1 },
		{ { 0 }, VIRTIO_F_VERSION_1, -1 },
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
		s.features &= ~cases[i].drop_feature;
		if (c->size == 1024)
			s.desc = RAM2 - 1024 * 16 + 16;
		assert_int_equal(vq_init(&fresh, &s, &mem, &why), cases[i].want);
		assert_int_equal(why != NULL, cases[i].want != 0);
	}
}

/* Chains: descriptors 0.. of the queue's table, then those of an indirect table at TABLE. */
struct chain_case {
	const char *name;
	struct desc desc[SIZE];
	struct desc table[4];
	uint16_t head;
	enum vq_dir dir;
	enum vq_fault fault;
	unsigned nsegs;
	uint64_t bytes;
};

/* clang-format off */
static const struct chain_case chains[] = {
	{ "one", { { BUF, 100, 0, 0 } }, { { 0 } }, 0, VQ_READ, VQ_OK, 1, 100 },
	{ "one, writable", { { BUF, 100, WRITE, 0 } }, { { 0 } }, 0, VQ_WRITE, VQ_OK, 1, 100 },
	{ "three in any order",
	  { { BUF, 1, 0, 9 }, { BUF, 2, NEXT, 0 }, { 0 }, { BUF, 3, NEXT, 1 } },
	  { { 0 } }, 3, VQ_READ, VQ_OK, 3, 6 },
	{ "empty buffers are skipped", { { 1, 0, NEXT, 1 }, { BUF, 2, 0, 0 } }, { { 0 } },
	  0, VQ_READ, VQ_OK, 1, 2 },
	{ "over two extents", { { RAM2 - 10, 30, 0, 0 } }, { { 0 } }, 0, VQ_READ, VQ_OK, 2, 30 },
	{ "last byte of RAM", { { RAM_END - 1, 1, 0, 0 } }, { { 0 } }, 0, VQ_READ, VQ_OK, 1, 1 },
	{ "indirect", { { TABLE, 32, IND, 0 } }, { { BUF, 4, NEXT, 1 }, { BUF, 5, 0, 0 } },
	  0, VQ_READ, VQ_OK, 2, 9 },
	{ "indirect, WRITE on it says nothing", { { TABLE, 16, IND | WRITE, 0 } },
	  { { BUF, 4, 0, 0 } }, 0, VQ_READ, VQ_OK, 1, 4 },
	{ "direct, then indirect", { { BUF, 1, NEXT, 1 }, { TABLE, 16, IND, 0 } },
	  { { BUF, 4, 0, 0 } }, 0, VQ_READ, VQ_OK, 2, 5 },
	{ "indirect table out of order", { { TABLE, 64, IND, 0 } },
	  { { BUF, 1, NEXT, 3 }, { 0 }, { BUF, 2, 0, 0 }, { BUF, 4, NEXT, 2 } },
	  0, VQ_READ, VQ_OK, 3, 7 },

	{ "head", { { BUF, 1, 0, 0 } }, { { 0 } }, SIZE, VQ_READ, VQ_BAD_HEAD, 0, 0 },
	{ "head, far", { { BUF, 1, 0, 0 } }, { { 0 } }, 65535, VQ_READ, VQ_BAD_HEAD, 0, 0 },
	{ "next", { { BUF, 1, NEXT, SIZE } }, { { 0 } }, 0, VQ_READ, VQ_BAD_NEXT, 1, 1 },
	{ "loop of one", { { BUF, 1, NEXT, 0 } }, { { 0 } }, 0, VQ_READ, VQ_BAD_LOOP, SIZE, SIZE },
	{ "loop of empty ones", { { BUF, 0, NEXT, 1 }, { BUF, 0, NEXT, 0 } }, { { 0 } },
	  0, VQ_READ, VQ_BAD_LOOP, 0, 0 },
	{ "loop in the table", { { TABLE, 32, IND, 0 } },
	  { { BUF, 4, NEXT, 1 }, { BUF, 5, NEXT, 0 } }, 0, VQ_READ, VQ_BAD_LOOP, 2, 9 },
	{ "next in the table", { { TABLE, 32, IND, 0 } },
	  { { BUF, 4, NEXT, 2 }, { BUF, 5, 0, 0 } }, 0, VQ_READ, VQ_BAD_NEXT, 1, 4 },
	{ "below RAM", { { RAM - 1, 1, 0, 0 } }, { { 0 } }, 0, VQ_READ, VQ_BAD_NOT_RAM, 0, 0 },
	{ "beyond RAM", { { RAM_END, 1, 0, 0 } }, { { 0 } }, 0, VQ_READ, VQ_BAD_NOT_RAM, 0, 0 },
	{ "out of RAM", { { RAM_END - 1, 2, 0, 0 } }, { { 0 } }, 0, VQ_READ, VQ_BAD_NOT_RAM, 1, 1 },
	{ "address wraps", { { UINT64_MAX, 0xffffffff, 0, 0 } }, { { 0 } },
	  0, VQ_READ, VQ_BAD_NOT_RAM, 0, 0 },
	{ "huge", { { RAM, 0xffffffff, 0, 0 } }, { { 0 } }, 0, VQ_READ, VQ_BAD_NOT_RAM, 2, 65536 },
	{ "writable to transmit", { { BUF, 1, WRITE, 0 } }, { { 0 } },
	  0, VQ_READ, VQ_BAD_DIRECTION, 0, 0 },
	{ "readable after writable", { { BUF, 1, WRITE | NEXT, 1 }, { BUF, 1, 0, 0 } }, { { 0 } },
	  0, VQ_WRITE, VQ_BAD_DIRECTION, 1, 1 },
	{ "indirect with next", { { TABLE, 16, IND | NEXT, 1 }, { BUF, 1, 0, 0 } },
	  { { BUF, 4, 0, 0 } }, 0, VQ_READ, VQ_BAD_INDIRECT_NEXT, 0, 0 },
	{ "nested", { { TABLE, 16, IND, 0 } }, { { TABLE, 16, IND, 0 } },
	  0, VQ_READ, VQ_BAD_INDIRECT_NESTED, 0, 0 },
	{ "empty table", { { TABLE, 0, IND, 0 } }, { { 0 } },
	  0, VQ_READ, VQ_BAD_INDIRECT_SIZE, 0, 0 },
	{ "odd table", { { TABLE, 17, IND, 0 } }, { { 0 } },
	  0, VQ_READ, VQ_BAD_INDIRECT_SIZE, 0, 0 },
	{ "large table", { { TABLE, 16 * 1025, IND, 0 } }, { { 0 } },
	  0, VQ_READ, VQ_BAD_INDIRECT_SIZE, 0, 0 },
	{ "table not in RAM", { { RAM_END - 16, 32, IND, 0 } }, { { 0 } },
	  0, VQ_READ, VQ_BAD_INDIRECT_NOT_RAM, 0, 0 },
};
/* clang-format on */

static void chain_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		const struct chain_case *c = &chains[i];
		enum vq_fault fault;

		memcpy(low, c->desc, sizeof(c->desc));
		memcpy(low + (TABLE - RAM), c->table, sizeof(c->table));
		fault = vq_read_chain(&vq, c->head, c->dir, UINT64_MAX, seg, VQ_MAX_CHAIN, &chain);
		if (fault != c->fault || chain.nsegs != c->nsegs || chain.bytes != c->bytes ||
		    chain.whole != (fault == VQ_OK))
			fail_msg("%s: fault %d (%s), %u pieces, %lu bytes", c->name, (int)fault,
				 vq_fault_text(fault), chain.nsegs, (unsigned long)chain.bytes);
	}
}

static void indirect_needs_feature(void **state)
{
	const struct desc d = { TABLE, 16, IND, 0 };

	(void)state;
	memcpy(low, &d, sizeof(d));
	vq.indirect = false;
	assert_int_equal(vq_read_chain(&vq, 0, VQ_READ, 1, seg, 1, &chain), VQ_BAD_INDIRECT_OFF);
}

/* An indirect table may lie at any address and may have up to 1024 entries. */
static void longest_table(void **state)
{
	struct desc d = { RAM + 0x3001, 1024 * 16, IND, 0 };

	(void)state;
	memcpy(low, &d, sizeof(d));
	for (unsigned i = 0; i < 1024; i++) {
		d = (struct desc){ BUF, 1, i < 1023 ? NEXT : 0, (uint16_t)(i + 1) };
		memcpy(low + 0x3001 + i * 16, &d, 16);
	}
	/* the indirect descriptor counts as well */
	assert_int_equal(vq_read_chain(&vq, 0, VQ_READ, UINT64_MAX, seg, VQ_MAX_CHAIN, &chain),
			 VQ_BAD_LONG);
	d = (struct desc){ BUF, 1, 0, 0 };
	memcpy(low + 0x3001 + 1022 * 16, &d, 16);
	assert_int_equal(vq_read_chain(&vq, 0, VQ_READ, UINT64_MAX, seg, VQ_MAX_CHAIN, &chain),
			 VQ_OK);
	assert_true(chain.whole);
	assert_int_equal(chain.bytes, 1023);
}

static void stops_early(void **state)
{
	const struct desc d[] = { { BUF, 10, NEXT, 1 },
				  { BUF, 10, NEXT, 2 },
				  { BUF, 10, WRITE, 0 } };

	(void)state;
	memcpy(low, d, sizeof(d));
	/* what is not wanted is not looked at */
	assert_int_equal(vq_read_chain(&vq, 0, VQ_READ, 11, seg, 8, &chain), VQ_OK);
	assert_int_equal(chain.bytes, 20);
	assert_false(chain.whole);
	assert_int_equal(vq_read_chain(&vq, 0, VQ_READ, 100, seg, 1, &chain), VQ_OK);
	assert_int_equal(chain.bytes, 10);
	assert_false(chain.whole);
}

static void room_ends_within_buffer(void **state)
{
	const struct desc d = { RAM2 - 1, 2, 0, 0 };

	(void)state;
	memcpy(low, &d, sizeof(d));
	assert_int_equal(vq_read_chain(&vq, 0, VQ_READ, 100, seg, 1, &chain), VQ_OK);
	assert_int_equal(chain.bytes, 1);
	assert_false(chain.whole);
}

static void interrupts(void **state)
{
	static const struct {
		uint16_t event, before, idx;
		bool want;
	} cases[] = {
		{ 0, 0, 1, true },     { 1, 0, 1, false },     { 1, 0, 2, true },
		{ 1, 1, 1, false },    { 65535, 0, 1, false }, { 65535, 65535, 0, true },
		{ 0, 65530, 3, true }, { 3, 65530, 3, false }, { 65529, 65530, 3, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		vq.avail[2 + SIZE] = cases[i].event;
		assert_int_equal(vq_wants_interrupt(&vq, cases[i].before, cases[i].idx),
				 cases[i].want);
	}
	vq.event_idx = false;
	vq.avail[0] = 0;
	assert_true(vq_wants_interrupt(&vq, 0, 1));
	vq.avail[0] = 1;
	assert_false(vq_wants_interrupt(&vq, 0, 1));
}

static void kicks(void **state)
{
	_Atomic uint16_t *event = vq.used + 2 + SIZE * 4;

	(void)state;
	vq_arm_kick(&vq, 7);
	assert_int_equal(*event, 7);
	vq_disarm_kick(&vq, 0);
	assert_int_equal(*event, 65535);
	vq.event_idx = false;
	vq_disarm_kick(&vq, 3);
	assert_int_equal(vq.used[0], 1);
	vq_arm_kick(&vq, 3);
	assert_int_equal(vq.used[0], 0);
	assert_int_equal(*event, 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(setups, setup),
		cmocka_unit_test_setup(chain_table, setup),
		cmocka_unit_test_setup(indirect_needs_feature, setup),
		cmocka_unit_test_setup(longest_table, setup),
		cmocka_unit_test_setup(stops_early, setup),
		cmocka_unit_test_setup(room_ends_within_buffer, setup),
		cmocka_unit_test_setup(interrupts, setup),
		cmocka_unit_test_setup(kicks, setup),
	};

	return cmocka_run_group_tests_name("vswitch/vq_split", tests, NULL, NULL);
}
