/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of methods, and the methods about the channel itself and the log. */
#include "hv/core/log.h"
#include "hv/core/mgmt_impl.h"
#include "hv/core/mgmt_see.h"
#include "hv/core/percpu.h"
#include "hv/core/pmm.h"
#include "hv/core/timer.h"
#include "hv/cpu/hvm.h"
#include "hv/cpu/x86.h"

#define LOG_LINES_MOST 1000u
#define LOG_BYTES      (64u * 1024)
#define LOG_LINE       512

static const struct mgmt_method *const tables[] = { mgmt_own_methods,	 mgmt_vm_methods,
						    mgmt_switch_methods, mgmt_console_methods,
						    mgmt_see_methods,	 mgmt_apply_methods };

const struct mgmt_method *mgmt_method_at(unsigned i)
{
	for (unsigned t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct mgmt_method *m = tables[t]; m->name; m++)
			if (i-- == 0)
				return m;
	return NULL;
}

static void hello(struct mgmt_call *call)
{
	struct json *j = mgmt_result(call);

	json_u64(j, "protocol", 1);
	json_string(j, "backend", hvm->name);
	json_u64(j, "cpus", cpu_count);
	json_u64(j, "tsc_khz", tsc_khz());
	json_u64(j, "now_ns", tsc_to_ns(rdtsc()));
	json_u64(j, "free_kib", pmm_free_bytes() / 1024);
	json_u64(j, "total_kib", pmm_total_bytes() / 1024);
}

static void methods(struct mgmt_call *call)
{
	struct json *j = mgmt_result(call);
	const struct mgmt_method *m;

	json_array(j, "methods");
	for (unsigned i = 0; (m = mgmt_method_at(i)) != NULL; i++) {
		json_object(j, NULL);
		json_string(j, "name", m->name);
		json_string(j, "params", m->params);
		json_string(j, "help", m->help);
		json_object_end(j);
	}
	json_array_end(j);
}

static void status(struct mgmt_call *call)
{
	mgmt_list_lines(mgmt_result(call));
	stream_list(mgmt_result(call));
}

static void log_lines(struct mgmt_call *call)
{
	static char text[LOG_BYTES];
	struct json *j = mgmt_result(call);
	char line[LOG_LINE];
	uint64_t lines = 20;
	size_t bytes, n = 0;

	if (mgmt_param_given(call, "lines") &&
	    !mgmt_param_u64(call, "lines", 1, LOG_LINES_MOST, &lines))
		return;
	bytes = log_last((unsigned)lines, text, sizeof(text));
	json_array(j, "lines");
	for (size_t i = 0; i < bytes; i++) {
		if (text[i] != '\n' && n + 1 < sizeof(line))
			line[n++] = text[i];
		if (text[i] != '\n' && i + 1 < bytes)
			continue;
		line[n] = '\0';
		json_string(j, NULL, line);
		n = 0;
	}
	json_array_end(j);
}

const struct mgmt_method mgmt_own_methods[] = {
	{ "hello", "", "the protocol's version, and the machine", hello },
	{ "methods", "", "all methods", methods },
	{ "status", "", "the lines and the open streams of this channel", status },
	{ "log", "lines?", "the last lines of the log, 20 unless told otherwise", log_lines },
	{ NULL, NULL, NULL, NULL },
};
