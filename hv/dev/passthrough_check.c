/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which function of the machine each passthrough node is, and whether it can be had. Nodes by address
 * choose first; those by vendor and device take the first such function that is left, in the order of
 * the file.
 */
#include <stddef.h>
#include <string.h>

#include "hv/core/elf.h"
#include "hv/core/guest_map.h"
#include "hv/core/host_ioapic.h"
#include "hv/core/images.h"
#include "hv/core/log.h"
#include "hv/core/paging.h"
#include "hv/core/pmm.h"
#include "hv/core/screen.h"
#include "hv/dev/iommu.h"
#include "hv/dev/passthrough_impl.h"
#include "hv/dev/pci_reset.h"
#include "hv/dev/pci_virtio.h"

#define NETWORK_CLASS 0x02u
#define BAR_MOST      ((GUEST_BAR_END - GUEST_BAR_WINDOW) / 2)
/* At most, of a VM's other devices, which come first */
#define OWN_MEMORY    0x400000u
#define OWN_PORTS     0x1000u

struct check {
	config_error_fn *report;
	void *context;
	unsigned errors;
	const struct config_vm *vm; /* whose node it is */
	const struct config_passthrough *node;
	uint64_t next_memory, next_io; /* check_room(): of the VM's bus */
};

static void wrong(struct check *c, const char *property, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void vm_wrong(struct check *c, const char *property, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Its node is there. */
static void tell(struct check *c, struct config_error *error, const char *property, const char *fmt,
		 __builtin_va_list ap)
{
	snprintf(error->property, sizeof(error->property), "%s", property);
	vsnprintf(error->text, sizeof(error->text), fmt, ap);
	c->errors++;
	c->report(c->context, error);
}

static void wrong(struct check *c, const char *property, const char *fmt, ...)
{
	struct config_error error;
	__builtin_va_list ap;

	snprintf(error.node, sizeof(error.node), "/vms/%s/%s", c->vm->name, c->node->name);
	__builtin_va_start(ap, fmt);
	tell(c, &error, property, fmt, ap);
	__builtin_va_end(ap);
}

/* With the VM itself, not with one of its devices. */
static void vm_wrong(struct check *c, const char *property, const char *fmt, ...)
{
	struct config_error error;
	__builtin_va_list ap;

	snprintf(error.node, sizeof(error.node), "/vms/%s", c->vm->name);
	__builtin_va_start(ap, fmt);
	tell(c, &error, property, fmt, ap);
	__builtin_va_end(ap);
}

static const char *chosen_by(const struct check *c)
{
	return c->node->by_address ? "pci-address" : "pci-id";
}

static bool can_be_had(const struct host_function *f)
{
	return f->header == PCI_HEADER_ENDPOINT && f->class_code >> 16 != PCI_CLASS_BRIDGE;
}

/* NICs first: they are what is looked for. As many as the text has room for. */
static void list_functions(char *out, size_t room)
{
	size_t fill = 0;

	out[0] = '\0';
	for (unsigned others = 0; others < 2; others++)
		for (unsigned i = 0; i < host_function_count; i++) {
			const struct host_function *f = &host_functions[i];
			bool nic = f->class_code >> 16 == NETWORK_CLASS;

			if (!can_be_had(f) || nic == others || room - fill < 24)
				continue;
			fill += (size_t)snprintf(out + fill, room - fill,
						 "%s" PCI_ADDRESS_FORMAT " %04x:%04x",
						 fill ? ", " : "", PCI_ADDRESS_ARGS(f->address),
						 f->vendor, f->device);
		}
}

static void absent(struct check *c)
{
	const struct config_passthrough *n = c->node;
	const struct pci_address at = { n->bus, n->devfn };
	char there[128];

	list_functions(there, sizeof(there));
	if (n->by_address)
		wrong(c, "pci-address",
		      "there is no PCI function " PCI_ADDRESS_FORMAT " in this machine. It has %s",
		      PCI_ADDRESS_ARGS(at), there);
	else
		wrong(c, "pci-id",
		      "there is no PCI function %04x:%04x in this machine that no other "
		      "node has. It has %s",
		      n->vendor, n->device, there);
}

static struct host_function *find(const struct config_passthrough *n)
{
	if (n->by_address)
		return host_function_at((struct pci_address){ n->bus, n->devfn });
	for (unsigned i = 0; i < host_function_count; i++) {
		struct host_function *f = &host_functions[i];

		if (f->vendor == n->vendor && f->device == n->device && !f->node)
			return f;
	}
	return NULL;
}

static void choose(struct check *c)
{
	struct host_function *f = find(c->node);

	if (!f) {
		absent(c);
	} else if (!can_be_had(f)) {
		wrong(c, chosen_by(c),
		      PCI_ADDRESS_FORMAT " is a bridge, or a part of the machine "
					 "itself: name a device",
		      PCI_ADDRESS_ARGS(f->address));
	} else if (f->node) {
		wrong(c, chosen_by(c), PCI_ADDRESS_FORMAT " is that of %s/%s already: name another",
		      PCI_ADDRESS_ARGS(f->address), f->vm->name, f->node->name);
	} else {
		f->vm = c->vm;
		f->node = c->node;
	}
}

/* Functions that an IOMMU cannot tell apart are one VM's; those of nobody are silent. */
static void check_group(struct check *c, const struct host_function *f)
{
	const struct host_group group = host_group_of(f);

	for (unsigned i = 0; i < host_function_count; i++) {
		const struct host_function *other = &host_functions[i];
		const struct host_group its = host_group_of(other);

		if (!other->node || other->vm == c->vm || its.bus != group.bus ||
		    its.devfn != group.devfn || its.whole_bus != group.whole_bus)
			continue;
		wrong(c, chosen_by(c),
		      PCI_ADDRESS_FORMAT " and " PCI_ADDRESS_FORMAT
					 " of vm %s share %s, where they "
					 "can reach each other: give both to one VM",
		      PCI_ADDRESS_ARGS(f->address), PCI_ADDRESS_ARGS(other->address),
		      other->vm->name, group.whole_bus ? "a bus" : "a device");
		return;
	}
}

/* Mapped once, for as long as the core runs. */
static void map_bar(struct check *c, const struct host_function *f, unsigned i,
		    struct host_bar *bar)
{
	const unsigned before = c->errors;
	char clash[64];

	if (bar->base == 0)
		wrong(c, chosen_by(c),
		      PCI_ADDRESS_FORMAT
		      ": firmware gave BAR %u no address: look for a setting there",
		      PCI_ADDRESS_ARGS(f->address), i);
	else if (bar->bytes > BAR_MOST)
		wrong(c, chosen_by(c),
		      PCI_ADDRESS_FORMAT ": BAR %u has %llu MiB, a VM has room for %llu",
		      PCI_ADDRESS_ARGS(f->address), i, (unsigned long long)(bar->bytes >> 20),
		      (unsigned long long)(BAR_MOST >> 20));
	else if (pass_bar_clash(f, i, clash, sizeof(clash)))
		wrong(c, chosen_by(c),
		      PCI_ADDRESS_FORMAT ": BAR %u at 0x%llx %s: firmware or device is at fault, "
					 "name another",
		      PCI_ADDRESS_ARGS(f->address), i, (unsigned long long)bar->base, clash);
	else if (bar->kind == PCI_BAR_MEMORY)
		bar->mmio = map_device(bar->base, bar->bytes);
	if (bar->kind == PCI_BAR_MEMORY && !bar->mmio && c->errors == before)
		wrong(c, chosen_by(c), PCI_ADDRESS_FORMAT ": BAR %u is where no memory can be",
		      PCI_ADDRESS_ARGS(f->address), i);
}

static void check_bars(struct check *c, struct host_function *f)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (f->bar[i].kind != PCI_BAR_NONE)
			map_bar(c, f, i, &f->bar[i]);
}

/* Its BARs behind those of the VM's nodes before it, as pcie_attach() places them. */
static void check_room(struct check *c, const struct host_function *f)
{
	if (c->node == c->vm->passthroughs) {
		c->next_memory = GUEST_BAR_WINDOW + OWN_MEMORY;
		c->next_io = GUEST_IO_WINDOW + OWN_PORTS;
	}
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const bool io = f->bar[i].kind == PCI_BAR_IO;
		const uint64_t end = io ? GUEST_IO_END : GUEST_BAR_END, bytes = f->bar[i].bytes;
		uint64_t *next = io ? &c->next_io : &c->next_memory;

		if (f->bar[i].kind == PCI_BAR_NONE || bytes > BAR_MOST)
			continue;
		*next = pci_place_bar(*next, bytes) + bytes;
		if (*next <= end)
			continue;
		wrong(c, chosen_by(c),
		      PCI_ADDRESS_FORMAT ": the VM has no room for its BAR %u: all its devices "
					 "need more than the %llu KiB of %s: give it fewer of them",
		      PCI_ADDRESS_ARGS(f->address), i,
		      (unsigned long long)(end - (io ? GUEST_IO_WINDOW : GUEST_BAR_WINDOW)) >> 10,
		      io ? "ports" : "memory addresses");
		return;
	}
}

