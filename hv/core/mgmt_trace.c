/* SPDX-License-Identifier: BSD-2-Clause */
/* What the running switch would do with a frame (vswitch/look.h). */
#include <string.h>

#include "hv/core/json.h"
#include "hv/core/lifecycle.h"
#include "hv/core/mgmt_see.h"
#include "hv/core/platform.h"
#include "lasthop/verdict.h"
#include "vswitch/look.h"

#define FRAME_HEAD 256u /* bytes of a frame that the switch may look at: its headers */

static const char *const verdicts[VERDICT_COUNT] = {
#define VERDICT_ROW(name, stat, text) #stat,
	VERDICT_TABLE(VERDICT_ROW)
#undef VERDICT_ROW
};

/* Hex digits to bytes: how many; -1: it is no even number of digits. */
static int bytes_of(const char *text, uint8_t out[FRAME_HEAD])
{
	int count = 0;

	for (; *text; text += 2, count++) {
		int high = mgmt_hex_digit(text[0]);
		int low = high < 0 ? -1 : mgmt_hex_digit(text[1]);

		if (low < 0)
			return -1;
		out[count] = (uint8_t)(high << 4 | low);
	}
	return count;
}

static void put_port_name(struct json *j, const char *name, const struct port *port)
{
	if (port)
		json_string(j, name, port_name(port));
}

static void put_trace(struct json *j, const struct switch_trace *t)
{
	static const char *const sources[] = {
		[TRACE_KNOWN] = "known", [TRACE_NEW] = "new", [TRACE_MOVES] = "moves"
	};

	json_string(j, "verdict", verdicts[t->verdict]);
	json_u64(j, "most_bytes", t->most_bytes);
	json_bool(j, "length_passes", t->length_passes);
	json_bool(j, "source_passes", t->source_passes);
	if (!t->source_passes)
		return;
	json_string(j, "source", sources[t->source]);
	put_port_name(j, "was", t->was);
	json_bool(j, "group", t->group);
	put_port_name(j, "behind", t->behind);
	json_array(j, "receivers");
	for (unsigned i = 0; i < t->receivers; i++) {
		json_object(j, NULL);
		put_port_name(j, "port", t->receiver[i].port);
		json_string(j, "verdict", verdicts[t->receiver[i].verdict]);
		json_object_end(j);
	}
	json_array_end(j);
}

void see_trace(struct mgmt_call *call)
{
	char name[2 * CONFIG_MAX_NAME + 2], text[2 * FRAME_HEAD + 1];
	static uint8_t head[FRAME_HEAD];
	static struct switch_trace told; /* one call at a time */
	struct json *j = mgmt_result(call);
	struct port *port;
	uint64_t bytes;
	int count;

	if (!mgmt_param_string(call, "port", name, sizeof(name)) ||
	    !mgmt_param_string(call, "frame", text, sizeof(text)))
		return;
	memset(head, 0, sizeof(head));
	count = bytes_of(text, head);
	bytes = (uint64_t)count;
	if (count < 0) {
		mgmt_fail(call, MGMT_PARAMS, "frame: an even number of hex digits is wanted");
		return;
	}
	if (mgmt_param_given(call, "bytes") &&
	    !mgmt_param_u64(call, "bytes", (uint64_t)count, VS_MAX_FRAME, &bytes))
		return;
	if (bytes > (uint64_t)count && count < (int)FRAME_HEAD) {
		mgmt_fail(call, MGMT_PARAMS, "frame: %u bytes of %llu are too few", (unsigned)count,
			  (unsigned long long)bytes);
		return;
	}
	spin_lock(&vm_table_lock);
	port = see_find_port(name);
	if (port && port_trace(port, head, (uint32_t)bytes, &told)) {
		json_string(j, "port", port_name(port));
		json_string(j, "switch", port_switch_name(port));
		json_bool(j, "link", port_link(port));
		json_bool(j, "uplink", port_is_uplink(port));
		put_trace(j, &told);
	} else {
		mgmt_fail(call, port ? MGMT_NOMEM : MGMT_NOENT,
			  port ? "%s: no memory for a look at its switch"
			       : "there is no port \"%s\": port list shows them",
			  name);
	}
	spin_unlock(&vm_table_lock);
}
