/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_switch.h. It insists on the contract of vswitch/switch.h: queues start stopped, within
 * the port, and are stopped before the port goes. */
#include "tests/unit/dev/fake_switch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/report.h"
#include "tests/unit/core/fake_timer.h"
#include "vswitch/env.h"

struct vswitch {
	char name[32];
};

struct port fake_port[FAKE_PORTS];
bool fake_start_fails, fake_port_fails;
unsigned fake_more;
void (*fake_polled)(void);
void (*fake_poll_leaves)(struct port *port, unsigned queue);
static struct vswitch the_switch;

static void insist(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "switch misused: %s\n", what);
		abort();
	}
}

uint64_t switch_features(void)
{
	return VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX |
	       VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_NET_F_GUEST_CSUM |
	       VIRTIO_NET_F_GUEST_TSO4;
}

struct vswitch *switch_create(const char *name)
{
	snprintf(the_switch.name, sizeof(the_switch.name), "%s", name);
	return &the_switch;
}

const char *switch_name(const struct vswitch *sw)
{
	return sw->name;
}

struct port *port_create(struct vswitch *sw, const struct port_config *config)
{
	insist(sw == &the_switch, "no switch");
	for (unsigned i = 0; i < FAKE_PORTS && !fake_port_fails; i++) {
		struct port *p = &fake_port[i];

		if (p->used)
			continue;
		memset(p, 0, sizeof(*p));
		p->used = true;
		p->config = *config;
		p->pairs = 1;
		snprintf(p->name, sizeof(p->name), "%s", config->name);
		return p;
	}
	return NULL;
}

static void insist_unused(const struct port *port)
{
	for (unsigned i = 0; i < FAKE_QUEUES; i++)
		insist(port->used && !port->running[i], "destroyed while running");
	insist(!port->filtered && port->pairs == 1, "destroyed with what a driver had set");
}

void port_retire(struct port *port)
{
	insist_unused(port);
	port->retired = true;
}

void port_detach(struct port *port)
{
	insist_unused(port);
	port->config.owner = NULL;
	port->config.mem = NULL;
}

void port_attach(struct port *port, const struct gmem *mem, void *owner)
{
	insist(port->used && port->config.owner == NULL, "two owners");
	port->config.owner = owner;
	port->config.mem = mem;
}

void report_uplink(const char *port, const char *link, uint64_t at_ns)
{
	struct port *p = fake_port;
	bool up = !strcmp(link, "up"), passes = !strcmp(link, "passes");

	(void)at_ns;
	while (strcmp(p->name, port) != 0)
		p++;
	insist(p->used && p->up != up, "no change");
	p->passes += passes;
	if (!passes)
		p->up = up;
}

void port_destroy(struct port *port)
{
	insist(port->retired && port->reports == 1, "gone without a last report");
	port->used = false;
}

bool port_poll_begin(struct port *port, unsigned queue)
{
	insist(port->used && queue < FAKE_QUEUES && !port->polled[queue], "polled twice");
	port->polled[queue] = true;
	for (unsigned i = 0, polled = 0; i < FAKE_QUEUES; i++) {
		polled += port->polled[i];
		if (polled > port->polled_at_once)
			port->polled_at_once = polled;
	}
	return true;
}

unsigned port_poll(struct port *port, unsigned queue)
{
	insist(port->used && port->polled[queue], "not polled");
	port->polls++;
	if (fake_polled != NULL)
		fake_polled();
	return 0;
}

void port_poll_end(struct port *port, unsigned queue, unsigned quota)
{
	insist(quota > 0, "a quota of 0 arms nothing");
	insist(port->used && port->polled[queue], "not polled");
	port->polled[queue] = false;
	port->poll_ends++;
	if (fake_poll_leaves)
		fake_poll_leaves(port, queue);
}

void port_flush(struct port *port, bool late)
{
	insist(port->used, "a port that is gone");
	port->flushes += late;
}

void port_arrive(struct port *port)
{
	(void)port;
}

void port_settle(struct port *port)
{
	(void)port;
}

void report_port(const char *port, const char *switch_name, const uint64_t counters[STAT_COUNT])
{
	(void)switch_name;
	(void)counters;
	for (unsigned i = 0; i < FAKE_PORTS; i++)
		if (fake_port[i].used && (fake_port[i].retired || fake_port[i].config.uplink) &&
		    strcmp(fake_port[i].name, port) == 0)
			fake_port[i].reports++;
}

const char *port_switch_name(const struct port *port)
{
	(void)port;
	return "lan";
}

uint64_t port_counter(const struct port *port, enum stat_id id)
{
	(void)id;
	insist(port->retired || port->config.uplink, "counters that are not final");
	return port->counter;
}

void *port_owner(const struct port *port)
{
	insist(port->used, "a port that is gone");
	return port->config.owner;
}

bool port_is_uplink(const struct port *port)
{
	return port->config.uplink;
}

const char *port_name(const struct port *port)
{
	return port->name;
}

int port_start_queue(struct port *port, unsigned queue, const struct queue_setup *setup,
		     const char **why)
{
	insist(port->used && queue < 2 * port->config.queue_pairs && !port->running[queue],
	       "started twice");
	insist(setup->features & VIRTIO_F_VERSION_1, "started before negotiation");
	port->starts++;
	if (fake_start_fails) {
		*why = "the test says so";
		return -1;
	}
	port->running[queue] = true;
	port->setup[queue] = *setup;
	return 0;
}

void port_stop_queue(struct port *port, unsigned queue)
{
	insist(port->used && queue < 2 * port->config.queue_pairs, "stopped what is not there");
	port->running[queue] = false;
	port->stops++;
}

unsigned port_service(struct port *port, unsigned queue, unsigned quota)
{
	insist(port->used && queue < 2 * port->config.queue_pairs && quota > 0,
	       "served what is not there");
	port->services++;
	if (fake_more > 0) {
		fake_more--;
		env_more_work(port, queue);
	}
	return 0;
}

void port_set_filter(struct port *port, const struct filter *filter)
{
	port->filtered = filter != NULL;
	if (filter != NULL)
		port->filter = *filter;
}

void port_set_link(struct port *port, bool up)
{
	port->unplugged = !up;
}

bool port_link(const struct port *port)
{
	return !port->unplugged;
}

void port_set_pairs(struct port *port, unsigned pairs)
{
	insist(pairs >= 1 && pairs <= port->config.queue_pairs, "so many pairs it has not");
	port->pairs = pairs;
}

void port_set_guest_offloads(struct port *port, uint64_t features)
{
	port->guest_offloads = features;
}

unsigned port_kick(struct port *port, unsigned queue, unsigned quota)
{
	port->kicks++;
	return port_service(port, queue, quota);
}
