/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: do a passed-through function's interrupts reach its guest, as the guest's masks, messages and
 * EOIs have it, and nobody else? */
#include "tests/unit/dev/passthrough_env.h"

#include "hv/core/host_ioapic.h"

static unsigned vectors_in_use(struct host_irq **last)
{
	unsigned n = 0;

	for (unsigned v = 0; v < 256; v++)
		if (fake_irq[v]) {
			*last = fake_irq[v];
			n++;
		}
	return n;
}

static void come_in(struct host_irq *irq)
{
	irq->ops->handle(irq);
}

/* The pin has a vector of its own: it is the first. */
static void messages_go_through_the_host(void **state)
{
	unsigned msix = capability(PCI_CAP_MSIX);
	struct host_irq *irq = NULL;

	(void)state;
	entry_put(2, GOOD, 0x55, 0);
	assert_int_equal(vectors_in_use(&irq), 1); /* MSI-X is off */
	put(msix + 2, 2, 0x8000);
	assert_int_equal(vectors_in_use(&irq), 2);
	assert_int_equal(fake_remaps, 2);
	assert_int_equal(hardware_entry(2)[0], 0xfee00010 | (unsigned)irq->vector << 5);
	assert_int_equal(hardware_entry(2)[3], 0);
	assert_int_equal(hardware_entry(0)[3], 1);
	assert_int_equal(hardware_entry(4)[3], 1);
	assert_int_equal(command() & PCI_COMMAND_INTX_OFF, PCI_COMMAND_INTX_OFF);
	come_in(irq);
	assert_int_equal(fake_messages, 1);
	assert_int_equal(fake_message_data, 0x55);
	entry_put(2, GOOD, 0x66, 1);
	come_in(irq);
	assert_int_equal(fake_messages, 1);
	assert_int_equal(device_access(get(0x1c, 4) + PBA, 4, false, 0), 1 << 2);
	device_access(get(0x1c, 4) + 2 * 16 + 12, 4, true, 0);
	assert_int_equal(fake_messages, 2);
	assert_int_equal(fake_message_data, 0x66);
	irq->ops->hold(irq, true);
	assert_int_equal(hardware_entry(2)[3], 1);
	irq->ops->hold(irq, false);
	irq->ops->cut_off(irq, true);
	assert_int_equal(fake_cut_off, irq->vector); /* its handle */
	irq->ops->cut_off(irq, false);
	assert_int_equal(fake_cut_off, -1);
	put(msix + 2, 2, 0);
	assert_int_equal(vectors_in_use(&irq), 1);
	assert_int_equal(hardware_entry(2)[3], 1);
	assert_int_equal(fake_remaps, 1);
	assert_int_equal(command() & PCI_COMMAND_INTX_OFF, 0);
}

static void all_vectors_count_as_one_device_s(void **state)
{
	struct host_irq *last = NULL;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		entry_put(i, GOOD, 0x55, 0);
	put(capability(PCI_CAP_MSIX) + 2, 2, 0x8000);
	assert_int_equal(vectors_in_use(&last), 4); /* with the pin */
	assert_non_null(last->window);
	for (unsigned v = 0; v < 256; v++)
		if (fake_irq[v])
			assert_ptr_equal(fake_irq[v]->window, last->window);
}

static void forged_messages_are_refused(void **state)
{
	static const struct {
		uint64_t address;
		uint32_t data;
	} forged[] = {
		{ 0x100000, 0x55 },
		{ GOOD | 0x7f000, 0x55 },
		{ 1ull << 32 | GOOD, 0x55 },
		{ GOOD, 0x400 | 0x55 },
		{ GOOD, 0x500 },
		{ GOOD, 0x200 | 0x55 },
		{ GOOD, 0x700 | 0x55 },
		{ GOOD, 3 },
		{ 0xfec00000, 0x55 },
	};
	struct host_irq *irq = NULL;

	(void)state;
	put(capability(PCI_CAP_MSIX) + 2, 2, 0x8000);
	for (unsigned i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		unsigned lines = fake_log_lines;

		entry_put(1, GOOD, 0x55, 0);
		assert_int_equal(vectors_in_use(&irq), 2);
		entry_put(1, forged[i].address, forged[i].data, 0);
		assert_int_equal(vectors_in_use(&irq), 1);
		assert_int_equal(hardware_entry(1)[3], 1);
		assert_int_equal(fake_log_lines, lines + 1);
	}
}

