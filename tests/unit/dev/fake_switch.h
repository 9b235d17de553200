/* SPDX-License-Identifier: BSD-2-Clause */
/* A switch that forwards nothing: ports that remember what the device model told them. */
#pragma once

#include "vswitch/filter.h"
#include "vswitch/switch.h"

#define FAKE_PORTS  16
#define FAKE_QUEUES 16

struct port {
	struct port_config config;
	char name[80];
	bool used;
	bool running[FAKE_QUEUES];
	struct queue_setup setup[FAKE_QUEUES];
	bool filtered; /* by `filter` */
	struct filter filter;
	unsigned pairs;
	bool unplugged;
	uint64_t guest_offloads; /* set last */
	unsigned starts, stops, kicks, services;
	bool retired;
	unsigned reports; /* of its counters */
	bool up;	  /* an uplink, as told to programs */
	unsigned passes;  /* the same: that a frame came in by it */
	uint64_t counter; /* all of its counters */
	unsigned flushes; /* late ones */
	bool polled[FAKE_QUEUES];
	unsigned polls, poll_ends, polled_at_once;
};

extern struct port fake_port[FAKE_PORTS];
extern bool fake_start_fails;
extern bool fake_port_fails;	  /* port_create() */
extern struct timer *fake_timer;  /* the last that was set and not cancelled */
extern unsigned fake_more;	  /* so many calls of port_service() ask for another */
extern void (*fake_polled)(void); /* called at each look, unless NULL */
/* Called by port_poll_end(): what the queue still has is told. */
extern void (*fake_poll_leaves)(struct port *port, unsigned queue);
