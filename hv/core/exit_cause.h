/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What VM exits are for, more finely than the processor tells: the one list of causes, by which each CPU
 * counts its exits. Reports and the host's tools take the names from here.
 */
#pragma once

#include "hv/cpu/hvm.h"

/* X(id, help) */
#define EXIT_CAUSES(X)                                                                             \
	X(hlt, "the guest has nothing to do")                                                      \
	X(timer, "the guest sets its local APIC's timer, or the timer is over")                    \
	X(ipi, "the guest interrupts another of its vCPUs")                                        \
	X(eoi, "the guest ends an interrupt")                                                      \
	X(window, "an interrupt waited until the guest could take it")                             \
	X(interrupt, "a host interrupt: another CPU's mail, or a timer of the hypervisor")         \
	X(flush, "packets put without a kick, or an interrupt owed, have waited long enough")      \
	X(slice, "the vCPU's time slice is over")                                                  \
	X(io, "port I/O: a device is kicked")                                                      \
	X(other, "all else")

enum exit_cause {
#define EXIT_CAUSE_ENUM(id, help) EXIT_CAUSE_##id,
	EXIT_CAUSES(EXIT_CAUSE_ENUM)
#undef EXIT_CAUSE_ENUM
		EXIT_CAUSE_COUNT
};

/* Before the exit is handled, on its CPU. */
enum exit_cause exit_cause(const struct vcpu *vcpu, const struct vmexit *exit);
