/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does virtio-console show what a guest transmits, byte for byte over both kinds of ring, and
 * bring what is typed, one buffer a character; is a long buffer shown in bounded turns; and does it
 * stop for a driver that breaks the rules? */
#include "tests/unit/dev/transport.h"

#include "hv/dev/virtio_console.h"

#include <cmocka.h>

enum { RX, TX };
/* of each queue: RING, and a page further the two other areas */
enum { RING = 0x10000, DRIVER = 0x1000, DEVICE = 0x2000, STRIDE = 0x8000 };
enum { DATA = 0x100000, SIZE = 64 };

static struct virtio_console console;
static uint16_t pos[2]; /* split: available index; packed: position */
static bool packed;

static void *ram(uint64_t gpa)
{
	return fake_vm.mem.extent[0].ptr + gpa;
}

static uint64_t ring(unsigned queue)
{
	return RING + queue * STRIDE;
}

static void settle(void)
{
	while (switch_work_run())
		;
}

static void start(bool with_ring_packed)
{
	uint64_t features = VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC;

	packed = with_ring_packed;
	memset(ram(RING), 0, 2 * STRIDE);
	if (packed)
		features |= VIRTIO_F_RING_PACKED;
	negotiate(features);
	for (unsigned q = 0; q < 2; q++) {
		pos[q] = packed ? VQ_WRAP : 0;
		set_queue(q, SIZE, ring(q), ring(q) + DRIVER, ring(q) + DEVICE);
	}
	reg(STATUS, 1, true, 15);
	assert_int_equal(reg(STATUS, 1, false, 0), 15);
}

static int setup(void **state)
{
	(void)state;
	fake_reset(1);
	memset(&console, 0, sizeof(console));
	return transport_init() != 0 || virtio_console_init(&console, &fake_vm, &pcie) != 0;
}

static int teardown(void **state)
{
	(void)state;
	virtio_console_finish(&console);
	assert_false(switch_work_run());
	return 0;
}

/* One descriptor, made available as a buffer of its own. */
static void put(unsigned queue, uint64_t address, uint32_t bytes, uint16_t flags)
{
	unsigned at = packed ? pos[queue] & ~VQ_WRAP : pos[queue] % SIZE;
	uint8_t *d = (uint8_t *)ram(ring(queue)) + 16 * at;
	uint16_t id = (uint16_t)at;

	if (packed) {
		flags |= pos[queue] & VQ_WRAP ? 1u << 7 : 1u << 15;
		pos[queue] = at + 1 == SIZE ? (uint16_t)(~pos[queue] & VQ_WRAP)
					    : (uint16_t)(pos[queue] + 1);
	}
	memcpy(d, &address, 8);
	memcpy(d + 8, &bytes, 4);
	memcpy(d + 12, packed ? &id : &flags, 2);
	if (packed) {
		memcpy(d + 14, &flags, 2);
	} else {
		uint16_t *avail = ram(ring(queue) + DRIVER);

		avail[2 + at] = id;
		avail[1] = ++pos[queue];
	}
}

/* What the device wrote as the length of the buffer in the ring's entry `at`. */
static uint32_t given(unsigned queue, unsigned at)
{
	uint32_t bytes;

	memcpy(&bytes,
	       packed ? (uint8_t *)ram(ring(queue)) + 16 * at + 8
		      : (uint8_t *)ram(ring(queue) + DEVICE) + 4 + 8 * at + 4,
	       4);
	return bytes;
}

/* Buffers given back so far, split ring. */
static unsigned used(unsigned queue)
{
	return ((uint16_t *)ram(ring(queue) + DEVICE))[1];
}

static void it_offers_no_more_than_it_is(void **state)
{
	(void)state;
	assert_int_equal(reg(QUEUES, 2, false, 0), 2);
	reg(DEV_SELECT, 4, true, 0);
	assert_int_equal(reg(DEV_FEATURES, 4, false, 0) & 7, 0); /* size, multiport, emergency */
	for (unsigned at = 0; at < 12; at += 4)
		assert_int_equal(reg(CONFIG + at, 4, false, 0), 0);
}

static void it_shows(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		memset(fake_console, 0, sizeof(fake_console));
		setup(NULL);
		start(i);
		memcpy(ram(DATA), "hello, world\n", 13);
		put(TX, DATA, 5, 0);
		put(TX, DATA + 5, 8, 0);
		kick(TX);
		settle();
		assert_string_equal(fake_console, "hello, world\n");
		assert_int_equal(given(TX, 0), 0);
		assert_int_equal(given(TX, 1), 0);
		virtio_console_finish(&console);
	}
	setup(NULL);
}

