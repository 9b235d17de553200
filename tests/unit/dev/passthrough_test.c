/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: what of a passed-through function can a guest reach, and what of what it writes reaches the
 * function? Does the function come silent and reset, and leave so? */
#include "tests/unit/dev/fakes.h"

#include <stdio.h>

#include "hv/core/guest_map.h"
#include "hv/dev/ioapic.h"
#include "hv/dev/passthrough.h"
#include "hv/dev/pci_scan.h"
#include "hv/dev/vlapic.h"
#include "tests/unit/dev/fake_host.h"
#include "tests/unit/dev/fake_msi.h"
#include "tests/unit/dev/fake_pci.h"

#include <cmocka.h>

#define NIC	    0x10d38086u
#define SLOT	    8u /* devfn on the guest's bus */
#define REGISTERS   FAKE_DEVICE_BASE
#define TABLE_BAR   (FAKE_DEVICE_BASE + 0x40000)
#define TABLE_BYTES 0x4000u
#define PBA	    0x2000u
#define ENTRIES	    5u
#define GOOD	    0xfee00000ull
#define GSI	    11u
#define THEIR_MSI   0x48u /* add_nic() */
#define THEIR_MSIX  0x94u

static struct bus io, memory;
static struct pcie pcie;
static struct ioapic ioapic;
static struct passthroughs all;
static struct config config;
static struct fake_function *nic;
static unsigned interrupts;
static uint8_t interrupt_vector;
static bool refuse_later; /* the IOMMU, when the VM is made */

void apic_deliver(struct vm *vm, const struct apic_message *message)
{
	(void)vm;
	interrupts++;
	interrupt_vector = message->vector;
}

static void no_error(void *context, const struct config_error *error)
{
	(void)context;
	print_error("%s: %s: %s\n", error->node, error->property, error->text);
}

/* Words about what the function is told, among those of fake_host.c. */
static void written(struct fake_function *f, unsigned at, unsigned bytes)
{
	uint32_t value = fake_pci_get(f, at, bytes);

	if (f == nic && at == PCI_COMMAND)
		fake_did(value & PCI_COMMAND_MASTER ? "master-on" : "master-off");
	if (f->config[0x0e] == 1 && at == 0x3e)
		fake_did(value & 0x40 ? "bus-reset" : "bus-reset-end");
}

static void add_nic(uint8_t bus, unsigned flr)
{
	unsigned at;

	nic = fake_pci_add(bus, 0, 0, NIC);
	fake_pci_bar(nic, 0, REGISTERS, 0x20000, 0);
	fake_pci_bar(nic, 2, 0xc000, 0x20, 1);
	fake_pci_bar(nic, 3, TABLE_BAR, TABLE_BYTES, 0);
	fake_pci_set(nic, 0x3c, 2, 0x0100 | GSI);
	fake_pci_set(nic, 0x100, 4, 0x00010001);
	fake_pci_capability(nic, PCI_CAP_PM, 8);
	at = fake_pci_capability(nic, PCI_CAP_MSI, 14);
	fake_pci_set(nic, at + 2, 2, 0x80);
	memset(nic->writable + at + 4, 0xff, 10);
	nic->writable[at + 2] = 0x71;
	fake_pci_express(nic, EXPRESS_ENDPOINT, flr);
	at = fake_pci_capability(nic, PCI_CAP_MSIX, 12);
	fake_pci_set(nic, at + 2, 2, ENTRIES - 1);
	nic->writable[at + 3] = 0xc0;
	fake_pci_set(nic, at + 4, 4, 3);
	fake_pci_set(nic, at + 8, 4, PBA | 3);
	at = fake_pci_capability(nic, PCI_CAP_VENDOR, 16);
	fake_pci_set(nic, at + 2, 2, 0x5510);
	fake_pci_capability(nic, 0x03, 8); /* VPD */
}

static void begin(void)
{
	struct config_vm *vm = &config.vms[0];

	fake_reset(1);
	fake_pci_reset();
	fake_host_reset();
	memset(&io, 0, sizeof(io));
	memset(&memory, 0, sizeof(memory));
	memset(&pcie, 0, sizeof(pcie));
	memset(&ioapic, 0, sizeof(ioapic));
	memset(&all, 0, sizeof(all));
	memset(&config, 0, sizeof(config));
	fake_vm.config = vm;
	config.vm_count = 1;
	strcpy(vm->name, "vm");
	memset(vm->affinity, 0xff, sizeof(vm->affinity));
	vm->passthrough_count = 1;
	vm->passthroughs[0] = (struct config_passthrough){
		.name = "nic0", .vendor = 0x8086, .device = 0x10d3, .interrupt_gsi = -1
	};
	fake_messages = interrupts = 0;
	fake_config_written = written;
}

