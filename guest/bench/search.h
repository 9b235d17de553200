/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The search for the highest rate at which no more than a part of the frames is lost (RFC 2544, 26.1;
 * NDR: none, PDR: 0.5 %). The first trial is as fast as the sender can; if that loses too much, the rest
 * is bisection, until both ends are 1 % apart.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { SEARCH_MAX_TRIALS = 24 };

struct search {
	unsigned loss_permille; /* allowed */
	unsigned trials;
	uint64_t low, high; /* frames a second that passed, that did not */
	uint64_t rate;	    /* of the next trial; 0: as fast as the sender can */
	uint64_t best;	    /* what was really sent a second, at most, in trials that passed */
	bool done;
};

void search_begin(struct search *s, unsigned loss_permille);

/* A trial with s->rate has ended. */
void search_note(struct search *s, uint64_t sent, uint64_t received, uint64_t nanoseconds);
