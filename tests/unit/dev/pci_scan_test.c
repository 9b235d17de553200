/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: are the machine's functions found as they are, through bridges, whatever a device says of
 * itself, and silenced? Which of them can an IOMMU tell apart? */
#include "tests/unit/dev/fakes.h"

#include "hv/dev/pci_scan.h"
#include "tests/unit/dev/fake_pci.h"

#include <cmocka.h>

#define NIC	 0x10d38086u
#define ACS_GOOD 0x001fu

static int setup(void **state)
{
	(void)state;
	fake_reset(1);
	fake_pci_reset();
	return 0;
}

static struct host_function *at(uint8_t bus, uint8_t device, uint8_t function)
{
	struct host_function *f =
		host_function_at((struct pci_address){ bus, (uint8_t)(device << 3 | function) });

	assert_non_null(f);
	return f;
}

static bool same_group(const struct host_function *a, const struct host_function *b)
{
	struct host_group one = host_group_of(a), other = host_group_of(b);

	return one.bus == other.bus && one.devfn == other.devfn && one.whole_bus == other.whole_bus;
}

static void functions_are_read(void **state)
{
	struct fake_function *nic;

	(void)state;
	fake_pci_add(0, 0, 0, 0x29c08086);
	fake_pci_bridge(0, 2, 1, EXPRESS_ROOT_PORT);
	nic = fake_pci_add(1, 0, 0, NIC);
	fake_pci_capability(nic, PCI_CAP_PM, 8);
	fake_pci_capability(nic, PCI_CAP_MSI, 14);
	fake_pci_express(nic, EXPRESS_ENDPOINT, 1);
	fake_pci_capability(nic, PCI_CAP_MSIX, 12);
	fake_pci_set(nic, 0x3c, 2, 0x010b);
	pci_scan();
	assert_int_equal(host_function_count, 3);
	assert_int_equal(at(1, 0, 0)->vendor, 0x8086);
	assert_int_equal(at(1, 0, 0)->device, 0x10d3);
	assert_int_equal(at(1, 0, 0)->subsystem_vendor, 0x1af4);
	assert_int_equal(at(1, 0, 0)->class_code, 0x020000);
	assert_int_equal(at(1, 0, 0)->revision, 1);
	assert_int_equal(at(1, 0, 0)->pm, 0x40);
	assert_int_equal(at(1, 0, 0)->msi, 0x48);
	assert_int_equal(at(1, 0, 0)->pcie, 0x58);
	assert_int_equal(at(1, 0, 0)->msix, 0x94);
	assert_int_equal(at(1, 0, 0)->line, 11);
	assert_int_equal(at(1, 0, 0)->pin, 1);
	assert_true(at(1, 0, 0)->resets);
	assert_ptr_equal(at(1, 0, 0)->above, at(0, 2, 0));
	assert_null(at(0, 2, 0)->above);
}

static void endpoints_are_silenced_and_bridges_are_not(void **state)
{
	struct fake_function *nic, *bridge, *lpc;

	(void)state;
	bridge = fake_pci_bridge(0, 2, 1, EXPRESS_ROOT_PORT);
	lpc = fake_pci_add(0, 31, 0, 0x29188086);
	fake_pci_set(lpc, 8, 4, 0x06010002);
	nic = fake_pci_add(1, 0, 0, NIC);
	pci_scan();
	assert_int_equal(fake_pci_get(nic, 4, 2), 0x0403);
	assert_int_equal(fake_pci_get(bridge, 4, 2), 7);
	assert_int_equal(fake_pci_get(lpc, 4, 2), 7);
}

static void only_multi_function_devices_have_more(void **state)
{
	struct fake_function *first;

	(void)state;
	fake_pci_add(0, 3, 0, NIC);
	fake_pci_add(0, 3, 1, NIC); /* decodes only three bits of the address */
	first = fake_pci_add(0, 4, 0, NIC);
	fake_pci_set(first, 0x0e, 1, 0x80);
	fake_pci_add(0, 4, 7, NIC);
	pci_scan();
	assert_int_equal(host_function_count, 3);
	assert_true(at(0, 4, 7)->multi);
}

