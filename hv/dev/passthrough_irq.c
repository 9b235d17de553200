/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSI and MSI-X. What the guest writes stays on its side (struct msix, with its masks and pending
 * bits); the device's own table holds messages of ours: a host vector for each that the guest has
 * opened, through a remapping entry where there is an IOMMU. It comes in, and goes on to where the
 * guest's message says, if that is an interrupt to its own CPUs. The device's entry is not masked when
 * the guest masks its own: the message becomes a pending bit.
 */
#include <string.h>

#include "hv/core/log.h"
#include "hv/dev/iommu.h"
#include "hv/dev/passthrough_impl.h"
#include "hv/dev/vlapic.h"

#define MSIX_CONTROL	   2u
#define MSIX_TABLE	   4u
#define MSIX_PBA	   8u
#define MSIX_ENABLE	   0x8000u
#define MSIX_COUNT	   0x7ffu
#define MSIX_ENTRY_BYTES   16u
#define MSIX_ENTRY_WORDS   4u
#define MSIX_ENTRY_CONTROL 3u /* word */
#define MSIX_ENTRY_MASKED  1u
#define MSI_CONTROL	   2u
#define MSI_ADDRESS	   4u
#define MSI_ENABLE	   0x1u
#define MSI_MULTIPLE	   0x70u
#define MSI_64		   0x80u
#define BAR_BITS	   7u
#define LAPIC_ADDRESS	   0xfee00000u
#define LAPIC_DEST_SHIFT   12
#define XAPIC_ID_MAX	   254u

uint32_t pass_irq_apic_id(const struct vm *vm)
{
	for (unsigned i = 0; i < cpu_count; i++)
		if (vm->config->affinity[i / 64] >> i % 64 & 1)
			return cpus[i]->apic_id;
	return cpus[0]->apic_id;
}

bool pass_irq_refused(const struct vm *vm, uint32_t apic_id)
{
	if (apic_id <= XAPIC_ID_MAX)
		return false;
	(void)fail(LH_UNSUPP,
		   "vm %s: without an IOMMU no interrupt reaches the CPU with APIC ID %u: "
		   "cpu-affinity names another",
		   vm->config->name, apic_id);
	return true;
}

/* The function's own side: whether it may send this message. */
static void entry_mask(struct passthrough *p, unsigned i, bool masked)
{
	volatile uint32_t *entry = p->table + i * MSIX_ENTRY_WORDS;

	entry[MSIX_ENTRY_CONTROL] = masked ? MSIX_ENTRY_MASKED : 0;
	(void)entry[MSIX_ENTRY_CONTROL]; /* there when this is */
}

static void entry_write(struct passthrough *p, unsigned i, const struct msi_message *m)
{
	volatile uint32_t *entry = p->table + i * MSIX_ENTRY_WORDS;

	entry[0] = (uint32_t)m->address;
	entry[1] = (uint32_t)(m->address >> 32);
	entry[2] = m->data;
}

static void msi_enable(struct passthrough *p, bool on)
{
	const unsigned at = p->host->msi + MSI_CONTROL;
	uint32_t control = pass_read(p, at, 2) & ~(MSI_ENABLE | MSI_MULTIPLE);

	pass_write(p, at, 2, control | (on ? MSI_ENABLE : 0));
}

static void msi_write(struct passthrough *p, const struct msi_message *m)
{
	const unsigned at = p->host->msi;
	bool wide = pass_read(p, at + MSI_CONTROL, 2) & MSI_64;

	pass_write(p, at + MSI_ADDRESS, 4, (uint32_t)m->address);
	if (wide)
		pass_write(p, at + MSI_ADDRESS + 4, 4, (uint32_t)(m->address >> 32));
	pass_write(p, at + MSI_ADDRESS + (wide ? 8 : 4), 2, m->data);
}

static void vector_hold(struct pass_vector *v, bool on)
{
	if (v == &v->of->msi_vector)
		msi_enable(v->of, !on);
	else
		entry_mask(v->of, v->index, on);
}