static struct host_function *chosen(const struct check *c)
{
	for (unsigned i = 0; i < host_function_count; i++)
		if (host_functions[i].node == c->node)
			return &host_functions[i];
	return NULL;
}

/* Of all, before any is reset. */
static void check_places(struct check *c)
{
	struct host_function *f = chosen(c);

	if (!f)
		return;
	check_bars(c, f);
	check_room(c, f);
	pass_msix_read(f);
	f->past_iommu = virtio_bypasses_iommu(f);
}

/* Another that cannot do without that input. */
static const struct host_function *rival(const struct host_function *f, int input)
{
	for (unsigned i = 0; i < host_function_count; i++) {
		const struct host_function *other = &host_functions[i];

		if (other != f && other->node && other->pin && !pass_has_messages(other) &&
		    pass_pin_input(other) == input)
			return other;
	}
	return NULL;
}

/* Whether interrupts that come in by the input, which is free, reach a CPU. */
static bool passes_iommu(const struct check *c, unsigned input)
{
	uint8_t id;
	bool passes;

	if (!iommu)
		return true;
	if (host_ioapic_take(input, c->vm->name, &id) < 0)
		return false;
	passes = iommu->has_ioapic(id);
	host_ioapic_give_back(input);
	return passes;
}

/* Nothing is taken yet. One that has messages leaves its pin to one that has none. */
static void check_pin(struct check *c, struct host_function *f)
{
	const int input = f->pin ? pass_pin_input(f) : -1;
	const struct host_function *other = input < 0 ? NULL : rival(f, input);

	if (pass_has_messages(f)) {
		if (other)
			f->pin = 0;
	} else if (f->pin && input < 0) {
		wrong(c, "interrupt-gsi",
		      PCI_ADDRESS_FORMAT " has INTx only, and firmware does not tell the input of "
					 "an I/O APIC that it leads to: give it",
		      PCI_ADDRESS_ARGS(f->address));
	} else if (f->pin && !host_ioapic_free((unsigned)input)) {
		wrong(c, "interrupt-gsi",
		      PCI_ADDRESS_FORMAT " has INTx only, and no I/O APIC has the input %d "
					 "that %s: give the right one",
		      PCI_ADDRESS_ARGS(f->address), input,
		      c->node->interrupt_gsi < 0 ? "firmware tells" : "is given here");
	} else if (f->pin && !passes_iommu(c, (unsigned)input)) {
		wrong(c, chosen_by(c),
		      PCI_ADDRESS_FORMAT
		      " has INTx only, at input %d of an I/O APIC that the table "
		      "DMAR does not name: the IOMMU lets nothing of it through: "
		      "name another device",
		      PCI_ADDRESS_ARGS(f->address), input);
	} else if (other) {
		wrong(c, "interrupt-gsi",
		      PCI_ADDRESS_FORMAT " and " PCI_ADDRESS_FORMAT
					 " have INTx only, both at input %d: "
					 "name one of them, or one that has MSI",
		      PCI_ADDRESS_ARGS(f->address), PCI_ADDRESS_ARGS(other->address), input);
	}
}

