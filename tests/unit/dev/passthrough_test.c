/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: what of a passed-through function can a guest reach, and what of what it writes reaches the
 * function? Does the function come silent and reset, and leave so? */
#include "tests/unit/dev/passthrough_env.h"

#include "hv/core/lifecycle.h"

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
	put(PCI_COMMAND, 2, 0x004); /* by a vCPU that has not stopped yet */
	assert_int_equal(command(), 0x003);
	passthrough_pause(&all, false);
	assert_int_equal(command(), 0x007);
	put(PCI_COMMAND, 2, 0x404);
	assert_int_equal(command(), 0x407);
	put(PCI_COMMAND, 2, 0x000);
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

/* FLR, else the bus if it is alone there, else by its own register. */
static void the_best_reset_is_taken(void **state)
{
	static const struct {
		bool port, neighbour, own;
		unsigned flr;
		const char *order;
	} cases[] = {
		{ true, false, false, 1,
		  "master-off master-off master-off detach domain-destroy " },
		{ true, false, false, 0,
		  "master-off master-off master-off bus-reset bus-reset-end detach "
		  "domain-destroy " },
		{ true, true, true, 0, "master-off master-off master-off detach domain-destroy " },
		{ false, false, true, 0,
		  "master-off master-off master-off detach domain-destroy " },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin();
		iommu = &fake_iommu_ops;
		if (cases[i].port)
			fake_pci_bridge(0, 1, 1, EXPRESS_ROOT_PORT);
		add_nic(cases[i].port, cases[i].flr);
		if (cases[i].neighbour)
			fake_pci_add(1, 1, 0, 0x12345678);
		assert_int_equal(build(), 0);
		memset(fake_order, 0, sizeof(fake_order));
		passthrough_destroy(&all);
		assert_string_equal(fake_order, cases[i].order);
		assert_int_equal(*(uint32_t *)fake_device, cases[i].own ? 1u << 26 : 0);
	}
}

static void lived(const char *end, unsigned seconds)
{
	fake_vm.end = end;
	fake_vm.start_tsc = 1000;
	fake_vm.end_tsc = 1000 + tsc_from_us(seconds * 1000000ull);
}

/* A virtio NIC behind a slot that can do FLR; common: where its common configuration is said to be. */
static void add_virtio(unsigned bar, uint32_t common)
{
	unsigned at;

	begin();
	iommu = &fake_iommu_ops;
	config.vms[0].passthroughs[0].vendor = 0x1af4;
	config.vms[0].passthroughs[0].device = 0x1041;
	add_nic(0, 1);
	fake_pci_set(nic, 0, 4, 0x10411af4);
	at = fake_pci_capability(nic, PCI_CAP_VENDOR, 16);
	fake_pci_set(nic, at + 2, 2, 0x0110); /* the common configuration */
	fake_pci_set(nic, at + 4, 1, bar);
	fake_pci_set(nic, at + 8, 4, common);
	fake_device[0x43000 + 4] = 2; /* VIRTIO_F_ACCESS_PLATFORM */
}

/* How it is reset: by its status (true), or by FLR. */
static bool reset_by_status(void)
{
	bool by_status;

	fake_device[0x43000 + 20] = 15;
	fake_journal_clear();
	passthrough_destroy(&all);
	by_status = fake_device[0x43000 + 20] == 0;
	assert_int_equal(strstr(fake_journal, "60.2=8000\n") == NULL, by_status);
	return by_status;
}

/* A device's own reset first; after a short life that it has begun the thorough one, and always if the user has
 * stopped the VM, or it never ran. */