static void its_lines_are_heard(void **state)
{
	static const char text[] = "lasthop: result test=x\nlasthop: end ok\r\n";

	(void)state;
	start(false);
	memcpy(ram(DATA), text, sizeof(text) - 1);
	put(TX, DATA, sizeof(text) - 1, 0);
	kick(TX);
	assert_string_equal(fake_result, "test=x");
	assert_int_equal(fake_vm.marker.end, MARKER_OK);
}

/* A table of pieces that are no multiple of anything; all bytes once, in order, in bounded turns. */
static void a_long_buffer_takes_turns(void **state)
{
	enum { TABLE = 0x80000, PIECES = 50, LONG = 1031 };

	(void)state;
	start(false);
	for (unsigned i = 0; i < PIECES; i++) {
		uint8_t *d = (uint8_t *)ram(TABLE) + 16 * i;
		uint64_t address = DATA + i * LONG;
		uint32_t bytes = LONG;
		uint16_t flags = i + 1 < PIECES ? NEXT : 0, next = (uint16_t)(i + 1);

		memcpy(d, &address, 8);
		memcpy(d + 8, &bytes, 4);
		memcpy(d + 12, &flags, 2);
		memcpy(d + 14, &next, 2);
	}
	for (unsigned i = 0; i < PIECES * LONG; i++)
		*(uint8_t *)ram(DATA + i) = (uint8_t)('a' + i % 23);
	put(TX, TABLE, 16 * PIECES, 4);
	kick(TX); /* eight pieces of 2 KiB, and no more */
	assert_int_equal(fake_console_total, 16 * 1024);
	assert_int_equal(used(TX), 0);
	settle();
	assert_int_equal(used(TX), 1);
	assert_int_equal(fake_console_total, PIECES * LONG);
	for (unsigned i = 0; i < sizeof(fake_console) - 1; i++)
		assert_int_equal(fake_console[i], 'a' + i % 23);
}

/* 4 GiB and more in one buffer, by naming the same memory again and again: cut, not shown for ever. */
static void an_endless_buffer_is_cut(void **state)
{
	(void)state;
	start(true);
	for (unsigned i = 0; i < 2; i++) {
		put(TX, DATA, 2u << 20, 0);
		kick(TX);
		settle();
	}
	assert_int_equal(fake_console_total, 2 * 64 * 1024);
	/* and the next is shown from its beginning */
	memcpy(ram(DATA), "next", 4);
	memset(fake_console, 0, sizeof(fake_console));
	put(TX, DATA, 4, 0);
	kick(TX);
	assert_int_equal(fake_console_total, 2 * 64 * 1024 + 4);
}

/* While a buffer is shown its descriptor grows shorter: the rest is nothing. */
static void a_buffer_that_shrinks(void **state)
{
	uint32_t bytes = 10;

	(void)state;
	start(false);
	put(TX, DATA, 60000, 0);
	kick(TX);
	assert_int_equal(used(TX), 0);
	memcpy((uint8_t *)ram(ring(TX)) + 8, &bytes, 4);
	settle();
	assert_int_equal(used(TX), 1);
	assert_true(fake_console_total < 60000);
}

static void a_reset_forgets_what_was_shown(void **state)
{
	(void)state;
	start(false);
	put(TX, DATA, 60000, 0);
	kick(TX);
	start(false);
	settle();
	fake_console_total = 0;
	put(TX, DATA, 100, 0);
	kick(TX);
	assert_int_equal(fake_console_total, 100);
}

static void command(uint64_t value)
{
	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_ECAM_BASE + 8 * 4096 + PCI_COMMAND, 2,
			       true, &value));
}

/* What Linux does to a device before kexec: it gets no reset, and must leave memory alone. */
static void no_bus_master_no_service(void **state)
{
	(void)state;
	start(false);
	put(RX, DATA, 0x100, WRITE);
	put(RX, DATA + 0x100, 0x100, WRITE);
	command(7);
	assert_true(virtio_console_receive(&console, 'a'));
	command(3);
	assert_int_equal(reg(STATUS, 1, false, 0), 11);
	assert_false(virtio_console_receive(&console, 'b'));
	assert_int_equal(used(RX), 1);
	put(TX, DATA, 10, 0);
	kick(TX);
	assert_int_equal(fake_console_total, 0);
	command(7); /* no rings come back by that */
	kick(TX);
	assert_false(virtio_console_receive(&console, 'b'));
	assert_int_equal(fake_console_total, 0);
	start(true); /* the next kernel */
	put(TX, DATA, 10, 0);
	kick(TX);
	assert_int_equal(fake_console_total, 10);
}

