/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ports of uplinks. They outlive their driver domain, for as long as the config has them, with counters and what the
 * switch has learned of them: when it starts again, the world is behind the same port. While it does not
 * run the uplink is down: what is sent to it is dropped, and counted as such.
 */
#pragma once

#include "hv/core/config.h"
#include "hv/core/fail.h"
#include "vswitch/switch.h"

/* Those of a driver domain are known by its place in the running config, and their names. Makes those that
 * are not there yet, on the switches of virtio_net.h. An error, told, leaves those that were made. One caller
 * at a time. */
int uplinks_create(const struct config_vm *vm) __must_check;

/* Destroys those that are not to be kept. The driver domain is not there. One caller at a time, under
 * vm_table_lock. */
typedef bool uplink_keep_fn(const void *context, const char *name);
void uplinks_destroy(const struct config_vm *vm, uplink_keep_fn *keep, const void *context);

/* The port of a net node that is an uplink; NULL: it could not be made. */
struct port *uplink_port(const struct config_vm *vm, const struct config_net *net);

/* Its driver has started a queue; it lets all of them go, or is gone itself. Under the switch's control lock. */
void uplink_queue_started(const struct config_vm *vm, const struct config_net *net, unsigned queue);
void uplink_stopped(const struct config_vm *vm, const struct config_net *net);

/* Its driver says whether the wire behind its n-th uplink, in the config's order, has carrier: it has until that
 * says otherwise, in each of its lives. false: there is no such. Any CPU. */
bool uplink_carrier(const struct config_vm *vm, uint64_t n, bool carrier);

/* Whether one of that switch is up: its driver runs, the wire has carrier, and the user has not taken its link
 * down. Under the switch's control lock. Each change is told by virtio_net_follow(). */
bool uplinks_up(unsigned switch_index);

/* The user has taken its link down or up. Any CPU, under vm_table_lock. */
void uplink_link_set(const struct port *port);

/* Whether the port's switch has one. */
bool uplink_beside(const struct port *port);

/* Their counters, for programs: once, when no guest is left. */
void uplinks_report(void);
