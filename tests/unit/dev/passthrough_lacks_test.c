/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: is it told at the node that a device's interrupts reach nobody, or that its DMA cannot be its VM's? */
#include "tests/unit/dev/passthrough_check_env.h"

#include "hv/core/host_ioapic.h"

static struct fake_function *pin_only(uint8_t device, uint8_t line)
{
	struct fake_function *f = fake_pci_add(0, device, 0, NIC);

	fake_pci_bar(f, 0, 0xc000 + 0x20u * device, 0x20, FLAG_IO);
	fake_pci_set(f, 0x3c, 2, 0x0100u | line);
	by_address(0, 0, device, 0);
	return f;
}

static void a_pin_that_two_need(void **state)
{
	struct fake_function *f;

	(void)state;
	pin_only(3, 11);
	pin_only(4, 10);
	pin_only(5, 11);
	expect(2, "/vms/a/n0", "interrupt-gsi",
	       "00:03.0 and 00:05.0 have INTx only, both at input 11");
	setup(state);
	pin_only(3, 11);
	f = pin_only(4, 11);
	fake_pci_capability(f, PCI_CAP_MSI, 14);
	expect(0, "", "", "");
	assert_int_equal(host_function_at((struct pci_address){ 0, 3 << 3 })->pin, 1);
	assert_int_equal(host_function_at((struct pci_address){ 0, 4 << 3 })->pin, 0);
}

static void a_pin_that_nobody_knows(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		setup(state);
		pin_only(3, i ? 255 : 0);
		expect(1, "/vms/a/n0", "interrupt-gsi",
		       "00:03.0 has INTx only, and firmware does not tell the input");
	}
}

static void a_pin_that_is_not_there(void **state)
{
	struct fake_function *f = fake_pci_add(0, 3, 0, NIC);

	(void)state;
	fake_pci_bar(f, 0, 0xc000, 0x20, FLAG_IO);
	fake_pci_set(f, 0x3c, 2, 0x01c8); /* there is none of them */
	by_address(0, 0, 3, 0);
	expect(1, "/vms/a/n0", "interrupt-gsi",
	       "00:03.0 has INTx only, and no I/O APIC has the input 200 that firmware tells");
	setup(state);
	f = fake_pci_add(0, 3, 0, NIC);
	fake_pci_bar(f, 0, 0xc000, 0x20, FLAG_IO);
	fake_pci_set(f, 0x3c, 2, 0x01ff);
	by_address(0, 0, 3, 0)->interrupt_gsi = 20;
	expect(0, "", "", "");
}

/* No input is known for one that has no messages after all; another that needs its pin gets it. */
static void messages_that_cannot_be_had(void **state)
{
	static const struct {
		uint32_t table, pba;
		bool good;
	} cases[] = {
		{ 0, 0x2000, true },	    { 5, 0x2000, false }, { 1, 0x2000, false },
		{ 0x1fff0, 0x2000, false }, { 0, 0x1fff8, true }, { 0, 6, false },
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned line = 0; line <= 255; line += 255) {
			struct fake_function *f;
			unsigned at;

			setup(state);
			f = pin_only(3, (uint8_t)line);
			fake_pci_bar(f, 0, FAKE_DEVICE_BASE, 0x20000, 0);
			fake_pci_bar(f, 1, 0xc000, 0x1000, FLAG_IO);
			at = fake_pci_capability(f, PCI_CAP_MSIX, 12);
			fake_pci_set(f, at + 2, 2, 4);
			fake_pci_set(f, at + 4, 4, cases[i].table);
			fake_pci_set(f, at + 8, 4, cases[i].pba);
			expect(!cases[i].good, "/vms/a/n0", "interrupt-gsi",
			       "00:03.0 has INTx only, and firmware does not tell the input");
		}
}

static void an_ioapic_that_the_iommu_does_not_know(void **state)
{
	struct fake_function *f;

	(void)state;
	fake_ioapic_unnamed = true;
	f = pin_only(3, 11);
	expect(1, "/vms/a/n0", "pci-address",
	       "00:03.0 has INTx only, at input 11 of an I/O APIC that the table DMAR does not "
	       "name");
	assert_true(host_ioapic_free(11));
	setup(state);
	fake_ioapic_unnamed = true;
	f = pin_only(3, 11);
	fake_pci_capability(f, PCI_CAP_MSI, 14);
	expect(0, "", "", "");
	setup(state);
	iommu = NULL;
	fake_ioapic_unnamed = true;
	(void)pin_only(3, 11);
	config.vms[0].allow_unsafe_dma = true;
	expect(0, "", "", "");
}

