/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the core asks of a guest's devices (hv/dev). main.c fills the table; the core includes no
 * device header. All are called on the CPU that runs the vCPU unless said otherwise.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hv/core/vcpu.h"
#include "hv/core/vm.h"

struct platform_ops {
	/* Devices of the VM, from its config; ACPI tables written at vm->acpi_gpa, RSDP first. After
	 * an error vm_destroy() takes away what was made: under vm_table_lock, always.
	 * vcpu_create: its local APIC, in RESET state. */
	int (*vm_create)(struct vm *vm);
	/* Then, with no lock held: those of the machine. LH_AGAIN: they are being reset, to be called again at
	 * *again_tsc; after another error vm_destroy(), too. */
	int (*vm_join)(struct vm *vm, uint64_t *again_tsc);
	void (*vm_destroy)(struct vm *vm);
	/* Before that, with no lock held: those of the machine leave a VM that has ended, and begin to be
	 * reset. */
	void (*vm_give_back)(struct vm *vm);
	/* Its devices stand still from now on, or go on; again and again. None of its vCPUs runs meanwhile. Any
	 * CPU, under its lock; when its last vCPU is out for good, without. */
	void (*vm_paused)(struct vm *vm, bool paused);
	int (*vcpu_create)(struct vcpu *vcpu);
	void (*vcpu_destroy)(struct vcpu *vcpu);
	/* INIT: the local APIC's registers, but for its mode and ID. */
	void (*vcpu_init)(struct vcpu *vcpu);

