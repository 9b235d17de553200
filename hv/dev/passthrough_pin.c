/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * INTx: a level. The host's pin is masked when it comes in, the guest's raised; when the guest ends
 * that interrupt, its pin falls and the host's is opened, which brings the interrupt again if the device
 * still wants it (hv/core/host_ioapic.c).
 */
#include "hv/core/guest_map.h"
#include "hv/core/host_ioapic.h"
#include "hv/dev/iommu.h"
#include "hv/dev/passthrough_impl.h"

#define LINE_UNKNOWN 255u /* PCI Local Bus 3.0, 6.2.4; firmware leaves 0, too */

/* Under the pin's lock. */
static void update(struct pass_pin *pin)
{
	host_ioapic_mask(pin->gsi, pin->awaits_eoi || pin->held);
}

static void came_in(struct host_irq *irq)
{
	struct pass_pin *pin = container_of(irq, struct pass_pin, irq);
	struct passthrough *p = container_of(pin, struct passthrough, pin);

	spin_lock(&pin->lock);
	pin->awaits_eoi = true;
	update(pin);
	spin_unlock(&pin->lock);
	ioapic_set_line(p->ioapic, pin->guest_pin, true);
}

static void hold(struct host_irq *irq, bool on)
{
	struct pass_pin *pin = container_of(irq, struct pass_pin, irq);

	spin_lock(&pin->lock);
	pin->held = on;
	update(pin);
	spin_unlock(&pin->lock);
}

static void cut_off(struct host_irq *irq, bool on)
{
	int remap = container_of(irq, struct pass_pin, irq)->remap;

	if (remap >= 0)
		iommu->irq_cut_off(remap, on);
}

static const struct host_irq_ops irq_ops = { .handle = came_in, .hold = hold, .cut_off = cut_off };

static void ended(struct ioapic_source *source)
{
	struct pass_pin *pin = container_of(source, struct pass_pin, source);

	spin_lock(&pin->lock);
	pin->awaits_eoi = false;
	update(pin);
	spin_unlock(&pin->lock);
}

static int route(struct passthrough *p, uint8_t ioapic_id)
{
	struct pass_pin *pin = &p->pin;
	const uint8_t vector = (uint8_t)pin->irq.vector;
	const uint32_t apic_id = pass_irq_apic_id(p->vm);
	uint64_t redirection;

	if (iommu) {
		pin->remap = iommu->irq_alloc_pin(ioapic_id, vector, apic_id, true, &redirection);
		if (pin->remap < 0)
			return pin->remap;
	} else if (pass_irq_refused(p->vm, apic_id)) {
		return LH_UNSUPP;
	} else {
		redirection = host_ioapic_plain(vector, apic_id, true);
	}
	host_ioapic_write(pin->gsi, redirection);
	return 0;
}

int pass_pin_input(const struct host_function *f)
{
	if (f->node->interrupt_gsi >= 0)
		return f->node->interrupt_gsi;
	return f->line && f->line != LINE_UNKNOWN ? (int)host_ioapic_gsi(f->line) : -1;
}

static int open_pin(struct passthrough *p)
{
	struct pass_pin *pin = &p->pin;
	uint8_t ioapic_id;
	int err;

	err = host_ioapic_take(pin->gsi, p->vm->config->name, &ioapic_id);
	if (err < 0)
		return err;
	pin->taken = true;
	err = host_irq_alloc(&pin->irq);
	return err < 0 ? err : route(p, ioapic_id);
}

/* The device number is known: pcie_attach() has been. A device with messages of its own does without a
 * pin that it cannot have; passthrough_check() has refused any other whose input nobody knows. */
int pass_pin_init(struct passthrough *p)
{
	const int input = pass_pin_input(p->host);
	const bool has_messages = pass_has_messages(p->host);
	struct pass_pin *pin = &p->pin;
	int err;

	pin->irq = (struct host_irq){ .ops = &irq_ops,
				      .window = &p->window,
				      .owner = p->vm->config->name };
	pin->source.ended = ended;
	pin->remap = -1;
	pin->gsi = (unsigned)input;
	pin->guest_pin = GUEST_PIN_FIRST + p->pci.number % GUEST_PINS;
	if (!p->host->pin || input < 0 || (has_messages && !host_ioapic_free(pin->gsi)))
		return 0;
	err = open_pin(p);
	if (err < 0) {
		pass_pin_finish(p);
		return has_messages ? 0 : err;
	}
	pci_put(&p->pci, PCI_INTERRUPT_PIN, 1, 1);
	pci_put(&p->pci, PCI_INTERRUPT_LINE, 1, pin->guest_pin);
	p->ioapic->source[pin->guest_pin] = &pin->source;
	host_ioapic_mask(pin->gsi, false);
	return 0;
}

void pass_pin_finish(struct passthrough *p)
{
	struct pass_pin *pin = &p->pin;

	if (!pin->taken)
		return;
	host_ioapic_mask(pin->gsi, true);
	host_irq_free(&pin->irq);
	host_ioapic_give_back(pin->gsi);
	if (pin->remap >= 0)
		iommu->irq_free(pin->remap);
	pin->taken = false;
}