/* Root buses that only AML tells of have no bridge above them. */
static void a_bus_of_its_own_is_found(void **state)
{
	(void)state;
	fake_pci_add(0, 0, 0, NIC);
	fake_pci_add(0x80, 1, 0, NIC);
	pci_scan();
	assert_int_equal(host_function_count, 2);
	assert_null(at(0x80, 1, 0)->above);
}

static void bridges_in_a_circle_lead_nowhere(void **state)
{
	(void)state;
	fake_pci_bridge(0, 1, 1, -1);
	fake_pci_bridge(1, 0, 0, -1); /* back to the root */
	fake_pci_bridge(1, 1, 1, -1); /* to itself */
	fake_pci_bridge(2, 0, 1, -1); /* upwards */
	fake_pci_add(1, 2, 0, NIC);
	pci_scan();
	assert_ptr_equal(at(1, 2, 0)->above, at(0, 1, 0));
	for (unsigned i = 0; i < host_function_count; i++)
		(void)host_group_of(&host_functions[i]); /* ends */
}

static void hostile_capability_lists_end(void **state)
{
	struct fake_function *f;

	(void)state;
	f = fake_pci_add(0, 1, 0, NIC);
	fake_pci_capability(f, PCI_CAP_PM, 8);
	fake_pci_set(f, 0x41, 1, 0x40); /* to itself */
	f = fake_pci_add(0, 2, 0, NIC);
	fake_pci_set(f, 6, 2, 0x10);
	fake_pci_set(f, 0x34, 1, 0x08); /* into the header */
	f = fake_pci_add(0, 3, 0, NIC);
	fake_pci_express(f, EXPRESS_ENDPOINT, 0);
	fake_pci_set(f, 0x100, 4, 0x10010001); /* extended ones, to themselves */
	f = fake_pci_add(0, 4, 0, NIC);
	memset(f->config + 6, 0xff, sizeof(f->config) - 6);
	pci_scan();
	assert_int_equal(host_function_count, 4);
}

static void more_functions_than_room(void **state)
{
	struct fake_function *f[290];

	(void)state;
	for (unsigned i = 0; i < 290; i++)
		f[i] = fake_pci_add((uint8_t)(i / 32), i % 32, 0, NIC);
	pci_scan();
	assert_int_equal(host_function_count, HOST_FUNCTIONS);
	for (unsigned i = 0; i < 290; i++) /* silent, all of them */
		assert_int_equal(fake_pci_get(f[i], PCI_COMMAND, 2), 0x403);
}

static void functions_of_a_device_belong_together(void **state)
{
	struct fake_function *f[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		f[i] = fake_pci_add(0, (uint8_t)(3 + i / 2), i % 2, NIC);
		fake_pci_set(f[i], 0x0e, 1, 0x80);
		fake_pci_express(f[i], EXPRESS_ENDPOINT, 0);
	}
	fake_pci_acs(f[2], ACS_GOOD);
	fake_pci_acs(f[3], ACS_GOOD);
	pci_scan();
	assert_true(same_group(at(0, 3, 0), at(0, 3, 1)));
	assert_false(same_group(at(0, 3, 0), at(0, 4, 0)));
	assert_false(same_group(at(0, 4, 0), at(0, 4, 1)));
	assert_int_equal(fake_pci_get(f[2], 0x146, 2), 0x1d); /* and is on */
}

static void a_conventional_bus_belongs_together(void **state)
{
	(void)state;
	fake_pci_bridge(0, 1, 1, EXPRESS_ROOT_PORT);
	fake_pci_bridge(1, 0, 2, EXPRESS_TO_PCI);
	fake_pci_bridge(2, 5, 3, -1);
	fake_pci_add(2, 1, 0, NIC);
	fake_pci_add(2, 2, 0, NIC);
	fake_pci_add(3, 1, 0, NIC);
	fake_pci_bridge(0, 2, 4, EXPRESS_ROOT_PORT);
	fake_pci_add(4, 0, 0, NIC);
	pci_scan();
	assert_true(same_group(at(2, 1, 0), at(2, 2, 0)));
	assert_true(same_group(at(2, 1, 0), at(3, 1, 0)));
	assert_false(same_group(at(2, 1, 0), at(4, 0, 0)));
}

