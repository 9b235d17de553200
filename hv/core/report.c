/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reports for programs: one JSON object (RFC 8259) a line on port 0xE9, formats in report.h. A line
 * is built on the stack and goes out under one lock. Strings may hold whatever a guest or a config
 * wrote: all but printable ASCII is escaped.
 */
#include "hv/core/report.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "hv/core/log.h"
#include "hv/core/log_impl.h"
#include "hv/core/serial.h"
#include "lasthop/bench.h"

#define LINE_BYTES 4096
#define MAX_STRING 600 /* bytes of one value after escaping; the rest is left out */
#define MAX_NUMBER 20  /* digits */

/* The longest line, "port", fits whatever its values are. */
#define COUNTER_BYTES(name, unit, class, help) char name[sizeof(",\"\":" #name) + MAX_NUMBER];
struct longest_line {
	char strings[2 * (MAX_STRING + 32) + 128];
	STATS_TABLE(COUNTER_BYTES)
};
_Static_assert(sizeof(struct longest_line) < LINE_BYTES, "room");

static struct spinlock report_lock;

struct json {
	char text[LINE_BYTES];
	size_t fill;
};

static void add(struct json *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct json *j, const char *fmt, ...)
{
	size_t room = sizeof(j->text) - j->fill;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(j->text + j->fill, room, fmt, ap);
	va_end(ap);
	j->fill += (size_t)n < room ? (size_t)n : room - 1;
}

static void add_number(struct json *j, const char *name, uint64_t value)
{
	add(j, ",\"%s\":%lu", name, value);
}

static void add_string(struct json *j, const char *name, const char *value)
{
	size_t end = j->fill + MAX_STRING;

	add(j, ",\"%s\":\"", name);
	for (; *value && j->fill < end && j->fill + 16 < sizeof(j->text); value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			add(j, "\\%c", c);
		else if (c < ' ' || c >= 0x7f)
			add(j, "\\u%04x", c);
		else
			add(j, "%c", c);
	}
	add(j, "\"");
}

static void begin(struct json *j, const char *event)
{
	j->fill = 0;
	add(j, "{\"lasthop\":1,\"event\":\"%s\"", event);
}

static void send(struct json *j)
{
	bool locked;

	add(j, "}\n");
	if (!debug_port_present())
		return;
	locked = log_lock_take(&report_lock);
	debug_port_write(j->text, j->fill);
	if (locked)
		spin_unlock(&report_lock);
}

void report_boot(const char *backend, unsigned cpus, uint64_t tsc_khz)
{
	struct json j;

	begin(&j, "boot");
	add_string(&j, "backend", backend);
	add_number(&j, "cpus", cpus);
	add_number(&j, "tsc_khz", tsc_khz);
	send(&j);
}

void report_vm_start(const char *vm, uint64_t at_ns, uint64_t free_kib, unsigned irq_vectors)
{
	struct json j;

	begin(&j, "vm-start");
	add_string(&j, "vm", vm);
	add_number(&j, "at_ns", at_ns);
	add_number(&j, "free_kib", free_kib);
	add_number(&j, "irq_vectors", irq_vectors);
	send(&j);
}

/* Those there were. */
static void add_exits(struct json *j, const char *name, const struct exit_counts *exits)
{
	const char *comma = "";

	add(j, ",\"%s\":{", name);
	for (unsigned id = 0; id < EXIT_CAUSE_COUNT; id++)
		if (exits->of[id]) {
			add(j, "%s\"%s\":%lu", comma, exit_cause_name(id), exits->of[id]);
			comma = ",";
		}
	add(j, "}");
}

void report_vm_end(const char *vm, unsigned vcpus, const char *end, const char *reason,
		   const struct report_life *life)
{
	struct json j;

	begin(&j, "vm-end");
	add_string(&j, "vm", vm);
	add_number(&j, "vcpus", vcpus);
	add_number(&j, "run_us", life->run_us);
	add_number(&j, "wakeups", life->wakeups);
	add_number(&j, "wake_us_max", life->wake_us_max);
	add_exits(&j, "exits", &life->exits);
	add_string(&j, "end", end);
	add_string(&j, "reason", reason);
	send(&j);
}

void report_vm_reset(const char *vm, const char *end, const char *reason, uint64_t at_ns)
{
	struct json j;

	begin(&j, "vm-reset");
	add_string(&j, "vm", vm);
	add_string(&j, "end", end);
	add_string(&j, "reason", reason);
	add_number(&j, "at_ns", at_ns);
	send(&j);
}