/* With its bridge's name, as all others there: whatever is between. */
static void on_a_conventional_bus(void **state)
{
	static const int bridges[][2] = {
		{ -1, -2 },
		{ EXPRESS_TO_PCI, -2 },
		{ EXPRESS_TO_PCI, -1 },
		{ EXPRESS_ROOT_PORT, EXPRESS_TO_PCI },
		{ EXPRESS_ROOT_PORT, -2 },
		{ EXPRESS_UPSTREAM, EXPRESS_DOWNSTREAM },
	};

	for (unsigned i = 0; i < 2 * sizeof(bridges) / sizeof(bridges[0]); i++) {
		const int *types = bridges[i / 2];
		const bool two = types[1] != -2, good = i / 2 >= 4;
		char text[64];

		setup(state);
		if (i % 2)
			iommu = NULL;
		config.vms[0].allow_unsafe_dma = i % 2;
		fake_pci_bridge(0, 1, 1, types[0]);
		if (two)
			fake_pci_bridge(1, 0, 2, types[1]);
		nic(two ? 2 : 1, 1, 0);
		by_address(0, two ? 2 : 1, 1, 0);
		snprintf(text, sizeof(text), "0%d:01.0 is on a conventional bus", two ? 2 : 1);
		expect(!good && iommu, "/vms/a/n0", "pci-address", text);
	}
}

/* By the first of its devices, once. */
static void memory_in_two_pieces(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		setup(state);
		iommu = i % 2 ? NULL : &fake_iommu_ops;
		nic(0, 3, 0);
		nic(0, 4, 0);
		by_id(0, 0x10d3);
		by_id(0, 0x10d3);
		config.vms[0].allow_unsafe_dma = true;
		config.vms[0].memory_mib = 3072 + i / 2;
		expect(i == 3, "/vms/a", "memory-mib", "of 3072 MiB at most: lower it");
	}
}

static void linux_without_an_iommu(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		setup(state);
		iommu = i % 2 ? NULL : &fake_iommu_ops;
		fake_kernel_is_linux = i / 2;
		nic(0, 3, 0);
		by_id(0, 0x10d3);
		strcpy(config.vms[0].kernel, "linux");
		config.vms[0].allow_unsafe_dma = true;
		expect(i == 3, "/vms/a", "kernel",
		       "linux cannot drive devices without an IOMMU, as no Linux can: take the "
		       "bundled");
	}
}

/* The VM of another config, whose devices are those of the VM of its name. */
static void another_config(void **state)
{
	static const struct handover_image kernel;

	for (unsigned i = 0; i < 8; i++) {
		const bool confined = i & 1, other_name = i & 2, allowed = !(i & 4);
		struct config_vm vm;

		setup(state);
		iommu = confined ? &fake_iommu_ops : NULL;
		nic(0, 3, 0);
		by_id(0, 0x10d3);
		config.vms[0].allow_unsafe_dma = true;
		expect(0, NULL, NULL, NULL);
		vm = config.vms[0];
		strcpy(vm.name, other_name ? "z" : "a");
		vm.allow_unsafe_dma = allowed;
		vm.memory_mib = 3073;
		fake_kernel_is_linux = true;
		assert_int_equal(passthrough_check_vm(&vm, NULL, keep, NULL),
				 confined || other_name || !allowed ? 0 : 1);
		assert_int_equal(passthrough_check_vm(&vm, &kernel, keep, NULL),
				 confined || other_name || !allowed ? 0 : 2);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		CASE(a_pin_that_is_not_there),
		CASE(a_pin_that_two_need),
		CASE(a_pin_that_nobody_knows),
		CASE(messages_that_cannot_be_had),
		CASE(an_ioapic_that_the_iommu_does_not_know),
		CASE(on_a_conventional_bus),
		CASE(memory_in_two_pieces),
		CASE(linux_without_an_iommu),
		CASE(another_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
