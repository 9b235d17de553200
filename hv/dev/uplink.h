/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ports of uplinks. They are made once and outlive their driver domain, with counters and what the
 * switch has learned of them: when it starts again, the world is behind the same port. While it does not
 * run the uplink is down: what is sent to it is dropped, and counted as such.
 */
#pragma once

#include "hv/core/config.h"
#include "hv/core/fail.h"
#include "vswitch/switch.h"

/* Makes those of all driver domains; switch_at(i) is switch number i of the config. Once. */
int uplinks_create(const struct config *config,
		   struct vswitch *(*switch_at)(unsigned i)) __must_check;

/* The port of a net node that is an uplink. */
struct port *uplink_port(const struct config_net *net);

/* Its driver has started a queue; it lets all of them go. Under the switch's control lock. */
void uplink_queue_started(const struct config_net *net, unsigned queue);
void uplink_stopped(const struct config_net *net);

/* Whether the port's switch has one. */
bool uplink_beside(const struct port *port);

/* Their counters, for programs: once, when no guest is left. */
void uplinks_report(void);
