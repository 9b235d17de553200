/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What VM exits are for: the one list of causes, by which each CPU and each vCPU counts its exits. Reports,
 * the shell and the host's tools take the names from here.
 */
#pragma once

#include "hv/cpu/hvm.h"

/* X(id, help) */
#define EXIT_CAUSES(X)                                                                             \
	X(hlt, "the guest has nothing to do")                                                      \
	X(timer, "the guest sets its local APIC's timer, or the timer is over")                    \
	X(ipi, "the guest sends an interrupt to one of its vCPUs")                                 \
	X(eoi, "the guest ends an interrupt")                                                      \
	X(priority, "the guest sets its task priority, or reads CR8")                              \
	X(window, "an interrupt waited until the guest could take it")                             \
	X(interrupt, "a host interrupt: another CPU's mail, or a timer of the hypervisor")         \
	X(flush, "packets put without a kick, or an interrupt owed, have waited long enough")      \
	X(slice, "the vCPU's time slice is over")                                                  \
	X(pause, "the guest waits in a loop, and another vCPU for the CPU")                        \
	X(io, "port I/O: a device is kicked")                                                      \
	X(mmio, "a device's registers in memory")                                                  \
	X(other, "all else")

enum exit_cause {
#define EXIT_CAUSE_ENUM(id, help) EXIT_CAUSE_##id,
	EXIT_CAUSES(EXIT_CAUSE_ENUM)
#undef EXIT_CAUSE_ENUM
		EXIT_CAUSE_COUNT
};

struct vm;

struct exit_counts {
	uint64_t of[EXIT_CAUSE_COUNT];
};

const char *exit_cause_name(enum exit_cause cause);

/* Before the exit is handled, on its CPU. */
enum exit_cause exit_cause(const struct vcpu *vcpu, const struct vmexit *exit);

/* Adds those of all the VM's vCPUs since its start. Any CPU. */
void exit_counts_add(struct exit_counts *sum, const struct vm *vm);
void exit_counts_subtract(struct exit_counts *end, const struct exit_counts *start);
uint64_t exit_counts_total(const struct exit_counts *counts);
