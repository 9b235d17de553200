/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: is a passthrough node that cannot be had told so, at its place, with what would be right? And
 * which function does one get that names it by vendor and device? */
#include "tests/unit/dev/passthrough_check_env.h"

static const struct config_passthrough *owner(uint8_t bus, uint8_t device, uint8_t function)
{
	return host_function_at((struct pci_address){ bus, (uint8_t)(device << 3 | function) })
		->node;
}

static void addresses_choose_first(void **state)
{
	(void)state;
	nic(0, 3, 0);
	nic(0, 4, 0);
	nic(0, 5, 0);
	by_id(0, 0x10d3);
	by_address(1, 0, 3, 0);
	by_id(1, 0x10d3);
	fake_released = 0;
	expect(0, "", "", "");
	assert_int_equal(fake_released, 3 * 0x20000);
	assert_ptr_equal(owner(0, 3, 0), &config.vms[1].passthroughs[0]);
	assert_ptr_equal(owner(0, 4, 0), &config.vms[0].passthroughs[0]);
	assert_ptr_equal(owner(0, 5, 0), &config.vms[1].passthroughs[1]);
}

static void absent(void **state)
{
	(void)state;
	fake_pci_bridge(0, 1, 1, EXPRESS_ROOT_PORT);
	fake_pci_set(fake_pci_add(0, 2, 0, 0x29228086), 8, 4, 0x01060102);
	nic(0, 3, 0);
	by_address(0, 0, 7, 0);
	expect(1, "/vms/a/n0", "pci-address",
	       "there is no PCI function 00:07.0 in this machine. It has 00:03.0 8086:10d3, "
	       "00:02.0 8086:2922");
}

static void fewer_than_wanted(void **state)
{
	(void)state;
	nic(0, 3, 0);
	by_id(0, 0x10d3);
	by_id(1, 0x10d3);
	expect(1, "/vms/b/n0", "pci-id",
	       "there is no PCI function 8086:10d3 in this machine that no other node has");
}

static void taken(void **state)
{
	(void)state;
	nic(0, 3, 0);
	by_address(0, 0, 3, 0);
	by_address(1, 0, 3, 0);
	expect(1, "/vms/b/n0", "pci-address", "00:03.0 is that of a/n0 already");
}

static void bridges(void **state)
{
	(void)state;
	fake_pci_bridge(0, 1, 1, EXPRESS_ROOT_PORT);
	by_address(0, 0, 1, 0);
	expect(1, "/vms/a/n0", "pci-address", "00:01.0 is a bridge");
}

static void a_device_shared_with_another_vm(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < 2; i++)
		fake_pci_set(nic(0, 3, i), 0x0e, 1, 0x80);
	by_address(0, 0, 3, 0);
	by_address(1, 0, 3, 1);
	expect(2, "/vms/a/n0", "pci-address",
	       "00:03.0 and 00:03.1 of vm b share a device, " NO_SHARE);
}

static void a_device_shared_with_itself(void **state)
{
	(void)state;
	for (uint8_t i = 0; i < 2; i++)
		fake_pci_set(nic(0, 3, i), 0x0e, 1, 0x80);
	by_address(0, 0, 3, 0);
	by_address(0, 0, 3, 1);
	expect(0, "", "", "");
}

static void a_bus_shared_with_another_vm(void **state)
{
	(void)state;
	iommu = NULL;
	fake_pci_bridge(0, 1, 1, -1);
	nic(1, 3, 0);
	nic(1, 4, 0);
	by_address(2, 1, 3, 0);
	by_address(1, 1, 4, 0);
	config.vms[1].allow_unsafe_dma = config.vms[2].allow_unsafe_dma = true;
	expect(2, "/vms/b/n0", "pci-address", "01:04.0 and 01:03.0 of vm c share a bus, " NO_SHARE);
}

static void no_iommu(void **state)
{
	(void)state;
	iommu = NULL;
	nic(0, 3, 0);
	by_id(0, 0x10d3);
	expect(1, "/vms/a/n0", "pci-id", "this machine has no IOMMU, so that 00:03.0 could");
	assert_non_null(strstr(first.text, "allow-unsafe-dma; in the VM"));
}

static void the_iommu_refuses_it(void **state)
{
	(void)state;
	fake_attach_error = LH_UNSUPP;
	nic(0, 3, 0);
	by_id(0, 0x10d3);
	expect(1, "/vms/a/n0", "pci-id", "the IOMMU cannot confine 00:03.0, see above");
}

