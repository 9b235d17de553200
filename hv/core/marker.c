/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines are of bounded length, results of bounded number; what is not printable becomes '.'.
 */
#include "hv/core/marker.h"

#include <string.h>

#include "hv/core/cpu_time.h"
#include "hv/core/lifecycle.h"
#include "hv/core/report.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"

#define PREFIX	    "lasthop: "
#define MAX_RESULTS 1000u

/* What follows the prefix, or NULL. */
static const char *after(const char *line, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(line, prefix, n) ? NULL : line + n;
}

static void copy_text(char *out, size_t room, const char *text)
{
	size_t n = strlen(text);

	if (n > room - 1)
		n = room - 1;
	memcpy(out, text, n);
	out[n] = 0;
}

/* Of all CPUs. */
static struct report_machine machine_now(void)
{
	uint64_t time[TIME_KINDS];
	struct report_machine now;

	cpu_time_sum(time);
	now = (struct report_machine){
		.us = tsc_to_ns(rdtsc()) / 1000,
		.root_us = tsc_to_ns(time[TIME_ROOT]) / 1000,
		.guest_us = tsc_to_ns(time[TIME_GUEST]) / 1000,
		.driver_us = tsc_to_ns(time[TIME_DRIVER]) / 1000,
		.poll_us = tsc_to_ns(time[TIME_POLL]) / 1000,
	};
	for (unsigned i = 0; i < cpu_count; i++)
		for (unsigned id = 0; id < EXIT_CAUSE_COUNT; id++)
			now.exits.of[id] +=
				atomic_load_explicit(&cpus[i]->exits[id], memory_order_relaxed);
	return now;
}

/* A whole line, NUL-terminated. Under the marker's lock. */
static void line_done(struct vm *vm, struct marker *m)
{
	const char *told = after(m->line, PREFIX), *text;

	if (!told)
		return;
	if (!strcmp(told, "end ok")) {
		m->end = MARKER_OK;
	} else if ((text = after(told, "end failed"))) {
		m->end = MARKER_FAILED;
		copy_text(m->reason, sizeof(m->reason), text + (*text == ' '));
	} else if ((text = after(told, "result ")) && m->results < MAX_RESULTS) {
		struct report_machine now = machine_now();

		m->results++;
		report_guest_result(vm->config->name, text, &now);
	}
}

void marker_char(struct vm *vm, char c)
{
	struct marker *m = &vm->marker;

	if (c == '\r')
		return;
	spin_lock(&m->lock);
	if (c != '\n') {
		if (m->fill < sizeof(m->line) - 1)
			m->line[m->fill] = c >= ' ' && c < 0x7f ? c : '.';
		m->fill++;
	} else {
		if (m->fill < sizeof(m->line)) { /* a longer one is none of ours */
			m->line[m->fill] = 0;
			line_done(vm, m);
		}
		m->fill = 0;
	}
	spin_unlock(&m->lock);
}

void marker_power_off(struct vm *vm)
{
	struct marker *m = &vm->marker;
	char reason[sizeof(m->reason)];
	enum marker_end end;

	spin_lock(&m->lock);
	end = m->end;
	memcpy(reason, m->reason, sizeof(reason));
	spin_unlock(&m->lock);
	if (end == MARKER_OK)
		vm_end(vm, END_OK, "%s", "");
	else if (end == MARKER_FAILED)
		vm_end(vm, END_FAILED, "the guest told: %s", reason);
	else
		vm_end(vm, END_OFF, "switched off by the guest");
}
