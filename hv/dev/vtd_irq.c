/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d's interrupt remapping table ("Interrupt Remapping Table Entry (IRTE) for Remapped
 * Interrupts"), one for all units. A handle is an index into it. Each entry names the one requester
 * that may use it: a device that forges another's handle sends nothing.
 */
#include "hv/dev/vtd_impl.h"

#include "hv/cpu/lapic.h"

#define IRTES	  256u /* one page; IRTA's size: 2^(S + 1) */
#define IRTA_SIZE 7u
#define XAPIC_IDS 255u /* without EIM: below */

#define IRTE_QUIET	BIT(1) /* FPD: faults are not recorded */
#define IRTE_LEVEL	BIT(4)
#define IRTE_VECTOR(v)	((uint64_t)(v) << 16)
#define IRTE_DST_X2APIC 32 /* shift; xAPIC: bits 15:8 of the field */
#define IRTE_DST_XAPIC	40
#define IRTE_VERIFY_SID (1ull << 18) /* SVT 1, SQ 0: all 16 bits */

/* "MSI and MSI-X Register Programming": no subhandle, so the data do not count */
#define MSI_ADDRESS    0xfee00000u
#define MSI_REMAPPABLE BIT(4)
#define MSI_HANDLE(h)  (((uint64_t)(h)&0x7fff) << 5 | (uint64_t)(h) >> 15 << 2)

/* "I/OxAPIC Programming" */
#define PIN_INDEX(h)   (((uint64_t)(h)&0x7fff) << 49 | (uint64_t)(h) >> 15 << 11)
#define PIN_REMAPPABLE BIT(48)
#define PIN_MASKED     BIT(16)
#define PIN_LEVEL      BIT(15)

static struct vtd_entry *irte; /* (c), entries [vtd.lock] */
static bool extended;	       /* (c) EIM: 32-bit APIC IDs */

int vtd_irq_prepare(void)
{
	irte = page_alloc(IRTES * sizeof(*irte));
	if (!irte)
		return fail(LH_NOMEM, "iommu: no memory for the interrupt remapping table");
	vtd_write_back(irte, IRTES * sizeof(*irte));
	extended = lapic_is_x2apic();
	for (unsigned i = 0; i < vtd.unit_count; i++)
		extended = extended && (vtd.unit[i].ecap & ECAP_EIM);
	return 0;
}

uint64_t vtd_irq_irta(void)
{
	return ptr_to_hpa(irte).v | (extended ? IRTA_EIME : 0) | IRTA_SIZE;
}

/* Under vtd.lock. */
static void change(unsigned handle, uint64_t lo, uint64_t hi)
{
	struct vtd_entry invalidate = vtd_inv_interrupt(handle);

	vtd_entry_set(&vtd.format, &irte[handle], lo, hi);
	for (unsigned i = 0; i < vtd.unit_count; i++)
		vtd_invalidate(&vtd.unit[i], &invalidate, 1);
}

static int alloc(struct pci_address source, uint8_t vector, uint32_t apic_id, bool level)
{
	unsigned handle = 0;

	if (!extended && apic_id >= XAPIC_IDS)
		return fail(LH_UNSUPP, "iommu: interrupts reach CPUs below APIC ID %u only, not %u",
			    XAPIC_IDS, apic_id);
	spin_lock(&vtd.lock);
	while (handle < IRTES && irte[handle].lo) /* one that is cut off is taken */
		handle++;
	if (handle < IRTES)
		change(handle,
		       ENTRY_PRESENT | (level ? IRTE_LEVEL : 0) | IRTE_VECTOR(vector) |
			       (uint64_t)apic_id << (extended ? IRTE_DST_X2APIC : IRTE_DST_XAPIC),
		       IRTE_VERIFY_SID | pci_requester(source));
	spin_unlock(&vtd.lock);
	if (handle < IRTES)
		return (int)handle;
	return fail(LH_NOMEM, "iommu: all %u remapped interrupts are in use", IRTES);
}

int vtd_irq_alloc(struct pci_address device, uint8_t vector, uint32_t apic_id,
		  struct msi_message *message)
{
	int handle = alloc(device, vector, apic_id, false);

	if (handle >= 0)
		*message = (struct msi_message){
			.address = MSI_ADDRESS | MSI_REMAPPABLE | MSI_HANDLE(handle),
		};
	return handle;
}

int vtd_irq_alloc_pin(uint8_t ioapic_id, uint8_t vector, uint32_t apic_id, bool level,
		      uint64_t *redirection)
{
	struct pci_address source;
	int handle;

	if (!dmar_source(&vtd.dmar, DMAR_IOAPIC, ioapic_id, &source))
		return fail(LH_NOENT, "iommu: the table DMAR does not name the I/O APIC with ID %u",
			    ioapic_id);
	handle = alloc(source, vector, apic_id, level);
	if (handle >= 0) /* the vector again: an EOI is broadcast with it */
		*redirection = PIN_INDEX(handle) | PIN_REMAPPABLE | PIN_MASKED |
			       (level ? PIN_LEVEL : 0) | vector;
	return handle;
}

bool vtd_irq_has_ioapic(uint8_t ioapic_id)
{
	struct pci_address source;

	return dmar_source(&vtd.dmar, DMAR_IOAPIC, ioapic_id, &source);
}

void vtd_irq_free(int handle)
{
	assert(handle >= 0 && (unsigned)handle < IRTES);
	spin_lock(&vtd.lock);
	change((unsigned)handle, 0, 0);
	spin_unlock(&vtd.lock);
}

void vtd_irq_cut_off(int handle, bool on)
{
	const uint64_t both = ENTRY_PRESENT | IRTE_QUIET;
	const struct vtd_entry *entry;

	assert(handle >= 0 && (unsigned)handle < IRTES);
	spin_lock(&vtd.lock);
	entry = &irte[handle];
	change((unsigned)handle, (entry->lo & ~both) | (on ? IRTE_QUIET : ENTRY_PRESENT),
	       entry->hi);
	spin_unlock(&vtd.lock);
}
