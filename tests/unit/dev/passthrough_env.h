/* SPDX-License-Identifier: BSD-2-Clause */
/* A VM with a NIC that is passed through, for the tests of that; included once by each. */
#pragma once

#include "tests/unit/dev/fakes.h"

#include <stdio.h>

#include "hv/core/guest_map.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/passthrough.h"
#include "hv/dev/pci_scan.h"
#include "hv/dev/vlapic.h"
#include "tests/unit/dev/fake_host.h"
#include "tests/unit/dev/fake_msi.h"
#include "tests/unit/dev/fake_pci.h"

#include <cmocka.h>

#ifndef WAIT_UNTIL /* a test may have a clock of its own */
#define WAIT_UNTIL(tsc)                                                                            \
	while (rdtsc() < (tsc))                                                                    \
		;
#endif

#define NIC	    0x10d38086u
#define SLOT	    8u /* devfn on the guest's bus */
#define REGISTERS   FAKE_DEVICE_BASE
#define TABLE_BAR   (FAKE_DEVICE_BASE + 0x40000)
#define TABLE_BYTES 0x4000u
#define PBA	    0x2000u
#define ENTRIES	    5u
#define GOOD	    0xfee00000ull
#define GSI	    11u
#define THEIR_MSI   0x48u /* add_nic() */
#define THEIR_MSIX  0x94u

static struct bus io, memory;
static struct pcie pcie;
static struct ioapic ioapic;
static struct passthroughs all;
static struct config config;
static struct fake_function *nic;
static unsigned interrupts;
static uint8_t interrupt_vector;
static bool refuse_later; /* the IOMMU, when the VM is made */

void apic_deliver(struct vm *vm, const struct apic_message *message)
{
	(void)vm;
	interrupts++;
	interrupt_vector = message->vector;
}

static inline void no_error(void *context, const struct config_error *error)
{
	(void)context;
	print_error("%s: %s: %s\n", error->node, error->property, error->text);
}

/* Words about what the function is told, among those of fake_host.c. */
static inline void written(struct fake_function *f, unsigned at, unsigned bytes)
{
	uint32_t value = fake_pci_get(f, at, bytes);

	if (f == nic && at == PCI_COMMAND)
		fake_did(value & PCI_COMMAND_MASTER ? "master-on" : "master-off");
	if (f->config[0x0e] == 1 && at == 0x3e)
		fake_did(value & 0x40 ? "bus-reset" : "bus-reset-end");
}

static inline void add_nic(uint8_t bus, unsigned flr)
{
	unsigned at;

	nic = fake_pci_add(bus, 0, 0, NIC);
	fake_pci_bar(nic, 0, REGISTERS, 0x20000, 0);
	fake_pci_bar(nic, 2, 0xc000, 0x20, 1);
	fake_pci_bar(nic, 3, TABLE_BAR, TABLE_BYTES, 0);
	fake_pci_set(nic, 0x3c, 2, 0x0100 | GSI);
	fake_pci_set(nic, 0x100, 4, 0x00010001);
	fake_pci_capability(nic, PCI_CAP_PM, 8);
	at = fake_pci_capability(nic, PCI_CAP_MSI, 14);
	fake_pci_set(nic, at + 2, 2, 0x80);
	memset(nic->writable + at + 4, 0xff, 10);
	nic->writable[at + 2] = 0x71;
	fake_pci_express(nic, EXPRESS_ENDPOINT, flr);
	at = fake_pci_capability(nic, PCI_CAP_MSIX, 12);
	fake_pci_set(nic, at + 2, 2, ENTRIES - 1);
	nic->writable[at + 3] = 0xc0;
	fake_pci_set(nic, at + 4, 4, 3);
	fake_pci_set(nic, at + 8, 4, PBA | 3);
	at = fake_pci_capability(nic, PCI_CAP_VENDOR, 16);
	fake_pci_set(nic, at + 2, 2, 0x5510);
	fake_pci_capability(nic, 0x03, 8); /* VPD */
}

