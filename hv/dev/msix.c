/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * MSI-X table and pending bits. Messages are sent outside of the lock: delivering one may take the
 * run queue lock of the vCPU's CPU.
 */
#include "hv/dev/msix.h"

#include <string.h>

#include "hv/core/fail.h"
#include "hv/core/list.h"
#include "hv/dev/vlapic.h"

#define CAP_MSIX	     0x11
#define CAP_BYTES	     12
#define CONTROL_ENABLE	     0x8000u
#define CONTROL_MASK	     0x4000u
#define ENTRY_BYTES	     16u
#define ENTRY_CONTROL_MASKED 1u
#define REGION_BYTES	     4096u
#define PBA_OFFSET	     2048u

_Static_assert(sizeof(struct msix_entry) == ENTRY_BYTES, "PCI 3.0, figure 6-11");
_Static_assert(MSIX_MAX *ENTRY_BYTES <= PBA_OFFSET, "the table ends before the pending bits");
_Static_assert(MSIX_MAX <= 32, "pending bits are one word");

/* Takes the pending vectors that may be sent now; entries copied out. Under the lock. */
static uint32_t take_deliverable(struct msix *msix, struct msix_entry out[MSIX_MAX])
{
	uint32_t ready = 0;

	if (!msix->enabled || msix->masked)
		return 0;
	for (unsigned i = 0; i < msix->count; i++)
		if (msix->pending >> i & 1 && !(msix->entry[i].control & ENTRY_CONTROL_MASKED)) {
			out[i] = msix->entry[i];
			ready |= 1u << i;
		}
	msix->pending &= ~ready;
	return ready;
}

/* After a mask went away. */
static void deliver_pending(struct msix *msix)
{
	struct msix_entry entry[MSIX_MAX];
	uint32_t ready;

	spin_lock(&msix->lock);
	ready = take_deliverable(msix, entry);
	spin_unlock(&msix->lock);
	for (unsigned i = 0; i < msix->count; i++)
		if (ready >> i & 1)
			msi_deliver(msix->vm, entry[i].address, entry[i].data);
}

void msix_raise(struct msix *msix, unsigned vector)
{
	struct msix_entry entry;
	bool send = false;

	if (vector >= msix->count)
		return;
	spin_lock(&msix->lock);
	entry = msix->entry[vector];
	if (msix->enabled) {
		send = !msix->masked && !(entry.control & ENTRY_CONTROL_MASKED);
		if (!send)
			msix->pending |= 1u << vector;
	}
	spin_unlock(&msix->lock);
	if (send)
		msi_deliver(msix->vm, entry.address, entry.data);
}

bool msix_enabled(struct msix *msix)
{
	bool enabled;

	spin_lock(&msix->lock);
	enabled = msix->enabled;
	spin_unlock(&msix->lock);
	return enabled;
}

struct vcpu *msix_target(struct msix *msix, unsigned vector)
{
	uint64_t address = 0;

	if (vector < msix->count) {
		spin_lock(&msix->lock);
		address = msix->entry[vector].address;
		spin_unlock(&msix->lock);
	}
	return msi_target(msix->vm, address);
}

static void changed(struct msix *msix)
{
	if (msix->changed)
		msix->changed(msix);
	deliver_pending(msix);
}

void msix_table_access(struct msix *msix, struct bus_access *access)
{
	unsigned at = (unsigned)access->offset;
	uint32_t word = (uint32_t)access->value;
	uint8_t *field;

	if (at / ENTRY_BYTES >= msix->count || at % ENTRY_BYTES + access->bytes > ENTRY_BYTES) {
		access->value = 0;
		return;
	}
	field = (uint8_t *)&msix->entry[at / ENTRY_BYTES] + at % ENTRY_BYTES;
	spin_lock(&msix->lock);
	if (!access->write) {
		memcpy(&access->value, field, access->bytes);
	} else if (access->bytes == 4 && at % 4 == 0) { /* others are undefined: ignored */
		if (at % ENTRY_BYTES == 12)
			word &= ENTRY_CONTROL_MASKED;
		memcpy(field, &word, sizeof(word));
	}
	spin_unlock(&msix->lock);
	if (access->write)
		changed(msix);
}

void msix_pba_access(struct msix *msix, struct bus_access *access)
{
	if (access->write)
		return;
	access->value = 0;
	if (access->offset < 4) {
		spin_lock(&msix->lock);
		access->value = msix->pending >> (8 * access->offset);
		spin_unlock(&msix->lock);
	}
}

static void region_access(struct bus_region *region, struct bus_access *access)
{
	struct msix *msix = container_of(region, struct msix, region);

	if (access->offset < PBA_OFFSET) {
		msix_table_access(msix, access);
	} else {
		access->offset -= PBA_OFFSET;
		msix_pba_access(msix, access);
	}
}

void msix_reset(struct msix *msix, struct vm *vm, unsigned count)
{
	assert(count > 0 && count <= MSIX_MAX);
	memset(msix, 0, sizeof(*msix));
	msix->vm = vm;
	msix->count = count;
	for (unsigned i = 0; i < count; i++)
		msix->entry[i].control = ENTRY_CONTROL_MASKED;
}

void msix_add_capability(struct msix *msix, struct pci_function *f, uint32_t table, uint32_t pba)
{
	unsigned at = pci_add_capability(f, CAP_MSIX, CAP_BYTES);

	pci_put(f, at + 2, 2, msix->count - 1);
	pci_put_writable(f, at + 2, 2, CONTROL_ENABLE | CONTROL_MASK);
	pci_put(f, at + 4, 4, table);
	pci_put(f, at + 8, 4, pba);
	msix->capability = at;
}

void msix_init(struct msix *msix, struct vm *vm, struct pci_function *f, unsigned bar,
	       unsigned count)
{
	msix_reset(msix, vm, count);
	msix->region =
		(struct bus_region){ .bytes = REGION_BYTES, .widest = 4, .access = region_access };
	pci_add_bar(f, bar, PCI_BAR_MEMORY, &msix->region);
	msix_add_capability(msix, f, bar, PBA_OFFSET | bar);
}

void msix_config_written(struct msix *msix, const struct pci_function *f)
{
	uint32_t control = pci_get(f, msix->capability + 2, 2);

	spin_lock(&msix->lock);
	msix->enabled = control & CONTROL_ENABLE;
	msix->masked = control & CONTROL_MASK;
	if (!msix->enabled)
		msix->pending = 0;
	spin_unlock(&msix->lock);
	changed(msix);
}