static struct iommu_domain *no_domain(void)
{
	return NULL;
}

static void the_iommu_has_no_memory(void **state)
{
	struct iommu_ops ops = fake_iommu_ops;

	(void)state;
	ops.domain_create = no_domain;
	iommu = &ops;
	nic(0, 3, 0);
	by_id(0, 0x10d3);
	expect(1, "/vms/a/n0", "pci-id", "the IOMMU cannot confine 00:03.0, see above");
	iommu = NULL;
}

static void no_iommu_accepted(void **state)
{
	(void)state;
	iommu = NULL;
	nic(0, 3, 0);
	by_id(0, 0x10d3);
	config.vms[0].allow_unsafe_dma = true;
	expect(0, "", "", "");
}

/* offers: a word of features, 1 of which is VIRTIO_F_ACCESS_PLATFORM; negative: it is not modern. */
static void virtio(uint8_t device, uint16_t id, int offers)
{
	const unsigned at = 0x20000 * nics + 0x1000;
	struct fake_function *f = nic(0, device, 0);
	unsigned capability;

	fake_pci_set(f, 0, 4, (uint32_t)id << 16 | 0x1af4);
	by_address(0, 0, device, 0);
	if (offers < 0)
		return;
	capability = fake_pci_capability(f, PCI_CAP_VENDOR, 16);
	fake_pci_set(f, capability + 3, 1, 1);
	fake_pci_set(f, capability + 8, 4, 0x1000);
	fake_device[at + 4] = (uint8_t)offers;
}

static void virtio_past_the_iommu(void **state)
{
	static const struct {
		uint16_t id;
		int offers;
		bool past;
	} cases[] = {
		{ 0x1041, 2, false }, { 0x1041, 1, true },   { 0x1000, 2, false },
		{ 0x1000, -1, true }, { 0x1080, -1, false }, /* another kind of device */
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (unsigned accepted = 0; accepted < 2; accepted++) {
			setup(state);
			virtio(3, cases[i].id, cases[i].offers);
			config.vms[0].allow_unsafe_dma = accepted;
			expect(cases[i].past && !accepted, "/vms/a/n0", "pci-address",
			       "00:03.0 is a virtio device that goes past the IOMMU");
		}
	setup(state);
	virtio(3, 0x1041, 1);
	virtio(4, 0x1041, 2);
	config.vms[0].allow_unsafe_dma = true;
	expect(1, "/vms/a/n0", "pci-address", "00:03.0 goes past the IOMMU, 00:04.0 does not");
}

static void a_bar_without_address(void **state)
{
	(void)state;
	fake_pci_bar(nic(0, 3, 0), 1, 0, 0x1000, 0);
	by_id(0, 0x10d3);
	expect(1, "/vms/a/n0", "pci-id", "00:03.0: firmware gave BAR 1 no address");
}

static void a_bar_too_large(void **state)
{
	(void)state;
	fake_pci_bar(nic(0, 3, 0), 2, 0x4000000000, 1ull << 29, 4);
	by_id(0, 0x10d3);
	expect(1, "/vms/a/n0", "pci-id", "00:03.0: BAR 2 has 512 MiB, a VM has room for 256");
}

/* Three of 16 KiB fill the VM's ports; its other devices have some, too. */
static void bars_too_large_together(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		fake_pci_bar(nic(0, (uint8_t)i, 0), 1, 0x4000 * i, 0x4000, FLAG_IO);
		by_id(0, 0x10d3);
	}
	expect(0, "", "", "");
	setup(state);
	for (unsigned i = 1; i <= 4; i++) {
		fake_pci_bar(nic(0, (uint8_t)i, 0), 1, i < 4 ? 0x4000 * i : 0x1000,
			     i < 4 ? 0x4000 : 0x100, FLAG_IO);
		by_id(i == 1, 0x10d3);
	}
	expect(0, "", "", ""); /* the first is another VM's */
	setup(state);
	for (unsigned i = 1; i <= 4; i++) {
		fake_pci_bar(nic(0, (uint8_t)i, 0), 1, i < 4 ? 0x4000 * i : 0x1000,
			     i < 4 ? 0x4000 : 0x100, FLAG_IO);
		by_id(0, 0x10d3);
	}
	expect(1, "/vms/a/n3", "pci-id",
	       "00:04.0: the VM has no room for its BAR 1: all its devices need more than the 60 "
	       "KiB "
	       "of ports");
}

