/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the platform as the core sees it hold together: made whole or not at all, every
 * access answered, an interrupt of the switch arriving at the vCPU, all memory given back? */
#include "tests/unit/dev/fakes.h"

#include "hv/core/guest_map.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/cpu/msr.h"
#include "hv/dev/pc.h"
#include "hv/dev/pc_impl.h"
#include "hv/dev/pci_scan.h"
#include "hv/dev/reuse.h"
#include "tests/unit/dev/fake_host.h"
#include "tests/unit/dev/fake_pci.h"
#include "tests/unit/dev/fake_switch.h"
#include "vswitch/env.h"
#include "vswitch/policy.h"

#include <cmocka.h>

static struct config config = { .switch_count = 1, .switches = { { "lan" } } };

static int vcpus_make(void)
{
	for (unsigned i = 0; i < fake_vm.vcpu_count; i++)
		if (pc_platform.vcpu_create(&fake_vcpu[i]) < 0)
			return -1;
	return 0;
}

static void vcpus_free(void)
{
	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		pc_platform.vcpu_destroy(&fake_vcpu[i]);
}

static int setup(void **state)
{
	(void)state;
	fake_reset(2);
	fake_port_fails = fake_start_fails = false;
	fake_config.net_count = 2;
	fake_config.virtio_console = true;
	for (unsigned i = 0; i < 2; i++) {
		struct config_net *net = &fake_config.nets[i];

		*net = (struct config_net){ .mac = { 2, 0, 0, 0, 0, (uint8_t)i },
					    .mtu = 1500,
					    .queue_pairs = 1 + i };
		snprintf(net->name, sizeof(net->name), "net%u", i);
	}
	return pc_platform.switches_create(&config);
}

/* With the machine's devices, as soon as they are back. */
static int made(void)
{
	uint64_t again_tsc;
	int err = pc_platform.vm_create(&fake_vm);

	while (!err && (err = pc_platform.vm_join(&fake_vm, &again_tsc)) == LH_AGAIN)
		err = 0;
	return err;
}

static int setup_made(void **state)
{
	return setup(state) || vcpus_make() || pc_platform.vm_create(&fake_vm);
}

static int teardown(void **state)
{
	(void)state;
	if (fake_vm.platform)
		pc_platform.vm_destroy(&fake_vm);
	vcpus_free();
	return fake_allocs != 0 || fake_port[0].used || fake_port[1].used;
}

static void every_allocation_may_fail(void **state)
{
	int err = -1;

	(void)state;
	assert_int_equal(vcpus_make(), 0);
	for (long n = 0; n < 20 && err; n++) {
		fake_alloc_fail = n;
		err = pc_platform.vm_create(&fake_vm);
		if (err && fake_vm.platform)
			pc_platform.vm_destroy(&fake_vm);
		assert_true(err == 0 || fake_allocs == 2); /* the local APICs */
	}
	fake_alloc_fail = -1;
	assert_int_equal(err, 0);
}

static uint32_t io(uint16_t port, unsigned bytes, bool write, uint32_t value)
{
	pc_platform.io(&fake_vcpu[0], port, bytes, write, &value);
	return value;
}

static uint64_t mmio(uint64_t at, unsigned bytes, bool write, uint64_t value)
{
	assert_true(pc_platform.mmio(&fake_vcpu[0], (gpa_t){ at }, bytes, write, &value));
	return value;
}

static void addresses_nobody_claims(void **state)
{
	uint64_t value = 5;

	(void)state;
	assert_int_equal(io(0x80, 1, true, 0), 0);
	assert_int_equal(io(0x61, 1, false, 0), 0xff);
	assert_int_equal(io(0xcd8, 4, false, 0), 0xffffffff);
	assert_int_equal(io(0xffff, 2, false, 0), 0xffff);
	assert_int_equal(mmio(GUEST_BAR_END - 4, 4, false, 0), 0xffffffff);
	assert_int_equal(mmio(GUEST_BAR_END - 8, 8, false, 0), ~0ull);
	assert_false(pc_platform.mmio(&fake_vcpu[0], (gpa_t){ 0xfed00000 }, 4, false, &value));
	assert_false(pc_platform.mmio(&fake_vcpu[0], (gpa_t){ ~0ull }, 8, true, &value));
	assert_false(pc_platform.msr_owned(0x10));
	assert_true(pc_platform.msr_owned(0x1b) && pc_platform.msr_owned(0x8ff));
}

