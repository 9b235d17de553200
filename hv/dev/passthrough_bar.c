/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BARs. Each is a region of the guest's bus, of the device's size, wherever the guest puts it. Pages of
 * a memory BAR are mapped there as well, so that accesses reach the device without an exit; but for
 * those of the MSI-X table and pending bits, which are ours, and for a BAR of less than a page. What
 * exits, ports too, is carried out here. A 64-bit BAR is one of 32 bits to the guest.
 */
#include "hv/core/pmm.h"
#include "hv/cpu/x86.h"
#include "hv/dev/passthrough_impl.h"

#define ENTRY_BYTES 16u
#define BAR_BITS    7u /* of table and PBA: which BAR */

static uint64_t mmio_read(const volatile uint8_t *at, unsigned bytes)
{
	return bytes == 1   ? *at
	       : bytes == 2 ? *(const volatile uint16_t *)at
			    : *(const volatile uint32_t *)at;
}

static void mmio_write(volatile uint8_t *at, unsigned bytes, uint64_t value)
{
	if (bytes == 1)
		*at = (uint8_t)value;
	else if (bytes == 2)
		*(volatile uint16_t *)at = (uint16_t)value;
	else
		*(volatile uint32_t *)at = (uint32_t)value;
}

static void port_access(uint16_t port, struct bus_access *access)
{
	if (access->write && access->bytes == 1)
		outb(port, (uint8_t)access->value);
	else if (access->write && access->bytes == 2)
		outw(port, (uint16_t)access->value);
	else if (access->write)
		outl(port, (uint32_t)access->value);
	else
		access->value = access->bytes == 1   ? inb(port)
				: access->bytes == 2 ? inw(port)
						     : inl(port);
}

/* Pages that hold a part of the structure at `where` (offset | BAR) exit. */
static bool page_holds(const struct pass_bar *b, uint64_t page, unsigned where, uint64_t bytes)
{
	uint64_t first = where & ~BAR_BITS;

	return (where & BAR_BITS) == b->index && page < first + bytes && first < page + PAGE_SIZE;
}

static uint64_t table_bytes(const struct passthrough *p)
{
	return (uint64_t)p->host->msix_entries * ENTRY_BYTES;
}

static uint64_t pba_bytes(const struct passthrough *p)
{
	return (uint64_t)(p->host->msix_entries + 63) / 64 * 8;
}

static bool page_exits(const struct pass_bar *b, uint64_t page)
{
	const struct passthrough *p = b->of;

	return p->host->msix_entries && (page_holds(b, page, p->host->msix_table, table_bytes(p)) ||
					 page_holds(b, page, p->host->msix_pba, pba_bytes(p)));
}

/* Whether the access touches the structure; then its offset is in *access, or, if it is not all
 * inside, the access has no effect. */
static bool within(const struct pass_bar *b, struct bus_access *access, unsigned where,
		   uint64_t bytes, void (*to)(struct msix *, struct bus_access *))
{
	uint64_t first = where & ~BAR_BITS;
	struct bus_access inner = *access;

	if ((where & BAR_BITS) != b->index || access->offset >= first + bytes ||
	    access->offset + access->bytes <= first)
		return false;
	inner.offset -= first;
	if (access->offset >= first && inner.offset + inner.bytes <= bytes)
		to(&b->of->msix, &inner);
	access->value = inner.value;
	return true;
}

static void bar_access(struct bus_region *region, struct bus_access *access)
{
	struct pass_bar *b = container_of(region, struct pass_bar, region);
	struct passthrough *p = b->of;
	volatile uint8_t *mmio = p->host->bar[b->index].mmio;

	if (!mmio) {
		port_access((uint16_t)(p->host->bar[b->index].base + access->offset), access);
		return;
	}
	if (p->host->msix_entries &&
	    (within(b, access, p->host->msix_table, table_bytes(p), msix_table_access) ||
	     within(b, access, p->host->msix_pba, pba_bytes(p), msix_pba_access)))
		return;
	if (access->write)
		mmio_write(mmio + access->offset, access->bytes, access->value);
	else
		access->value = mmio_read(mmio + access->offset, access->bytes);
}

/* If a page cannot be mapped for lack of memory, its accesses exit: slow, and right. */
void pass_bar_moved(struct pci_function *f, unsigned bar, bool there)
{
	struct passthrough *p = container_of(f, struct passthrough, pci);
	const struct pass_bar *b = &p->bar[bar];
	const uint64_t bytes = b->region.bytes;

	if (bytes < PAGE_SIZE)
		return;
	if (!there) {
		vm_unmap_device(p->vm, (gpa_t){ b->region.base }, bytes);
		return;
	}
	for (uint64_t page = 0; page < bytes; page += PAGE_SIZE)
		if (!page_exits(b, page) &&
		    vm_map_device(p->vm, (gpa_t){ b->region.base + page },
				  (hpa_t){ p->host->bar[bar].base + page }, PAGE_SIZE) < 0)
			return;
}

void pass_bars_init(struct passthrough *p)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		const struct host_bar *h = &p->host->bar[i];
		struct pass_bar *b = &p->bar[i];

		b->of = p;
		b->index = i;
		if (h->kind == PCI_BAR_NONE)
			continue;
		b->region =
			(struct bus_region){ .bytes = h->bytes, .widest = 4, .access = bar_access };
		pci_add_bar(&p->pci, i, h->kind, &b->region);
	}
}
