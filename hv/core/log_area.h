/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory that the log lies in, made so that the next boot can read it: RAM keeps what it holds over
 * a warm reset. The loader finds it again among a few fixed places, begins it anew, and the core goes
 * on with it (hv/core/log.c).
 *
 * Two heads are written in turn, each with a checksum: one of them is whole whenever the machine dies.
 * What a processor has in its cache is lost at a reset, so all that counts is flushed, the text before
 * the head that tells of it. A reader believes the head's checksum and nothing else: the text may be
 * anything.
 *
 * No lock: the owner has one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_AREA_MAGIC 0x474f4c504f484c02ull /* with the version of this layout */
#define LOG_TEXT_BYTES (256u * 1024)

struct log_head {
	uint64_t magic;
	uint64_t generation; /* one more at each boot */
	uint64_t total;	     /* bytes of text ever put: the last LOG_TEXT_BYTES of them are there */
	uint32_t orderly;    /* 1: nothing ran that could have died */
	uint32_t crc;	     /* of all that is above */
};

struct log_area {
	struct log_head head[2] __attribute__((aligned(2048)));
	char text[LOG_TEXT_BYTES] __attribute__((aligned(4096))); /* a ring */
};

/* Begins it: no text, not orderly. */
void log_area_begin(struct log_area *area, uint64_t generation);

/* `bytes` more of text were put, so that it is `total` now; or (0) it is orderly now, or no longer. */
void log_area_put(struct log_area *area, uint64_t total, size_t bytes, bool orderly);

/* The newer of its heads; false: nothing there is a log. Takes any memory. */
bool log_area_read(const struct log_area *area, struct log_head *head);

/* The last `lines` lines of the log that this head tells of, the last `room` bytes of them at most: how
 * many. All that is no printable ASCII shows as '.', but line ends; a long line is cut. */
size_t log_area_last(const struct log_area *area, const struct log_head *head, unsigned lines,
		     char *out, size_t room);