static void tables_are_in_ram(void **state)
{
	(void)state;
	assert_memory_equal(gmem_ptr(&fake_vm.mem, fake_vm.acpi_gpa.v, 8), "RSD PTR ", 8);
}

static void ports_are_listed(void **state)
{
	struct vm *vm = NULL;

	(void)state;
	assert_ptr_equal(pc_platform.vm_port(&fake_vm, 1), &fake_port[1]);
	assert_null(pc_platform.vm_port(&fake_vm, 2));
	assert_ptr_equal(pc_platform.port_by_mac(fake_config.nets[1].mac, &vm), &fake_port[1]);
	assert_string_equal(fake_port[1].name, "vm/net1");
	assert_int_equal(fake_port[1].config.queue_pairs, 2);
}

/* From the switch to the vCPU: MSI-X entry, local APIC, and back by EOI. */
static void an_interrupt_arrives(void **state)
{
	uint64_t dev = GUEST_ECAM_BASE + 2 * 8 * 4096;
	uint64_t bar = mmio(dev + 0x10, 4, false, 0), table = mmio(dev + 0x20, 4, false, 0);
	uint64_t cap = mmio(dev + 0x34, 1, false, 0);

	(void)state;
	assert_true(pc_platform.msr_write(&fake_vcpu[1], MSR_APIC_BASE, 0xfee00c00));
	assert_true(pc_platform.msr_write(&fake_vcpu[1], 0x80f, 0x1ff));
	mmio(table, 4, true, 0xfee01000);
	mmio(table + 8, 8, true, 0x45);
	while (mmio(dev + cap, 1, false, 0) != 0x11)
		cap = mmio(dev + cap + 1, 1, false, 0);
	mmio(dev + cap + 2, 2, true, 0x8000);
	mmio(bar + 26, 2, true, 0); /* queue 0: vector 0 */
	env_interrupt(&fake_port[1], 0);
	assert_int_equal(fake_kicks[1], 1);
	assert_int_equal(pc_platform.irq_pending(&fake_vcpu[1]), 0x45);
	pc_platform.irq_taken(&fake_vcpu[1], 0x45);
	assert_int_equal(pc_platform.irq_pending(&fake_vcpu[1]), -1);
	assert_true(pc_platform.msr_write(&fake_vcpu[1], 0x80b, 0));
}

/* A driver domain with a NIC of the machine, behind an IOMMU. */
static int setup_driver(void **state)
{
	static struct config machine = { .vm_count = 1 };
	struct config_vm *vm = &machine.vms[0];

	if (setup(state))
		return 1;
	fake_pci_reset();
	fake_host_reset();
	iommu = &fake_iommu_ops;
	fake_pci_bar(fake_pci_add(0, 3, 0, 0x10d38086), 0, FAKE_DEVICE_BASE, 0x20000, 0);
	pci_scan();
	*vm = fake_config;
	vm->driver_domain = true;
	vm->passthrough_count = 1;
	vm->passthroughs[0] = (struct config_passthrough){
		.name = "nic0", .vendor = 0x8086, .device = 0x10d3, .interrupt_gsi = -1
	};
	fake_vm.config = vm;
	vm_config = &machine;
	policy_set(POLICY_buffer_reuse, REUSE_ON);
	return passthrough_check(&machine, NULL, NULL) || vcpus_make() || made();
}

static unsigned shared(uint64_t gpa)
{
	struct seg page = { gmem_ptr(&fake_vm.mem, gpa, 4096), 4096 };
	struct share_cost cost = { 0 };
	struct uplink_piece piece;

	return reuse_share(fake_vm.platform->reuse, &fake_vm, &page, 4096, &piece, 1, &cost);
}

/* Until its uplinks are destroyed, packets are lent to it. */
static void nothing_is_shared_with_a_domain_that_is_gone(void **state)
{
	(void)state;
	assert_int_equal(shared(0x3000), 1);
	assert_non_null(strstr(fake_order, "share "));
	pc_platform.vm_give_back(&fake_vm);
	assert_non_null(strstr(fake_order, "domain-destroy "));
	memset(fake_order, 0, sizeof(fake_order));
	assert_int_equal(shared(0x4000), 0);
	assert_string_equal(fake_order, "");
}

