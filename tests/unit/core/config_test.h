/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the config parser share: collected errors, hostile memory, random numbers. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "hv/core/config_impl.h"

#define MAX_LISTED 128

static unsigned seed = 1, mutations = 10000;

/* Arguments SEED and MUTATIONS, both optional, behind argv[0]. */
static void take_seed(int argc, char **argv)
{
	if (argc > 1)
		seed = (unsigned)strtoul(argv[1], NULL, 0);
	if (argc > 2)
		mutations = (unsigned)strtoul(argv[2], NULL, 0);
}

/* Errors of one run, in order. */
static struct config_error listed[MAX_LISTED];
static unsigned listed_count;

static void collect(void *context, const struct config_error *error)
{
	(void)context;
	assert_non_null(memchr(error->node, 0, sizeof(error->node)));
	assert_non_null(memchr(error->property, 0, sizeof(error->property)));
	assert_non_null(memchr(error->text, 0, sizeof(error->text)));
	assert_true(listed_count < MAX_LISTED);
	listed[listed_count++] = *error;
}

static uint32_t random_word(void)
{
	static uint32_t state;

	if (!state)
		state = seed * 2654435761u | 1;
	state ^= state << 13; /* xorshift32 */
	state ^= state >> 17;
	return state ^= state << 5;
}

/*
 * Room of at most 1 MiB in front of a page without access. The start is a multiple of 8, as
 * libfdt wants it, so that up to 7 bytes lie between the end and that page.
 */
static uint8_t *at_the_edge(size_t bytes)
{
	const size_t room = 1 << 20;
	static uint8_t *base;

	if (!base) {
		base = mmap(NULL, room + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		assert_true(base != MAP_FAILED);
		assert_int_equal(mprotect(base + room, 4096, PROT_NONE), 0);
	}
	assert_true(bytes <= room);
	return base + (room - bytes) / 8 * 8;
}
