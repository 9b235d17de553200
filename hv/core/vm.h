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
#include "hv/core/marker.h"
#include "hv/core/percpu.h"
#include "hv/core/report.h"
#include "hv/core/timer.h"
#include "hv/cpu/addr.h"
#include "vswitch/gmem.h"

struct vcpu;
struct platform;

enum vm_state { VM_CREATED, VM_RUNNING, VM_ENDING, VM_ENDED };

/* (c) constant after vm_create (a) atomic [v] under vm->lock (b) the backend's */
struct vm {
	const struct config_vm *config; /* (c) */
	unsigned id;			/* (c) place in the config, and in vm_table */
	struct spinlock lock;
	_Atomic uint32_t state; /* (a) enum vm_state */
	_Atomic bool paused;	/* (a) its vCPUs do not run */
	const char *end;	/* [v] "ok", "failed", "crash", … (hv/core/report.h) */
	char end_reason[120];	/* [v] */
	uint64_t end_tsc;	/* [v] when that was */
	uint64_t start_tsc;	/* (c) from when on its vCPUs run */

	struct gmem mem; /* (c) guest RAM, for us and for the switch */
	struct {
		hpa_t hpa;
		uint64_t bytes;
	} extent[GMEM_EXTENTS]; /* (c) behind it, to give back */
	gpa_t acpi_gpa;		/* (c) reserved pages for the tables */
	bool unsafe_dma; /* (c) no IOMMU confines its devices: they take addresses of the host */

	unsigned vcpu_count;		      /* (c) */
	struct vcpu *vcpus[CONFIG_MAX_VCPUS]; /* (c) */
	uint64_t tsc_offset;		      /* (c) */

	hpa_t nested;	     /* (b) root of the nested page tables */
	uint32_t nested_tag; /* (b) VPID base or ASID */
	_Atomic uint64_t
		stale[MAX_CPUS / 64]; /* (a) CPUs to drop its translations at the next entry */
	_Atomic uint64_t wall_clock;  /* (a) paravirtual clock: its MSR (hv/core/pvclock.c) */
	struct platform *platform;    /* (c) devices (hv/dev), NULL before they exist */
	struct log_limit log_limit;   /* (a) for lines that the guest causes */
	struct watchdog {	      /* [v] of a driver domain (hv/core/watchdog.h) */
		struct timer timer;
		uint64_t period_ms;
	} watchdog;

	struct marker marker; /* what it tells of itself on its console */

	_Atomic unsigned live_vcpus; /* (a) not OFF yet; the last one out ends the VM */
	struct vm_window {	     /* [v] a measured window of the benchmark guest */
		bool open;
		uint8_t own_mac[6], peer_mac[6];
		struct report_window start; /* the counters when it opened */
		unsigned results;	    /* told so far */
	} window;
};

/* Makes the VM with number id: memory, nested tables, devices, vCPUs, kernel loaded. staged: from images
 * that are staged, if there are (hv/core/images.h). On error nothing is left. vm_join() comes next. */
int vm_create(const struct config_vm *config, unsigned id, bool staged,
	      struct vm **out) __must_check;

/* Gives it the machine's devices; then it may start. LH_AGAIN: they are still being reset, to be called again at
 * *again_tsc, until they are back or late: there is an end to it. After another error nothing is left of the VM. No
 * lock is held. */
int vm_join(struct vm *vm, uint64_t *again_tsc) __must_check;

/* Destroys a VM that was made and never started, its devices too. No lock is held. */
void vm_discard(struct vm *vm);

/* Frees all of it. Its vCPUs are OFF, its devices destroyed, and no CPU holds a pointer to it. */
void vm_destroy(struct vm *vm);

/* Whether the processor virtualises its local APICs. */
bool vm_virtualizes_apics(const struct vm *vm);

/* What a kernel is told of the VM's memory, by address; numbers as in e820 and in PVH's memory map. */
#define VM_RANGES 5
enum vm_range_type { VM_RAM = 1, VM_RESERVED = 2, VM_ACPI = 3 };
struct vm_range {
	uint64_t gpa, bytes;
	enum vm_range_type type;
};
unsigned vm_ranges(const struct vm *vm, struct vm_range out[VM_RANGES]);

/* Copies the initrd to where a kernel wants it; at = 0: it has no place for one. */
int vm_load_initrd(struct vm *vm, const struct handover_image *initrd, uint64_t at) __must_check;

/* PVH: loads the ELF kernel, start_info, memory map, command line; sets vCPU 0's state
 * (hv/core/pvh.c). */
int pvh_load(struct vm *vm, const struct handover_image *kernel,
	     const struct handover_image *initrd) __must_check;

/* Linux: loads a bzImage by the 64-bit boot protocol (hv/core/linux_boot.c). linux_image: is it one? */
bool linux_image(const struct handover_image *kernel);
int linux_load(struct vm *vm, const struct handover_image *kernel,
	       const struct handover_image *initrd) __must_check;

/*
 * Device memory, in a guest address range where no RAM is (pages); one caller at a time for a VM.
 * Unmapping does not wait: a vCPU that is in the guest may use the old address until it has been
 * interrupted, which comes at once. It reaches only what is the VM's for as long as it lives.
 */
int vm_map_device(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes) __must_check;
void vm_unmap_device(struct vm *vm, gpa_t gpa, uint64_t bytes);

/* Before an entry: drops this CPU's translations if some of them are stale. */
void vm_drop_stale(struct vm *vm);

/* Copies from/to GPA, over extents; false if not all in RAM. */
bool vm_read(const struct vm *vm, gpa_t at, void *to, size_t bytes) __must_check;
bool vm_write(const struct vm *vm, gpa_t at, const void *from, size_t bytes) __must_check;