/* What the IOMMU has blocked of a device, for people and for programs. */
static void blocked_dma_is_shown(void **state)
{
	uint64_t faults = 1;
	char text[128];

	(void)state;
	fake_pci_add(0, 4, 0, 0x10d38086);
	pci_scan();
	for (unsigned i = 0; i < 2; i++) {
		fake_faults = i * 12345678901;
		assert_true(pc_platform.host_device_faults(0, text, sizeof(text), &faults));
		assert_string_equal(text, "00:03.0");
		assert_int_equal(faults, 0);
		assert_true(pc_platform.host_device_faults(1, text, sizeof(text), &faults));
		assert_string_equal(text, "00:04.0");
		assert_int_equal(faults, fake_faults);
		assert_true(pc_platform.host_device(0, text, sizeof(text)));
		assert_null(strstr(text, "blocked"));
		assert_true(pc_platform.host_device(1, text, sizeof(text)));
		assert_int_equal(strstr(text, ", 12345678901 blocked") != NULL, i);
	}
	assert_false(pc_platform.host_device_faults(2, text, sizeof(text), &faults));
	iommu = NULL;
	assert_false(pc_platform.host_device_faults(1, text, sizeof(text), &faults));
	assert_true(pc_platform.host_device(1, text, sizeof(text)));
	assert_null(strstr(text, "blocked"));
	fake_faults = 0;
}

static int teardown_shown(void **state)
{
	(void)state;
	iommu = NULL;
	return 0;
}

static int setup_shown(void **state)
{
	(void)state;
	fake_reset(1);
	fake_pci_reset();
	fake_host_reset();
	iommu = &fake_iommu_ops;
	fake_pci_add(0, 3, 0, 0x10d38086);
	return 0;
}

static int teardown_driver(void **state)
{
	int failed = teardown(state);

	policy_set(POLICY_buffer_reuse, REUSE_OFF);
	iommu = NULL;
	fake_vm.config = &fake_config;
	return failed;
}

/* No driver runs for the virtio-console: the UART gets what is typed, 16 bytes once its FIFO is on. */
static void what_is_typed_finds_a_device(void **state)
{
	(void)state;
	io(GUEST_UART_PORT + 2, 1, true, 1);
	for (char c = 'a'; c < 'a' + 16; c++)
		assert_true(pc_platform.console_input(&fake_vm, c));
	assert_false(pc_platform.console_input(&fake_vm, 'q'));
	for (char c = 'a'; c < 'a' + 16; c++)
		assert_int_equal(io(GUEST_UART_PORT, 1, false, 0), c);
}

/* The functions behind the net devices. */
static void devices_are_in_order(void **state)
{
	static const uint32_t ids[] = { 0x10441af4, 0x10431af4, ~0u };

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(mmio(GUEST_ECAM_BASE + (3 + i) * 8 * 4096, 4, false, 0), ids[i]);
}

static void random_accesses(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (unsigned i = 0; i < fake_rounds(300000); i++) {
		uint64_t r = fake_random(&seed), value = fake_random(&seed);
		uint64_t base = (r & 3) == 0   ? GUEST_ECAM_BASE
				: (r & 3) == 1 ? GUEST_BAR_WINDOW
					       : 0xfec00000;
		gpa_t at = { base + (r >> 8) % 0x10000 };

		if (r & 4)
			io((uint16_t)(r >> 8), 1u << (r >> 4) % 3, r >> 6 & 1, (uint32_t)value);
		else
			pc_platform.mmio(&fake_vcpu[r >> 7 & 1], at, 1u << (r >> 4) % 4, r >> 6 & 1,
					 &value);
		if (i % 64 == 0)
			pc_platform.switch_work();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_allocation_may_fail, setup, teardown),
		cmocka_unit_test_setup_teardown(addresses_nobody_claims, setup_made, teardown),
		cmocka_unit_test_setup_teardown(tables_are_in_ram, setup_made, teardown),
		cmocka_unit_test_setup_teardown(ports_are_listed, setup_made, teardown),
		cmocka_unit_test_setup_teardown(an_interrupt_arrives, setup_made, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_shared_with_a_domain_that_is_gone,
						setup_driver, teardown_driver),
		cmocka_unit_test_setup_teardown(blocked_dma_is_shown, setup_shown, teardown_shown),
		cmocka_unit_test_setup_teardown(what_is_typed_finds_a_device, setup_made, teardown),
		cmocka_unit_test_setup_teardown(devices_are_in_order, setup_made, teardown),
		cmocka_unit_test_setup_teardown(random_accesses, setup_made, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
