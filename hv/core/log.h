/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: a ring of 256 KiB and the serial line (COM1). Log what a person would act on, one line
 * each, "subsystem: fact". Lines of several CPUs do not mix. Callable in any context.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct handover;

/* Goes on with the loader's log, in its memory. Once, before anything is logged: that would be lost. */
void log_init(const struct handover *h);

void log_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* For what a guest can cause: at most 5 lines a second and object; suppressed ones are counted. */
struct log_limit {
	uint64_t window_start_tsc;
	uint32_t in_window;
	uint32_t suppressed;
};
void log_limited(struct log_limit *limit, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same for what is more than a line: whether it is to be told now. */
bool log_may(struct log_limit *limit);

/* What this CPU logs is left out from now on, or no more; whether it was. At most one CPU at a time. */
bool log_quiet(bool on);

/* Whether the machine may be switched off or reset now: then the next boot has nothing to tell of this
 * one (hv/core/log_area.h). It may not at the start. */
void log_set_orderly(bool orderly);

/* Writes the last `lines` lines of the ring to the serial line again (for a panic). */
void log_tail(unsigned lines);

/* Copies the last `lines` lines of the ring, the last `room` bytes of them at most: how many. */
size_t log_last(unsigned lines, char *out, size_t room);

/* Freestanding formatting, C99 subset: %d %i %u %x %X %p %s %c %% with -, 0, width, .precision,
 * l, ll, z, h, hh. Return and truncation as C's. hv/core/print.c; no floating point. */
int snprintf(char *out, size_t room, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *out, size_t room, const char *fmt, __builtin_va_list ap);
