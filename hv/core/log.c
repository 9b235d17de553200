/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log: a line is formatted on the caller's stack, then goes under one lock to the ring and to
 * the serial line, so that lines of several CPUs do not mix. The ring holds text, oldest lines
 * overwritten first; a total that only grows tells where it stands.
 */
#include "hv/core/log.h"

#include <stdarg.h>
#include <string.h>

#include "hv/core/fail.h"
#include "hv/core/handover.h"
#include "hv/core/log_impl.h"
#include "hv/core/serial.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

#define RING_BYTES  (256u * 1024)
#define LINE_BYTES  400
#define LIMIT_BURST 5 /* lines a second and object */
#define LOCK_TRIES  (1u << 24)

static struct spinlock log_lock;
static char ring[RING_BYTES];	  /* [log_lock] */
static uint64_t ring_total;	  /* [log_lock] bytes ever written */
static uint64_t panic_mark;	  /* [log_lock] ring_total when the panic began, 0 without one */
static _Atomic uint64_t zero_tsc; /* the first line's time */

bool spin_lock_bounded(struct spinlock *lock)
{
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		if (spin_trylock(lock))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static void ring_write(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		ring[ring_total++ % RING_BYTES] = text[i];
}

static void emit(const char *text, size_t bytes)
{
	bool locked = spin_lock_bounded(&log_lock);

	ring_write(text, bytes);
	serial_write(text, bytes);
	if (locked)
		spin_unlock(&log_lock);
}

void log_init(const struct handover *h)
{
	const char *text = (const char *)DIRECT_MAP_BASE + h->log;

	if (h->log_bytes)
		ring_write(text, h->log_bytes);
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
void log_limited(struct log_limit *limit, const char *fmt, ...)
{
	uint64_t now = rdtsc();
	va_list ap;

	if (now - limit->window_start_tsc >= tsc_khz() * 1000) {
		if (limit->suppressed)
			log_printf("log: %u similar lines left out", limit->suppressed);
		limit->window_start_tsc = now;
		limit->in_window = 0;
		limit->suppressed = 0;
	}
	if (limit->in_window >= LIMIT_BURST) {
		limit->suppressed++;
		return;
	}
	limit->in_window++;
	va_start(ap, fmt);
	log_line("", fmt, ap);
	va_end(ap);
}

void log_panic_begin(void)
{
	panic_mark = ring_total;
}

static void serial_write_ring(uint64_t from, uint64_t end)
{
	while (from < end) {
		uint64_t at = from % RING_BYTES, n = RING_BYTES - at;

		if (n > end - from)
			n = end - from;
		serial_write(ring + at, n);
		from += n;
	}
}

void log_tail(unsigned lines)
{
	bool locked = spin_lock_bounded(&log_lock);
	uint64_t end = panic_mark ? panic_mark : ring_total, from = end;
	uint64_t oldest = ring_total > RING_BYTES ? ring_total - RING_BYTES : 0;

	while (from > oldest) {
		if (from < end && ring[(from - 1) % RING_BYTES] == '\n' && --lines == 0)
			break;
		from--;
	}
	serial_write_ring(from, end);
	if (locked)
		spin_unlock(&log_lock);
}

static void guest_line(const char *vm_name, const char *line, unsigned length)
{
	char out[LINE_BYTES];
	int n = snprintf(out, sizeof(out), "%s| %.*s\n", vm_name, (int)length, line);

	if (n >= (int)sizeof(out)) {
		n = sizeof(out) - 1;
		out[n - 1] = '\n';
	}
	emit(out, (size_t)n);
}

/* A guest's control characters must not reach the reader's terminal: they show as '.'. */
void log_guest_char(const char *vm_name, char *line_buffer, unsigned *fill, unsigned room, char c)
{
	if (c == '\r')
		return;
	if (c != '\n') {
		bool printable = (unsigned char)c >= ' ' && c != 0x7f;

		line_buffer[(*fill)++] = printable || c == '\t' ? c : '.';
		if (*fill < room)
			return;
	}
	guest_line(vm_name, line_buffer, *fill);
	*fill = 0;
}