static void came_in(struct host_irq *irq)
{
	struct pass_vector *v = container_of(irq, struct pass_vector, irq);
	struct passthrough *p = v->of;

	msix_raise(v == &p->msi_vector ? &p->msi : &p->msix, v->index);
}

static void hold(struct host_irq *irq, bool on)
{
	vector_hold(container_of(irq, struct pass_vector, irq), on);
}

/* Between host_irq_alloc() and host_irq_free() it is constant as soon as something can come. */
static void cut_off(struct host_irq *irq, bool on)
{
	int remap = container_of(irq, struct pass_vector, irq)->remap;

	if (remap >= 0)
		iommu->irq_cut_off(remap, on);
}

static const struct host_irq_ops irq_ops = { .handle = came_in, .hold = hold, .cut_off = cut_off };

/* What the device is to send so that the host vector comes. */
static int message_for(struct passthrough *p, struct pass_vector *v, struct msi_message *m)
{
	const uint32_t apic_id = pass_irq_apic_id(p->vm);

	if (iommu) {
		v->remap = iommu->irq_alloc(p->host->address, (uint8_t)v->irq.vector, apic_id, m);
		return v->remap < 0 ? v->remap : 0;
	}
	if (pass_irq_refused(p->vm, apic_id))
		return LH_UNSUPP;
	*m = (struct msi_message){ LAPIC_ADDRESS | (uint64_t)apic_id << LAPIC_DEST_SHIFT,
				   (uint32_t)v->irq.vector };
	return 0;
}

/* All of these under the lock. */
static void vector_open(struct passthrough *p, struct pass_vector *v)
{
	struct msi_message m;

	if (v->irq.vector || p->starved)
		return;
	if (host_irq_alloc(&v->irq) < 0 || message_for(p, v, &m) < 0) {
		host_irq_free(&v->irq);
		p->starved = true;
		return;
	}
	if (v == &p->msi_vector)
		msi_write(p, &m);
	else
		entry_write(p, v->index, &m);
	vector_hold(v, false);
}

/* Silent before and after: the storm's timer may have opened it in between. */
static void vector_close(struct pass_vector *v)
{
	if (!v->irq.vector)
		return;
	vector_hold(v, true);
	host_irq_free(&v->irq);
	vector_hold(v, true);
	if (v->remap >= 0)
		iommu->irq_free(v->remap);
	v->remap = -1;
}

static void vector_update(struct passthrough *p, struct pass_vector *v,
			  const struct msix_entry *entry)
{
	if (entry->control & MSIX_ENTRY_MASKED)
		return;
	if (msi_is_interrupt(p->vm, entry->address, entry->data)) {
		vector_open(p, v);
		return;
	}
	vector_close(v);
	log_limited(&p->vm->log_limit,
		    "vm %s: " PCI_ADDRESS_FORMAT ": refused message %u: 0x%x to 0x%llx is no "
		    "interrupt to its own CPUs",
		    p->vm->config->name, PCI_ADDRESS_ARGS(p->host->address), v->index, entry->data,
		    (unsigned long long)entry->address);
}

static void msix_switch(struct passthrough *p, bool on)
{
	const unsigned at = p->host->msix + MSIX_CONTROL;

	p->msix_on = on;
	if (!on)
		for (unsigned i = 0; i < p->msix.count; i++)
			vector_close(&p->vector[i]);
	for (unsigned i = 0; on && i < p->host->msix_entries; i++)
		entry_mask(p, i, true);
	pass_write(p, at, 2, on ? MSIX_ENABLE : 0);
	pass_command_update(p);
}

