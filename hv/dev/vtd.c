/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d behind struct iommu_ops: all units of the machine, one format of page tables that each of
 * them can read, domains, and the context entry by which a device belongs to one. A device without
 * one is blocked; so is whatever a device sends under another's requester ID, as conventional PCI
 * behind a bridge does. Devices that firmware keeps memory for (RMRR) have that, and nothing else:
 * a display may be drawn from it.
 */
#include "hv/dev/vtd_impl.h"

#include "hv/core/log.h"
#include "hv/core/paging.h"

struct vtd vtd;

static struct iommu_domain *domain_create(void)
{
	struct iommu_domain *domain = page_alloc(sizeof(*domain));
	uint16_t id = 1;

	if (domain)
		domain->root = page_alloc(PAGE_SIZE);
	if (!domain || !domain->root) {
		(void)fail(LH_NOMEM, "iommu: no memory for a domain");
		goto out_free;
	}
	if (!vtd.format.coherent)
		vtd_write_back(domain->root, PAGE_SIZE);
	spin_lock(&vtd.lock);
	while (id < vtd.domain_limit && vtd.domain[id])
		id++;
	if (id < vtd.domain_limit) {
		domain->id = id;
		vtd.domain[id] = domain;
	}
	spin_unlock(&vtd.lock);
	if (domain->id)
		return domain;
	(void)fail(LH_NOMEM, "iommu: the units know no more than %u domains", vtd.domain_limit - 1);
	page_free(domain->root, PAGE_SIZE);
out_free:
	if (domain)
		page_free(domain, sizeof(*domain));
	return NULL;
}

static void domain_destroy(struct iommu_domain *domain)
{
	for (unsigned i = 0; i < vtd.unit_count; i++)
		assert(atomic_load(&domain->attached[i]) == 0);
	spin_lock(&vtd.lock);
	vtd.domain[domain->id] = NULL;
	spin_unlock(&vtd.lock);
	vtd_table_free_emptied(domain->emptied);
	vtd_table_free(&vtd.format, domain->root);
	page_free(domain, sizeof(*domain));
}

/* An attach() that is not seen here does its own invalidation later, when it sees our changes. */
static void flush(struct iommu_domain *domain)
{
	uint64_t *emptied;

	spin_lock(&domain->lock);
	emptied = domain->emptied;
	domain->emptied = NULL;
	spin_unlock(&domain->lock);
	for (unsigned i = 0; i < vtd.unit_count; i++) {
		struct vtd_entry iotlb = vtd_inv_iotlb(&vtd.unit[i], domain->id);

		if (atomic_load(&domain->attached[i])) /* partner: attach() */
			vtd_invalidate(&vtd.unit[i], &iotlb, 1);
	}
	vtd_table_free_emptied(emptied);
}

static int map(struct iommu_domain *domain, iova_t iova, hpa_t hpa, uint64_t bytes, unsigned rights)
{
	int error;

	spin_lock(&domain->lock);
	error = vtd_table_map(&vtd.format, domain->root, iova.v, hpa.v, bytes, rights);
	spin_unlock(&domain->lock);
	if (vtd.format.cautious)
		flush(domain);
	return error;
}

static void unmap(struct iommu_domain *domain, iova_t iova, uint64_t bytes)
{
	spin_lock(&domain->lock);
	vtd_table_unmap(&vtd.format, domain->root, iova.v, bytes, &domain->emptied);
	spin_unlock(&domain->lock);
}

/* Under vtd.lock, or before any unit runs: the device's context entry; NULL: no memory for the
 * table of its bus, or, without `make`, no table. */
static struct vtd_entry *context_of(struct vtd_unit *u, struct pci_address device, bool make)
{
	struct vtd_entry *root = &u->root[device.bus], *table;

	if (!(root->lo & ENTRY_PRESENT)) {
		table = make ? page_alloc(PAGE_SIZE) : NULL;
		if (!table)
			return NULL;
		if (!vtd.format.coherent)
			vtd_write_back(table, PAGE_SIZE);
		vtd_entry_set(&vtd.format, root, ptr_to_hpa(table).v | ENTRY_PRESENT, 0);
	}
	table = hpa_to_ptr((hpa_t){ root->lo & ENTRY_ADDRESS });
	return &table[device.devfn];
}

static void set_context(unsigned unit, struct vtd_entry *entry, struct iommu_domain *domain)
{
	atomic_fetch_add(&domain->attached[unit], 1); /* partner: flush() */
	vtd_entry_set(&vtd.format, entry, ptr_to_hpa(domain->root).v | ENTRY_PRESENT,
		      CONTEXT_AW(vtd.format.levels) | (uint64_t)domain->id << 8);
}

