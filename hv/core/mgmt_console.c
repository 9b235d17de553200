/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams of text: a guest's console, with keys in the other direction, and events as JSON lines. Each
 * is read from its ring at a position of its own, so that any number may listen; who is too slow loses
 * the oldest, and is told how much.
 */
#include "hv/core/config.h"
#include "hv/core/console.h"
#include "hv/core/facts.h"
#include "hv/core/fail.h"
#include "hv/core/mgmt_impl.h"
#include "hv/core/report.h"

#define KEYS 256 /* that a guest has had no room for yet; more are not acknowledged */

struct listener {
	bool taken;
	unsigned vm, life; /* console_guest_life() */
	uint64_t at;
	char keys[KEYS]; /* keys[first % KEYS] on */
	unsigned first, last;
};

static struct listener listeners[MGMT_STREAMS + 1]; /* one is free even if no stream is */

static struct listener *new_listener(void)
{
	for (unsigned i = 0; i <= MGMT_STREAMS; i++)
		if (!listeners[i].taken) {
			listeners[i] = (struct listener){ .taken = true };
			return &listeners[i];
		}
	panic("a listener without a stream");
}

static void closed(struct mgmt_stream *s, bool complete)
{
	struct listener *l = mgmt_stream_owner(s);

	(void)complete;
	l->taken = false;
}

/* ---- consoles ---- */

static void give_keys(struct listener *l)
{
	while (l->first != l->last && console_guest_type(l->vm, l->keys[l->first % KEYS]))
		l->first++;
}

/* The place that it listens to is still that VM's; else it is at its end. */
static bool is_there(struct mgmt_stream *s)
{
	const struct listener *l = mgmt_stream_owner(s);
	bool same = console_guest_life(l->vm) == l->life;

	if (!same)
		mgmt_stream_end(s, "the VM is gone: another config was applied");
	return same;
}

static size_t console_pull(struct mgmt_stream *s, uint8_t *out, size_t room)
{
	struct listener *l = mgmt_stream_owner(s);
	uint64_t lost;
	size_t n;

	if (!is_there(s))
		return 0;
	give_keys(l);
	n = console_guest_read(l->vm, &l->at, (char *)out, room, &lost);
	if (lost)
		mgmt_stream_lost(s, lost);
	return n;
}

static size_t console_push(struct mgmt_stream *s, const uint8_t *bytes, size_t count)
{
	struct listener *l = mgmt_stream_owner(s);
	size_t n = 0;

	if (!is_there(s))
		return 0;
	for (; n < count && l->last - l->first < KEYS; n++)
		l->keys[l->last++ % KEYS] = (char)bytes[n];
	give_keys(l);
	return n;
}

static const struct mgmt_stream_ops console_ops = { console_pull, console_push, closed };

static void console_open(struct mgmt_call *call)
{
	bool given = mgmt_param_given(call, "replay"), replay = true;
	char name[CONFIG_MAX_NAME + 1];
	struct listener *l;
	int id;

	if (!mgmt_param_string(call, "vm", name, sizeof(name)) ||
	    (given && !mgmt_param_bool(call, "replay", &replay)))
		return;
	id = vm_by_name(name);
	if (id < 0) {
		mgmt_fail(call, MGMT_NOENT, "there is no VM \"%s\": vm list shows them", name);
		return;
	}
	l = new_listener();
	l->vm = (unsigned)id;
	l->life = console_guest_life(l->vm);
	l->at = replay ? 0 : ~0ull;
	if (!mgmt_stream_open(call, &console_ops, l)) {
		l->taken = false;
		return;
	}
	json_string(mgmt_result(call), "vm", name);
}

/* ---- events ---- */

static size_t events_pull(struct mgmt_stream *s, uint8_t *out, size_t room)
{
	struct listener *l = mgmt_stream_owner(s);
	uint64_t oldest = report_position(true);

	if (l->at < oldest) {
		mgmt_stream_lost(s, oldest - l->at);
		l->at = oldest;
	}
	return report_read(&l->at, (char *)out, room);
}

static const struct mgmt_stream_ops events_ops = { events_pull, NULL, closed };

static void events_open(struct mgmt_call *call)
{
	bool given = mgmt_param_given(call, "replay"), replay = false;
	struct listener *l;

	if (given && !mgmt_param_bool(call, "replay", &replay))
		return;
	l = new_listener();
	l->at = report_position(replay);
	if (!mgmt_stream_open(call, &events_ops, l))
		l->taken = false;
}

const struct mgmt_method mgmt_console_methods[] = {
	{ "console.open", "vm replay?",
	  "stream: a guest's console, what it printed before first (replay), and keys to it",
	  console_open },
	{ "events.open", "replay?",
	  "stream: a line of JSON for each event from now on, or for those before as well",
	  events_open },
	{ NULL, NULL, NULL, NULL },
};