static void what_is_typed_comes_in(void **state)
{
	(void)state;
	assert_false(virtio_console_listens(&console));
	assert_false(virtio_console_receive(&console, 'x'));
	for (unsigned i = 0; i < 2; i++) {
		start(i);
		assert_true(virtio_console_listens(&console));
		assert_false(virtio_console_receive(&console, 'a')); /* no buffer */
		memset(ram(DATA), 0, 0x200);
		put(RX, DATA, 0x100, WRITE);
		put(RX, DATA + 0x100, 1, WRITE);
		kick(RX);
		settle();
		assert_int_equal(*(uint8_t *)ram(DATA), 0);
		assert_true(virtio_console_receive(&console, 'a'));
		assert_true(virtio_console_receive(&console, 'b'));
		assert_false(virtio_console_receive(&console, 'c'));
		assert_string_equal((char *)ram(DATA), "a");
		assert_string_equal((char *)ram(DATA + 0x100), "b");
		assert_int_equal(given(RX, 0), 1);
		assert_int_equal(given(RX, 1), 1);
	}
	reg(STATUS, 1, true, 0);
	assert_false(virtio_console_listens(&console));
}

static void broken_drivers(void **state)
{
	static const struct {
		unsigned queue;
		uint64_t address;
		uint32_t bytes;
		uint16_t flags;
	} cases[] = {
		{ TX, DATA, 32, WRITE },      /* not readable */
		{ TX, 0xffffffff000, 32, 0 }, /* not RAM */
		{ TX, ~0ull - 8, 32, 0 },
		{ TX, FAKE_RAM - 16, 64, 0 },
		{ RX, DATA, 32, 0 },	/* not writable */
		{ RX, DATA, 0, WRITE }, /* no room for a character */
		{ RX, 0xffffffff000, 32, WRITE },
		{ RX, FAKE_RAM - 16, 64, WRITE },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned queue = cases[i / 2].queue;

		start(i % 2);
		fake_console_total = 0;
		put(queue, cases[i / 2].address, cases[i / 2].bytes, cases[i / 2].flags);
		kick(queue);
		if (queue == RX)
			assert_false(virtio_console_receive(&console, 'x'));
		assert_int_equal(reg(STATUS, 1, false, 0), 15 | VIRTIO_NEEDS_RESET);
		if (queue == RX)
			assert_false(virtio_console_listens(&console));
		put(queue, DATA, 32, queue == RX ? WRITE : 0);
		kick(queue);
		assert_int_equal(fake_console_total, 0); /* stopped */
	}
	start(false);
	((uint16_t *)ram(ring(TX) + DRIVER))[1] = SIZE + 1;
	kick(TX);
	assert_int_equal(reg(STATUS, 1, false, 0), 15 | VIRTIO_NEEDS_RESET);
}

/* Rings of random bytes: nothing but this device is hurt. */
static void garbage_by_seed(void **state)
{
	uint64_t seed = 0x2545f4914f6cdd1dull;

	(void)state;
	for (unsigned i = 0; i < fake_rounds(200); i++) {
		start(i & 1);
		for (unsigned n = 0; n < 30; n++) {
			unsigned queue = n & 1;

			for (unsigned k = 0; k < 64; k++) {
				uint64_t r = fake_random(&seed);

				((uint64_t *)ram(ring(queue)))[r % (16 * SIZE / 8)] =
					r & 1 ? DATA + (r >> 40) % 64 : fake_random(&seed);
			}
			((uint16_t *)ram(ring(queue) + DRIVER))[1] += (uint16_t)(seed % 4);
			kick(queue);
			virtio_console_receive(&console, 'x');
			switch_work_run();
		}
	}
	start(false);
	settle();
	fake_console_total = 0;
	put(TX, DATA, 32, 0);
	kick(TX);
	assert_int_equal(fake_console_total, 32);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_offers_no_more_than_it_is),
		T(it_shows),
		T(its_lines_are_heard),
		T(a_long_buffer_takes_turns),
		T(an_endless_buffer_is_cut),
		T(a_buffer_that_shrinks),
		T(a_reset_forgets_what_was_shown),
		T(what_is_typed_comes_in),
		T(no_bus_master_no_service),
		T(broken_drivers),
		T(garbage_by_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