static void forget(struct vtd_unit *u, uint16_t domain, struct pci_address device)
{
	const struct vtd_entry list[] = {
		vtd_inv_context(domain, pci_requester(device)),
		vtd_inv_iotlb(u, domain),
	};

	vtd_invalidate(u, list, sizeof(list) / sizeof(list[0]));
}

static int attach(struct iommu_domain *domain, struct pci_address device)
{
	int unit = dmar_unit_of(&vtd.dmar, device), error = 0;
	struct vtd_entry *entry;

	if (unit < 0)
		return fail(LH_NOENT, "pci " PCI_ADDRESS_FORMAT ": no unit of the IOMMU covers it",
			    PCI_ADDRESS_ARGS(device));
	/* No exception: firmware goes on using the region through the device (a network card: of a
	 * management controller), at addresses that are the VM's own RAM in the domain. */
	if (dmar_is_reserved(&vtd.dmar, device))
		return fail(LH_UNSUPP,
			    "pci " PCI_ADDRESS_FORMAT
			    ": firmware keeps memory for it (RMRR): no VM can have it",
			    PCI_ADDRESS_ARGS(device));
	spin_lock(&vtd.lock);
	entry = context_of(&vtd.unit[unit], device, true);
	if (!entry) {
		error = fail(LH_NOMEM, "iommu: no memory for a context table");
	} else if (entry->lo & ENTRY_PRESENT) {
		error = fail(LH_BUSY, "pci " PCI_ADDRESS_FORMAT ": is attached already",
			     PCI_ADDRESS_ARGS(device));
	} else {
		set_context((unsigned)unit, entry, domain);
		forget(&vtd.unit[unit], domain->id, device);
	}
	spin_unlock(&vtd.lock);
	return error;
}

static void detach(struct pci_address device)
{
	int unit = dmar_unit_of(&vtd.dmar, device);
	struct vtd_entry *entry;
	uint16_t id;

	assert(unit >= 0);
	spin_lock(&vtd.lock);
	entry = context_of(&vtd.unit[unit], device, false);
	assert(entry && (entry->lo & ENTRY_PRESENT));
	id = CONTEXT_DID(entry->hi);
	vtd_entry_set(&vtd.format, entry, 0, 0);
	forget(&vtd.unit[unit], id, device);
	atomic_fetch_sub(&vtd.domain[id]->attached[unit], 1);
	spin_unlock(&vtd.lock);
}

/* What all units can do. */
static int choose_format(struct vtd_format *f)
{
	uint64_t cap = ~0ull, ecap = ~0ull, width = 64;
	unsigned domains = VTD_MAX_DOMAINS + 1;

	*f = (struct vtd_format){ 0 };
	for (unsigned i = 0; i < vtd.unit_count; i++) {
		const struct vtd_unit *u = &vtd.unit[i];

		cap &= u->cap;
		ecap &= u->ecap;
		if (CAP_MGAW(u->cap) < width)
			width = CAP_MGAW(u->cap);
		if (1u << (4 + 2 * CAP_ND(u->cap)) < domains)
			domains = 1u << (4 + 2 * CAP_ND(u->cap));
		if (u->cap & (CAP_CM | CAP_RWBF))
			f->cautious = true;
	}
	if (!(cap & (CAP_SAGAW_39 | CAP_SAGAW_48)))
		return fail(LH_UNSUPP, "iommu: no depth of page tables is common to all units");
	f->levels = cap & CAP_SAGAW_48 ? 4 : 3;
	if (width > 12 + 9 * f->levels)
		width = 12 + 9 * f->levels;
	f->iova_end = 1ull << width;
	f->large[2] = cap & CAP_SLLPS_2M;
	f->large[3] = cap & CAP_SLLPS_1G;
	f->coherent = ecap & ECAP_C;
	f->leaf_bits = ecap & ECAP_SC ? BIT(11) : 0; /* SNP */
	vtd.domain_limit = domains;
	return 0;
}

/* Firmware may say so of any memory: it must not be ours. */
static bool is_firmwares(const struct dmar_region *r, struct pci_address device)
{
	uint64_t bytes = r->last - r->base + 1;

	if (r->last > r->base && r->last < vtd.format.iova_end &&
	    !((r->base | bytes) & (PAGE_SIZE - 1)) && is_foreign(r->base, bytes))
		return true;
	log_printf("iommu: " PCI_ADDRESS_FORMAT
		   " loses 0x%lx to 0x%lx (RMRR): that is not firmware's memory",
		   PCI_ADDRESS_ARGS(device), r->base, r->last);
	return false;
}

/* Before the units start, so that nothing is cached. */
static int let_into(struct iommu_domain *domain, struct pci_address device)
{
	const int unit = dmar_unit_of(&vtd.dmar, device);
	struct vtd_entry *entry;

	if (unit < 0)
		return 0;
	entry = context_of(&vtd.unit[unit], device, true);
	if (!entry)
		return fail(LH_NOMEM, "iommu: no memory for a context table");
	if (!(entry->lo & ENTRY_PRESENT))
		set_context((unsigned)unit, entry, domain);
	return 0;
}