static void check_attach(struct check *c, const struct host_function *f)
{
	struct iommu_domain *domain = iommu->domain_create();

	if (!domain || iommu->attach(domain, f->address) < 0)
		wrong(c, chosen_by(c),
		      "the IOMMU cannot confine " PCI_ADDRESS_FORMAT ", see above: "
		      "name another",
		      PCI_ADDRESS_ARGS(f->address));
	else
		iommu->detach(f->address);
	if (domain)
		iommu->domain_destroy(domain);
}

/* The addresses that a VM's devices take are its own, or the host's: of all of them. */
static void check_mixture(struct check *c, const struct host_function *f)
{
	for (unsigned i = 0; i < host_function_count; i++)
		if (host_functions[i].vm == c->vm && !host_functions[i].past_iommu) {
			wrong(c, chosen_by(c),
			      PCI_ADDRESS_FORMAT " goes past the IOMMU, " PCI_ADDRESS_FORMAT
						 " does not: give them to two VMs",
			      PCI_ADDRESS_ARGS(f->address),
			      PCI_ADDRESS_ARGS(host_functions[i].address));
			return;
		}
}

/* Whether an IOMMU takes it, before anything is made. It says why not: it is not below one, or
 * firmware keeps memory for it. */
static void check_iommu(struct check *c, const struct host_function *f)
{
	if (iommu && host_is_conventional(f))
		wrong(c, chosen_by(c),
		      PCI_ADDRESS_FORMAT
		      " is on a conventional bus, where the IOMMU cannot tell it "
		      "from others: name another device",
		      PCI_ADDRESS_ARGS(f->address));
	else if (iommu && !f->past_iommu)
		check_attach(c, f);
	else if (iommu && c->vm->allow_unsafe_dma)
		check_mixture(c, f);
	else if (iommu)
		wrong(c, chosen_by(c),
		      PCI_ADDRESS_FORMAT " is a virtio device that goes past the IOMMU and could "
					 "read and write all memory: give it iommu_platform=on, "
					 "or accept that by allow-unsafe-dma; in the VM",
		      PCI_ADDRESS_ARGS(f->address));
	else if (!c->vm->allow_unsafe_dma)
		wrong(c, chosen_by(c),
		      "this machine has no IOMMU, so that " PCI_ADDRESS_FORMAT
		      " could read and write all memory: switch it on in the firmware, or accept "
		      "that by allow-unsafe-dma; in the VM",
		      PCI_ADDRESS_ARGS(f->address));
}

