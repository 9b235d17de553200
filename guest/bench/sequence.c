/* SPDX-License-Identifier: BSD-2-Clause */
/* See sequence.h. Bit n % SEQUENCE_WINDOW is number n. */
#include "guest/bench/sequence.h"

#include "guest/lib/string.h"

static uint64_t *word_of(struct sequence *s, uint64_t number)
{
	return &s->seen[number / 64 % (SEQUENCE_WINDOW / 64)];
}

void sequence_clear(struct sequence *s)
{
	memset(s, 0, sizeof(*s));
}

/* Numbers next..number - 1 were left out: their bits are of numbers a window ago. */
static void skip_to(struct sequence *s, uint64_t number)
{
	if (number - s->next >= SEQUENCE_WINDOW) {
		memset(s->seen, 0, sizeof(s->seen));
		return;
	}
	for (uint64_t n = s->next; n <= number; n++)
		*word_of(s, n) &= ~(1ull << n % 64);
}

enum sequence_verdict sequence_note(struct sequence *s, uint64_t number)
{
	uint64_t bit = 1ull << number % 64, *word = word_of(s, number);

	if (number >= s->next) {
		skip_to(s, number);
		s->next = number + 1;
		*word |= bit;
		return SEQUENCE_NEW;
	}
	if (s->next - number > SEQUENCE_WINDOW || *word & bit)
		return SEQUENCE_TWICE;
	*word |= bit;
	return SEQUENCE_LATE;
}
