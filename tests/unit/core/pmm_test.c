/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the page allocator give out each page once, aligned and zeroed, take all of it back into one
 * extent, and notice a double free? RAM is host memory: a range's address is chosen so that the
 * direct map's base plus it is the host's pointer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#undef fail /* cmocka's macro, the core's function */
#include "hv/core/pmm.c"

#define RAM_BYTES (16u << 20)
#define SLOTS	  300
#define STEPS	  20000

#define HANDOVER                                                                                   \
	.magic = HANDOVER_MAGIC, .version = HANDOVER_VERSION, .bytes = sizeof(struct handover)

static unsigned char *ram;
static jmp_buf panic_jump;
static bool panicked;

void log_printf(const char *fmt, ...)
{
	(void)fmt;
}

void panic(const char *fmt, ...)
{
	(void)fmt;
	panicked = true;
	longjmp(panic_jump, 1);
}

static uint64_t hpa_of(const void *p)
{
	return (uint64_t)p - DIRECT_MAP_BASE;
}

/* RAM in two usable parts with a reserved page between, and dirt in it. */
static int set_up(void **state)
{
	static struct handover_range ranges[3];
	static struct handover handover;
	const uint64_t half = RAM_BYTES / 2;

	(void)state;
	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		return -1;
	memset(ram, 0xaa, RAM_BYTES);
	ranges[0] = (struct handover_range){ hpa_of(ram), half, MEM_USABLE, 0 };
	ranges[1] = (struct handover_range){ hpa_of(ram) + half, PAGE_SIZE, MEM_RESERVED, 0 };
	ranges[2] = (struct handover_range){ hpa_of(ram) + half + PAGE_SIZE, half - PAGE_SIZE,
					     MEM_USABLE, 0 };
	handover = (struct handover){ HANDOVER };
	handover.ranges = hpa_of(ranges);
	handover.range_count = 3;
	first = NULL;
	free_bytes = total_bytes = 0;
	pmm_init(&handover);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return munmap(ram, RAM_BYTES);
}

static void counts_what_is_usable(void **state)
{
	(void)state;
	assert_int_equal(pmm_total_bytes(), RAM_BYTES - PAGE_SIZE);
	assert_int_equal(pmm_free_bytes(), RAM_BYTES - PAGE_SIZE);
}

static void leaves_low_memory_alone(void **state)
{
	struct handover_range low = { 0, LOW_MEMORY_END, MEM_USABLE, 0 };
	struct handover h = { HANDOVER, .ranges = hpa_of(&low), .range_count = 1 };
	uint64_t before = pmm_free_bytes();

	(void)state;
	pmm_init(&h);
	assert_int_equal(pmm_free_bytes(), before);
}

static bool is_zero(const unsigned char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (p[i])
			return false;
	return true;
}

static void memory_is_aligned_and_zeroed(void **state)
{
	static const uint64_t aligns[] = { PAGE_SIZE, 4 * PAGE_SIZE, LARGE_PAGE };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		hpa_t at = pmm_alloc(3 * PAGE_SIZE + 1, aligns[i]);

		assert_int_not_equal(at.v, HPA_NONE.v);
		assert_int_equal(at.v % aligns[i], 0);
		assert_true(is_zero(hpa_to_ptr(at), 4 * PAGE_SIZE));
		pmm_free(at, 3 * PAGE_SIZE + 1);
	}
	assert_int_equal(pmm_free_bytes(), RAM_BYTES - PAGE_SIZE);
}

static void what_does_not_fit_is_refused(void **state)
{
	(void)state;
	assert_int_equal(pmm_alloc(RAM_BYTES, PAGE_SIZE).v, HPA_NONE.v);
	assert_int_equal(pmm_alloc(RAM_BYTES / 2 + PAGE_SIZE, PAGE_SIZE).v, HPA_NONE.v);
	assert_int_equal(pmm_alloc(0, PAGE_SIZE).v, HPA_NONE.v);
	assert_int_equal(pmm_alloc(~0ull, PAGE_SIZE).v, HPA_NONE.v);
	assert_int_equal(pmm_alloc(PAGE_SIZE, 1ull << 46).v, HPA_NONE.v);
	assert_null(page_alloc(RAM_BYTES));
	page_free(NULL, PAGE_SIZE);
}