static inline void begin(void)
{
	struct config_vm *vm = &config.vms[0];

	fake_reset(1);
	fake_pci_reset();
	fake_host_reset();
	memset(&io, 0, sizeof(io));
	memset(&memory, 0, sizeof(memory));
	memset(&pcie, 0, sizeof(pcie));
	memset(&ioapic, 0, sizeof(ioapic));
	memset(&all, 0, sizeof(all));
	memset(&config, 0, sizeof(config));
	fake_vm.config = vm;
	atomic_store(&fake_vm.state, VM_RUNNING);
	config.vm_count = 1;
	strcpy(vm->name, "vm");
	memset(vm->affinity, 0xff, sizeof(vm->affinity));
	vm->passthrough_count = 1;
	vm->passthroughs[0] = (struct config_passthrough){
		.name = "nic0", .vendor = 0x8086, .device = 0x10d3, .interrupt_gsi = -1
	};
	fake_messages = interrupts = 0;
	fake_config_written = written;
}

static inline void lived(const char *end, unsigned seconds)
{
	fake_vm.end = end;
	fake_vm.start_tsc = 1000;
	fake_vm.end_tsc = 1000 + tsc_from_us(seconds * 1000000ull);
}

/* A virtio NIC behind a slot that can do FLR; common: where its common configuration is said to be. */
static inline void add_virtio(unsigned bar, uint32_t common)
{
	unsigned at;

	begin();
	iommu = &fake_iommu_ops;
	config.vms[0].passthroughs[0].vendor = 0x1af4;
	config.vms[0].passthroughs[0].device = 0x1041;
	add_nic(0, 1);
	fake_pci_set(nic, 0, 4, 0x10411af4);
	fake_pci_set(nic, PCI_SUBSYSTEM_VENDOR, 2, 0x1af4);
	at = fake_pci_capability(nic, PCI_CAP_VENDOR, 16);
	fake_pci_set(nic, at + 2, 2, 0x0110); /* the common configuration */
	fake_pci_set(nic, at + 4, 1, bar);
	fake_pci_set(nic, at + 8, 4, common);
	fake_device[0x43000 + 4] = 2; /* VIRTIO_F_ACCESS_PLATFORM */
}

/* As soon as the devices are back from their reset. */
static inline int join(void)
{
	uint64_t again_tsc;
	int err;

	while ((err = passthrough_join(&all, &fake_vm, &pcie, &ioapic, &again_tsc)) == LH_AGAIN)
		WAIT_UNTIL(again_tsc);
	return err;
}

static inline int create(void)
{
	int err = passthrough_create(&all, &fake_vm);

	return err ? err : join();
}

static inline int build(void)
{
	pci_scan();
	if (passthrough_check(&config, no_error, NULL) ||
	    pcie_init(&pcie, &io, &memory, &fake_vm.log_limit) ||
	    ioapic_init(&ioapic, &fake_vm, &memory))
		return 1;
	fake_attach_error = refuse_later ? LH_UNSUPP : 0;
	memset(fake_order, 0, sizeof(fake_order));
	return create();
}

static inline int setup(void **state)
{
	(void)state;
	begin();
	iommu = &fake_iommu_ops;
	add_nic(0, 1);
	return build();
}

static inline int teardown(void **state)
{
	(void)state;
	passthrough_destroy(&all);
	if (fake_remaps)
		print_error("%u remapping entries are left\n", fake_remaps);
	return fake_allocs != 0 || fake_remaps != 0;
}

static inline uint64_t get(unsigned at, unsigned bytes)
{
	uint64_t value = 0;

	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_ECAM_BASE + SLOT * 4096 + at, bytes,
			       false, &value));
	return value;
}

static inline void put(unsigned at, unsigned bytes, uint64_t value)
{
	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_ECAM_BASE + SLOT * 4096 + at, bytes,
			       true, &value));
}

static inline unsigned capability(unsigned id)
{
	unsigned at = (unsigned)get(PCI_CAPABILITIES, 1);

	while (at && get(at, 1) != id)
		at = (unsigned)get(at + 1, 1);
	return at;
}

static inline uint32_t command(void)
{
	return fake_pci_get(nic, PCI_COMMAND, 2);
}

static inline uint64_t device_access(uint64_t at, unsigned bytes, bool write, uint64_t value)
{
	assert_true(bus_access(&memory, &fake_vcpu[0], at, bytes, write, &value));
	return value;
}

static inline void entry_put(unsigned i, uint64_t address, uint32_t data, uint32_t control)
{
	uint64_t at = get(0x1c, 4) + i * 16;

	device_access(at + 12, 4, true, 1);
	device_access(at, 8, true, address);
	device_access(at + 8, 4, true, data);
	device_access(at + 12, 4, true, control);
}

static inline const uint32_t *hardware_entry(unsigned i)
{
	return (const uint32_t *)(fake_device + 0x40000) + i * 4;
}
