/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captures (vswitch/capture.h) as streams of the management channel. A capture is of a port by name: a port that
 * goes with its VM is looked for again, and the capture goes on when the VM is back. It ends when the config has no
 * such port any more.
 */
#include <string.h>

#include "hv/core/apply.h"
#include "hv/core/facts.h"
#include "hv/core/json.h"
#include "hv/core/lifecycle.h"
#include "hv/core/mgmt_see.h"
#include "hv/core/platform.h"
#include "hv/core/wall.h"
#include "hv/cpu/entropy.h"
#include "vswitch/capture.h"
#include "vswitch/switch.h"

#define CAPTURES 8u
#define RING_KIB 1024u
#define AGAIN_US 20000u /* how often the port is looked for, if nothing comes */

/* All on the home CPU, but what the switch writes. */
static struct capturing {
	struct capture *capture; /* NULL: free */
	char port[2 * CONFIG_MAX_NAME + 2];
	struct mgmt_stream *stream; /* NULL once it is at its end */
	uint64_t looked_tsc;
} capturings[CAPTURES];

/* Lets the switch write for it, if the port is there and nobody else's: captured. Under vm_table_lock. */
static bool attach(struct capturing *c)
{
	struct port *port = see_find_port(c->port);

	c->looked_tsc = rdtsc();
	if (!port)
		return false;
	if (!port_captured(port, c->capture))
		port_capture(port, c->capture);
	return true;
}

/* The config has a port of that name, whether its VM runs or not. Under vm_table_lock. */
static bool is_configured(const char *port)
{
	for (unsigned i = 0; i < vm_config->vm_count; i++) {
		const struct config_vm *vm = &vm_config->vms[i];
		const size_t n = strlen(vm->name);

		if (!config_vm_there(vm) || strncmp(port, vm->name, n) != 0 || port[n] != '/')
			continue;
		for (unsigned k = 0; k < vm->net_count; k++)
			if (!strcmp(port + n + 1, vm->nets[k].name))
				return true;
	}
	return false;
}

/* A change of the config that goes on may yet go back, to one that has the port. */
static bool config_changes(void)
{
	const enum apply_state state = apply_status().state;

	return state == APPLY_STOPS || state == APPLY_MAKES || state == APPLY_BACK;
}

/* Under vm_table_lock. */
static void look_again(struct capturing *c)
{
	if (attach(c) || is_configured(c->port) || config_changes())
		return;
	mgmt_stream_end(c->stream, "the port is gone: another config was applied");
	c->stream = NULL;
}

static size_t pull(struct mgmt_stream *s, uint8_t *out, size_t room)
{
	struct capturing *c = mgmt_stream_owner(s);
	size_t got = capture_read(c->capture, out, room);

	if (got == 0 && c->stream && rdtsc() - c->looked_tsc > tsc_from_us(AGAIN_US) &&
	    spin_trylock(&vm_table_lock)) {
		look_again(c);
		spin_unlock(&vm_table_lock);
	}
	return got;
}

/* The switch writes no more. */
static void detach(struct capturing *c)
{
	struct port *port;

	spin_lock(&vm_table_lock);
	port = see_find_port(c->port);
	if (port && port_captured(port, c->capture))
		port_capture(port, NULL);
	spin_unlock(&vm_table_lock);
}

static void release(struct capturing *c)
{
	detach(c);
	capture_destroy(c->capture);
	c->capture = NULL;
	c->stream = NULL;
}

static void closed(struct mgmt_stream *s, bool complete)
{
	(void)complete;
	release(mgmt_stream_owner(s));
}

static const struct mgmt_stream_ops capture_ops = { .pull = pull, .closed = closed };

/* One that is free, for this port; NULL: the call has failed. */
static struct capturing *claim(struct mgmt_call *call, const char *name)
{
	struct capturing *found = NULL;

	for (unsigned i = 0; i < CAPTURES; i++) {
		if (!capturings[i].capture)
			found = &capturings[i];
		else if (!strcmp(capturings[i].port, name)) {
			mgmt_fail(call, MGMT_REFUSED,
				  "%s: is being captured already: end that first", name);
			return NULL;
		}
	}
	if (!found)
		mgmt_fail(call, MGMT_NOMEM, "%s: %u captures are running: end one first", name,
			  CAPTURES);
	return found;
}

/* A number that no guest knows, nor can try out. */
static uint32_t new_mark(void)
{
	static struct entropy entropy;
	uint8_t block[ENTROPY_BLOCK];
	uint32_t mark;

	(void)entropy_stir(&entropy);
	entropy_block(&entropy, block);
	memcpy(&mark, block, sizeof(mark));
	return mark;
}

static void put_port(struct json *j, const struct port *port)
{
	char mac[MAC_TEXT];

	mac_text(mac, port_mac(port));
	json_string(j, "port", port_name(port));
	json_string(j, "switch", port_switch_name(port));
	json_string(j, "mac", mac);
}

void see_capture(struct mgmt_call *call)
{
	char name[2 * CONFIG_MAX_NAME + 2];
	uint64_t snap = VS_MAX_FRAME, kib = RING_KIB, now = rdtsc();
	uint32_t mark = new_mark();
	struct json *j = mgmt_result(call);
	struct capturing *c;
	struct port *port;

	if (!mgmt_param_string(call, "port", name, sizeof(name)))
		return;
	if (mgmt_param_given(call, "snap") && !mgmt_param_u64(call, "snap", 0, VS_MAX_FRAME, &snap))
		return;
	if (mgmt_param_given(call, "ring_kib") &&
	    !mgmt_param_u64(call, "ring_kib", CAPTURE_LEAST >> 10, CAPTURE_MOST >> 10, &kib))
		return;
	c = claim(call, name);
	if (!c)
		return;
	while (kib & (kib - 1)) /* the power of two that it holds */
		kib &= kib - 1;
	c->capture = capture_create((uint32_t)kib << 10, (uint32_t)snap, mark);
	if (!c->capture) {
		mgmt_fail(call, MGMT_NOMEM, "%s: no memory for %llu KiB: take a smaller ring", name,
			  (unsigned long long)kib);
		return;
	}
	memcpy(c->port, name, sizeof(c->port));
	spin_lock(&vm_table_lock);
	port = attach(c) ? see_find_port(name) : NULL;
	if (port)
		put_port(j, port);
	spin_unlock(&vm_table_lock);
	if (!port) {
		release(c);
		mgmt_fail(call, MGMT_NOENT, "there is no port \"%s\": port list shows them", name);
		return;
	}
	json_u64(j, "snap", snap);
	json_u64(j, "ring_kib", kib);
	json_u64(j, "mark", mark);
	json_u64(j, "time_us", tsc_to_ns(now) / 1000);
	json_u64(j, "wall_ns", wall_ns_at(now));
	c->stream = mgmt_stream_open(call, &capture_ops, c);
	if (!c->stream)
		release(c);
}

void see_capture_end(struct mgmt_call *call)
{
	char name[2 * CONFIG_MAX_NAME + 2];

	if (!mgmt_param_string(call, "port", name, sizeof(name)))
		return;
	for (unsigned i = 0; i < CAPTURES; i++) {
		struct capturing *c = &capturings[i];

		if (!c->capture || !c->stream || strcmp(c->port, name) != 0)
			continue;
		detach(c);
		json_u64(mgmt_result(call), "records", capture_count(c->capture));
		mgmt_stream_end(c->stream, "");
		c->stream = NULL;
		return;
	}
	mgmt_fail(call, MGMT_NOENT, "port \"%s\" is not being captured", name);
}
