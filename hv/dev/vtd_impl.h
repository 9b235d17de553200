/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of VT-d (hv/dev/vtd*.c) share. Registers, entries and descriptors as in the Intel
 * Virtualization Technology for Directed I/O specification (D51397, revision 5.10; sections are
 * cited by title). Legacy mode only: root table, context table, second-stage tables.
 *
 * Lock order: vtd.lock, a domain's lock, a unit's queue_lock.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/lock.h"
#include "hv/core/pmm.h"
#include "hv/cpu/x86.h"
#include "hv/dev/dmar.h"
#include "hv/dev/iommu.h"

enum vtd_register { /* "Register Descriptions" */
		    VTD_VER = 0x00,
		    VTD_CAP = 0x08,
		    VTD_ECAP = 0x10,
		    VTD_GCMD = 0x18,
		    VTD_GSTS = 0x1c,
		    VTD_RTADDR = 0x20,
		    VTD_FSTS = 0x34,
		    VTD_FECTL = 0x38,
		    VTD_PMEN = 0x64,
		    VTD_IQH = 0x80,
		    VTD_IQT = 0x88,
		    VTD_IQA = 0x90,
		    VTD_IRTA = 0xb8,
};
#define VTD_REGISTERS_END 0xc0u /* of those that we use, but for the fault recording registers */

/* "Capability Register" */
#define CAP_ND(cap)    ((cap)&7)	 /* 2^(4 + 2 * ND) domains */
#define CAP_RWBF       BIT(4)		 /* what is written reaches it by an invalidation only */
#define CAP_PMR	       (BIT(5) | BIT(6)) /* has protected memory regions */
#define CAP_CM	       BIT(7)		 /* caches what is not present, too */
#define CAP_SAGAW_39   BIT(9)		 /* three levels */
#define CAP_SAGAW_48   BIT(10)		 /* four */
#define CAP_MGAW(cap)  (((cap) >> 16 & 63) + 1)
#define CAP_FRO(cap)   (((cap) >> 24 & 0x3ff) * 16) /* offset of the fault recording registers */
#define CAP_SLLPS_2M   BIT(34)
#define CAP_SLLPS_1G   BIT(35)
#define CAP_NFR(cap)   (((cap) >> 40 & 0xff) + 1) /* how many */
#define CAP_DRAIN(cap) ((cap) >> 54 & 3)	  /* DWD, DRD */

/* "Extended Capability Register" */
#define ECAP_C	 BIT(0) /* snoops caches when it reads tables */
#define ECAP_QI	 BIT(1)
#define ECAP_IR	 BIT(3)
#define ECAP_EIM BIT(4)
#define ECAP_SC	 BIT(7) /* SNP in page table entries */

/* "Global Command Register", "Global Status Register": a bit of the one is told by that of the
 * other */
#define GCMD_TE		BIT(31)
#define GCMD_SRTP	BIT(30)
#define GCMD_EAFL	BIT(28) /* of old units: advanced fault logging */
#define GCMD_QIE	BIT(26)
#define GCMD_IRE	BIT(25)
#define GCMD_SIRTP	BIT(24)
#define GCMD_CFI	BIT(23)
#define GSTS_PERSISTENT (GCMD_TE | GCMD_EAFL | GCMD_QIE | GCMD_IRE | GCMD_CFI)

/* "Fault Status Register" */
#define FSTS_PFO    BIT(0) /* faults were lost */
#define FSTS_PPF    BIT(1)
#define FSTS_IQE    BIT(4)
#define FSTS_ICE    BIT(5)
#define FSTS_ITE    BIT(6)
#define FSTS_FRI(s) ((s) >> 8 & 0xff) /* the oldest record */
#define FECTL_IM    BIT(31)

#define RTADDR_MODE (3ull << 10) /* TTM; 0: legacy */
#define IRTA_EIME   BIT(11)
#define PMEN_EPM    BIT(31)
#define PMEN_PRS    BIT(0)

struct vtd_entry { /* of all tables but the page tables, and of the invalidation queue */
	uint64_t lo, hi;
};
_Static_assert(sizeof(struct vtd_entry) == 16, "128 bits");

/* "Root Entry", "Context Entry" */
#define ENTRY_PRESENT	BIT(0)
#define ENTRY_ADDRESS	0xfffffffffffff000ull
#define CONTEXT_AW(l)	((uint64_t)(l)-2) /* levels: 3 is 1, 4 is 2 */
#define CONTEXT_DID(hi) ((uint16_t)((hi) >> 8))

struct vtd_unit {
	volatile uint8_t *regs;	  /* (c) */
	uint64_t base, cap, ecap; /* (c) */
	struct vtd_entry *root;	  /* (c), entries under vtd.lock */
	struct spinlock queue_lock;
	struct vtd_entry *queue;  /* (c), entries [queue_lock] */
	unsigned tail;		  /* [queue_lock] */
	uint32_t waits;		  /* [queue_lock] wait descriptors so far */
	_Atomic uint32_t *waited; /* the unit writes the number of the last that it has done */
};

/* What holds for page tables, the units' common denominator. Constant after the start. */
struct vtd_format {
	unsigned levels;    /* 3 or 4 */
	uint64_t iova_end;  /* IOVAs are below */
	bool large[4];	    /* pages of that level: [2] 2 MiB, [3] 1 GiB */
	bool coherent;	    /* else lines are to be written back */
	bool cautious;	    /* what was not present may be cached: invalidate after each change */
	uint64_t leaf_bits; /* SNP, where all have it */
};

