/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does virtio-rng fill buffers with random bytes over both kinds of ring, at most a block
 * for each and sooner or later all of them, and does it stop for a driver that breaks the rules? */
#include "tests/unit/dev/transport.h"

#include "hv/dev/virtio_rng.h"

#include <cmocka.h>

enum { RING = 0x10000, DRIVER = 0x11000, DEVICE = 0x12000, DATA = 0x20000, SIZE = 64 };

static struct virtio_rng rng;
static uint16_t pos; /* split: available index; packed: position */
static bool packed;

static void *ram(uint64_t gpa)
{
	return fake_vm.mem.extent[0].ptr + gpa;
}

static void start(bool with_ring_packed)
{
	uint64_t features = VIRTIO_F_VERSION_1;

	packed = with_ring_packed;
	pos = packed ? VQ_WRAP : 0;
	memset(ram(RING), 0, 0x3000);
	memset(ram(DATA), 0, SIZE * 0x100);
	if (packed)
		features |= VIRTIO_F_RING_PACKED;
	negotiate(features);
	set_queue(0, SIZE, RING, DRIVER, DEVICE);
	reg(STATUS, 1, true, 15);
	assert_int_equal(reg(STATUS, 1, false, 0), 15);
}

static int setup(void **state)
{
	(void)state;
	fake_reset(1);
	memset(&rng, 0, sizeof(rng));
	return transport_init() || virtio_rng_init(&rng, &fake_vm, &pcie);
}

static int teardown(void **state)
{
	(void)state;
	virtio_rng_finish(&rng);
	return rng.queue.running || fake_allocs != 0;
}

/* Makes one buffer available, in the ring's entry `at`. */
static void put(uint64_t address, uint32_t bytes, uint16_t flags)
{
	unsigned at = packed ? pos & ~VQ_WRAP : pos % SIZE;
	uint8_t *d = (uint8_t *)ram(RING) + 16 * at;
	uint16_t id = (uint16_t)at, *avail = ram(DRIVER);

	if (packed)
		flags |= pos & VQ_WRAP ? 1u << 7 : 1u << 15;
	memcpy(d, &address, 8);
	memcpy(d + 8, &bytes, 4);
	memcpy(d + 12, packed ? &id : &flags, 2);
	memcpy(d + 14, packed ? &flags : &id, 2);
	if (packed) {
		pos = at + 1 == SIZE ? (uint16_t)(~pos & VQ_WRAP) : (uint16_t)(pos + 1);
	} else {
		avail[2 + at] = id;
		avail[1] = ++pos;
	}
}

/* What the device wrote as the length of the buffer in the ring's entry `at`. */
static uint32_t given(unsigned at)
{
	uint32_t bytes;

	memcpy(&bytes,
	       packed ? (uint8_t *)ram(RING) + 16 * at + 8
		      : (uint8_t *)ram(DEVICE) + 4 + 8 * at + 4,
	       4);
	return bytes;
}

static bool all_zero(const uint8_t *p, unsigned bytes)
{
	while (bytes > 0 && p[bytes - 1] == 0)
		bytes--;
	return bytes == 0;
}

static void it_fills(void **state)
{
	(void)state;
	assert_int_equal(reg(QUEUES, 2, false, 0), 1);
	assert_int_equal(reg(CONFIG, 4, false, 0), 0);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *data = ram(DATA);

		start(i);
		put(DATA, 32, WRITE);
		put(DATA + 0x100, 4096, WRITE);
		kick(0);
		assert_int_equal(given(0), 32);
		assert_false(all_zero(data, 32));
		assert_true(all_zero(data + 32, 0x100 - 32));
		assert_int_equal(given(1), ENTROPY_BLOCK);
		assert_false(all_zero(data + 0x100, ENTROPY_BLOCK));
		assert_true(all_zero(data + 0x100 + ENTROPY_BLOCK, 4096 - ENTROPY_BLOCK));
		assert_memory_not_equal(data, data + 0x100, 32);
	}
}