static void msi_has_one_message(void **state)
{
	unsigned msi = capability(PCI_CAP_MSI);
	struct host_irq *irq = NULL;

	(void)state;
	assert_int_equal(get(msi + 2, 2), 0x80);
	put(msi + 4, 4, GOOD);
	put(msi + 12, 2, 0x44);
	assert_int_equal(vectors_in_use(&irq), 1);
	put(msi + 2, 2, 0xffff);
	assert_int_equal(get(msi + 2, 2), 0x81);
	assert_int_equal(vectors_in_use(&irq), 2);
	assert_int_equal(fake_pci_get(nic, THEIR_MSI + 2, 2), 0x81);
	assert_int_equal(fake_pci_get(nic, THEIR_MSI + 4, 4),
			 0xfee00010 | (unsigned)irq->vector << 5);
	come_in(irq);
	assert_int_equal(fake_messages, 1);
	assert_int_equal(fake_message_data, 0x44);
	irq->ops->hold(irq, true);
	assert_int_equal(fake_pci_get(nic, THEIR_MSI + 2, 2), 0x80);
	irq->ops->hold(irq, false);
	assert_int_equal(fake_pci_get(nic, THEIR_MSI + 2, 2), 0x81);
	put(msi + 12, 2, 0x444); /* an NMI */
	assert_int_equal(vectors_in_use(&irq), 1);
	assert_int_equal(fake_pci_get(nic, THEIR_MSI + 2, 2), 0x80);
	put(msi + 2, 2, 0);
}

static void without_vectors_it_says_so_once(void **state)
{
	struct host_irq *irq = NULL;

	(void)state;
	fake_irq_left = 1;
	put(capability(PCI_CAP_MSIX) + 2, 2, 0x8000);
	for (unsigned i = 0; i < 3; i++)
		for (unsigned n = 0; n < ENTRIES; n++)
			entry_put(n, GOOD, 0x50 + n, 0);
	assert_int_equal(vectors_in_use(&irq), 2);
	fake_irq_left = 100;
	entry_put(3, GOOD, 0x53, 0);
	assert_int_equal(vectors_in_use(&irq), 2);
}

static void ioapic_put(unsigned reg, uint32_t value)
{
	device_access(GUEST_IOAPIC_BASE, 4, true, reg);
	device_access(GUEST_IOAPIC_BASE + 0x10, 4, true, value);
}

static void the_pin_waits_for_the_guest(void **state)
{
	const unsigned pin = GUEST_PIN_FIRST + SLOT / 8;
	struct host_irq *irq = NULL;

	(void)state;
	assert_int_equal(vectors_in_use(&irq), 1);
	assert_int_equal(fake_redirection[GSI] & 0xff, irq->vector);
	assert_false(fake_pin_masked[GSI]);
	come_in(irq); /* before the guest is ready */
	assert_true(fake_pin_masked[GSI]);
	assert_int_equal(interrupts, 0);
	ioapic_put(0x10 + 2 * pin, 1 << 15 | 0x61);
	assert_int_equal(interrupts, 1);
	assert_int_equal(interrupt_vector, 0x61);
	assert_true(fake_pin_masked[GSI]);
	ioapic_eoi(&ioapic, 0x60);
	assert_true(fake_pin_masked[GSI]);
	ioapic_eoi(&ioapic, 0x61);
	assert_false(fake_pin_masked[GSI]);
	assert_int_equal(interrupts, 1);
	come_in(irq); /* the device wants it still */
	assert_int_equal(interrupts, 2);
	irq->ops->hold(irq, true);
	ioapic_eoi(&ioapic, 0x61);
	assert_true(fake_pin_masked[GSI]);
	irq->ops->hold(irq, false);
	assert_false(fake_pin_masked[GSI]);
}

/* It has messages: no vector is left for its pin. */
static void without_a_pin_it_goes_on(void **state)
{
	struct host_irq *irq = NULL;

	(void)state;
	passthrough_destroy(&all);
	begin();
	iommu = &fake_iommu_ops;
	add_nic(0, 1);
	fake_irq_left = 0;
	assert_int_equal(build(), 0);
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(vectors_in_use(&irq), 0);
	assert_true(host_ioapic_free(GSI));
}

/* Without an IOMMU an APIC ID has 8 bits, of which the last names all CPUs. */
static void far_cpus_are_refused(void **state)
{
	for (unsigned id = 254; id <= 255; id++) {
		passthrough_destroy(&all);
		begin();
		add_nic(0, 1);
		config.vms[0].allow_unsafe_dma = true;
		cpus[0]->apic_id = id;
		assert_int_equal(build(), 0);
		assert_int_equal(get(PCI_INTERRUPT_PIN, 1), id == 254);
		assert_int_equal(fake_redirection[GSI] >> 56, id == 254 ? 254 : 0);
	}
	(void)state;
	cpus[0]->apic_id = 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(messages_go_through_the_host),
		CASE(far_cpus_are_refused),
		CASE(all_vectors_count_as_one_device_s),
		CASE(forged_messages_are_refused),
		CASE(msi_has_one_message),
		CASE(without_vectors_it_says_so_once),
		CASE(the_pin_waits_for_the_guest),
		CASE(without_a_pin_it_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
