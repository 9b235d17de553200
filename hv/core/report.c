/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reports for programs: one JSON object (RFC 8259) a line on port 0xE9, formats in report.h. A line
 * is built on the stack and goes out under one lock. Those that are events are kept in a ring as well,
 * for the management channel.
 */
#include "hv/core/report.h"

#include <stddef.h>
#include <string.h>

#include "hv/core/json.h"
#include "hv/core/log_impl.h"
#include "hv/core/serial.h"
#include "hv/core/text_ring.h"
#include "lasthop/bench.h"

#define LINE_BYTES 4096
#define MAX_NUMBER 20 /* digits */

/* The longest line, "port", fits whatever its values are. */
#define COUNTER_BYTES(name, unit, class, help) char name[sizeof(",\"\":" #name) + MAX_NUMBER];
struct longest_line {
	char strings[2 * (JSON_MAX_STRING + 32) + 128];
	STATS_TABLE(COUNTER_BYTES)
};
_Static_assert(sizeof(struct longest_line) < LINE_BYTES, "room");

static struct spinlock report_lock;
static char ring_text[REPORT_RING];
static struct text_ring ring = { ring_text, REPORT_RING, 0 }; /* [report_lock] events, by lines */

struct line {
	struct json json;
	char text[LINE_BYTES];
};

static struct json *begin(struct line *line, const char *event)
{
	struct json *j = &line->json;

	json_init(j, line->text, sizeof(line->text) - 1); /* one for the newline */
	json_object(j, NULL);
	json_u64(j, "lasthop", 1);
	json_string(j, "event", event);
	return j;
}

static void finish(struct line *line, bool event)
{
	struct json *j = &line->json;
	bool locked;

	json_object_end(j);
	line->text[j->fill++] = '\n';
	locked = log_lock_take(&report_lock);
	if (event)
		text_ring_put(&ring, line->text, j->fill);
	if (debug_port_present())
		debug_port_write(line->text, j->fill);
	if (locked)
		spin_unlock(&report_lock);
}

/* What was measured: for the debug port alone. */
static void send(struct line *line)
{
	finish(line, false);
}

/* What happened: for who listens to events, too. */
static void send_event(struct line *line)
{
	finish(line, true);
}

uint64_t report_position(bool oldest)
{
	bool locked = log_lock_take(&report_lock);
	uint64_t at = oldest ? text_ring_oldest(&ring) : ring.total;

	if (oldest && at) /* the oldest line lacks its beginning */
		while (ring_text[at++ & (REPORT_RING - 1)] != '\n')
			;
	if (locked)
		spin_unlock(&report_lock);
	return at;
}

size_t report_read(uint64_t *at, char *out, size_t room)
{
	bool locked = log_lock_take(&report_lock);
	size_t n = 0;

	if (*at >= text_ring_oldest(&ring))
		n = text_ring_copy(&ring, *at, out, room);
	if (locked)
		spin_unlock(&report_lock);
	*at += n;
	return n;
}

void report_boot(const char *backend, unsigned cpus, uint64_t tsc_khz)
{
	struct line line;
	struct json *j = begin(&line, "boot");

	json_string(j, "backend", backend);
	json_u64(j, "cpus", cpus);
	json_u64(j, "tsc_khz", tsc_khz);
	send_event(&line);
}

void report_vm_start(const char *vm, uint64_t at_ns, uint64_t free_kib, unsigned irq_vectors)
{
	struct line line;
	struct json *j = begin(&line, "vm-start");

	json_string(j, "vm", vm);
	json_u64(j, "at_ns", at_ns);
	json_u64(j, "free_kib", free_kib);
	json_u64(j, "irq_vectors", irq_vectors);
	send_event(&line);
}

/* Those there were. */
static void add_exits(struct json *j, const char *name, const struct exit_counts *exits)
{
	json_object(j, name);
	for (unsigned id = 0; id < EXIT_CAUSE_COUNT; id++)
		if (exits->of[id])
			json_u64(j, exit_cause_name(id), exits->of[id]);
	json_object_end(j);
}

void report_vm_end(const char *vm, unsigned vcpus, const char *end, const char *reason,
		   const struct report_life *life)
{
	struct line line;
	struct json *j = begin(&line, "vm-end");

	json_string(j, "vm", vm);
	json_u64(j, "vcpus", vcpus);
	json_u64(j, "run_us", life->run_us);
	json_u64(j, "wakeups", life->wakeups);
	json_u64(j, "wake_us_max", life->wake_us_max);
	add_exits(j, "exits", &life->exits);
	json_string(j, "end", end);
	json_string(j, "reason", reason);
	json_u64(j, "at_ns", life->end_ns);
	send_event(&line);
}

void report_vm_reset(const char *vm, const char *end, const char *reason, uint64_t at_ns)
{
	struct line line;
	struct json *j = begin(&line, "vm-reset");

	json_string(j, "vm", vm);
	json_string(j, "end", end);
	json_string(j, "reason", reason);
	json_u64(j, "at_ns", at_ns);
	send_event(&line);
}

void report_vm_waits(const char *vm, const char *reason, uint64_t at_ns)
{
	struct line line;
	struct json *j = begin(&line, "vm-waits");

	json_string(j, "vm", vm);
	json_string(j, "reason", reason);
	json_u64(j, "at_ns", at_ns);
	send_event(&line);
}

