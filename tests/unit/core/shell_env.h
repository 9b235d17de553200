/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the shell and of the channel's methods stand in for: the console, VMs, the switch. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/again.h"
#include "hv/core/console.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/shell.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"

#include <cmocka.h>

#define LONG_NAME "a-name-of-thirty-one-characters"

struct port {
	const char *name;
	uint64_t count;
	bool unplugged;
};

struct vswitch {
	const char *name;
	struct port port[2];
};

static char out[65536];
static size_t filled;
static struct config config;
static struct vm vm;
static struct vcpu vcpu[2];
static struct vswitch lan = { "lan",
			      { { LONG_NAME, UINT64_MAX, false }, { "bob/net0", 7, false } } };
static const char *said_name;
static enum vm_command said;
static const char *refusal;
static enum vcpu_signal signalled;
static unsigned signals, fdb_entries, more_ports;

static struct cpu cpu0, cpu1;
static unsigned posts;

struct cpu *cpus[MAX_CPUS] = { &cpu0, &cpu1 };
unsigned cpu_count = 2;
struct spinlock vm_table_lock;
struct vm *vm_table[CONFIG_MAX_VMS];
const struct config *vm_config = &config;

void cpu_post(struct cpu *cpu, uint32_t bits)
{
	(void)cpu;
	posts += bits == MB_KICK;
}

void console_write(const char *text, size_t bytes)
{
	assert_true(filled + bytes < sizeof(out));
	memcpy(out + filled, text, bytes);
	filled += bytes;
	out[filled] = '\0';
}

void console_printf(const char *fmt, ...)
{
	char line[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_write(line, strlen(line));
}

size_t log_last(unsigned lines, char *to, size_t room)
{
	return (size_t)snprintf(to, room, "%u lines of the log\n", lines);
}

int vm_command(const char *name, enum vm_command command, const char **why)
{
	said_name = name;
	said = command;
	*why = refusal;
	return refusal ? LH_BUSY : 0;
}

static bool waits; /* the VM that is off: to be made again */

bool again_waits(unsigned id)
{
	(void)id;
	return waits;
}

void vcpu_signal(struct vcpu *v, enum vcpu_signal signal, uint8_t vector)
{
	(void)v;
	(void)vector;
	signalled = signal;
	signals++;
}

uint64_t pmm_free_bytes(void)
{
	return 3 << 20;
}

uint64_t pmm_total_bytes(void)
{
	return 4 << 20;
}

static struct vswitch *switch_at(unsigned i)
{
	assert_true(i < config.switch_count);
	return &lan;
}

static void set_link(struct port *port, bool up)
{
	assert_int_equal(vm_table_lock.taken, 1);
	port->unplugged = !up;
}

static uint64_t offered, accepted, used;
static bool driver;

static bool features(struct port *port, uint64_t *of_device, uint64_t *of_driver)
{
	assert_int_equal(vm_table_lock.taken, 1);
	assert_non_null(port);
	*of_device = offered;
	*of_driver = accepted;
	return driver;
}

static bool away;

static bool uplinks_away(struct port *port)
{
	assert_int_equal(vm_table_lock.taken, 1);
	return port && away;
}

uint64_t port_offloads(const struct port *port)
{
	assert_non_null(port);
	return used;
}

const char *port_switch_name(const struct port *port)
{
	assert_non_null(port);
	return lan.name;
}

static unsigned policy_changes;

static void policy_changed(void)
{
	policy_changes++;
}

const struct platform_ops fake_platform = {
	.policy_changed = policy_changed,
	.switch_at = switch_at,
	.port_set_link = set_link,
	.port_features = features,
	.port_uplinks_away = uplinks_away,
};
const struct platform_ops *platform = &fake_platform;

const char *switch_name(const struct vswitch *sw)
{
	return sw->name;
}

struct port *switch_port(const struct vswitch *sw, unsigned i)
{
	return i < 2 + more_ports ? (struct port *)(uintptr_t)&sw->port[i % 2] : NULL;
}

const char *port_name(const struct port *port)
{
	return port->name;
}

const uint8_t *port_mac(const struct port *port)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0, 0xab, 1 };

	(void)port;
	return mac;
}

bool port_link(const struct port *port)
{
	return !port->unplugged;
}

uint64_t port_counter(const struct port *port, enum stat_id id)
{
	(void)id;
	return port->count;
}

uint64_t port_counter_drops(const struct port *port, bool received)
{
	return received ? port->count / 2 : port->count / 4;
}

unsigned switch_fdb(const struct vswitch *sw, struct fdb_view *entries, unsigned room)
{
	for (unsigned i = 0; i < fdb_entries && i < room; i++)
		entries[i] =
			(struct fdb_view){ { 2, 0, 0, 0, 0, (uint8_t)i }, &sw->port[0], 2999999 };
	return fdb_entries < room ? fdb_entries : room;
}

static int set_up(void **state)
{
	(void)state;
	config.switch_count = 1;
	config.vm_count = 2;
	config.vms[0] = (struct config_vm){ .name = LONG_NAME, .cpus = 2, .memory_mib = 1u << 20 };
	config.vms[1] = (struct config_vm){ .name = "bob", .cpus = 1, .memory_mib = 16 };
	vm = (struct vm){ .config = &config.vms[0],
			  .vcpu_count = 2,
			  .vcpus = { &vcpu[0], &vcpu[1] } };
	atomic_store(&vm.state, VM_RUNNING);
	atomic_store(&vcpu[0].state, VCPU_BLOCKED);
	atomic_store(&vcpu[1].state, VCPU_OFF);
	atomic_store(&vcpu[0].exits[EXIT_CAUSE_hlt], 123450);
	atomic_store(&vcpu[1].exits[EXIT_CAUSE_hlt], 6);
	vm_table[0] = &vm;
	refusal = said_name = NULL;
	signals = fdb_entries = more_ports = 0;
	return 0;
}
