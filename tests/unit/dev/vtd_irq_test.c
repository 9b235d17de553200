/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts and faults of VT-d: has an entry the bits of the specification, is it its device's
 * alone, gone when it is freed; does a fault read as what it was, is each told once and counted?
 */
#include "tests/unit/dev/vtd_sim.h"

#include <cmocka.h> /* last: it has a macro fail() */

#define NIC ((struct pci_address){ 3, 0x08 }) /* 03:01.0 */

static int setup(void **state)
{
	(void)state;
	sim_reset();
	return 0;
}

static void message_of_a_device(void **state)
{
	struct msi_message message;
	int a, b;

	(void)state;
	assert_int_equal(sim_start(2), 0);
	a = vtd_ops.irq_alloc(NIC, 0x31, 2, &message);
	assert_true(a >= 0);
	b = vtd_ops.irq_alloc(NIC, 0x32, 254, &message);
	assert_true(b >= 0 && b != a);
	/* xAPIC: destination in bits 15:8 of the field; SVT 1, SQ 0 */
	assert_int_equal(sim_irte(0, (unsigned)a).lo, 2ull << 40 | 0x310001);
	assert_int_equal(sim_irte(0, (unsigned)a).hi, 1 << 18 | 0x0308);
	assert_int_equal(sim_irte(1, (unsigned)b).lo, 254ull << 40 | 0x320001);
	assert_int_equal(message.address, 0xfee00010 | (unsigned)b << 5);
	assert_int_equal(message.data, 0);
	assert_int_equal(sim[0].irta & 0x800, 0);
	assert_int_equal(vtd_ops.irq_alloc(NIC, 0x33, 255, &message), LH_UNSUPP);
}

static void extended_interrupt_mode(void **state)
{
	struct msi_message message;
	int handle;

	(void)state;
	sim_x2apic = true;
	sim[0].ecap |= ECAP_EIM;
	sim[1].ecap |= ECAP_EIM;
	assert_int_equal(sim_start(2), 0);
	assert_int_equal(sim[0].irta & 0x80f, 0x807);
	handle = vtd_ops.irq_alloc(NIC, 0x31, 0x12345, &message);
	assert_int_equal(sim_irte(0, (unsigned)handle).lo, 0x12345ull << 32 | 0x310001);

	sim_reset(); /* one that has it not is enough; so is a CPU in xAPIC mode */
	sim_x2apic = true;
	sim[0].ecap |= ECAP_EIM;
	assert_int_equal(sim_start(2), 0);
	assert_int_equal(sim[0].irta & 0x800, 0);
	sim_reset();
	sim[0].ecap |= ECAP_EIM;
	assert_int_equal(sim_start(1), 0);
	assert_int_equal(sim[0].irta & 0x800, 0);
}

static void pin_of_the_ioapic(void **state)
{
	uint64_t redirection;
	struct msi_message message;
	int handle;

	(void)state;
	assert_int_equal(sim_start(1), 0);
	assert_true(vtd_ops.irq_alloc(NIC, 0x30, 0, &message) == 0);
	handle = vtd_ops.irq_alloc_pin(8, 0x41, 1, true, &redirection);
	assert_int_equal(handle, 1);
	assert_int_equal(sim_irte(0, 1).lo, 1ull << 40 | 0x410011); /* TM: level */
	assert_int_equal(sim_irte(0, 1).hi, 1 << 18 | 0xff00);
	assert_int_equal(redirection, 1ull << 49 | 1ull << 48 | 1 << 16 | 1 << 15 | 0x41);
	handle = vtd_ops.irq_alloc_pin(8, 0x42, 1, false, &redirection);
	assert_int_equal(redirection, 2ull << 49 | 1ull << 48 | 1 << 16 | 0x42);
	assert_int_equal(vtd_ops.irq_alloc_pin(9, 0x42, 1, false, &redirection), LH_NOENT);
	assert_log("does not name the I/O APIC with ID 9");
	assert_true(vtd_ops.has_ioapic(8));
	assert_false(vtd_ops.has_ioapic(9));
	vtd_ops.irq_free(handle);
}

/* Still somebody's: no other gets it. */
static void cut_off(void **state)
{
	struct msi_message message;
	struct vtd_entry whole;
	int handle;

	(void)state;
	assert_int_equal(sim_start(1), 0);
	handle = vtd_ops.irq_alloc(NIC, 0x30, 0, &message);
	whole = sim_irte(0, (unsigned)handle);
	for (unsigned on = 2; on-- > 0;) {
		unsigned from = sim[0].seen_count;

		vtd_ops.irq_cut_off(handle, on);
		assert_int_equal(sim_irte(0, (unsigned)handle).lo,
				 on ? (whole.lo & ~1ull) | 2 : whole.lo); /* P, FPD */
		assert_int_equal(sim_irte(0, (unsigned)handle).hi, whole.hi);
		assert_true(sim_saw(0, from, 0x14 | (uint64_t)handle << 32));
		if (on)
			assert_int_not_equal(vtd_ops.irq_alloc(NIC, 0x31, 0, &message), handle);
	}
}

static void freed(void **state)
{
	struct msi_message message;
	unsigned from[SIM_UNITS];
	int handle;

	(void)state;
	assert_int_equal(sim_start(2), 0);
	assert_int_equal(vtd_ops.irq_alloc(NIC, 0x30, 0, &message), 0);
	handle = vtd_ops.irq_alloc(NIC, 0x31, 0, &message);
	for (unsigned i = 0; i < SIM_UNITS; i++)
		from[i] = sim[i].seen_count;
	vtd_ops.irq_free(handle);
	assert_int_equal(sim_irte(0, (unsigned)handle).lo | sim_irte(0, (unsigned)handle).hi, 0);
	for (unsigned i = 0; i < SIM_UNITS; i++) /* the table is both units' */
		assert_true(sim_saw(i, from[i], 0x14 | (uint64_t)handle << 32));
	assert_int_equal(vtd_ops.irq_alloc(NIC, 0x31, 0, &message), handle);
}

