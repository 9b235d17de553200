/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: what of a passed-through function can a guest reach, and what of what it writes reaches the
 * function? Does the function come silent and reset, and leave so? */
#include "tests/unit/dev/passthrough_env.h"

static void it_is_the_device(void **state)
{
	(void)state;
	assert_int_equal(get(0, 4), NIC);
	assert_int_equal(get(8, 4), 0x02000001);
	assert_int_equal(get(0x2c, 4), 0x00011af4);
	assert_int_equal(get(PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(get(0x30, 4), 0);
	assert_int_not_equal(capability(PCI_CAP_PM), 0);
	assert_int_not_equal(capability(PCI_CAP_MSI), 0);
	assert_int_not_equal(capability(PCI_CAP_MSIX), 0);
	assert_int_equal(get(capability(PCI_CAP_VENDOR) + 2, 2), 0x5510);
	assert_int_equal(capability(0x03), 0);
	assert_int_equal(get(0x100, 4), 0);
	/* an integrated endpoint, no function-level reset */
	assert_int_equal(get(capability(PCI_CAP_PCIE) + 2, 2), 0x92);
	assert_int_equal(get(capability(PCI_CAP_PCIE) + 4, 4) >> 28, 0);
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(get(PCI_INTERRUPT_LINE, 1), GUEST_PIN_FIRST + SLOT / 8);
}

/* All ones and all zeros to each doubleword: the device sees its command register, its status, and its
 * MSI and MSI-X enables, with values of ours. */
static void nothing_else_is_written(void **state)
{
	static const uint32_t values[] = { 0xffffffff, 0, 0x5a5a5a5a };

	(void)state;
	for (unsigned v = 0; v < 3; v++) {
		fake_journal_clear();
		for (unsigned at = 0; at < 4096; at += 4)
			put(at, 4, values[v]);
		for (char *line = strtok(fake_journal, "\n"); line; line = strtok(NULL, "\n")) {
			unsigned at;

			assert_int_equal(sscanf(line, "00:00.0 %x", &at), 1);
			assert_true(at == PCI_COMMAND || at == PCI_STATUS || at == THEIR_MSI + 2 ||
				    at == THEIR_MSIX + 2);
		}
	}
	assert_int_equal(get(0, 4), NIC);
	assert_int_equal(get(capability(PCI_CAP_VENDOR) + 2, 2), 0x5510);
	assert_int_equal(fake_pci_get(nic, 0x10, 4), REGISTERS);
	assert_int_equal(fake_pci_get(nic, 0x3c, 1), GSI);
}

static void masters_only_while_it_runs(void **state)
{
	(void)state;
	assert_int_equal(command(), 0x003);
	put(PCI_COMMAND, 2, 0x106);
	assert_int_equal(command(), 0x007); /* it decodes as long as it is ours */
	passthrough_pause(&all, true);
	assert_int_equal(command(), 0x003);
	put(PCI_COMMAND, 2, 0x004); /* does not count until it goes on */
	assert_int_equal(command(), 0x003);
	passthrough_pause(&all, false);
	assert_int_equal(command(), 0x007);
	put(PCI_COMMAND, 2, 0x404);
	assert_int_equal(command(), 0x407);
	put(PCI_COMMAND, 2, 0x000);
	assert_int_equal(command(), 0x003);
}

/* Who resumes it has looked at its state before it ended. */
static void one_that_ends_is_not_resumed(void **state)
{
	(void)state;
	put(PCI_COMMAND, 2, 0x106);
	atomic_store(&fake_vm.state, VM_ENDING);
	passthrough_pause(&all, true); /* its last vCPU leaves */
	passthrough_pause(&all, false);
	assert_int_equal(command(), 0x003);
}

static void errors_are_read_and_cleared(void **state)
{
	(void)state;
	fake_pci_set(nic, PCI_STATUS, 2, 0x2010);
	assert_int_equal(get(PCI_STATUS, 2), 0x2010);
	put(PCI_STATUS, 2, 0x2000);
	assert_non_null(strstr(fake_journal, "06.2=2000"));
}

static void bars_are_mapped_where_they_are(void **state)
{
	uint32_t home = (uint32_t)get(0x10, 4), table = (uint32_t)get(0x1c, 4);

	(void)state;
	for (unsigned page = 0; page < 0x20000; page += 4096)
		assert_int_equal(fake_nested(home + page), REGISTERS + page);
	assert_int_equal(fake_nested(table), 0); /* the MSI-X table */
	assert_int_equal(fake_nested(table + 0x1000), TABLE_BAR + 0x1000);
	assert_int_equal(fake_nested(table + PBA), 0);
	assert_int_equal(fake_nested(table + 0x3000), TABLE_BAR + 0x3000);
	put(0x10, 4, ~0u);
	assert_int_equal(get(0x10, 4), 0xfffe0000);
	put(0x10, 4, 0xd0000000);
	assert_int_equal(fake_nested(home), 0);
	assert_int_equal(fake_nested(0xd001f000), REGISTERS + 0x1f000);
	put(PCI_COMMAND, 2, 0);
	assert_int_equal(fake_nested(0xd0000000), 0);
	assert_int_equal(fake_nested(table + 0x1000), 0);
	assert_int_equal(fake_pci_get(nic, 0x10, 4), REGISTERS);
}

/* On the page of the table, but not of it. */
static void beside_the_table_is_the_device(void **state)
{
	uint32_t table = (uint32_t)get(0x1c, 4);

	(void)state;
	device_access(table + 0x800, 4, true, 0x12345678);
	assert_int_equal(*(uint32_t *)(fake_device + 0x40800), 0x12345678);
	assert_int_equal(device_access(table + 0x802, 2, false, 0), 0x1234);
	fake_device[0x40000 + ENTRIES * 16] = 0x77;
	assert_int_equal(device_access(table + ENTRIES * 16, 1, false, 0), 0x77);
	/* half of it is */
	device_access(table + ENTRIES * 16 - 2, 4, true, ~0u);
	assert_int_equal(fake_device[0x40000 + ENTRIES * 16], 0x77);
	assert_int_equal(device_access(table + ENTRIES * 16 - 2, 4, false, 0), 0);
}

static void it_leaves_in_order(void **state)
{
	(void)state;
	assert_non_null(strstr(fake_order, "domain-create "));
	assert_int_equal(fake_iommu_mapped, FAKE_RAM);
	put(PCI_COMMAND, 2, 6);
	memset(fake_order, 0, sizeof(fake_order));
	passthrough_destroy(&all);
	assert_string_equal(fake_order, "master-off master-off master-off detach domain-destroy ");
	assert_int_equal(command(), 0x400);
	assert_true(fake_pin_masked[GSI]);
	assert_non_null(strstr(fake_journal, "60.2=8000\n")); /* function-level reset */
}

/* Its message is taken away before the reset: during it nothing is accessed. */
static void interrupts_end_before_the_reset(void **state)
{
	unsigned msi = capability(PCI_CAP_MSI);
	const char *closed, *reset;

	(void)state;
	put(msi + 4, 4, GOOD);
	put(msi + 12, 2, 0x44);
	put(msi + 2, 2, 1);
	fake_journal_clear();
	passthrough_destroy(&all);
	closed = strstr(fake_journal, "4a.2=0080\n");
	reset = strstr(fake_journal, "60.2=8000\n");
	assert_non_null(closed);
	assert_non_null(reset);
	assert_true(closed < reset);
	assert_string_equal(reset, "60.2=8000\n"); /* the last access of all */
	assert_int_equal(strncmp(fake_journal, "00:00.0 04.2=0402\n", 18), 0);
}

static void what_was_made_goes_again(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		int err;

		begin();
		iommu = &fake_iommu_ops;
		add_nic(0, 1);
		refuse_later = n == 0;
		fake_irq_left = n == 1 ? 0 : 100;
		fake_alloc_fail = n == 2 ? 0 : -1;
		err = build();
		refuse_later = false;
		assert_int_equal(err == 0, n == 1 || n == 3); /* 1: without its pin */
		passthrough_destroy(&all);
		assert_int_equal(fake_allocs, 0);
		assert_int_equal(fake_remaps, 0);
		assert_null(strstr(fake_order, "attach domain-destroy detach"));
	}
}

static void without_an_iommu_memory_is_one_piece(void **state)
{
	(void)state;
	begin();
	add_nic(0, 1);
	config.vms[0].allow_unsafe_dma = true;
	assert_int_equal(build(), 0);
	assert_true(fake_vm.unsafe_dma);
	put(capability(PCI_CAP_MSIX) + 2, 2, 0x8000);
	entry_put(0, GOOD, 0x55, 0);
	assert_int_equal(hardware_entry(0)[0], 0xfee00000);
	assert_int_not_equal(hardware_entry(0)[2], 0x55);
	passthrough_destroy(&all);
	begin();
	add_nic(0, 1);
	config.vms[0].allow_unsafe_dma = true;
	fake_vm.mem.count = 3;
	assert_int_equal(build(), LH_UNSUPP);
	passthrough_destroy(&all);
}

/* No domain is made for a device that needs none, and the VM knows. */
static void past_the_iommu_is_unsafe(void **state)
{
	(void)state;
	begin();
	iommu = &fake_iommu_ops;
	config.vms[0].passthroughs[0].vendor = 0x1af4;
	config.vms[0].passthroughs[0].device = 0x1000;
	config.vms[0].allow_unsafe_dma = true;
	add_nic(0, 1);
	fake_pci_set(nic, 0, 4, 0x10001af4);
	fake_vm.unsafe_dma = false;
	assert_int_equal(build(), 0);
	assert_true(fake_vm.unsafe_dma);
	assert_null(strstr(fake_order, "attach"));
	assert_null(strstr(fake_order, "domain"));
	passthrough_destroy(&all);
	assert_null(strstr(fake_order, "detach"));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(it_is_the_device),
		CASE(nothing_else_is_written),
		CASE(masters_only_while_it_runs),
		CASE(one_that_ends_is_not_resumed),
		CASE(errors_are_read_and_cleared),
		CASE(bars_are_mapped_where_they_are),
		CASE(beside_the_table_is_the_device),
		CASE(it_leaves_in_order),
		CASE(interrupts_end_before_the_reset),
		cmocka_unit_test(past_the_iommu_is_unsafe),
		cmocka_unit_test(what_was_made_goes_again),
		cmocka_unit_test(without_an_iommu_memory_is_one_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
