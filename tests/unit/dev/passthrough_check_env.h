/* SPDX-License-Identifier: BSD-2-Clause */
/* A machine's NICs and a config that names them, for the tests of passthrough_check(); included once by each. */
#pragma once

#include "tests/unit/dev/fakes.h"

#include "hv/core/acpi.h"
#include "hv/dev/passthrough.h"
#include "hv/dev/pci_scan.h"
#include "hv/dev/vlapic.h"
#include "tests/unit/dev/fake_host.h"
#include "tests/unit/dev/fake_pci.h"

#include <cmocka.h>

#define NIC	 0x10d38086u
#define VMS	 3
#define FLAG_IO	 1u
#define NO_SHARE "where they can reach each other: give both to one VM"

static struct config config;
static unsigned told, nics;
static struct config_error first;

void apic_deliver(struct vm *vm, const struct apic_message *message)
{
	(void)vm;
	(void)message;
}

static inline void keep(void *context, const struct config_error *error)
{
	(void)context;
	if (told++ == 0)
		first = *error;
}

static inline int setup(void **state)
{
	static const char *const names[VMS] = { "a", "b", "c" };

	(void)state;
	fake_reset(1);
	fake_pci_reset();
	fake_host_reset();
	iommu = &fake_iommu_ops;
	memset(&config, 0, sizeof(config));
	memset(&first, 0, sizeof(first));
	told = nics = 0;
	config.vm_count = VMS;
	for (unsigned i = 0; i < VMS; i++)
		strcpy(config.vms[i].name, names[i]);
	return 0;
}

static inline struct config_passthrough *node(unsigned vm)
{
	struct config_vm *v = &config.vms[vm];
	struct config_passthrough *n = &v->passthroughs[v->passthrough_count++];

	n->name[0] = 'n';
	n->name[1] = (char)('0' + v->passthrough_count - 1);
	n->interrupt_gsi = -1;
	return n;
}

static inline void by_id(unsigned vm, uint16_t device)
{
	struct config_passthrough *n = node(vm);

	n->vendor = 0x8086;
	n->device = device;
}

static inline struct config_passthrough *by_address(unsigned vm, uint8_t bus, uint8_t device,
						    uint8_t function)
{
	struct config_passthrough *n = node(vm);

	n->by_address = true;
	n->bus = bus;
	n->devfn = (uint8_t)(device << 3 | function);
	return n;
}

/* An endpoint with MSI. */
static inline struct fake_function *nic(uint8_t bus, uint8_t device, uint8_t function)
{
	struct fake_function *f = fake_pci_add(bus, device, function, NIC);

	fake_pci_bar(f, 0, FAKE_DEVICE_BASE + 0x20000 * nics++, 0x20000, 0);
	fake_pci_capability(f, PCI_CAP_MSI, 14);
	return f;
}

static inline void expect(unsigned errors, const char *where, const char *property,
			  const char *text)
{
	pci_scan();
	assert_int_equal(passthrough_check(&config, keep, NULL), errors);
	assert_int_equal(told, errors);
	if (!errors)
		return;
	assert_string_equal(first.node, where);
	assert_string_equal(first.property, property);
	if (!strstr(first.text, text)) {
		print_error("told: %s\n", first.text);
		assert_string_equal(first.text, text);
	}
}