#define VTD_MAX_DOMAINS 65u /* one a VM, and firmware's */

struct iommu_domain {
	uint16_t id; /* (c) never 0, which a unit with CM may use itself */
	struct spinlock lock;
	uint64_t *root;				   /* (c), tables under lock */
	uint64_t *emptied;			   /* under lock: see vtd_table_unmap() */
	_Atomic uint16_t attached[DMAR_MAX_UNITS]; /* devices of each unit */
};

/* (c) constant after the start */
struct vtd {
	struct spinlock lock;
	struct dmar dmar;				  /* (c) */
	unsigned unit_count;				  /* (c) */
	struct vtd_unit unit[DMAR_MAX_UNITS];		  /* in the order of dmar.unit */
	struct vtd_format format;			  /* (c) */
	unsigned domain_limit;				  /* (c) IDs are below */
	struct iommu_domain *domain[VTD_MAX_DOMAINS + 1]; /* [lock] by ID */
};
extern struct vtd vtd;

/* vtd_regs.c: registers; bound by the linker, so that the tests can put a unit of theirs there. */
uint32_t vtd_read32(const struct vtd_unit *u, unsigned at);
uint64_t vtd_read64(const struct vtd_unit *u, unsigned at);
void vtd_write32(const struct vtd_unit *u, unsigned at, uint32_t value);
void vtd_write64(const struct vtd_unit *u, unsigned at, uint64_t value);
/* Takes what the unit is to read out of the caches. */
void vtd_write_back(const void *p, size_t bytes);

/* vtd_unit.c. The wait ends after a second at the latest; false: not as wanted by then. */
bool vtd_await(const struct vtd_unit *u, unsigned at, uint32_t mask, uint32_t want);
/* Sets or clears a bit of GCMD, and waits until GSTS tells so. */
int vtd_command(const struct vtd_unit *u, uint64_t bit, bool on) __must_check;
/* Finds the unit's registers; an error, told: it cannot be used. Changes nothing of it. */
int vtd_unit_open(struct vtd_unit *u, uint64_t base) __must_check;
/* Memory for its tables. */
int vtd_unit_prepare(struct vtd_unit *u) __must_check;
/* Takes it over from firmware and blocks all devices. irta: value of IRTA. */
int vtd_unit_start(struct vtd_unit *u, uint64_t irta) __must_check;
/* After a start that failed: back to no remapping, as far as the unit still answers. */
void vtd_unit_stop(struct vtd_unit *u);
/* An entry that the unit may read meanwhile: never half of it present. */
void vtd_entry_set(const struct vtd_format *f, struct vtd_entry *entry, uint64_t lo, uint64_t hi);

/* vtd_queue.c */
int vtd_queue_start(struct vtd_unit *u) __must_check;
/* Everything that the unit has cached; for the start. */
int vtd_queue_invalidate_all(struct vtd_unit *u) __must_check;
/* Executes and waits; on return nothing of it is cached. A unit that does not obey, not even after
 * its queue was started anew, is a panic: there is nothing left to keep a device from memory that
 * is about to be another VM's. */
void vtd_invalidate(struct vtd_unit *u, const struct vtd_entry *list, unsigned count);
struct vtd_entry vtd_inv_context(uint16_t domain, uint16_t source);
struct vtd_entry vtd_inv_iotlb(const struct vtd_unit *u, uint16_t domain);
struct vtd_entry vtd_inv_interrupt(unsigned index);

/* vtd_table.c: page tables, under the domain's lock. Freed only whole, or when no unit has a pointer to them any
 * more, so that none follows a cached pointer into memory that is another's. */
int vtd_table_map(const struct vtd_format *f, uint64_t *root, uint64_t iova, uint64_t hpa,
		  uint64_t bytes, unsigned rights) __must_check;
/* Without memory to split a large page, all of it goes: the device sees faults, never too much. Tables of 4 KiB
 * pages in which nothing is left go into the list *emptied: until everything that units have cached of the domain
 * was invalidated. */
void vtd_table_unmap(const struct vtd_format *f, uint64_t *root, uint64_t iova, uint64_t bytes,
		     uint64_t **emptied);
void vtd_table_free_emptied(uint64_t *emptied);
void vtd_table_free(const struct vtd_format *f, uint64_t *root);

/* vtd_irq.c: one interrupt remapping table for all units. */
int vtd_irq_prepare(void) __must_check;
uint64_t vtd_irq_irta(void); /* for the register */
int vtd_irq_alloc(struct pci_address device, uint8_t vector, uint32_t apic_id,
		  struct msi_message *message) __must_check;
int vtd_irq_alloc_pin(uint8_t ioapic_id, uint8_t vector, uint32_t apic_id, bool level,
		      uint64_t *redirection) __must_check;
bool vtd_irq_has_ioapic(uint8_t ioapic_id);
void vtd_irq_free(int handle);
void vtd_irq_cut_off(int handle, bool on);

/* vtd_fault.c */
void vtd_faults_clear(struct vtd_unit *u);
void vtd_poll_faults(void);
uint64_t vtd_faults(struct pci_address device);

/* vtd.c: starts VT-d by the table DMAR. An error, told: it cannot be used, and remaps nothing. */
int vtd_start(const void *dmar, size_t bytes) __must_check;
extern const struct iommu_ops vtd_ops;
