/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is told of VMs and of the switches, collected once: the shell prints it for people
 * (shell.c, shell_switch.c), the management channel for programs (mgmt_vm.c, mgmt_switch.c). VMs and
 * ports may end at any time: they are looked at under vm_table_lock, which the callbacks run under.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/exit_cause.h"
#include "lasthop/stats.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"

struct config_vm;
struct vm;

struct vm_facts {
	const struct config_vm *config;
	const char *state; /* off, starting, running, paused, ending, waiting (to be made again) */
	bool runs;	   /* it has vCPUs and devices */
	bool unsafe_dma;
	struct exit_counts exits;
	uint64_t wakeups; /* blocked to runnable */
};

/* Of the VM with this number in the config. */
void vm_facts(unsigned id, struct vm_facts *out);

/* The number of the VM with this name; -1: none has it. */
int vm_by_name(const char *name);

/* Each vCPU of a VM that runs dumps its registers into the log, between two exits. How many will; -1:
 * the VM does not run. off(i): vCPU i is not started and will not. */
int vm_dump(const char *name, void (*off)(unsigned vcpu));

/* The offloads that a port may have, by the names of virtio 1.2, 5.1.3. */
struct offload {
	uint64_t feature; /* VIRTIO_NET_F_* */
	const char *name, *help;
};
#define OFFLOADS 9
extern const struct offload offloads[OFFLOADS];

struct port_facts {
	struct port *port;
	const char *name, *switch_name;
	const uint8_t *mac;
	bool link;			  /* as the user has set it */
	bool uplinks_away;		  /* the guest sees it down: it follows the uplinks */
	bool driver;			  /* one runs */
	uint64_t offered, accepted, used; /* VIRTIO_NET_F_*; used: of the offloads only */
	uint64_t sent, received, dropped; /* packets */
};

/* Calls each() for every port, or for the one of that name: how many there were. Under
 * vm_table_lock. */
typedef void port_fn(const struct port_facts *facts, void *context);
unsigned ports_each(const char *name, port_fn *each, void *context);

/* What is said of the offloads that a port lacks; "": nothing. */
void port_warning(const struct port_facts *f, char *out, size_t room);

/* Takes its link up or down. False: there is no such port. */
bool port_link_set(const char *name, bool up);

/* Adds the counters of the ports of that name, or of all for NULL: how many ports. */
unsigned ports_sum(const char *name, uint64_t sum[STAT_COUNT]);

/* Names of a counter (include/lasthop/stats.h). */
struct stat_row {
	const char *name, *unit, *class, *help;
};
extern const struct stat_row stat_rows[STAT_COUNT];

#define MAC_TEXT 18
void mac_text(char out[MAC_TEXT], const uint8_t mac[6]);

#define POLICY_TEXT 48
/* The values that a policy takes, for people; and the one that it has. */
void policy_values_text(const struct policy *p, char *out, size_t room);
void policy_value_text(const struct policy *p, char out[16]);

/* Sets a policy while traffic runs, by its names for people. False: `why` says why not. */
bool policy_change(const char *name, const char *value, char *why, size_t room);