static void a_bar_beyond_memory(void **state)
{
	(void)state;
	fake_pci_bar(nic(0, 3, 0), 2, 0x4000000000, 1ull << 20, 4);
	by_id(0, 0x10d3);
	expect(1, "/vms/a/n0", "pci-id", "00:03.0: BAR 2 is where no memory can be");
}

/* BAR 2 is of 2 MiB, and at an odd multiple of half of that. */
static void lie(struct fake_function *f, unsigned at, unsigned bytes)
{
	if (f->address.devfn == 3 << 3 && at == 0x18)
		fake_pci_set(f, at, 4,
			     fake_pci_get(f, at, bytes) >= 0xff000000 ? 0xffe00000 : 0xfeb00000);
}

/* Each place that is somebody else's. The address is the device's word: nothing is mapped. */
static void a_bar_on_something_else(void **state)
{
	static const struct {
		unsigned flags;
		uint64_t base, bytes;
		const char *told;
	} cases[] = {
		{ 0, 0xfe0a8000, 0x4000, "0xfe0a8000 lies on the machine's memory" },
		{ 0, 0x000a0000, 0x20000, "lies in the first MiB" },
		{ 0, 0xfee00000, 0x1000, "lies where the chipset" },
		{ 0, 0xfea00000, 0x200000, "0xfeb00000 is not aligned to its size" },
		{ 0, 0xfe0c0000, 0x1000, "lies on the local APICs" },
		{ 0, 0xfe0d0000, 0x4000, "lies on an I/O APIC" },
		{ 0, 0xb0100000, 0x100000, "lies on the configuration space" },
		{ 4, 0xb0000000, 0x10000000, "lies on the configuration space" },
		{ 0, 0xfe0f0000, 0x1000, "lies on an IOMMU" },
		{ 0, 0xfe020000, 0x8000, "lies on one of 00:04.0" },
		{ 0, 0xfe040000, 0x1000, "lies on one of 00:1f.0" },
		{ 0, 0xfe000000, 0x1000, "lies on one of 00:03.0" }, /* itself */
		{ FLAG_IO, 0xcf8, 8, "lies on ports of the board" },
		{ FLAG_IO, 0xb008, 8, "lies on the power management's ports" },
		{ FLAG_IO, 0xc000, 0x20, NULL },
		{ FLAG_IO, 0x6000, 0x40, NULL },
		{ 0, 0xfe080000, 0x10000, NULL },
	};
	struct fake_function *f, *bridge, *silent;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup(state);
		acpi.lapic_base = 0xfe0c0000;
		acpi.ioapic_count = 1;
		acpi.ioapics[0].base = 0xfe0d2000;
		acpi.ecam_base = 0xb0000000;
		acpi.ecam_end_bus = 255;
		acpi.pm_timer_port = 0xb008;
		fake_ram_at = 0xfe0ab000;
		f = nic(0, 3, 0);
		nic(0, 4, 0);
		bridge = fake_pci_bridge(0, 0x1f, 1, -1);
		fake_pci_bar(bridge, 0, 0xfe040000, 0x100, 0);
		silent = nic(0, 5, 0); /* nobody's, does not decode */
		fake_pci_bar(silent, 0, 0xfe080000, 0x1000, 0);
		fake_pci_set(silent, PCI_COMMAND, 2, 0);
		fake_pci_bar(f, 2, cases[i].base, cases[i].bytes, cases[i].flags);
		if (i == 3) {
			fake_pci_set(f, 0x18, 4, 0xfeb00000);
			fake_config_written = lie;
		}
		by_address(0, 0, 3, 0);
		expect(cases[i].told ? 1 + (cases[i].base == 0xfe000000) : 0, "/vms/a/n0",
		       "pci-address", cases[i].told);
	}
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		CASE(addresses_choose_first),
		CASE(absent),
		CASE(fewer_than_wanted),
		CASE(taken),
		CASE(bridges),
		CASE(a_device_shared_with_another_vm),
		CASE(a_device_shared_with_itself),
		CASE(a_bus_shared_with_another_vm),
		CASE(no_iommu),
		CASE(the_iommu_refuses_it),
		CASE(the_iommu_has_no_memory),
		CASE(no_iommu_accepted),
		CASE(virtio_past_the_iommu),
		CASE(a_bar_without_address),
		CASE(a_bar_too_large),
		CASE(bars_too_large_together),
		CASE(a_bar_beyond_memory),
		CASE(a_bar_on_something_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
