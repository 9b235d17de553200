/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which sequence numbers have come: tells new ones, late ones and those seen twice. A number more
 * than SEQUENCE_WINDOW below the highest cannot be told from one seen twice and counts as that.
 */
#pragma once

#include <stdint.h>

enum { SEQUENCE_WINDOW = 65536 };

enum sequence_verdict { SEQUENCE_NEW, SEQUENCE_LATE, SEQUENCE_TWICE };

struct sequence {
	uint64_t next; /* above the highest seen */
	uint64_t seen[SEQUENCE_WINDOW / 64];
};

void sequence_clear(struct sequence *s);
enum sequence_verdict sequence_note(struct sequence *s, uint64_t number);