static void msix_changed(struct msix *msix)
{
	struct passthrough *p = container_of(msix, struct passthrough, msix);
	struct msix_entry entry[MSIX_MAX];
	bool enabled, masked;

	spin_lock(&p->lock);
	spin_lock(&msix->lock);
	memcpy(entry, msix->entry, sizeof(entry));
	enabled = msix->enabled;
	masked = msix->masked;
	spin_unlock(&msix->lock);
	if (enabled != p->msix_on)
		msix_switch(p, enabled);
	for (unsigned i = 0; enabled && !masked && i < msix->count; i++)
		vector_update(p, &p->vector[i], &entry[i]);
	spin_unlock(&p->lock);
}

/* MSI has no mask: enabled with a message that is none, it sends nothing. */
static void msi_changed(struct msix *msi)
{
	struct passthrough *p = container_of(msi, struct passthrough, msi);
	struct msix_entry entry;
	bool enabled;

	spin_lock(&p->lock);
	spin_lock(&msi->lock);
	entry = msi->entry[0];
	enabled = msi->enabled;
	spin_unlock(&msi->lock);
	p->msi_on = enabled;
	if (enabled)
		vector_update(p, &p->msi_vector, &entry);
	else
		vector_close(&p->msi_vector);
	pass_command_update(p);
	spin_unlock(&p->lock);
}

/* Whether a structure of the capability lies in a memory BAR. */
static bool inside(const struct host_function *f, uint32_t where, uint64_t bytes)
{
	const unsigned bar = where & BAR_BITS;

	return bar < PCI_BARS && f->bar[bar].kind == PCI_BAR_MEMORY &&
	       (where & ~BAR_BITS) + bytes <= f->bar[bar].bytes;
}

/* Once: a device that answers otherwise later is not asked. */
void pass_msix_read(struct host_function *f)
{
	const struct pci_address a = f->address;
	unsigned entries;

	if (!f->msix)
		return;
	entries = (host_pci_read(a, f->msix + MSIX_CONTROL, 2) & MSIX_COUNT) + 1;
	f->msix_table = host_pci_read(a, f->msix + MSIX_TABLE, 4);
	f->msix_pba = host_pci_read(a, f->msix + MSIX_PBA, 4);
	if (inside(f, f->msix_table, (uint64_t)entries * MSIX_ENTRY_BYTES) &&
	    inside(f, f->msix_pba, (uint64_t)(entries + 63) / 64 * 8))
		f->msix_entries = (uint16_t)entries;
	else
		log_printf("pci: " PCI_ADDRESS_FORMAT ": its MSI-X table lies in none of its BARs: "
			   "without MSI-X",
			   PCI_ADDRESS_ARGS(a));
}

static void table_init(struct passthrough *p)
{
	const struct host_function *f = p->host;
	const uint32_t where = f->msix_table;

	p->table = (volatile uint32_t *)(f->bar[where & BAR_BITS].mmio + (where & ~BAR_BITS));
	msix_reset(&p->msix, p->vm, f->msix_entries < MSIX_MAX ? f->msix_entries : MSIX_MAX);
	p->msix.changed = msix_changed;
}

static void vector_init(struct passthrough *p, struct pass_vector *v, unsigned index)
{
	*v = (struct pass_vector){ .of = p, .index = index, .remap = -1 };
	v->irq = (struct host_irq){ .ops = &irq_ops,
				    .window = &p->window,
				    .owner = p->vm->config->name };
}

void pass_irq_init(struct passthrough *p)
{
	for (unsigned i = 0; i < MSIX_MAX; i++)
		vector_init(p, &p->vector[i], i);
	vector_init(p, &p->msi_vector, 0);
	msix_reset(&p->msi, p->vm, 1);
	p->msi.changed = msi_changed;
	if (p->host->msix_entries)
		table_init(p);
}

/* No guest runs any more; a message may still come in. */
void pass_irq_finish(struct passthrough *p)
{
	spin_lock(&p->lock);
	for (unsigned i = 0; i < MSIX_MAX; i++)
		vector_close(&p->vector[i]);
	vector_close(&p->msi_vector);
	spin_unlock(&p->lock);
}
