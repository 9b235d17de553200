/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: is a passed-through function reset between two lives as well as it can be, does it come back as firmware
 * had it, and does one that was paused go on? */
#include "tests/unit/dev/passthrough_env.h"

#include "hv/core/lifecycle.h"

#define SILENT "master-off master-off master-off"

/* FLR, else the one of conventional functions, else the bus if it is alone there, else by its own register. */
static void the_best_reset_is_taken(void **state)
{
	static const struct {
		bool port, neighbour, own;
		unsigned flr, af; /* af: what that capability offers, 0: there is none */
		const char *order;
	} cases[] = {
		{ true, false, false, 1, 0, SILENT " detach domain-destroy " },
		{ true, false, false, 1, 3, SILENT " detach domain-destroy " },
		{ true, false, false, 0, 3, SILENT " detach domain-destroy " },
		{ true, false, false, 0, 1,
		  SILENT " bus-reset bus-reset-end detach domain-destroy " },
		{ true, false, false, 0, 0,
		  SILENT " bus-reset bus-reset-end detach domain-destroy " },
		{ true, true, true, 0, 0, SILENT " detach domain-destroy " },
		{ false, false, true, 0, 0, SILENT " detach domain-destroy " },
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
		if (cases[i].af)
			fake_pci_set(nic, fake_pci_capability(nic, PCI_CAP_AF, 6) + 3, 1,
				     cases[i].af);
		assert_int_equal(build(), 0);
		memset(fake_order, 0, sizeof(fake_order));
		fake_journal_clear();
		passthrough_destroy(&all);
		assert_string_equal(fake_order, cases[i].order);
		assert_int_equal(strstr(fake_journal, "60.2=8000\n") != NULL, cases[i].flr);
		assert_int_equal(strstr(fake_journal, "bc.1=01\n") != NULL,
				 !cases[i].flr && cases[i].af == 3);
		assert_int_equal(*(uint32_t *)fake_device, cases[i].own ? 1u << 26 : 0);
	}
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

static bool ran; /* when bus mastering was taken from it last */

/* As QEMU's do: without bus mastering it does not run. */
static void virtio_written(struct fake_function *f, unsigned at, unsigned bytes)
{
	if (f != nic || at != PCI_COMMAND || fake_pci_get(f, at, bytes) & PCI_COMMAND_MASTER)
		return;
	ran = fake_device[0x43000 + 20] & 4;
	fake_device[0x43000 + 20] &= ~4;
}

/* What it ran as it runs as again, however often it was paused; but not one that has reset itself meanwhile, or that
 * its driver wants stopped. */
static void a_paused_virtio_device_goes_on(void **state)
{
	static const struct {
		uint8_t before, meanwhile, after; /* meanwhile 0: nothing */
		uint32_t command;		  /* the driver's, meanwhile; 0: as it was */
	} cases[] = {
		{ 0x0f, 0, 0x0f, 0 },	 { 0x4f, 0, 0x4f, 0 },	 { 0x0b, 0, 0x0b, 0 },
		{ 0x0f, 0x80, 0x80, 0 }, { 0x0f, 0, 0x0b, 0x2 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		volatile uint8_t *status = &fake_device[0x43000 + 20];

		add_virtio(3, 0x3000);
		assert_int_equal(build(), 0);
		fake_config_written = virtio_written;
		put(PCI_COMMAND, 2, 0x6);
		*status = cases[i].before;
		passthrough_pause(&all, true);
		assert_int_equal(*status, cases[i].before & ~4);
		assert_false(ran);
		passthrough_pause(&all, true);
		if (cases[i].meanwhile)
			*status = cases[i].meanwhile;
		if (cases[i].command)
			put(PCI_COMMAND, 2, cases[i].command);
		passthrough_pause(&all, false);
		assert_int_equal(*status, cases[i].after);
		passthrough_destroy(&all);
	}
}

/* Nobody clears DRIVER_OK of a device that is not known to need it: virtio 1.2, 2.1.1. */
static void hardware_keeps_its_status(void **state)
{
	volatile uint8_t *status = &fake_device[0x43000 + 20];

	(void)state;
	add_virtio(3, 0x3000);
	fake_pci_set(nic, PCI_SUBSYSTEM_VENDOR, 2, 0x15b3);
	assert_int_equal(build(), 0);
	fake_config_written = virtio_written;
	put(PCI_COMMAND, 2, 0x6);
	*status = 0x0f;
	passthrough_pause(&all, true);
	assert_true(ran);
	passthrough_destroy(&all);
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
	return create();
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
	assert_int_equal(build_again(), 0);
	assert_int_equal(fake_pci_get(nic, 0x10, 4), REGISTERS);
	assert_int_equal(fake_pci_get(nic, 0x1c, 4), TABLE_BAR);
	assert_int_equal(fake_pci_get(nic, 0x3c, 1), GSI);
	assert_int_equal(command(), 0x003);
}

/* What it may not reach past the IOMMU it may not after a reset, too. */
static void access_control_comes_back(void **state)
{
	(void)state;
	begin();
	iommu = &fake_iommu_ops;
	add_nic(0, 1);
	fake_pci_acs(nic, 0x1f);
	assert_int_equal(build(), 0);
	assert_int_equal(fake_pci_get(nic, 0x146, 2), 0x1d);
	passthrough_destroy(&all);
	fake_pci_set(nic, 0x146, 2, 0);
	assert_int_equal(build_again(), 0);
	assert_int_equal(fake_pci_get(nic, 0x146, 2), 0x1d);
	passthrough_destroy(&all);
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

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_best_reset_is_taken),
		cmocka_unit_test(its_own_reset_first),
		cmocka_unit_test(a_paused_virtio_device_goes_on),
		cmocka_unit_test(short_lives_take_turns),
		cmocka_unit_test(waiting_is_not_living),
		cmocka_unit_test(virtio_is_reset_by_its_status),
		cmocka_unit_test(hardware_keeps_its_status),
		cmocka_unit_test(a_strange_phy_is_reset),
		CASE(configuration_comes_back),
		cmocka_unit_test(access_control_comes_back),
		cmocka_unit_test(only_what_is_there_is_restored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
