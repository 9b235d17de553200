/* SPDX-License-Identifier: BSD-2-Clause */
/* See search.h. Free of devices: tested on the host. */
#include "guest/bench/search.h"

enum { CLOSE_PERCENT = 1 };

#define SECOND_NS 1000000000ull

void search_begin(struct search *s, unsigned loss_permille)
{
	*s = (struct search){ .loss_permille = loss_permille };
}

void search_note(struct search *s, uint64_t sent, uint64_t received, uint64_t nanoseconds)
{
	uint64_t real = nanoseconds ? sent * SECOND_NS / nanoseconds : 0;
	uint64_t lost = received < sent ? sent - received : 0;
	bool passed = lost * 1000 <= sent * s->loss_permille;

	s->trials++;
	if (passed && real > s->best)
		s->best = real;
	if (!s->rate) { /* as fast as it could */
		s->high = real;
		s->done = passed;
	} else if (passed) {
		s->low = s->rate;
	} else {
		s->high = s->rate;
	}
	s->rate = s->low + (s->high - s->low) / 2;
	if ((s->high - s->low) * 100 <= s->high * CLOSE_PERCENT || s->trials == SEARCH_MAX_TRIALS ||
	    !s->rate)
		s->done = true;
}