/* Members of struct bench_result after `test`, by name. */
static void add_result(struct json *j, const struct bench_result *r)
{
	add_number(j, "frame_bytes", r->frame_bytes);
	add_number(j, "run", r->run);
	add_number(j, "runs", r->runs);
	add_number(j, "nanoseconds", r->nanoseconds);
	add_number(j, "packets", r->packets);
	add_number(j, "bytes", r->bytes);
	add_number(j, "sent", r->sent);
	add_number(j, "lost", r->lost);
	add_number(j, "reordered", r->reordered);
	add_number(j, "corrupt", r->corrupt);
	add_number(j, "sender_stalls", r->sender_stalls);
	add_number(j, "transactions", r->transactions);
	add_number(j, "p50_ns", r->p50_ns);
	add_number(j, "p99_ns", r->p99_ns);
	add_number(j, "age_ns", r->age_ns);
}

void report_result(const char *vm, const char *peer, const struct bench_result *result,
		   const struct report_window *window)
{
	struct json j;

	begin(&j, "result");
	add_string(&j, "vm", vm);
	add_string(&j, "peer", peer);
	add_string(&j, "test", result->test == BENCH_STREAM ? "stream" : "rr");
	add_result(&j, result);
	add_number(&j, "exits",
		   exit_counts_total(&window->own_exits) + exit_counts_total(&window->peer_exits));
	add_number(&j, "own_exits", exit_counts_total(&window->own_exits));
	add_number(&j, "peer_exits", exit_counts_total(&window->peer_exits));
	add_exits(&j, "own_exits_by", &window->own_exits);
	add_exits(&j, "peer_exits_by", &window->peer_exits);
	add_number(&j, "notifications", window->notifications);
	add_number(&j, "copies", window->copies);
	add_number(&j, "kicks", window->kicks);
	add_number(&j, "drops", window->drops);
	add_number(&j, "way_drops", window->way_drops);
	add_number(&j, "peer_wakeups", window->peer_wakeups);
	add_number(&j, "begin_ns", window->begin_ns);
	add_number(&j, "root_ticks", window->root_ticks);
	add_number(&j, "guest_ticks", window->guest_ticks);
	add_number(&j, "driver_ticks", window->driver_ticks);
	add_number(&j, "poll_ticks", window->poll_ticks);
	send(&j);
}

void report_port(const char *port, const char *switch_name, const uint64_t counters[STAT_COUNT])
{
	static const char *const names[STAT_COUNT] = {
#define STAT_NAME(name, unit, class, help) #name,
		STATS_TABLE(STAT_NAME)
#undef STAT_NAME
	};
	struct json j;

	begin(&j, "port");
	add_string(&j, "port", port);
	add_string(&j, "switch", switch_name);
	add(&j, ",\"counters\":{");
	for (unsigned id = 0; id < STAT_COUNT; id++)
		add(&j, "%s\"%s\":%lu", id ? "," : "", names[id], counters[id]);
	add(&j, "}");
	send(&j);
}

void report_uplink(const char *port, const char *link, uint64_t at_ns)
{
	struct json j;

	begin(&j, "uplink");
	add_string(&j, "port", port);
	add_string(&j, "link", link);
	add_number(&j, "at_ns", at_ns);
	send(&j);
}

void report_feature(const char *part, const char *where, const char *name, const char *state)
{
	struct json j;

	begin(&j, "feature");
	add_string(&j, "part", part);
	add_string(&j, "where", where);
	add_string(&j, "name", name);
	add_string(&j, "state", state);
	send(&j);
}

void report_guest_result(const char *vm, const char *text, const struct report_machine *machine)
{
	struct json j;

	begin(&j, "guest-result");
	add_string(&j, "vm", vm);
	add_string(&j, "text", text);
	add_number(&j, "us", machine->us);
	add_number(&j, "exits", exit_counts_total(&machine->exits));
	add_number(&j, "root_us", machine->root_us);
	add_number(&j, "guest_us", machine->guest_us);
	add_number(&j, "driver_us", machine->driver_us);
	add_number(&j, "poll_us", machine->poll_us);
	add_exits(&j, "causes", &machine->exits);
	send(&j);
}

static void report_reason(const char *event, const char *reason)
{
	struct json j;

	begin(&j, event);
	add_string(&j, "reason", reason);
	send(&j);
}

void report_refused(const char *reason)
{
	report_reason("refused", reason);
}

void report_panic(const char *reason)
{
	report_reason("panic", reason);
}

void report_end(void)
{
	struct json j;

	begin(&j, "end");
	send(&j);
}
