/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's local APIC (SDM 3A, chapter "Advanced Programmable Interrupt Controller"): x2APIC by
 * MSRs, xAPIC by its page. Registers are touched only by the CPU that runs the vCPU; posted
 * requests take bits from any CPU.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/dev/bus.h"

struct vm;
struct vcpu;

/* An interrupt on its way, whatever it came from. */
struct apic_message {
	uint32_t dest; /* APIC ID, or a set of them; ~0: all */
	bool logical;
	bool level;   /* triggered: the I/O APIC wants to know of the EOI */
	uint8_t mode; /* enum apic_mode */
	uint8_t vector;
};

enum apic_mode { /* the encoding in ICR, LVT, MSI and redirection entries */
		 APIC_FIXED = 0,
		 APIC_LOWEST = 1,
		 APIC_SMI = 2,
		 APIC_NMI = 4,
		 APIC_INIT = 5,
		 APIC_STARTUP = 6,
		 APIC_EXTINT = 7,
};

int vlapic_create(struct vcpu *vcpu); /* sets vcpu->platform; in RESET state */
void vlapic_destroy(struct vcpu *vcpu);

/* Contracts as in struct platform_ops. */
void vlapic_init(struct vcpu *vcpu);
void vlapic_tpr(struct vcpu *vcpu, bool write, uint64_t *value);
bool vlapic_msr_owned(uint32_t msr);
bool vlapic_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool vlapic_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);
int vlapic_irq_pending(struct vcpu *vcpu);
void vlapic_irq_taken(struct vcpu *vcpu, uint8_t vector);
void vlapic_eoi_exit(struct vcpu *vcpu, uint8_t vector);
void vlapic_written(struct vcpu *vcpu, uint8_t reg);
void vlapic_before_entry(struct vcpu *vcpu);
void vlapic_after_exit(struct vcpu *vcpu);
uint64_t vlapic_next_timer(struct vcpu *vcpu);

/* The xAPIC page at GUEST_LAPIC_BASE: each vCPU reaches its own. */
void vlapic_page_access(struct bus_region *region, struct bus_access *access);

/* Delivers to all vCPUs of the VM that it is for. Any CPU, no lock needed. */
void apic_deliver(struct vm *vm, const struct apic_message *message);

/* The same for an MSI, given as the memory write it is; others than interrupts are dropped. */
void msi_deliver(struct vm *vm, uint64_t address, uint32_t data);

/* Whether an MSI is an interrupt (fixed or lowest priority) that a vCPU of the VM would take. */
bool msi_is_interrupt(struct vm *vm, uint64_t address, uint32_t data);

/* The first vCPU that an MSI to this address is for; NULL: none. */
struct vcpu *msi_target(struct vm *vm, uint64_t address);