static void a_switch_isolates_with_acs_only(void **state)
{
	for (unsigned acs = 0; acs < 2; acs++) {
		setup(state);
		fake_pci_bridge(0, 1, 1, EXPRESS_ROOT_PORT);
		fake_pci_bridge(1, 0, 2, EXPRESS_UPSTREAM);
		for (unsigned i = 0; i < 2; i++) {
			struct fake_function *port = fake_pci_bridge(
				2, (uint8_t)i, (uint8_t)(3 + i), EXPRESS_DOWNSTREAM);

			if (acs)
				fake_pci_acs(port, ACS_GOOD);
			fake_pci_add((uint8_t)(3 + i), 0, 0, NIC);
		}
		pci_scan();
		assert_int_equal(same_group(at(3, 0, 0), at(4, 0, 0)), !acs);
	}
}

static void bars_are_sized(void **state)
{
	struct fake_function *f;
	struct host_bar *bars;

	(void)state;
	f = fake_pci_add(0, 3, 0, NIC);
	fake_pci_bar(f, 0, 0xfeb00000, 0x20000, 0);
	fake_pci_bar(f, 1, 0xc000, 0x20, 1);
	f->writable[0x17] = f->writable[0x16] = 0; /* 16 bits of ports */
	fake_pci_bar(f, 2, 0x3800000000, 0x4000, 0xc);
	fake_pci_bar(f, 4, 0x4000000000, 1ull << 33, 4);
	pci_scan();
	host_bars_read(at(0, 3, 0));
	bars = at(0, 3, 0)->bar;
	assert_int_equal(bars[0].kind, PCI_BAR_MEMORY);
	assert_int_equal(bars[0].base, 0xfeb00000);
	assert_int_equal(bars[0].bytes, 0x20000);
	assert_int_equal(bars[1].kind, PCI_BAR_IO);
	assert_int_equal(bars[1].base, 0xc000);
	assert_int_equal(bars[1].bytes, 0x20);
	assert_int_equal(bars[2].base, 0x3800000000);
	assert_int_equal(bars[2].bytes, 0x4000);
	assert_true(bars[2].wide);
	assert_int_equal(bars[3].kind, PCI_BAR_NONE);
	assert_int_equal(bars[4].bytes, 1ull << 33);
	assert_int_equal(bars[5].kind, PCI_BAR_NONE);
	assert_int_equal(fake_pci_get(f, 0x10, 4), 0xfeb00000);
	assert_int_equal(fake_pci_get(f, 0x14, 4), 0xc001);
	assert_int_equal(fake_pci_get(f, 0x1c, 4), 0x38);
	assert_int_equal(fake_pci_get(f, 4, 2), 0x0403);
	assert_non_null(
		strstr(fake_journal, "04.2=0400\n00:03.0 10.4=ffffffff")); /* decoding off */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(functions_are_read, setup),
		cmocka_unit_test_setup(endpoints_are_silenced_and_bridges_are_not, setup),
		cmocka_unit_test_setup(only_multi_function_devices_have_more, setup),
		cmocka_unit_test_setup(a_bus_of_its_own_is_found, setup),
		cmocka_unit_test_setup(bridges_in_a_circle_lead_nowhere, setup),
		cmocka_unit_test_setup(hostile_capability_lists_end, setup),
		cmocka_unit_test_setup(more_functions_than_room, setup),
		cmocka_unit_test_setup(functions_of_a_device_belong_together, setup),
		cmocka_unit_test_setup(a_conventional_bus_belongs_together, setup),
		cmocka_unit_test_setup(a_switch_isolates_with_acs_only, setup),
		cmocka_unit_test_setup(bars_are_sized, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