static void every_page_is_given_out_once(void **state)
{
	unsigned count = 0;

	(void)state;
	for (unsigned char *p; (p = page_alloc(PAGE_SIZE)); count++) {
		assert_int_equal(p[0], 0); /* a page given before holds 1 */
		p[0] = 1;
		memset(p + 1, 0xcc, PAGE_SIZE - 1);
	}
	assert_int_equal(count, RAM_BYTES / PAGE_SIZE - 1);
	assert_int_equal(pmm_free_bytes(), 0);
	assert_null(first);
}

/* Random sizes, alignments and orders; each block is filled with its number while it is held. */
static void random_use_comes_back_whole(void **state)
{
	static struct {
		unsigned char *p;
		size_t bytes;
	} held[SLOTS];

	(void)state;
	srand(7);
	for (unsigned step = 0; step < STEPS; step++) {
		unsigned i = (unsigned)rand() % SLOTS;

		if (held[i].p) {
			assert_int_equal(held[i].p[0], (unsigned char)i);
			assert_int_equal(held[i].p[held[i].bytes - 1], (unsigned char)i);
			pmm_free(ptr_to_hpa(held[i].p), held[i].bytes);
			held[i].p = NULL;
			continue;
		}
		held[i].bytes = 1 + (size_t)rand() % (24 * PAGE_SIZE);
		hpa_t at = pmm_alloc(held[i].bytes, PAGE_SIZE << rand() % 6);
		if (at.v == HPA_NONE.v)
			continue;
		held[i].p = hpa_to_ptr(at);
		assert_true(is_zero(held[i].p, held[i].bytes));
		memset(held[i].p, (int)i, held[i].bytes);
	}
	for (unsigned i = 0; i < SLOTS; i++)
		if (held[i].p)
			pmm_free(ptr_to_hpa(held[i].p), held[i].bytes);
	assert_int_equal(pmm_free_bytes(), RAM_BYTES - PAGE_SIZE);
	assert_int_equal(first->bytes, RAM_BYTES / 2);
	assert_null(first->next->next);
}

static void double_free_is_noticed(void **state)
{
	hpa_t at = pmm_alloc(2 * PAGE_SIZE, PAGE_SIZE);

	(void)state;
	panicked = false;
	pmm_free(at, 2 * PAGE_SIZE);
	if (setjmp(panic_jump) == 0)
		pmm_free(at, 2 * PAGE_SIZE);
	assert_true(panicked);
	spin_unlock(&pmm_lock);
}

static bool refused(struct handover h, struct handover_range *r)
{
	h.ranges = hpa_of(r);
	h.range_count = 2;
	panicked = false;
	if (setjmp(panic_jump) == 0)
		pmm_init(&h);
	return panicked;
}

static void a_wrong_handover_is_refused(void **state)
{
	struct handover_range good[] = { { 0, 4096, MEM_RESERVED, 0 },
					 { 8192, 4096, MEM_ACPI, 0 } };
	struct handover_range order[] = { { 8192, 4096, MEM_ACPI, 0 }, { 0, 4096, MEM_ACPI, 0 } };
	struct handover_range odd[] = { { 0, 4095, MEM_ACPI, 0 }, { 8192, 4096, MEM_ACPI, 0 } };
	struct handover_range over[] = { { 0, 8192, MEM_ACPI, 0 }, { 4096, 4096, MEM_ACPI, 0 } };
	struct handover ours = { HANDOVER }, old = { HANDOVER };

	(void)state;
	old.version--;
	assert_false(refused(ours, good));
	assert_true(refused(old, good));
	assert_true(refused(ours, order));
	assert_true(refused(ours, odd));
	assert_true(refused(ours, over));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(counts_what_is_usable),	    CASE(leaves_low_memory_alone),
		CASE(memory_is_aligned_and_zeroed), CASE(what_does_not_fit_is_refused),
		CASE(every_page_is_given_out_once), CASE(random_use_comes_back_whole),
		CASE(double_free_is_noticed),	    CASE(a_wrong_handover_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