static void as_many_as_there_are(void **state)
{
	struct msi_message message;

	(void)state;
	assert_int_equal(sim_start(1), 0);
	for (int i = 0; i < 256; i++)
		assert_int_equal(vtd_ops.irq_alloc(NIC, 0x31, 0, &message), i);
	assert_int_equal(message.address, 0xfee00010 | 255 << 5);
	assert_int_equal(vtd_ops.irq_alloc(NIC, 0x31, 0, &message), LH_NOMEM);
	vtd_ops.irq_free(77);
	assert_int_equal(vtd_ops.irq_alloc(NIC, 0x31, 0, &message), 77);
}

/* --- faults --- */

static void faults_in_words(void **state)
{
	(void)state;
	assert_int_equal(sim_start(2), 0);
	sim_fault(0, 0x0010, 2, true, 0x12345000);
	sim_fault(0, 0x0308, 5, false, 0xfffffffff000);
	sim_fault(1, 0x0309, 0x26, false, 0x00070000ull << 32);
	sim_fault(1, 0x030a, 0x77, true, 0x1000);
	vtd_ops.poll_faults();
	assert_log("iommu: 00:02.0 reads 0x12345000: blocked: it is not assigned (0x2)\n");
	assert_log("iommu: 03:01.0 writes 0xfffffffff000: blocked: its page tables allow no write "
		   "there "
		   "(0x5)\n");
	assert_log("iommu: 03:01.1 sends an interrupt, handle 7: blocked: the handle is another "
		   "device's (0x26)\n");
	assert_log("iommu: 03:01.2 reads 0x1000: blocked: reason unknown (0x77)\n");
	sim_log[0] = 0;
	vtd_ops.poll_faults(); /* each once */
	assert_int_equal(sim_log[0], 0);
	assert_int_equal(vtd_ops.faults(NIC), 1);
	assert_int_equal(vtd_ops.faults((struct pci_address){ 9, 9 }), 0);
}

static void atomic_and_page_requests(void **state)
{
	(void)state;
	assert_int_equal(sim_start(1), 0);
	sim_fault(0, 0x0308, 6, true, 0x1000);
	sim[0].record[0].hi |= BIT(28);
	sim_fault(0, 0x0308, 5, false, 0x2000);
	sim[0].record[1].hi |= BIT(28);
	vtd_ops.poll_faults();
	assert_log("03:01.0 changes 0x1000: ");
	assert_log("03:01.0 asks for a page 0x2000: ");
}

static void records_in_turn(void **state)
{
	struct pci_address device = { 5, 0 };
	uint64_t before = vtd_ops.faults(device);

	(void)state;
	assert_int_equal(sim_start(1), 0);
	for (unsigned round = 0; round < 7; round++) { /* begins at another record each time */
		for (unsigned i = 0; i < 3; i++)
			sim_fault(0, 0x0500, 1, false, (uint64_t)(3 * round + i) << 12);
		vtd_ops.poll_faults();
	}
	assert_int_equal(vtd_ops.faults(device), before + 21);
	assert_log("05:00.0 writes 0x14000: blocked: no device of its bus is assigned (0x1)\n");
	assert_null(strstr(sim_log, "more faults"));
}

static void overflow(void **state)
{
	struct pci_address device = { 6, 0 };

	(void)state;
	assert_int_equal(sim_start(1), 0);
	for (unsigned i = 0; i < 6; i++)
		sim_fault(0, 0x0600, 1, false, (uint64_t)i << 12);
	vtd_ops.poll_faults();
	assert_int_equal(vtd_ops.faults(device), SIM_RECORDS);
	assert_log("iommu: more faults than the unit at 0xfed90000 can record\n");
	assert_int_equal(sim[0].fsts & FSTS_PFO, 0);
	sim_fault(0, 0x0600, 1, false, 0x9000); /* records again */
	vtd_ops.poll_faults();
	assert_log("06:00.0 writes 0x9000: ");
}

/* More devices than the table of them has room for: told, and counted under one of them. */
static void many_devices(void **state)
{
	(void)state;
	assert_int_equal(sim_start(1), 0);
	for (unsigned i = 0; i < 100; i++) {
		sim_fault(0, (uint16_t)(0x8000 + i), 1, false, 0x1000);
		vtd_ops.poll_faults();
		sim_log[0] = i < 99 ? 0 : sim_log[0];
	}
	assert_log("80:0c.3 writes 0x1000: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(message_of_a_device, setup),
		cmocka_unit_test_setup(extended_interrupt_mode, setup),
		cmocka_unit_test_setup(pin_of_the_ioapic, setup),
		cmocka_unit_test_setup(cut_off, setup),
		cmocka_unit_test_setup(freed, setup),
		cmocka_unit_test_setup(as_many_as_there_are, setup),
		cmocka_unit_test_setup(faults_in_words, setup),
		cmocka_unit_test_setup(atomic_and_page_requests, setup),
		cmocka_unit_test_setup(records_in_turn, setup),
		cmocka_unit_test_setup(overflow, setup),
		cmocka_unit_test_setup(many_devices, setup),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	sim_reset(); /* frees */
	return failed;
}