	/* Port and memory accesses. An address nobody claims: io() reads all ones; mmio() returns
	 * false and the core stops the VM. */
	void (*io)(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value);
	bool (*mmio)(struct vcpu *vcpu, gpa_t gpa, unsigned bytes, bool write, uint64_t *value);
	/* MSRs of devices: APIC_BASE, x2APIC range, TSC_DEADLINE. msr_owned: is it a device's?
	 * false from the others: #GP. */
	bool (*msr_owned)(uint32_t msr);
	bool (*msr_read)(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
	bool (*msr_write)(struct vcpu *vcpu, uint32_t msr, uint64_t value);

	/* APIC virtualisation: the guest has ended a level-triggered interrupt, or written the register
	 * with that number (hv/cpu/vapic.h), which has the value now. */
	void (*apic_eoi)(struct vcpu *vcpu, uint8_t vector);
	void (*apic_written)(struct vcpu *vcpu, uint8_t reg);

	/* The local APIC's task priority (0-255), for CR8. */
	void (*tpr)(struct vcpu *vcpu, bool write, uint64_t *value);

	/* Highest deliverable interrupt (above PPR), or -1. Expires the local APIC's timer first. */
	int (*irq_pending)(struct vcpu *vcpu);
	/* The vector was injected: IRR to ISR. */
	void (*irq_taken)(struct vcpu *vcpu, uint8_t vector);
	/* Right around an entry: interrupts for an APIC that is virtualised; else an EOI without an
	 * exit. */
	void (*before_entry)(struct vcpu *vcpu);
	void (*after_exit)(struct vcpu *vcpu);
	/* When the local APIC's timer fires next, in host TSC ticks; TIMER_NEVER. */
	uint64_t (*next_timer)(struct vcpu *vcpu);

	/* Transmit queues with more work, of this CPU (MB_SWITCH_WORK): a bounded slice of it. True
	 * if there is still more. */
	bool (*switch_work)(void);
	/* This CPU idles (cpu->idle, and it has looked into the run queues since): polls the transmit
	 * queues that it was handed, if any, until there is mail or a timer. */
	void (*switch_poll)(void);
	/* The VM's transmit queues that it may have filled without a kick (vcpu->flush_tsc): takes what
	 * is there. late: see port_flush(). */
	void (*switch_flush)(struct vm *vm, bool late);
	/* Interrupts that the VM's ports are owed: port_settle(). */
	void (*switch_settle)(struct vm *vm);
	/* A vCPU of the VM has got this CPU, and is RUNNING: packets that wait for it become work of this
	 * CPU (port_arrive()). */
	void (*switch_arrive)(struct vm *vm);
	/* The port with this MAC, and the VM it belongs to; NULL: none. Any CPU. */
	struct port *(*port_by_mac)(const uint8_t mac[6], struct vm **vm);
	/* Whether its switch has an uplink. Any CPU. */
	bool (*leads_outside)(const struct port *port);
	/* A driver domain says whether the wire behind its n-th uplink has carrier; false: there is no such. */
	bool (*uplink_carrier)(struct vm *vm, uint64_t n, bool carrier);
	/* Ports of a VM, for totals: NULL past the last. */
	struct port *(*vm_port)(struct vm *vm, unsigned i);
	/* Takes a port's link down or up. Any CPU, under vm_table_lock. */
	void (*port_set_link)(struct port *port, bool up);
	/* The guest sees its link down since no uplink is up, which it follows. Any CPU, under vm_table_lock. */
	bool (*port_uplinks_away)(struct port *port);
	/* The feature bits that its device offers and its driver accepted; false: no driver runs.
	 * Any CPU, under vm_table_lock. */
	bool (*port_features)(struct port *port, uint64_t *offered, uint64_t *accepted);
	/* A policy has got another value: what was kept by the old one goes. Any CPU. */
	void (*policy_changed)(void);
	/* Switches and uplinks, from the config; once, before the first VM. */
	int (*switches_create)(const struct config *config);
	/*
	 * The running config changes (hv/core/apply.c), at a place where no VM is. vm_leave: *next has
	 * another VM there, or none: what outlasts a VM's lives, its uplinks, goes if the next has it not
	 * alike. Under vm_table_lock, and so is switch_put: a switch (NULL: none) at that number, for
	 * the one that was there, which has no port any more. vm_enter: the VM is as the running config
	 * has it: what is to last and is not there yet is made. After an error, told, vm_leave() takes
	 * it away.
	 */
	void (*vm_leave)(const struct config *next, unsigned id);
	int (*vm_enter)(unsigned id);
	struct vswitch *(*switch_put)(unsigned i, struct vswitch *sw);
	/* No guest is left: what is to be told of the uplinks. */
	void (*uplinks_report)(void);
	/* By their number in the config, NULL: there is none (any more). They and their ports may be
	 * looked at under vm_table_lock. */
	struct vswitch *(*switch_at)(unsigned i);
	/* The machine's own devices: finds them, and silences them. Once, after acpi_init(). */
	void (*host_devices_find)(void);
	/* Whether they are as the config wants them: reports and counts like config_check_machine().
	 * Once, before the first VM. */
	unsigned (*host_devices_check)(const struct config *config, config_error_fn *report,
				       void *context);
	/* The same of one VM that another config has. After that. kernel may be NULL: not looked at. */
	unsigned (*host_devices_check_vm)(const struct config_vm *vm,
					  const struct handover_image *kernel,
					  config_error_fn *report, void *context);
	/* An edge of that I/O APIC's pin is to come as this vector to the CPU with that APIC ID: the
	 * redirection entry, masked. An error: it cannot. */
	int (*pin_route)(uint8_t ioapic_id, uint8_t vector, uint32_t apic_id,
			 uint64_t *redirection);
	/* One line about the i-th; false: there are no more. */
	bool (*host_device)(unsigned i, char *line, unsigned room);
	/* Its name ("00:03.0"), and how often the IOMMU has blocked its DMA or an interrupt of it; false:
	 * there are no more, or there is no IOMMU. Any CPU. */
	bool (*host_device_faults)(unsigned i, char *name, unsigned room, uint64_t *faults);
	/* A character typed on the VM's console; false: the guest has no room for it now. Any CPU,
	 * under vm_table_lock. */
	bool (*console_input)(struct vm *vm, char c);
};

extern const struct platform_ops *platform; /* set by main.c */