/* What a VM whose devices no IOMMU confines must be. */
static void check_unsafe(struct check *c, const struct handover_image *kernel)
{
	if (c->vm->memory_mib > GUEST_HIGH_RAM_END >> 20)
		vm_wrong(c, "memory-mib",
			 "without an IOMMU for its devices the VM's memory must be one piece, of "
			 "%llu MiB at most: lower it",
			 GUEST_HIGH_RAM_END >> 20);
	if (kernel && !elf64_adds_dma_offset(hpa_to_ptr((hpa_t){ kernel->addr }), kernel->bytes))
		vm_wrong(c, "kernel",
			 "%s cannot drive devices without an IOMMU, as no Linux can: take the "
			 "bundled driver domain (netd.elf), or a machine with one",
			 c->vm->kernel);
}

/* By name: the VM may be another config's. */
static bool is_unconfined(const struct config_vm *vm)
{
	for (unsigned i = 0; i < host_function_count; i++) {
		const struct host_function *f = &host_functions[i];

		if (f->node && !strcmp(f->vm->name, vm->name) && (!iommu || f->past_iommu))
			return true;
	}
	return false;
}

unsigned passthrough_check_vm(const struct config_vm *vm, const struct handover_image *kernel,
			      config_error_fn *report, void *context)
{
	struct check c = { .report = report, .context = context, .vm = vm };

	if (vm->allow_unsafe_dma && is_unconfined(vm))
		check_unsafe(&c, kernel);
	return c.errors;
}

/* A graphics card is the VM's alone. */
static void release_screen(const struct host_function *f)
{
	for (unsigned i = 0; i < PCI_BARS; i++)
		if (f->bar[i].kind == PCI_BAR_MEMORY)
			screen_release(f->bar[i].base, f->bar[i].bytes);
}

static void check_chosen(struct check *c)
{
	struct host_function *f = chosen(c);

	if (!f)
		return;
	check_iommu(c, f);
	if (c->node == c->vm->passthroughs)
		c->errors += passthrough_check_vm(c->vm, image_find(c->vm->kernel, false),
						  c->report, c->context);
	check_group(c, f);
	check_pin(c, f);
	if (c->errors)
		return;
	release_screen(f);
	reset_save(f);
	reset_begin(f, false);
}

static void for_each_node(const struct config *config, struct check *c,
			  void (*step)(struct check *))
{
	for (unsigned i = 0; i < config->vm_count; i++)
		for (unsigned j = 0; j < config->vms[i].passthrough_count; j++) {
			c->vm = &config->vms[i];
			c->node = &c->vm->passthroughs[j];
			step(c);
		}
}

static void choose_by_address(struct check *c)
{
	if (c->node->by_address)
		choose(c);
}

static void choose_by_id(struct check *c)
{
	if (!c->node->by_address)
		choose(c);
}

unsigned passthrough_check(const struct config *config, config_error_fn *report, void *context)
{
	struct check c = { .report = report, .context = context };
	unsigned nodes = 0;

	for_each_node(config, &c, choose_by_address);
	for_each_node(config, &c, choose_by_id);
	for (unsigned i = 0; i < config->vm_count; i++)
		nodes += config->vms[i].passthrough_count;
	host_irq_share(nodes);
	for (unsigned i = 0; nodes && i < host_function_count; i++)
		host_bars_read(&host_functions[i]);
	for_each_node(config, &c, check_places);
	for_each_node(config, &c, check_chosen);
	return c.errors;
}
