/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: a line is formatted on the caller's stack, then goes under one lock to the ring, so that
 * lines of several CPUs do not mix. The console fetches it from there as the serial line takes it
 * (hv/core/console.h). Only early in the boot, and in a panic, does it go to the line at once.
 */
#include "hv/core/log.h"

#include <stdarg.h>
#include <string.h>

#include "hv/core/console.h"
#include "hv/core/fail.h"
#include "hv/core/handover.h"
#include "hv/core/log_area.h"
#include "hv/core/log_impl.h"
#include "hv/core/percpu.h"
#include "hv/core/text_ring.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

#define LINE_BYTES  400
#define LIMIT_BURST 5 /* lines a second and object */
#define LOCK_TRIES  (1u << 24)
#define PANIC_REST  4096 /* bytes of the log that the line is behind at most when a panic is told */

struct spinlock log_lock;
static struct log_area *area;	  /* (c) after log_init(); the ring is its text */
static struct text_ring ring;	  /* [log_lock] */
static bool orderly;		  /* [log_lock] nothing runs that could die */
static uint64_t shown;		  /* [log_lock] the serial line has it up to here */
static uint64_t panic_mark;	  /* [log_lock] ring.total when the panic began, 0 without one */
static _Atomic uint64_t zero_tsc; /* the first line's time */

static _Atomic bool dying;	   /* a panic has begun */
static struct cpu *_Atomic silent; /* see log_quiet() */

bool log_quiet(bool on)
{
	struct cpu *self = this_cpu();
	bool was = atomic_load(&silent) == self;

	if (was != on)
		atomic_store(&silent, on ? self : NULL);
	return was;
}

static bool is_quiet(void)
{
	return atomic_load(&silent) && atomic_load(&silent) == this_cpu() && !atomic_load(&dying);
}

bool log_lock_take(struct spinlock *lock)
{
	for (unsigned i = 0; i < LOCK_TRIES || !atomic_load(&dying); i++) {
		if (spin_trylock(lock))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static void emit(const char *text, size_t bytes)
{
	bool locked = log_lock_take(&log_lock);
	bool behind = shown != ring.total;

	text_ring_put(&ring, text, bytes);
	if (area)
		log_area_put(area, ring.total, bytes, orderly);
	if (!behind && console_log_line(text, bytes))
		shown = ring.total;
	if (locked)
		spin_unlock(&log_lock);
}

void log_init(const struct handover *h)
{
	struct log_head head;

	area = (struct log_area *)(DIRECT_MAP_BASE + h->log);
	ring = (struct text_ring){ area->text, LOG_TEXT_BYTES, 0 };
	if (log_area_read(area, &head))
		shown = ring.total = head.total;
}

void log_set_orderly(bool is)
{
	bool locked = log_lock_take(&log_lock);

	orderly = is;
	if (area)
		log_area_put(area, ring.total, 0, orderly);
	if (locked)
		spin_unlock(&log_lock);
}

/* "[    0.123456] "; zeros until the TSC's rate is known. */
static int put_time(char *out, size_t room)
{
	uint64_t now = rdtsc(), zero = 0, ns = 0;

	if (!atomic_compare_exchange_strong(&zero_tsc, &zero, now) && tsc_khz() && now > zero)
		ns = tsc_to_ns(now - zero);
	return snprintf(out, room, "[%5lu.%06lu] ", ns / 1000000000, ns / 1000 % 1000000);
}

/* A line too long for the buffer is cut, and shows it. */
static void log_line(const char *prefix, const char *fmt, va_list ap)
{
	char line[LINE_BYTES];
	size_t room = sizeof(line) - 1, n; /* one for the newline */

	if (is_quiet())
		return;
	n = (size_t)put_time(line, room);
	n += (size_t)snprintf(line + n, room - n, "%s", prefix);
	n += (size_t)vsnprintf(line + n, room - n, fmt, ap);
	if (n >= room) {
		n = room - 1;
		memcpy(line + n - 3, "...", 3);
	}
	line[n++] = '\n';
	emit(line, n);
}

void log_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line("", fmt, ap);
	va_end(ap);
}

int fail(enum lh_err err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line("error: ", fmt, ap);
	va_end(ap);
	return err;
}

/* The counters are not locked: two CPUs at once may let one line more through, no harm. */
bool log_may(struct log_limit *limit)
{
	uint64_t now = rdtsc();

	if (now - limit->window_start_tsc >= tsc_khz() * 1000) {
		if (limit->suppressed)
			log_printf("log: %u similar lines left out", limit->suppressed);
		limit->window_start_tsc = now;
		limit->in_window = 0;
		limit->suppressed = 0;
	}
	if (limit->in_window >= LIMIT_BURST) {
		limit->suppressed++;
		return false;
	}
	limit->in_window++;
	return true;
}

void log_limited(struct log_limit *limit, const char *fmt, ...)
{
	va_list ap;

	if (!log_may(limit))
		return;
	va_start(ap, fmt);
	log_line("", fmt, ap);
	va_end(ap);
}

size_t log_unshown(char *out, size_t room, uint64_t *lost)
{
	uint64_t oldest = text_ring_oldest(&ring);
	size_t n;

	*lost = shown < oldest ? oldest - shown : 0;
	shown += *lost;
	n = text_ring_copy(&ring, shown, out, room);
	shown += n;
	return n;
}

size_t log_last(unsigned lines, char *out, size_t room)
{
	bool locked = log_lock_take(&log_lock);
	uint64_t from = text_ring_last(&ring, ring.total, lines);
	size_t n;

	if (ring.total - from > room)
		from = ring.total - room;
	n = text_ring_copy(&ring, from, out, room);
	if (locked)
		spin_unlock(&log_lock);
	return n;
}

void log_panic_begin(void)
{
	atomic_store(&dying, true);
}

/* No lock: the CPU that holds it may be the one that dies, or have been stopped with it. */
void log_panic_show(void)
{
	char piece[64];
	uint64_t lost;
	size_t n;

	console_panic();
	if (ring.total - shown > PANIC_REST)
		shown = ring.total - PANIC_REST;
	while ((n = log_unshown(piece, sizeof(piece), &lost)) != 0)
		console_show(piece, n);
	panic_mark = ring.total;
}

void log_tail(unsigned lines)
{
	bool locked = log_lock_take(&log_lock);
	uint64_t end = panic_mark ? panic_mark : ring.total;
	uint64_t from = text_ring_last(&ring, end, lines);
	char piece[64];

	while (from < end) {
		size_t room = end - from < sizeof(piece) ? end - from : sizeof(piece);
		size_t n = text_ring_copy(&ring, from, piece, room);

		console_show(piece, n);
		from += n;
	}
	if (locked)
		spin_unlock(&log_lock);
}