static int build(void)
{
	pci_scan();
	if (passthrough_check(&config, no_error, NULL) ||
	    pcie_init(&pcie, &io, &memory, &fake_vm.log_limit) ||
	    ioapic_init(&ioapic, &fake_vm, &memory))
		return 1;
	fake_attach_error = refuse_later ? LH_UNSUPP : 0;
	memset(fake_order, 0, sizeof(fake_order));
	return passthrough_create(&all, &fake_vm, &pcie, &ioapic);
}

static int setup(void **state)
{
	(void)state;
	begin();
	iommu = &fake_iommu_ops;
	add_nic(0, 1);
	return build();
}

static int teardown(void **state)
{
	(void)state;
	passthrough_destroy(&all);
	if (fake_remaps)
		print_error("%u remapping entries are left\n", fake_remaps);
	return fake_allocs != 0 || fake_remaps != 0;
}

static uint64_t get(unsigned at, unsigned bytes)
{
	uint64_t value = 0;

	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_ECAM_BASE + SLOT * 4096 + at, bytes,
			       false, &value));
	return value;
}

static void put(unsigned at, unsigned bytes, uint64_t value)
{
	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_ECAM_BASE + SLOT * 4096 + at, bytes,
			       true, &value));
}

static unsigned capability(unsigned id)
{
	unsigned at = (unsigned)get(PCI_CAPABILITIES, 1);

	while (at && get(at, 1) != id)
		at = (unsigned)get(at + 1, 1);
	return at;
}

static uint32_t command(void)
{
	return fake_pci_get(nic, PCI_COMMAND, 2);
}

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

static uint64_t device_access(uint64_t at, unsigned bytes, bool write, uint64_t value)
{
	assert_true(bus_access(&memory, &fake_vcpu[0], at, bytes, write, &value));
	return value;
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

static void entry_put(unsigned i, uint64_t address, uint32_t data, uint32_t control)
{
	uint64_t at = get(0x1c, 4) + i * 16;

	device_access(at + 12, 4, true, 1);
	device_access(at, 8, true, address);
	device_access(at + 8, 4, true, data);
	device_access(at + 12, 4, true, control);
}

static const uint32_t *hardware_entry(unsigned i)
{
	return (const uint32_t *)(fake_device + 0x40000) + i * 4;
}

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
	put(msix + 2, 2, 0);
	assert_int_equal(vectors_in_use(&irq), 1);
	assert_int_equal(hardware_entry(2)[3], 1);
	assert_int_equal(fake_remaps, 1);
	assert_int_equal(command() & PCI_COMMAND_INTX_OFF, 0);
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

static void it_leaves_in_order(void **state)
{
	(void)state;
	assert_non_null(strstr(fake_order, "domain-create "));
	assert_int_equal(fake_iommu_mapped, FAKE_RAM);
	put(PCI_COMMAND, 2, 6);
	memset(fake_order, 0, sizeof(fake_order));
	passthrough_destroy(&all);
	assert_string_equal(fake_order, "master-off master-off detach domain-destroy ");
	assert_int_equal(command(), 0x400);
	assert_true(fake_pin_masked[GSI]);
	assert_non_null(strstr(fake_journal, "60.2=8000\n")); /* function-level reset */
}

/* FLR, else the bus if it is alone there, else by its own register. */
static void the_best_reset_is_taken(void **state)
{
	static const struct {
		bool port, neighbour, own;
		unsigned flr;
		const char *order;
	} cases[] = {
		{ true, false, false, 1, "master-off master-off detach domain-destroy " },
		{ true, false, false, 0,
		  "master-off master-off bus-reset bus-reset-end detach domain-destroy " },
		{ true, true, true, 0, "master-off master-off detach domain-destroy " },
		{ false, false, true, 0, "master-off master-off detach domain-destroy " },
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
		assert_int_equal(err == 0, n == 3);
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
		CASE(messages_go_through_the_host),
		CASE(forged_messages_are_refused),
		CASE(msi_has_one_message),
		CASE(without_vectors_it_says_so_once),
		CASE(the_pin_waits_for_the_guest),
		CASE(it_leaves_in_order),
		CASE(configuration_comes_back),
		CASE(a_function_that_does_not_come_back_is_told),
		cmocka_unit_test(the_best_reset_is_taken),
		cmocka_unit_test(what_was_made_goes_again),
		cmocka_unit_test(without_an_iommu_memory_is_one_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