static void its_own_reset_first(void **state)
{
	static const struct {
		const char *end;
		unsigned seconds;
		bool lightly, own; /* how the life began; how the next one does */
	} cases[] = {
		{ END_CRASH, 1, false, true },	   { END_CRASH, 30, true, true },
		{ END_CRASH, 29, true, false },	   { END_REBOOT, 6, true, false },
		{ END_HANG, 31, true, true },	   { END_HANG, 5, false, true },
		{ END_RESTARTED, 1, true, true },  { END_RESTARTED, 1, false, true },
		{ END_STOPPED, 60, false, false }, { NULL, 60, false, false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		add_virtio(3, 0x3000);
		assert_int_equal(build(), 0);
		host_functions[0].lightly = cases[i].lightly;
		lived(cases[i].end, cases[i].seconds);
		assert_int_equal(reset_by_status(), cases[i].own);
	}
}

/* The VM's next life, with the same function. */
static int build_again(void)
{
	memset(&io, 0, sizeof(io));
	memset(&memory, 0, sizeof(memory));
	memset(&pcie, 0, sizeof(pcie));
	memset(&ioapic, 0, sizeof(ioapic));
	if (pcie_init(&pcie, &io, &memory, &fake_vm.log_limit) ||
	    ioapic_init(&ioapic, &fake_vm, &memory))
		return 1;
	return passthrough_create(&all, &fake_vm, &pcie, &ioapic);
}

/* Of lives that are all short every second one begins with the thorough reset. */
static void short_lives_take_turns(void **state)
{
	(void)state;
	add_virtio(3, 0x3000);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(i ? build_again() : build(), 0);
		lived(END_CRASH, 2);
		assert_int_equal(reset_by_status(), i % 2 == 0);
	}
}

/* It is made long before it starts: what it waited is not of its life. */
static void waiting_is_not_living(void **state)
{
	(void)state;
	add_virtio(3, 0x3000);
	assert_int_equal(build(), 0);
	host_functions[0].lightly = true;
	fake_vm.end = END_CRASH;
	fake_vm.end_tsc = 1000;
	fake_vm.start_tsc = 2000; /* not yet */
	assert_false(reset_by_status());
}

/* Only a device whose common configuration lies in its BAR. */
static void virtio_is_reset_by_its_status(void **state)
{
	static const struct {
		unsigned bar;
		uint32_t common;
		bool good;
	} cases[] = { { 3, 0x3000, true }, { 5, 0x3000, false }, { 3, TABLE_BYTES - 20, false } };

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		add_virtio(cases[i].bar, cases[i].common);
		config.vms[0].allow_unsafe_dma = !cases[i].good;
		assert_int_equal(build(), 0);
		lived(END_RESTARTED, 2);
		assert_int_equal(reset_by_status(), cases[i].good);
	}
}

/* An Intel NIC whose PHY does not answer as it does after a reset has the bus reset, as if it were new. */
static void a_strange_phy_is_reset(void **state)
{
	(void)state;
	begin();
	iommu = &fake_iommu_ops;
	fake_pci_bridge(0, 1, 1, EXPRESS_ROOT_PORT);
	add_nic(true, 0);
	assert_int_equal(build(), 0);
	lived(END_RESTARTED, 1);
	memset(fake_order, 0, sizeof(fake_order));
	passthrough_destroy(&all);
	assert_string_equal(fake_order,
			    "master-off master-off master-off bus-reset bus-reset-end detach "
			    "domain-destroy ");
	assert_int_equal(*(uint32_t *)(fake_device + 0x20) >> 21,
			 2 << 5 | 1); /* MDIC: read of PHY 1 */
	assert_int_equal(*(uint32_t *)fake_device, 0);
}

/* What a reset has cleared is as firmware had it, when the next owner comes. */
static void configuration_comes_back(void **state)
{
	(void)state;
	passthrough_destroy(&all);
	fake_pci_set(nic, 0x10, 4, 0);
	fake_pci_set(nic, 0x1c, 4, 0);
	fake_pci_set(nic, 0x3c, 1, 0);
	memset(&memory, 0, sizeof(memory));
	memset(&io, 0, sizeof(io));
	memset(&pcie, 0, sizeof(pcie));
	memset(&ioapic, 0, sizeof(ioapic));
	assert_int_equal(pcie_init(&pcie, &io, &memory, &fake_vm.log_limit), 0);
	assert_int_equal(passthrough_create(&all, &fake_vm, &pcie, &ioapic), 0);
	assert_int_equal(fake_pci_get(nic, 0x10, 4), REGISTERS);
	assert_int_equal(fake_pci_get(nic, 0x1c, 4), TABLE_BAR);
	assert_int_equal(fake_pci_get(nic, 0x3c, 1), GSI);
	assert_int_equal(command(), 0x003);
}

