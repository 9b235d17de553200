/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: can a guest size and move BARs, and change nothing in configuration space but what it
 * may? Does MSI-X send, mask and keep pending as the specification says? */
#include "tests/unit/dev/fakes.h"

#include "hv/core/guest_map.h"
#include "hv/dev/msix.h"
#include "hv/dev/pcie.h"
#include "tests/unit/dev/fake_msi.h"

#include <cmocka.h>

#define MEMORY_BYTES 0x2000u
#define PORT_BYTES   0x40u
#define VECTORS	     3u

static struct bus io, memory;
static struct pcie pcie;
static struct pci_function device;
static struct bus_region memory_bar, port_bar;
static struct msix msix;
static unsigned touched;

static void touch(struct bus_region *region, struct bus_access *access)
{
	(void)region;
	(void)access;
	touched++;
}

static void after_write(struct pci_function *f, struct vcpu *vcpu, unsigned at, unsigned bytes)
{
	(void)vcpu;
	(void)at;
	(void)bytes;
	msix_config_written(&msix, f);
}

static const struct pci_function_ops ops = { .after_write = after_write };
static const struct pci_identity id = { .vendor = 0x1af4,
					.device = 0x1041,
					.class_code = 0x020000 };

static int setup(void **state)
{
	(void)state;
	fake_reset(1);
	memset(&io, 0, sizeof(io));
	memset(&memory, 0, sizeof(memory));
	memset(&pcie, 0, sizeof(pcie));
	memory_bar = (struct bus_region){ .bytes = MEMORY_BYTES, .widest = 4, .access = touch };
	port_bar = (struct bus_region){ .bytes = PORT_BYTES, .widest = 4, .access = touch };
	if (pcie_init(&pcie, &io, &memory, &fake_vm.log_limit))
		return 1;
	pci_function_init(&device, &id, &ops);
	pci_add_bar(&device, 0, PCI_BAR_MEMORY, &memory_bar);
	pci_add_bar(&device, 2, PCI_BAR_IO, &port_bar);
	msix_init(&msix, &fake_vm, &device, 4, VECTORS);
	touched = fake_messages = 0;
	return pcie_attach(&pcie, &device);
}

static uint64_t ecam(unsigned devfn, unsigned at, unsigned bytes)
{
	uint64_t value = 0;

	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_ECAM_BASE + devfn * 4096 + at, bytes,
			       false, &value));
	return value;
}

static void ecam_write(unsigned at, unsigned bytes, uint64_t value)
{
	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_ECAM_BASE + 8 * 4096 + at, bytes, true,
			       &value));
}

static bool answers(struct bus *bus, uint64_t at)
{
	uint64_t value = 0;
	unsigned before = touched;

	bus_access(bus, &fake_vcpu[0], at, 4, true, &value);
	return touched != before;
}

static void functions_are_found(void **state)
{
	(void)state;
	assert_int_equal(ecam(0, PCI_CLASS, 1), 0);
	assert_int_equal(ecam(0, PCI_CLASS + 1, 2), 0x0600);
	assert_int_equal(ecam(8, 0, 4), 0x10411af4);
	assert_int_equal(ecam(8, 0, 1), 0xf4);
	assert_int_equal(ecam(8, 2, 2), 0x1041);
	assert_int_equal(ecam(8, 0, 8), 0x0010000310411af4ull); /* status, command, IDs */
	assert_int_equal(ecam(9, 0, 4), 0xffffffff);		/* no function 1 */
	assert_int_equal(ecam(16, 0, 2), 0xffff);		/* no device 2 */
	assert_int_equal(ecam(8, 0x100, 4), 0);			/* no extended capability */
	assert_int_equal(ecam(8, 0xff, 4), 0);
	assert_int_equal(ecam(8, 0x3d, 1), 0); /* no interrupt pin */
}

static void identity_cannot_be_changed(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 256; at += 4)
		if (at != PCI_COMMAND)
			ecam_write(at, 4, 0xffffffff);
	assert_int_equal(ecam(8, 0, 4), 0x10411af4);
	assert_int_equal(ecam(8, PCI_CLASS, 1), 0);
	assert_int_equal(ecam(8, PCI_CAPABILITIES, 1), 0x40);
	assert_int_equal(ecam(8, 0x3c, 4), 0xff);
	assert_int_equal(ecam(8, PCI_STATUS, 2), PCI_STATUS_CAPABILITIES);
	assert_int_equal(ecam(8, 0x40, 4), 0xc0000011 | (VECTORS - 1) << 16);
}

static void bars_tell_their_size(void **state)
{
	uint32_t old = (uint32_t)ecam(8, PCI_BAR0, 4);

	(void)state;
	assert_true(old >= GUEST_BAR_WINDOW && old % MEMORY_BYTES == 0);
	ecam_write(PCI_COMMAND, 2, 0);
	ecam_write(PCI_BAR0, 4, 0xffffffff);
	assert_int_equal(ecam(8, PCI_BAR0, 4), ~(MEMORY_BYTES - 1));
	ecam_write(PCI_BAR0 + 4, 4, 0xffffffff);
	assert_int_equal(ecam(8, PCI_BAR0 + 4, 4), 0);
	ecam_write(PCI_BAR0 + 8, 4, 0xffffffff);
	assert_int_equal(ecam(8, PCI_BAR0 + 8, 4), ~(PORT_BYTES - 1) | 1);
}

