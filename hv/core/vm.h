/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtual machine: memory, vCPUs, devices. VMs are created, started and ended one by one; all of
 * a VM's memory is returned when it is destroyed.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "hv/core/config.h"
#include "hv/core/fail.h"
#include "hv/core/handover.h"
#include "hv/core/lock.h"
#include "hv/core/log.h"
#include "hv/core/percpu.h"
#include "hv/core/report.h"
#include "hv/cpu/addr.h"
#include "vswitch/gmem.h"

struct vcpu;
struct platform;

enum vm_state { VM_CREATED, VM_RUNNING, VM_ENDING, VM_ENDED };

/* (c) constant after vm_create (a) atomic [v] under vm->lock (b) the backend's */
struct vm {
	const struct config_vm *config; /* (c) */
	unsigned id;                    /* (c) below CONFIG_MAX_VMS */
	struct spinlock lock;
	_Atomic uint32_t state;         /* (a) enum vm_state */
	const char *end;                /* [v] "ok", "failed", "crash", … (hv/core/report.h) */
	char end_reason[120];           /* [v] */

	struct gmem mem;                /* (c) guest RAM, for us and for the switch */
	struct { hpa_t hpa; uint64_t bytes; } extent[GMEM_EXTENTS]; /* (c) behind it, to give back */
	gpa_t acpi_gpa;                 /* (c) reserved pages for the tables */

	unsigned vcpu_count;            /* (c) */
	struct vcpu *vcpus[CONFIG_MAX_VCPUS]; /* (c) */
	uint64_t tsc_offset;            /* (c) */
	_Atomic uint64_t ran_on[MAX_CPUS / 64]; /* (a) CPUs that may cache translations */

	hpa_t nested;                   /* (b) root of the nested page tables */
	uint32_t nested_tag;            /* (b) VPID base or ASID */
	struct platform *platform;      /* (c) devices (hv/dev), NULL before they exist */
	struct log_limit log_limit;     /* (a) for lines that the guest causes */

	_Atomic unsigned live_vcpus;    /* (a) not OFF; the last one out ends the VM */
	struct vm_window {              /* [v] a measured window of the benchmark guest */
		bool open;
		uint8_t own_mac[6], peer_mac[6];
		struct report_window start; /* the counters when it opened */
	} window;
};

/* Makes the VM: memory, nested tables, devices, vCPUs, kernel loaded. On error nothing is left. */
int vm_create(const struct config_vm *config, const struct handover *h, struct vm **out) __must_check;

/* Lets vCPU 0 run. */
void vm_start(struct vm *vm);

/* Ends the VM: its vCPUs stop at their next exit (kicked); the last one out reports and hands it
 * to vm_reap(). end is a constant string; the first caller's counts. Any CPU, any context. */
void vm_end(struct vm *vm, const char *end, const char *reason_fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* For a guest's fault: one log line and the vCPU's registers, then vm_end(vm, "crash", …). */
void vm_crash(struct vcpu *vcpu, const char *reason_fmt, ...) __attribute__((format(printf, 2, 3)));

/* Destroys ended VMs, each once no CPU can hold a pointer to it any more; frees all their memory.
 * Called in the idle loop and between slices. Emits report_end() when the last one is gone. */
void vm_reap(void);

/* The last vCPU has left the guest: vm_reap() may take the VM. */
void vm_last_out(struct vm *vm);

/* Answers MB_FLUSH. */
void vm_flush_posted(void);

/* The VMs; an entry may be looked at under vm_table_lock only, since VMs end at any time. */
extern struct spinlock vm_table_lock;
extern struct vm *vm_table[CONFIG_MAX_VMS];

/* PVH: loads the ELF kernel, start_info, memory map, command line; sets vCPU 0's state
 * (hv/core/pvh.c). */
int pvh_load(struct vm *vm, const struct handover_image *kernel,
	     const struct handover_image *initrd) __must_check;

/* Copies from/to GPA, over extents; false if not all in RAM. */
bool vm_read(const struct vm *vm, gpa_t at, void *to, size_t bytes) __must_check;
bool vm_write(const struct vm *vm, gpa_t at, const void *from, size_t bytes) __must_check;
