/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of VMs: start, end, reset, pause, by the config, the guests, and the user. A VM that
 * ends is destroyed once no CPU can hold a pointer to it, and all of its memory comes back; one
 * that resets or is restarted is made anew from the images, and so is a driver domain however it
 * ends, but for the user's stop.
 */
#pragma once

#include "hv/core/vcpu.h"
#include "hv/core/vm.h"

/* Why a VM ended (hv/core/report.h). */
#define END_OK	      "ok"	/* its work is done: HC_END 0 */
#define END_FAILED    "failed"	/* HC_END otherwise */
#define END_CRASH     "crash"	/* stopped by us */
#define END_HANG      "hang"	/* a driver domain that missed its watchdog */
#define END_OFF	      "off"	/* switched itself off */
#define END_STOPPED   "stopped" /* by the user */
#define END_REBOOT    "reboot"	/* reset itself: starts again */
#define END_RESTARTED "restart" /* by the user: starts again */

/* Makes all VMs that are not disabled, then starts them: if one cannot be made, none runs. */
int lifecycle_start(const struct config *config) __must_check;

/* Ends the VM: its vCPUs stop at their next exit (kicked); the last one out hands it to vm_reap().
 * end is one of the above; the first caller's counts, but for END_STOPPED, which always does. Any CPU, any context. */
void vm_end(struct vm *vm, const char *end, const char *reason_fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* For a guest's fault: one log line and the vCPU's registers, then vm_end(vm, END_CRASH, …). */
void vm_crash(struct vcpu *vcpu, const char *reason_fmt, ...) __attribute__((format(printf, 2, 3)));

/* The last vCPU has left the guest: vm_reap() may take the VM. */
void vm_last_out(struct vm *vm);

/* A vCPU of a VM that is paused has left the guest, or was not in it: if it was the last, the VM's devices stand
 * still from now on. Any CPU, no lock held; the VM is there until this CPU's next pass of its loop. */
void vm_paused_out(struct vm *vm);

/* Destroys ended VMs; starts those again that are to. Called in the idle loop and between slices.
 * Emits report_end() when none is left. */
void vm_reap(void);

enum vm_command { VM_START, VM_STOP, VM_RESTART, VM_PAUSE, VM_RESUME };

/* What the user asks for. 0, or an error with one sentence in *why. */
int vm_command(const char *name, enum vm_command command, const char **why);

/*
 * A VM's place in the running config, for who changes it (hv/core/apply.c). Called again and again until it
 * is true: nothing runs there then, and nobody starts anything until lifecycle_give(). What runs is ended,
 * told as ended for good, or (again) as one that starts again.
 */
bool lifecycle_take(unsigned id, bool again);
/* The place is free to be used, and the VM, if one was made, starts. */
void lifecycle_give(unsigned id, struct vm *vm);
/* Whether a VM is there, or about to be. */
bool lifecycle_runs(unsigned id);
/* Meanwhile the machine's work is not done, whoever ends. */
void lifecycle_hold(bool on);
/* So much memory is used for something that stays without VMs, or (negative) no more. */
void lifecycle_kept(int64_t bytes);

/* The VMs by their place in the config; NULL: not running. An entry may be looked at under
 * vm_table_lock only, since VMs end at any time. */
extern struct spinlock vm_table_lock;
extern struct vm *vm_table[CONFIG_MAX_VMS];
/* The running config. Under vm_table_lock, but for the part that a VM that exists was made from: that stays.
 * Places may be free: config_vm_there(), config_switch_there() (hv/core/config_diff.h). */
extern const struct config *vm_config;
