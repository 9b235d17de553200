/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d's fault recording registers ("Non-Recoverable Fault Reporting"), read and cleared from time
 * to time: a fault interrupt would tell no more, and a device could cause as many as it likes.
 */
#include "hv/dev/vtd_impl.h"

#include "hv/core/log.h"

#define FAULT_F	      BIT(63) /* of the upper half: there is one */
#define FAULT_T1      BIT(62)
#define FAULT_T2      BIT(28)
#define FAULT_REASON  32 /* shift */
#define FAULT_F_DWORD 12 /* offset of the doubleword that has F */
#define INDEX_SHIFT   48 /* of interrupt faults, in the lower half */

enum { INTERRUPT_FIRST = 0x20, INTERRUPT_LAST = 0x2f };

/* "Fault Conditions and Remapping Hardware Behavior for Various Requests", legacy mode */
static const char *const dma_reasons[] = {
	[0x1] = "no device of its bus is assigned",
	[0x2] = "it is not assigned",
	[0x3] = "its context entry is invalid",
	[0x4] = "the address is beyond those of its page tables",
	[0x5] = "its page tables allow no write there",
	[0x6] = "its page tables allow no read there",
	[0x7] = "a page table cannot be read",
	[0x8] = "the root table cannot be read",
	[0x9] = "a context table cannot be read",
	[0xa] = "reserved bits in the root entry",
	[0xb] = "reserved bits in the context entry",
	[0xc] = "reserved bits in a page table",
	[0xd] = "translation requests of devices (ATS) are off",
	[0xe] = "it leads to the addresses of interrupts",
};

/* "Interrupt Remapping Fault Conditions" */
static const char *const interrupt_reasons[] = {
	[0x0] = "reserved bits in the request",
	[0x1] = "the handle is beyond the table",
	[0x2] = "nobody has the handle",
	[0x3] = "the table cannot be read",
	[0x4] = "reserved bits in the table",
	[0x5] = "not in the remappable format",
	[0x6] = "the handle is another device's",
	[0x7] = "a posted-interrupt descriptor cannot be read",
	[0x8] = "reserved bits in a posted-interrupt descriptor",
};

/* Devices that had faults; what comes when the table is full shares the last entry. */
#define FAULTY 32u
static struct faulty {
	uint16_t source;
	_Atomic uint64_t count;
	struct log_limit limit;
} faulty[FAULTY]; /* [fault_lock], but count */
static _Atomic unsigned faulty_count;
static struct log_limit lost_limit;
static struct spinlock fault_lock;

static struct faulty *faulty_of(uint16_t source)
{
	unsigned n = atomic_load(&faulty_count), i = 0;

	while (i < n && faulty[i].source != source)
		i++;
	if (i == FAULTY)
		return &faulty[FAULTY - 1];
	if (i == n) {
		faulty[i].source = source;
		atomic_store(&faulty_count, n + 1); /* partner: vtd_faults() */
	}
	return &faulty[i];
}

static const char *word(const char *const *words, unsigned count, unsigned i)
{
	return i < count && words[i] ? words[i] : "reason unknown";
}

static const char *access_of(uint64_t hi)
{
	if (!(hi & FAULT_T1))
		return hi & FAULT_T2 ? "asks for a page" : "writes";
	return hi & FAULT_T2 ? "changes" : "reads";
}

/* "Fault Recording Registers": a record's halves. */
static void tell(uint64_t lo, uint64_t hi)
{
	struct pci_address device = { (uint8_t)(hi >> 8), (uint8_t)hi };
	struct faulty *f = faulty_of(pci_requester(device));
	unsigned reason = (uint8_t)(hi >> FAULT_REASON);

	atomic_fetch_add(&f->count, 1);
	if (reason >= INTERRUPT_FIRST && reason <= INTERRUPT_LAST)
		log_limited(&f->limit,
			    "iommu: " PCI_ADDRESS_FORMAT
			    " sends an interrupt, handle %u: blocked: %s (0x%x)",
			    PCI_ADDRESS_ARGS(device), (unsigned)(lo >> INDEX_SHIFT),
			    word(interrupt_reasons,
				 sizeof(interrupt_reasons) / sizeof(interrupt_reasons[0]),
				 reason - INTERRUPT_FIRST),
			    reason);
	else
		log_limited(&f->limit, "iommu: " PCI_ADDRESS_FORMAT " %s 0x%lx: blocked: %s (0x%x)",
			    PCI_ADDRESS_ARGS(device), access_of(hi), (uint64_t)(lo & ENTRY_ADDRESS),
			    word(dma_reasons, sizeof(dma_reasons) / sizeof(dma_reasons[0]), reason),
			    reason);
}

/* Each record at most once, from the oldest on, which makes room for the next. */
static void read_records(struct vtd_unit *u, bool told)
{
	unsigned count = (unsigned)CAP_NFR(u->cap), first = FSTS_FRI(vtd_read32(u, VTD_FSTS));

	for (unsigned i = 0; i < count; i++) {
		unsigned at = (unsigned)CAP_FRO(u->cap) + 16 * ((first + i) % count);
		uint32_t top = vtd_read32(u, at + FAULT_F_DWORD);

		if (!(top & FAULT_F >> 32))
			break;
		if (told)
			tell(vtd_read64(u, at), vtd_read64(u, at + 8));
		vtd_write32(u, at + FAULT_F_DWORD, (uint32_t)(FAULT_F >> 32));
	}
}

void vtd_faults_clear(struct vtd_unit *u)
{
	read_records(u, false);
	vtd_write32(u, VTD_FSTS, FSTS_PFO);
}

static void poll(struct vtd_unit *u)
{
	uint32_t status = vtd_read32(u, VTD_FSTS);

	if (!(status & (FSTS_PPF | FSTS_PFO)))
		return;
	read_records(u, true);
	if (status & FSTS_PFO) {
		log_limited(&lost_limit, "iommu: more faults than the unit at 0x%lx can record",
			    u->base);
		vtd_write32(u, VTD_FSTS, FSTS_PFO);
	}
}

void vtd_poll_faults(void)
{
	if (!spin_trylock(&fault_lock))
		return; /* another CPU is at it */
	for (unsigned i = 0; i < vtd.unit_count; i++)
		poll(&vtd.unit[i]);
	spin_unlock(&fault_lock);
}

uint64_t vtd_faults(struct pci_address device)
{
	unsigned n = atomic_load(&faulty_count); /* partner: faulty_of() */

	for (unsigned i = 0; i < n; i++)
		if (faulty[i].source == pci_requester(device))
			return atomic_load(&faulty[i].count);
	return 0;
}