static void remade(unsigned version)
{
	begin();
	iommu = &fake_iommu_ops;
	add_nic(0, 1);
	fake_pci_set(nic, 0x5a, 2, version); /* of its PCIe capability */
	fake_pci_set(nic, 0x30, 4, 0xfe0e0001);
	assert_int_equal(build(), 0);
	passthrough_destroy(&all);
}

/* A ROM's address without its enable bit; a register that version 1 does not have is left alone. */
static void only_what_is_there_is_restored(void **state)
{
	(void)state;
	remade(2);
	assert_non_null(strstr(fake_journal, "30.4=fe0e0000\n"));
	assert_null(strstr(fake_journal, "30.4=fe0e0001\n"));
	assert_non_null(strstr(fake_journal, "80.2="));
	remade(1);
	assert_null(strstr(fake_journal, "80.2="));
}

static void a_function_that_does_not_come_back_is_told(void **state)
{
	(void)state;
	passthrough_destroy(&all);
	fake_pci_set(nic, 0, 4, 0xffffffff);
	memset(&memory, 0, sizeof(memory));
	memset(&pcie, 0, sizeof(pcie));
	assert_int_equal(pcie_init(&pcie, &io, &memory, &fake_vm.log_limit), 0);
	assert_int_equal(passthrough_create(&all, &fake_vm, &pcie, &ioapic), LH_TIMEOUT);
}

static void comes_back(void)
{
	fake_pci_set(nic, 0, 4, NIC);
}

/* What else the CPU has to do goes on meanwhile, the vCPU that it had last elsewhere. */
static void while_it_comes_back_the_cpu_serves(void **state)
{
	(void)state;
	passthrough_destroy(&all);
	fake_pci_set(nic, 0, 4, 0xffffffff);
	memset(&memory, 0, sizeof(memory));
	memset(&io, 0, sizeof(io));
	memset(&pcie, 0, sizeof(pcie));
	memset(&ioapic, 0, sizeof(ioapic));
	assert_int_equal(pcie_init(&pcie, &io, &memory, &fake_vm.log_limit), 0);
	host_function_at((struct pci_address){ 0, 0 })->ready_tsc = 0;
	fake_unloads = 0;
	fake_on_poll = comes_back;
	assert_int_equal(passthrough_create(&all, &fake_vm, &pcie, &ioapic), 0);
	assert_int_equal(fake_unloads, 1);
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
		CASE(errors_are_read_and_cleared),
		CASE(bars_are_mapped_where_they_are),
		CASE(beside_the_table_is_the_device),
		CASE(it_leaves_in_order),
		CASE(interrupts_end_before_the_reset),
		CASE(configuration_comes_back),
		cmocka_unit_test(only_what_is_there_is_restored),
		CASE(while_it_comes_back_the_cpu_serves),
		CASE(a_function_that_does_not_come_back_is_told),
		cmocka_unit_test(the_best_reset_is_taken),
		cmocka_unit_test(its_own_reset_first),
		cmocka_unit_test(short_lives_take_turns),
		cmocka_unit_test(waiting_is_not_living),
		cmocka_unit_test(virtio_is_reset_by_its_status),
		cmocka_unit_test(past_the_iommu_is_unsafe),
		cmocka_unit_test(a_strange_phy_is_reset),
		cmocka_unit_test(what_was_made_goes_again),
		cmocka_unit_test(without_an_iommu_memory_is_one_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
