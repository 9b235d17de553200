/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A remapping unit from what firmware left of it to "all devices blocked": its translation and
 * interrupt remapping on, its root table and interrupt remapping table empty.
 */
#include "hv/dev/vtd_impl.h"

#include "hv/core/log.h"
#include "hv/core/paging.h"
#include "hv/core/timer.h"
#include "hv/dev/vtd_features.h"

#define WAIT_US 1000000u

bool vtd_await(const struct vtd_unit *u, unsigned at, uint32_t mask, uint32_t want)
{
	uint64_t start = rdtsc(), limit = tsc_from_us(WAIT_US);

	while ((vtd_read32(u, at) & mask) != want) {
		if (rdtsc() - start > limit) /* once more: this CPU may have been held up */
			return (vtd_read32(u, at) & mask) == want;
		__builtin_ia32_pause();
	}
	return true;
}

/* "Global Command Register": one bit a write, the others as GSTS tells them. */
int vtd_command(const struct vtd_unit *u, uint64_t bit, bool on)
{
	uint64_t now = vtd_read32(u, VTD_GSTS) & GSTS_PERSISTENT;

	vtd_write32(u, VTD_GCMD, (uint32_t)(on ? now | bit : now & ~bit));
	if (vtd_await(u, VTD_GSTS, (uint32_t)bit, on ? (uint32_t)bit : 0))
		return 0;
	return fail(LH_TIMEOUT, "iommu: the unit at 0x%lx does not answer command 0x%lx %s",
		    u->base, bit, on ? "on" : "off");
}

void vtd_entry_set(const struct vtd_format *f, struct vtd_entry *entry, uint64_t lo, uint64_t hi)
{
	/* the present bit is in lo: first of what goes, last of what comes */
	__atomic_store_n(&entry->lo, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->hi, hi, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->lo, lo, __ATOMIC_RELEASE);
	if (!f->coherent)
		vtd_write_back(entry, sizeof(*entry));
}

int vtd_unit_open(struct vtd_unit *u, uint64_t base)
{
	uint64_t end = VTD_REGISTERS_END, records;
	const char *lacks;

	u->base = base;
	u->regs = map_device(base, end);
	if (!u->regs)
		return fail(LH_INVAL, "iommu: a unit at 0x%lx, where no device can be", base);
	u->cap = vtd_read64(u, VTD_CAP);
	u->ecap = vtd_read64(u, VTD_ECAP);
	if (u->cap == ~0ull || vtd_read32(u, VTD_VER) == ~0u)
		return fail(LH_NOENT, "iommu: no unit answers at 0x%lx", base);
	lacks = vtd_lacks(u->cap, u->ecap);
	if (lacks)
		return fail(LH_UNSUPP, "iommu: the unit at 0x%lx lacks %s", base, lacks);
	records = CAP_FRO(u->cap) + 16 * CAP_NFR(u->cap);
	if (!map_device(base, records > end ? records : end))
		return fail(LH_INVAL, "iommu: the unit at 0x%lx ends where no device can be", base);
	return 0;
}

int vtd_unit_prepare(struct vtd_unit *u)
{
	u->root = page_alloc(PAGE_SIZE);
	u->queue = page_alloc(2 * PAGE_SIZE); /* the second page: waited */
	if (!u->root || !u->queue)
		return fail(LH_NOMEM, "iommu: no memory for the tables of a unit");
	u->waited = (_Atomic uint32_t *)((char *)u->queue + PAGE_SIZE);
	vtd_write_back(u->root, PAGE_SIZE);
	return 0;
}

/* What firmware may have left on, and we do without. */
static int take_over(struct vtd_unit *u)
{
	static const uint64_t unwanted[] = { GCMD_IRE, GCMD_CFI, GCMD_EAFL };
	uint32_t status = vtd_read32(u, VTD_GSTS);

	vtd_write32(u, VTD_FECTL, FECTL_IM);
	for (unsigned i = 0; i < sizeof(unwanted) / sizeof(unwanted[0]); i++)
		if ((status & unwanted[i]) && vtd_command(u, unwanted[i], false) < 0)
			return LH_TIMEOUT;
	/* Firmware's translation stays on until ours has replaced it, so that DMA it kept out never
	 * gets in; but the mode must not change meanwhile ("Set Root Table Pointer Operation"). */
	if ((status & GCMD_TE) && (vtd_read64(u, VTD_RTADDR) & RTADDR_MODE) &&
	    vtd_command(u, GCMD_TE, false) < 0)
		return LH_TIMEOUT;
	return 0;
}

/* Once translation is on, they protect nothing more, and may hold what a VM is to have. */
static int regions_off(struct vtd_unit *u)
{
	if (!(u->cap & CAP_PMR) || !(vtd_read32(u, VTD_PMEN) & (PMEN_EPM | PMEN_PRS)))
		return 0;
	vtd_write32(u, VTD_PMEN, 0);
	if (vtd_await(u, VTD_PMEN, PMEN_PRS, 0))
		return 0;
	return fail(LH_TIMEOUT, "iommu: the unit at 0x%lx keeps its protected memory regions",
		    u->base);
}

int vtd_unit_start(struct vtd_unit *u, uint64_t irta)
{
	if (take_over(u) < 0 || vtd_queue_start(u) < 0)
		return LH_TIMEOUT;
	vtd_write64(u, VTD_RTADDR, ptr_to_hpa(u->root).v);
	if (vtd_command(u, GCMD_SRTP, true) < 0)
		return LH_TIMEOUT;
	vtd_write64(u, VTD_IRTA, irta);
	if (vtd_command(u, GCMD_SIRTP, true) < 0 || vtd_queue_invalidate_all(u) < 0)
		return LH_TIMEOUT;
	vtd_faults_clear(u); /* those of firmware's time */
	if (vtd_command(u, GCMD_TE, true) < 0 || vtd_command(u, GCMD_IRE, true) < 0)
		return LH_TIMEOUT;
	return regions_off(u);
}

void vtd_unit_stop(struct vtd_unit *u)
{
	int error = vtd_command(u, GCMD_IRE, false);

	if (vtd_command(u, GCMD_TE, false) < 0 || error < 0)
		log_printf("iommu: the unit at 0x%lx is in doubt", u->base);
}
