/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is the log found again whenever the machine may have died, and is memory that holds anything else
 * harmless? Memory is compared at each moment of a put by stopping it there: the two heads are written
 * one at a time, so one of them is damaged at most.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/log_area.h"
#include "hv/core/text_ring.h"

#include <cmocka.h>

static struct log_area area;
static struct text_ring ring;
static char out[20000];

static void put(const char *text)
{
	text_ring_put(&ring, text, strlen(text));
	log_area_put(&area, ring.total, strlen(text), false);
}

static int set_up(void **state)
{
	(void)state;
	memset(&area, 0xaa, sizeof(area));
	log_area_begin(&area, 7);
	ring = (struct text_ring){ area.text, LOG_TEXT_BYTES, 0 };
	memset(out, 0, sizeof(out));
	return 0;
}

/* The last lines, as a boot after the reset would find them. */
static const char *last(unsigned lines)
{
	struct log_head head;
	size_t n;

	assert_true(log_area_read(&area, &head));
	n = log_area_last(&area, &head, lines, out, sizeof(out) - 1);
	out[n] = '\0';
	return out;
}

static void lines_are_found(void **state)
{
	struct log_head head;

	(void)state;
	assert_string_equal(last(40), "");
	put("one\n");
	put("two\n");
	put("thr");
	assert_string_equal(last(40), "one\ntwo\nthr");
	put("ee\n");
	assert_string_equal(last(2), "two\nthree\n");
	assert_true(log_area_read(&area, &head));
	assert_true(head.generation == 7 && head.total == 14 && !head.orderly);
	log_area_put(&area, ring.total, 0, true);
	assert_true(log_area_read(&area, &head) && head.orderly);
	log_area_put(&area, ring.total, 0, false);
	assert_true(log_area_read(&area, &head) && !head.orderly);
}

static void a_ring_that_went_round(void **state)
{
	char line[40];

	(void)state;
	for (unsigned i = 0; i < 30000; i++) {
		snprintf(line, sizeof(line), "line %u\n", i);
		put(line);
	}
	assert_string_equal(last(2), "line 29998\nline 29999\n");
}

/* Either head may be torn: the text of before is there, without what was being put. */
static void a_torn_head(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		for (size_t byte = 0; byte < sizeof(struct log_head); byte++) {
			struct log_head head;

			set_up(state);
			put("before\n");
			put("after\n");
			((uint8_t *)&area.head[i])[byte] ^= 0x10;
			assert_true(log_area_read(&area, &head));
			assert_int_equal(head.total, area.head[i ^ 1].total);
			assert_string_equal(last(1), head.total == 7 ? "before\n" : "after\n");
		}
}

static void garbage_is_no_log(void **state)
{
	struct log_head head;

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(area.head); i++)
			((uint8_t *)area.head)[i] = (uint8_t)rand();
		if (round % 2)
			area.head[0].magic = area.head[1].magic = LOG_AREA_MAGIC;
		assert_false(log_area_read(&area, &head));
	}
	memset(&area, 0, sizeof(area));
	assert_false(log_area_read(&area, &head));
	memset(&area, 0xff, sizeof(area));
	assert_false(log_area_read(&area, &head));
}

/* A head that is right over text that is not ours: bounded, and nothing for a terminal to obey. */
static void the_text_may_be_anything(void **state)
{
	(void)state;
	srand(2);
	for (unsigned round = 0; round < 200; round++) {
		uint64_t total = (uint64_t)rand() << (unsigned)rand() % 33;
		size_t room = (size_t)rand() % sizeof(out);
		struct log_head head;
		size_t n;

		for (size_t i = 0; i < LOG_TEXT_BYTES; i++)
			area.text[i] = round % 2 ? (char)rand() : 'x';
		log_area_put(&area, total, 1, false);
		log_area_put(&area, total + 1, 1, false);
		assert_true(log_area_read(&area, &head));
		memset(out, 0, sizeof(out));
		n = log_area_last(&area, &head, 1 + (unsigned)rand() % 50, out, room);
		assert_true(n <= room);
		for (size_t i = 0; i < n; i++)
			assert_true(out[i] == '\n' || (out[i] >= ' ' && out[i] <= '~'));
		assert_int_equal(out[n], 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lines_are_found, set_up),
		cmocka_unit_test_setup(a_ring_that_went_round, set_up),
		cmocka_unit_test(a_torn_head),
		cmocka_unit_test_setup(garbage_is_no_log, set_up),
		cmocka_unit_test_setup(the_text_may_be_anything, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
