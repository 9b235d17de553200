/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the log of the last boot found wherever it lies, and told only if that boot died? Memory is faked:
 * some of the places that the loader asks for are free, and hold what the last boots have left there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/boot/boot_impl.h"
#include "hv/core/log_area.h"

#include <cmocka.h>

enum { MIB = 1 << 20, PLACES = 3 };

struct boot boot;

static struct handover handover;
static char lines[16384];
static struct log_area *memory[PLACES];
static const uint64_t base[PLACES] = { 64ull * MIB, 96ull * MIB, 512ull * MIB };
static bool taken[PLACES]; /* by firmware */
static unsigned held;
static struct log_area anywhere;
static bool exhausted;

void *pages_alloc(uint64_t bytes, enum page_use use, uint64_t below)
{
	(void)use;
	(void)below;
	if (exhausted)
		return NULL;
	return bytes == sizeof(anywhere) ? (void *)&anywhere : lines;
}

void *pages_at(uint64_t at, uint64_t bytes)
{
	assert_int_equal(bytes, sizeof(struct log_area));
	for (unsigned i = 0; i < PLACES; i++)
		if (base[i] == at && !taken[i]) {
			held++;
			return memory[i];
		}
	return NULL;
}

void pages_free_last(void)
{
	held--;
}

static void leave(unsigned place, uint64_t generation, const char *text, bool orderly)
{
	struct log_area *area = memory[place];

	log_area_begin(area, generation);
	memcpy(area->text, text, strlen(text));
	log_area_put(area, strlen(text), strlen(text), orderly);
}

static int set_up(void **state)
{
	(void)state;
	handover = (struct handover){ 0 };
	boot.handover = &handover;
	srand(1);
	for (unsigned i = 0; i < PLACES; i++) {
		if (!memory[i])
			memory[i] = aligned_alloc(4096, sizeof(struct log_area));
		for (size_t k = 0; k < sizeof(struct log_area); k++)
			((uint8_t *)memory[i])[k] = (uint8_t)rand();
		taken[i] = false;
	}
	held = 0;
	return 0;
}

/* The generation of the log that is begun there. */
static uint64_t begun(const struct log_area *area)
{
	struct log_head head;

	assert_true(log_area_read(area, &head));
	assert_true(head.total == 0 && !head.orderly);
	return head.generation;
}

static void told(const char *text)
{
	assert_int_equal(handover.dead_bytes, strlen(text));
	assert_memory_equal(lines, text, strlen(text));
}

static void nothing_is_found_in_garbage(void **state)
{
	(void)state;
	assert_ptr_equal(log_area_find(), memory[0]);
	told("");
	assert_true(begun(memory[0]) > 1000000); /* by chance */
	assert_int_equal(held, 1);
}

static void a_dead_boot_is_told(void **state)
{
	(void)state;
	leave(0, 1000, "one\ntwo\x1b\n", false);
	assert_ptr_equal(log_area_find(), memory[0]);
	told("one\ntwo.\n");
	assert_int_equal(begun(memory[0]), 1001);
}

static void in_another_place(void **state)
{
	(void)state;
	leave(2, 2000, "there\n", false);
	taken[0] = true;
	assert_ptr_equal(log_area_find(), memory[1]);
	told("there\n");
	assert_int_equal(begun(memory[1]), 2001);
	assert_int_equal(held, 1);
}

static void the_newest_counts(void **state)
{
	(void)state;
	leave(0, 3001, "older\n", false);
	leave(1, 3002, "newest\n", false);
	leave(2, 3000, "oldest\n", false);
	(void)log_area_find();
	told("newest\n");
}

/* What a guest has left elsewhere, who cannot know the number of this boot, hides nothing. */
static void a_forged_log_is_not_told(void **state)
{
	static const uint64_t guesses[] = { 1, 3000, 3500, 1ull << 40, UINT64_MAX };

	(void)state;
	for (unsigned i = 0; i < sizeof(guesses) / sizeof(guesses[0]); i++) {
		leave(0, 3001, "the truth\n", false);
		leave(1, guesses[i], "a lie\n", i % 2 == 0);
		(void)log_area_find();
		told("the truth\n");
		assert_int_equal(begun(memory[0]), 3002);
	}
}

static void an_orderly_end_is_not_told(void **state)
{
	(void)state;
	leave(0, 4000, "died\n", false);
	leave(1, 4001, "all is well\n", true);
	(void)log_area_find();
	told("");
	assert_int_equal(begun(memory[0]), 4002);
}

static void without_any_place(void **state)
{
	(void)state;
	taken[0] = taken[1] = taken[2] = true;
	assert_ptr_equal(log_area_find(), &anywhere);
	told("");
	exhausted = true;
	assert_null(log_area_find());
	exhausted = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_is_found_in_garbage, set_up),
		cmocka_unit_test_setup(a_dead_boot_is_told, set_up),
		cmocka_unit_test_setup(in_another_place, set_up),
		cmocka_unit_test_setup(the_newest_counts, set_up),
		cmocka_unit_test_setup(a_forged_log_is_not_told, set_up),
		cmocka_unit_test_setup(an_orderly_end_is_not_told, set_up),
		cmocka_unit_test_setup(without_any_place, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