/* Maps a region to itself for its device; for a bridge, for all that may be behind it, too: the buses have not been
 * looked at yet. */
static int keep_region(struct iommu_domain *domain, const struct dmar_region *r,
		       const struct dmar_scope *s)
{
	if (vtd_table_map(&vtd.format, domain->root, r->base, r->base, r->last - r->base + 1,
			  IOMMU_READ | IOMMU_WRITE) < 0 ||
	    let_into(domain, s->at) < 0)
		return LH_NOMEM;
	for (unsigned bus = s->first_bus; bus <= s->last_bus; bus++)
		for (unsigned devfn = 0; devfn < 256; devfn++)
			if (let_into(domain, (struct pci_address){ (uint8_t)bus, (uint8_t)devfn }) <
			    0)
				return LH_NOMEM;
	log_printf("iommu: " PCI_ADDRESS_FORMAT "%s keeps 0x%lx to 0x%lx, firmware's memory (RMRR)",
		   PCI_ADDRESS_ARGS(s->at), s->type == DMAR_BRIDGE ? ", with all behind it," : "",
		   r->base, r->last);
	return 0;
}

/* One domain for all of them: what is in it is firmware's in any case. */
static int keep_regions(void)
{
	struct iommu_domain *domain = NULL;

	for (unsigned i = 0; i < vtd.dmar.scope_count; i++) {
		const struct dmar_scope *s = &vtd.dmar.scope[i];
		const struct dmar_region *r = &vtd.dmar.region[s->owner];

		if (!s->reserved || (s->type != DMAR_ENDPOINT && s->type != DMAR_BRIDGE) ||
		    dmar_unit_of(&vtd.dmar, s->at) < 0 || !is_firmwares(r, s->at))
			continue;
		if (!domain)
			domain = domain_create();
		if (!domain || keep_region(domain, r, s) < 0)
			return LH_NOMEM;
	}
	return 0;
}

static int open_units(void)
{
	vtd.unit_count = vtd.dmar.unit_count;
	for (unsigned i = 0; i < vtd.unit_count; i++)
		if (vtd_unit_open(&vtd.unit[i], vtd.dmar.unit[i].base) < 0)
			return LH_UNSUPP;
	return choose_format(&vtd.format);
}

static int start_units(void)
{
	unsigned started = 0;

	if (vtd_irq_prepare() < 0)
		return LH_NOMEM;
	for (unsigned i = 0; i < vtd.unit_count; i++)
		if (vtd_unit_prepare(&vtd.unit[i]) < 0)
			return LH_NOMEM;
	if (keep_regions() < 0)
		return LH_NOMEM;
	while (started < vtd.unit_count) {
		if (vtd_unit_start(&vtd.unit[started++], vtd_irq_irta()) == 0)
			continue;
		while (started > 0)
			vtd_unit_stop(&vtd.unit[--started]);
		return LH_TIMEOUT;
	}
	return 0;
}

int vtd_start(const void *dmar, size_t bytes)
{
	int error = dmar_parse(&vtd.dmar, dmar, bytes);

	if (error < 0)
		return error;
	if (!vtd.dmar.interrupts)
		return fail(LH_UNSUPP, "iommu: firmware says that interrupts cannot be remapped");
	error = open_units();
	if (!error)
		error = start_units();
	if (error < 0)
		return error;
	log_printf("iommu: vtd, %u unit%s, %u-bit addresses, interrupt remapping", vtd.unit_count,
		   vtd.unit_count > 1 ? "s" : "", (unsigned)__builtin_ctzll(vtd.format.iova_end));
	return 0;
}

static bool owns(uint64_t hpa, uint64_t bytes)
{
	for (unsigned i = 0; i < vtd.dmar.unit_count; i++)
		if (hpa <= vtd.dmar.unit[i].base + (PAGE_SIZE - 1) &&
		    vtd.dmar.unit[i].base <= hpa + (bytes - 1))
			return true;
	return false;
}

const struct iommu_ops vtd_ops = {
	.name = "vtd",
	.domain_create = domain_create,
	.domain_destroy = domain_destroy,
	.map = map,
	.unmap = unmap,
	.flush = flush,
	.attach = attach,
	.detach = detach,
	.irq_alloc = vtd_irq_alloc,
	.irq_alloc_pin = vtd_irq_alloc_pin,
	.has_ioapic = vtd_irq_has_ioapic,
	.irq_free = vtd_irq_free,
	.irq_cut_off = vtd_irq_cut_off,
	.owns = owns,
	.poll_faults = vtd_poll_faults,
	.faults = vtd_faults,
};