static void bars_move(void **state)
{
	uint64_t old = ecam(8, PCI_BAR0, 4);
	uint64_t port = ecam(8, PCI_BAR0 + 8, 4) & ~1ull;
	uint64_t other = GUEST_BAR_WINDOW + 0x1000000;

	(void)state;
	assert_true(answers(&memory, old));
	assert_true(answers(&io, port));
	ecam_write(PCI_BAR0, 4, other);
	assert_false(answers(&memory, old));
	assert_true(answers(&memory, other + MEMORY_BYTES - 4));
	ecam_write(PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_false(answers(&memory, other));
	assert_true(answers(&io, port));
	ecam_write(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(answers(&memory, other));
	assert_false(answers(&io, port));
	ecam_write(PCI_BAR0 + 1, 1, 0x60); /* bytes count as well */
	assert_true(answers(&memory, other + 0x6000));
}

static void bars_stay_in_their_windows(void **state)
{
	static const uint64_t outside[] = { 0,
					    0x100000,
					    GUEST_BAR_WINDOW - MEMORY_BYTES,
					    GUEST_BAR_END,
					    GUEST_IOAPIC_BASE,
					    0xffffe000 };

	(void)state;
	for (unsigned i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		ecam_write(PCI_BAR0, 4, outside[i]);
		assert_false(answers(&memory, outside[i]));
	}
	ecam_write(PCI_BAR0 + 8, 4, 0x3c0);
	assert_false(answers(&io, 0x3c0));
	ecam_write(PCI_BAR0 + 8, 4, 0x13c0);
	assert_true(answers(&io, 0x13c0));
	ecam_write(PCI_BAR0 + 8, 4, 0x113c0); /* beyond 16 bits */
	assert_false(answers(&io, 0x13c0));
}

static void overlapping_bars_do_no_harm(void **state)
{
	uint64_t table = ecam(8, PCI_BAR0 + 16, 4);
	uint64_t old = ecam(8, PCI_BAR0, 4);

	(void)state;
	ecam_write(PCI_BAR0, 4, table & ~(MEMORY_BYTES - 1ull));
	assert_false(answers(&memory, table & ~(MEMORY_BYTES - 1ull)));
	assert_int_equal(fake_log_lines, 1);
	ecam_write(PCI_BAR0, 4, old);
	assert_true(answers(&memory, old));
}

static void too_many_devices_are_refused(void **state)
{
	static struct pci_function more[PCI_DEVICES];

	(void)state;
	for (unsigned i = 2; i < PCI_DEVICES; i++) {
		pci_function_init(&more[i], &id, NULL);
		assert_int_equal(pcie_attach(&pcie, &more[i]), 0);
	}
	pci_function_init(&more[0], &id, NULL);
	assert_true(pcie_attach(&pcie, &more[0]) < 0);
}

static uint64_t table_at(unsigned offset)
{
	return ecam(8, PCI_BAR0 + 16, 4) + offset;
}

static void table_write(unsigned offset, uint64_t value, unsigned bytes)
{
	assert_true(bus_access(&memory, &fake_vcpu[0], table_at(offset), bytes, true, &value));
}

static uint64_t table_read(unsigned offset, unsigned bytes)
{
	uint64_t value = 0;

	assert_true(bus_access(&memory, &fake_vcpu[0], table_at(offset), bytes, false, &value));
	return value;
}

static void messages_wait_while_masked(void **state)
{
	(void)state;
	assert_int_equal(table_read(12, 4), 1); /* masked at first */
	for (unsigned i = 0; i < VECTORS; i++) {
		table_write(16 * i, 0xfee00000, 8);
		table_write(16 * i + 8, 0x40 + i, 4);
	}
	msix_raise(&msix, 1); /* MSI-X is off: lost */
	ecam_write(0x42, 2, 0x8000);
	assert_int_equal(fake_messages, 0);
	msix_raise(&msix, 1);
	msix_raise(&msix, VECTORS);
	assert_int_equal(table_read(0x800, 8), 2);
	table_write(16 + 12, 0xfffffffe, 4);
	assert_int_equal(table_read(16 + 12, 4), 0); /* reserved bits stay clear */
	assert_int_equal(fake_messages, 1);
	assert_int_equal(fake_message_data, 0x41);
	assert_int_equal(fake_message_address, 0xfee00000);
	assert_int_equal(table_read(0x800, 4), 0);
	msix_raise(&msix, 1);
	assert_int_equal(fake_messages, 2);
	ecam_write(0x42, 2, 0xc000); /* function mask */
	msix_raise(&msix, 1);
	assert_int_equal(fake_messages, 2);
	ecam_write(0x42, 2, 0x8000);
	assert_int_equal(fake_messages, 3);
}

static void odd_table_accesses_do_no_harm(void **state)
{
	uint64_t seed = 1;

	(void)state;
	for (unsigned i = 0; i < fake_rounds(20000); i++) {
		unsigned bytes = 1u << fake_random(&seed) % 4;
		unsigned at = (unsigned)(fake_random(&seed) % 4096);

		if (fake_random(&seed) % 2)
			table_read(at, bytes);
		else
			table_write(at, fake_random(&seed), bytes);
	}
	assert_int_equal(fake_messages, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(functions_are_found, setup),
		cmocka_unit_test_setup(identity_cannot_be_changed, setup),
		cmocka_unit_test_setup(bars_tell_their_size, setup),
		cmocka_unit_test_setup(bars_move, setup),
		cmocka_unit_test_setup(bars_stay_in_their_windows, setup),
		cmocka_unit_test_setup(overlapping_bars_do_no_harm, setup),
		cmocka_unit_test_setup(too_many_devices_are_refused, setup),
		cmocka_unit_test_setup(messages_wait_while_masked, setup),
		cmocka_unit_test_setup(odd_table_accesses_do_no_harm, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