/* Round and round the ring, a full one at a time. */
static void all_of_a_queue(void **state)
{
	uint8_t last[ENTROPY_BLOCK] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		start(i);
		for (unsigned round = 0; round < 1100; round++) {
			for (unsigned n = 0; n < SIZE; n++)
				put(DATA + 0x100 * n, ENTROPY_BLOCK, WRITE);
			kick(0);
			while (switch_work_run()) /* a few buffers a turn */
				;
			for (unsigned n = 0; n < SIZE; n++)
				assert_int_equal(given(n), ENTROPY_BLOCK);
			assert_memory_not_equal(ram(DATA + 0x100 * (SIZE - 1)), last, sizeof(last));
			memcpy(last, ram(DATA + 0x100 * (SIZE - 1)), sizeof(last));
		}
	}
}

/* Buffers given back so far, split ring. */
static unsigned used(void)
{
	return ((uint16_t *)ram(DEVICE))[1];
}

/* While another VM's vCPU runs on this CPU, turns are rare, but not so rare that one is lost. */
static void others_have_their_time(void **state)
{
	struct vcpu other = { 0 };
	unsigned before;

	(void)state;
	start(false);
	for (unsigned n = 0; n < SIZE; n++)
		put(DATA, ENTROPY_BLOCK, WRITE);
	kick(0);
	before = used();
	fake_cpu.current = &other;
	atomic_store(&rng.queue.next_tsc, ~0ull);
	assert_true(switch_work_run());
	assert_int_equal(used(), before);
	atomic_store(&rng.queue.next_tsc, 0);
	assert_true(switch_work_run());
	assert_true(used() > before);
	fake_cpu.current = &fake_vcpu[0];
	atomic_store(&rng.queue.next_tsc, ~0ull);
	while (switch_work_run())
		;
	assert_int_equal(used(), SIZE);
}

static void the_queue_is_small(void **state)
{
	(void)state;
	reg(STATUS, 1, true, 0);
	assert_int_equal(reg(Q_SIZE, 2, false, 0), SIZE);
	reg(Q_SIZE, 2, true, 2 * SIZE);
	assert_int_equal(reg(Q_SIZE, 2, false, 0), SIZE);
}

static void broken_drivers(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t bytes;
		uint16_t flags;
	} cases[] = {
		{ DATA, 32, 0 },	      /* not writable */
		{ 0xffffffff000, 32, WRITE }, /* not RAM */
		{ ~0ull - 8, 32, WRITE },
		{ FAKE_RAM - 16, 64, WRITE },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		start(i % 2);
		put(cases[i / 2].address, cases[i / 2].bytes, cases[i / 2].flags);
		kick(0);
		assert_int_equal(reg(STATUS, 1, false, 0), 15 | VIRTIO_NEEDS_RESET);
		put(DATA, 32, WRITE);
		kick(0); /* stopped */
		assert_true(all_zero(ram(DATA), 32));
	}
	start(false);
	((uint16_t *)ram(DRIVER))[1] = SIZE + 1;
	kick(0);
	assert_int_equal(reg(STATUS, 1, false, 0), 15 | VIRTIO_NEEDS_RESET);
	start(false);
	reg(STATUS, 1, true, 0);
	put(DATA, 32, WRITE);
	kick(0); /* after a reset */
	assert_true(all_zero(ram(DATA), 32));
}

/* Rings of random bytes: nothing but this device is hurt. */
static void garbage_by_seed(void **state)
{
	uint64_t seed = 0x2545f4914f6cdd1dull;

	(void)state;
	for (unsigned i = 0; i < fake_rounds(300); i++) {
		start(i & 1);
		for (unsigned n = 0; n < 30; n++) {
			for (unsigned k = 0; k < 64; k++) {
				uint64_t r = fake_random(&seed);

				((uint64_t *)ram(RING))[r % (16 * SIZE / 8)] =
					r & 1 ? DATA + (r >> 40) % 64 : fake_random(&seed);
			}
			((uint16_t *)ram(DRIVER))[1] += (uint16_t)(seed % 4);
			kick(0);
		}
	}
	start(false);
	put(DATA, 32, WRITE);
	kick(0);
	assert_int_equal(given(0), 32);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(it_fills),	   T(all_of_a_queue),  T(the_queue_is_small),
		T(broken_drivers), T(garbage_by_seed), T(others_have_their_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
