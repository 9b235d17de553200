/* SPDX-License-Identifier: BSD-2-Clause */
/* A switch that forwards nothing: ports that remember what the device model told them. */
#pragma once

#include "vswitch/switch.h"

#define FAKE_PORTS 16

struct port {
	struct port_config config;
	char name[80];
	bool used;
	bool running[2];
	struct queue_setup setup[2];
	unsigned starts, stops, kicks, services;
};

extern struct port fake_port[FAKE_PORTS];
extern bool fake_start_fails;
extern bool fake_port_fails; /* port_create() */
extern unsigned fake_more;   /* so many calls of port_service() ask for another */