/* Members of struct bench_result after `test`, by name. */
static void add_result(struct json *j, const struct bench_result *r)
{
	json_u64(j, "frame_bytes", r->frame_bytes);
	json_u64(j, "run", r->run);
	json_u64(j, "runs", r->runs);
	json_u64(j, "nanoseconds", r->nanoseconds);
	json_u64(j, "packets", r->packets);
	json_u64(j, "bytes", r->bytes);
	json_u64(j, "sent", r->sent);
	json_u64(j, "lost", r->lost);
	json_u64(j, "reordered", r->reordered);
	json_u64(j, "corrupt", r->corrupt);
	json_u64(j, "sender_stalls", r->sender_stalls);
	json_u64(j, "transactions", r->transactions);
	json_u64(j, "p50_ns", r->p50_ns);
	json_u64(j, "p99_ns", r->p99_ns);
	json_u64(j, "age_ns", r->age_ns);
}

void report_result(const char *vm, const char *peer, const struct bench_result *result,
		   const struct report_window *window)
{
	struct line line;
	struct json *j = begin(&line, "result");

	json_string(j, "vm", vm);
	json_string(j, "peer", peer);
	json_string(j, "test", result->test == BENCH_STREAM ? "stream" : "rr");
	add_result(j, result);
	json_u64(j, "exits",
		 exit_counts_total(&window->own_exits) + exit_counts_total(&window->peer_exits));
	json_u64(j, "own_exits", exit_counts_total(&window->own_exits));
	json_u64(j, "peer_exits", exit_counts_total(&window->peer_exits));
	add_exits(j, "own_exits_by", &window->own_exits);
	add_exits(j, "peer_exits_by", &window->peer_exits);
	json_u64(j, "notifications", window->notifications);
	json_u64(j, "copies", window->copies);
	json_u64(j, "kicks", window->kicks);
	json_u64(j, "drops", window->drops);
	json_u64(j, "way_drops", window->way_drops);
	json_u64(j, "peer_wakeups", window->peer_wakeups);
	json_u64(j, "begin_ns", window->begin_ns);
	json_u64(j, "root_ticks", window->root_ticks);
	json_u64(j, "guest_ticks", window->guest_ticks);
	json_u64(j, "driver_ticks", window->driver_ticks);
	json_u64(j, "poll_ticks", window->poll_ticks);
	send(&line);
}

void report_port(const char *port, const char *switch_name, const uint64_t counters[STAT_COUNT])
{
	static const char *const names[STAT_COUNT] = {
#define STAT_NAME(name, unit, class, help) #name,
		STATS_TABLE(STAT_NAME)
#undef STAT_NAME
	};
	struct line line;
	struct json *j = begin(&line, "port");

	json_string(j, "port", port);
	json_string(j, "switch", switch_name);
	json_object(j, "counters");
	for (unsigned id = 0; id < STAT_COUNT; id++)
		json_u64(j, names[id], counters[id]);
	json_object_end(j);
	send(&line);
}

void report_uplink(const char *port, const char *link, uint64_t at_ns)
{
	struct line line;
	struct json *j = begin(&line, "uplink");

	json_string(j, "port", port);
	json_string(j, "link", link);
	json_u64(j, "at_ns", at_ns);
	send_event(&line);
}

void report_link(const char *port, bool up, uint64_t at_ns)
{
	struct line line;
	struct json *j = begin(&line, "link");

	json_string(j, "port", port);
	json_string(j, "link", up ? "up" : "down");
	json_u64(j, "at_ns", at_ns);
	send_event(&line);
}

void report_queue_stopped(const char *port, unsigned queue, const char *why, uint64_t at_ns)
{
	struct line line;
	struct json *j = begin(&line, "queue-stopped");

	json_string(j, "port", port);
	json_u64(j, "queue", queue);
	json_string(j, "reason", why);
	json_u64(j, "at_ns", at_ns);
	send_event(&line);
}

void report_vm_paused(const char *vm, bool paused, uint64_t at_ns)
{
	struct line line;
	struct json *j = begin(&line, paused ? "vm-paused" : "vm-resumed");

	json_string(j, "vm", vm);
	json_u64(j, "at_ns", at_ns);
	send_event(&line);
}

void report_feature(const char *part, const char *where, const char *name, const char *state)
{
	struct line line;
	struct json *j = begin(&line, "feature");

	json_string(j, "part", part);
	json_string(j, "where", where);
	json_string(j, "name", name);
	json_string(j, "state", state);
	send(&line);
}

void report_guest_result(const char *vm, const char *text, const struct report_machine *machine)
{
	struct line line;
	struct json *j = begin(&line, "guest-result");

	json_string(j, "vm", vm);
	json_string(j, "text", text);
	json_u64(j, "us", machine->us);
	json_u64(j, "exits", exit_counts_total(&machine->exits));
	json_u64(j, "root_us", machine->root_us);
	json_u64(j, "guest_us", machine->guest_us);
	json_u64(j, "driver_us", machine->driver_us);
	json_u64(j, "poll_us", machine->poll_us);
	add_exits(j, "causes", &machine->exits);
	send(&line);
}

static void report_reason(const char *event, const char *reason)
{
	struct line line;
	struct json *j = begin(&line, event);

	json_string(j, "reason", reason);
	send_event(&line);
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
	struct line line;

	(void)begin(&line, "end");
	send_event(&line);
}
