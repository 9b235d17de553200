/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/dev/reuse.h"

#include "hv/core/lifecycle.h"
#include "hv/core/list.h"
#include "hv/core/lock.h"
#include "hv/core/pmm.h"
#include "hv/core/vm.h"
#include "hv/dev/iommu.h"
#include "vswitch/policy.h"

#define BUCKETS	  4096u
#define NOBODY	  UINT32_MAX
#define GIB	  (1ull << 30)
#define PAGE_MASK (PAGE_SIZE - 1)

/* [l] under the lock of its struct reuse */
struct shared_page {
	struct list
		idle; /* [l] in order of use, if there are no users; or in the list of free ones */
	struct shared_page *next; /* [l] of its bucket */
	uint64_t iova;		  /* [l] */
	uint32_t vm;		  /* [l] whose */
	uint32_t users;		  /* [l] pieces of packets that are in use */
	uint32_t disowned; /* [l] ... and of packets whose sender has taken its memory back */
	bool blank;	   /* [l] the page of zeroes is there instead: if there are no users */
};

/* (c) constant */
struct reuse {
	struct list all; /* under all_lock */
	uint64_t base
		[CONFIG_MAX_VMS]; /* where a VM's memory begins, for devices; changed while that VM
					* is not there */
	uint64_t room[CONFIG_MAX_VMS]; /* likewise: bytes that it may have there; 0: none */
	uint64_t top;		       /* behind all of them */
	void *zeroes;		       /* (c) a page */
	struct spinlock lock;
	struct iommu_domain *domain; /* [l] NULL: closed */
	bool refused;		     /* [l] by the IOMMU: nothing more is shared */
	bool stale;		     /* [l] a page was replaced, and nothing flushed since */
	struct list idle, free;	     /* [l] */
	struct shared_page *bucket[BUCKETS]; /* [l] */
	struct shared_page page[REUSE_PAGES];
};

static struct spinlock all_lock;
static struct list all_reuses = { &all_reuses, &all_reuses }; /* under all_lock */

static struct shared_page **bucket_of(struct reuse *r, uint64_t iova)
{
	return &r->bucket[iova / PAGE_SIZE * 0x9e3779b97f4a7c15ull >> 52]; /* 12 bits */
}

static struct shared_page *find(struct reuse *r, uint64_t iova)
{
	struct shared_page *p = *bucket_of(r, iova);

	while (p && p->iova != iova)
		p = p->next;
	return p;
}

/* Beyond a VM's memory, with the hole below 4 GiB. */
static uint64_t memory_end(const struct config_vm *vm)
{
	return ((vm->memory_mib << 20) + 2 * GIB - 1) & ~(GIB - 1);
}

/* One that needs no more than before stays where it was. */
static void place_vm(struct reuse *r, unsigned id, const struct config_vm *vm)
{
	uint64_t bytes = memory_end(vm);

	if (bytes <= r->room[id])
		return;
	r->base[id] = r->top;
	r->room[id] = bytes;
	r->top += bytes;
}

static void place_vms(struct reuse *r, const struct vm *driver)
{
	uint64_t at = memory_end(driver->config);

	/* a device's accesses to 0xfeexxxxx are interrupts, not memory (VT-d, "Handling Requests to Interrupt
	 * Address Range") */
	if (at < 4 * GIB)
		at = 4 * GIB;
	r->top = at;
	for (unsigned i = 0; i < vm_config->vm_count; i++)
		place_vm(r, i, &vm_config->vms[i]);
}

void reuse_vm_changed(unsigned id)
{
	spin_lock(&all_lock);
	list_for_each(pos, &all_reuses)
		place_vm(container_of(pos, struct reuse, all), id, &vm_config->vms[id]);
	spin_unlock(&all_lock);
}

struct reuse *reuse_create(const struct vm *driver, struct iommu_domain *domain)
{
	struct reuse *r = page_alloc(sizeof(*r));
	void *zero = page_alloc(PAGE_SIZE);

	if (!r || !zero) {
		if (r)
			page_free(r, sizeof(*r));
		if (zero)
			page_free(zero, PAGE_SIZE);
		return NULL;
	}
	r->zeroes = zero;
	r->domain = domain;
	list_init(&r->idle);
	list_init(&r->free);
	for (unsigned i = 0; i < REUSE_PAGES; i++)
		list_insert_before(&r->free, &r->page[i].idle);
	spin_lock(&all_lock); /* around both: partner: reuse_vm_changed() */
	place_vms(r, driver);
	list_insert_before(&all_reuses, &r->all);
	spin_unlock(&all_lock);
	return r;
}

void reuse_close(struct reuse *r)
{
	if (!r)
		return;
	spin_lock(&r->lock);
	r->domain = NULL;
	spin_unlock(&r->lock);
}

void reuse_free(struct reuse *r)
{
	if (!r)
		return;
	spin_lock(&all_lock);
	list_remove(&r->all);
	spin_unlock(&all_lock);
	page_free(r->zeroes, PAGE_SIZE);
	page_free(r, sizeof(*r));
}

/* All that follows is under the lock. */

/* Its entry is cleared; flush() comes before it is used for another. */
static void unmap(struct reuse *r, struct shared_page *p)
{
	struct shared_page **at = bucket_of(r, p->iova);

	if (r->domain)
		iommu->unmap(r->domain, (iova_t){ p->iova }, PAGE_SIZE);
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	list_remove(&p->idle);
	list_insert_before(&r->free, &p->idle);
}

static void flush(struct reuse *r, struct share_cost *cost)
{
	r->stale = false;
	if (!r->domain)
		return;
	iommu->flush(r->domain);
	cost->flushes++;
}

/* Unmaps up to `most` pages that nobody uses, of those least recently used. */
static void unmap_idle(struct reuse *r, unsigned most, struct share_cost *cost)
{
	if (list_empty(&r->idle))
		return;
	for (; most > 0 && !list_empty(&r->idle); most--)
		unmap(r, container_of(r->idle.next, struct shared_page, idle));
	flush(r, cost);
}

/* false: told, and never tried again: device addresses or memory for page tables are too few. */
static bool map(struct reuse *r, const struct shared_page *p, const void *at,
		struct share_cost *cost)
{
	if (iommu->map(r->domain, (iova_t){ p->iova }, ptr_to_hpa(at), PAGE_SIZE, IOMMU_READ) < 0) {
		r->refused = true;
		return false;
	}
	cost->mapped++;
	return true;
}

static struct shared_page *add(struct reuse *r, uint32_t vm, uint64_t iova, const void *at,
			       struct share_cost *cost)
{
	struct shared_page *p;

	if (list_empty(&r->free))
		unmap_idle(r, REUSE_BATCH, cost);
	if (list_empty(&r->free))
		return NULL; /* all of them are in flight */
	p = container_of(r->free.next, struct shared_page, idle);
	p->iova = iova;
	p->vm = vm;
	p->users = p->disowned = 0;
	p->blank = false;
	if (!map(r, p, at, cost))
		return NULL;
	list_remove(&p->idle);
	p->next = *bucket_of(r, iova);
	*bucket_of(r, iova) = p;
	return p;
}

/* One more user of the page at `iova` for devices, and `at` for us. */
static bool use(struct reuse *r, uint32_t vm, uint64_t iova, const void *at,
		struct share_cost *cost)
{
	struct shared_page *p = find(r, iova);

	if (p && p->blank)
		return false; /* what was there for it is in flight still */
	if (!p)
		p = add(r, vm, iova, at, cost);
	if (!p)
		return false;
	list_remove(&p->idle);
	p->users++;
	return true;
}

/* Devices read zeroes there, once that is flushed. */
static void blank(struct reuse *r, struct shared_page *p)
{
	if (r->domain && iommu->map(r->domain, (iova_t){ p->iova }, ptr_to_hpa(r->zeroes),
				    PAGE_SIZE, IOMMU_READ) < 0)
		panic("a page cannot be replaced: its table is there");
	p->blank = r->stale = true;
}

/* What becomes of a page that has a user less; true: it is to be flushed. */
typedef bool leaving(struct reuse *r, struct shared_page *p);

static bool leave(struct reuse *r, struct shared_page *p)
{
	assert(p->users > 0);
	if (--p->users > 0)
		return false;
	if (p->disowned > 0) {
		if (!p->blank)
			blank(r, p);
		return r->stale;
	}
	list_insert_before(&r->idle, &p->idle);
	if (!p->blank && policy_get(POLICY_buffer_reuse) == REUSE_ON)
		return false;
	unmap(r, p);
	return true;
}

static bool leave_disowned(struct reuse *r, struct shared_page *p)
{
	assert(p->disowned > 0);
	if (--p->disowned > 0 || p->users > 0)
		return false;
	unmap(r, p);
	return true;
}

/* It is in use still, but its sender's again: flushed by reuse_revoke_disowned(). */
static bool disown(struct reuse *r, struct shared_page *p)
{
	assert(p->users > 0);
	p->disowned++;
	if (--p->users == 0 && !p->blank)
		blank(r, p);
	return false;
}

/* The first `pages` pages from that of `address` on. */
static bool for_pages(struct reuse *r, leaving *what, uint64_t address, uint64_t pages)
{
	uint64_t iova = address & ~(uint64_t)PAGE_MASK;
	bool due = false;

	for (; pages > 0; pages--, iova += PAGE_SIZE) {
		struct shared_page *p = find(r, iova);

		assert(p);
		due |= what(r, p);
	}
	return due;
}

static uint64_t pages_of(uint64_t address, uint32_t bytes)
{
	return ((address & PAGE_MASK) + bytes + PAGE_MASK) / PAGE_SIZE;
}

/* One piece, all of it or nothing. */
static bool share_piece(struct reuse *r, const struct vm *from, struct seg seg,
			struct uplink_piece *piece, struct share_cost *cost)
{
	const struct gmem_extent *e = from->mem.extent;
	const uint8_t *at = seg.ptr - ((uintptr_t)seg.ptr & PAGE_MASK);
	uint64_t iova, pages;

	while ((uint64_t)(seg.ptr - e->ptr) >= e->bytes) /* it is in one of them */
		e++;
	piece->address = r->base[from->id] + e->gpa + (uint64_t)(seg.ptr - e->ptr);
	piece->bytes = seg.len;
	piece->zero = 0;
	iova = piece->address & ~(uint64_t)PAGE_MASK;
	pages = pages_of(piece->address, seg.len);
	for (uint64_t i = 0; i < pages; i++) {
		if (use(r, from->id, iova + i * PAGE_SIZE, at + i * PAGE_SIZE, cost))
			continue;
		if (for_pages(r, leave, iova, i))
			flush(r, cost);
		return false;
	}
	return true;
}

static void for_pieces(struct reuse *r, leaving *what, const struct uplink_piece *piece,
		       unsigned pieces, struct share_cost *cost)
{
	bool due = false;

	for (unsigned i = 0; i < pieces; i++)
		due |= for_pages(r, what, piece[i].address,
				 pages_of(piece[i].address, piece[i].bytes));
	if (due)
		flush(r, cost);
}

unsigned reuse_share(struct reuse *r, const struct vm *from, const struct seg *seg, uint32_t bytes,
		     struct uplink_piece *piece, unsigned room, struct share_cost *cost)
{
	unsigned n = 0;

	spin_lock(&r->lock);
	for (; r->domain && !r->refused && bytes > 0 && n < room; n++, seg++) {
		struct seg part = { seg->ptr, seg->len < bytes ? seg->len : bytes };

		if (!share_piece(r, from, part, &piece[n], cost))
			break;
		bytes -= part.len;
	}
	if (bytes > 0)
		for_pieces(r, leave, piece, n, cost);
	spin_unlock(&r->lock);
	return bytes > 0 ? 0 : n;
}

void reuse_unshare(struct reuse *r, const struct uplink_piece *piece, unsigned pieces,
		   struct share_cost *cost)
{
	spin_lock(&r->lock);
	for_pieces(r, leave, piece, pieces, cost);
	spin_unlock(&r->lock);
}

void reuse_unshare_disowned(struct reuse *r, const struct uplink_piece *piece, unsigned pieces,
			    struct share_cost *cost)
{
	spin_lock(&r->lock);
	for_pieces(r, leave_disowned, piece, pieces, cost);
	spin_unlock(&r->lock);
}

void reuse_disown(struct reuse *r, const struct uplink_piece *piece, unsigned pieces)
{
	struct share_cost cost = { 0, 0 };

	spin_lock(&r->lock);
	for_pieces(r, disown, piece, pieces, &cost);
	spin_unlock(&r->lock);
}

/* true: it is to be flushed. ends: the VM does, with all that it has lent. */
static bool revoke(struct reuse *r, struct shared_page *p, bool ends)
{
	if (p->users + p->disowned == 0) {
		unmap(r, p);
		return true;
	}
	if (ends && !p->blank)
		blank(r, p);
	return false;
}

static void revoke_all(struct reuse *r, uint32_t vm, bool ends)
{
	struct share_cost cost = { 0, 0 };
	bool due = false;

	spin_lock(&r->lock);
	for (unsigned i = 0; r->domain && i < BUCKETS; i++) {
		struct shared_page *next, *p = r->bucket[i];

		for (; p; p = next) {
			next = p->next;
			if (p->vm == vm)
				due |= revoke(r, p, ends);
		}
	}
	if (due || r->stale)
		flush(r, &cost);
	spin_unlock(&r->lock);
}

static void revoke_everywhere(const struct vm *from, bool ends)
{
	spin_lock(&all_lock);
	list_for_each(pos, &all_reuses)
		revoke_all(container_of(pos, struct reuse, all), from->id, ends);
	spin_unlock(&all_lock);
}

void reuse_revoke_disowned(const struct vm *from)
{
	revoke_everywhere(from, false);
}

void reuse_revoke(const struct vm *from)
{
	revoke_everywhere(from, true);
}

void reuse_reclaim(struct reuse *r)
{
	struct share_cost cost = { 0, 0 };

	spin_lock(&r->lock);
	unmap_idle(r, REUSE_PAGES, &cost);
	spin_unlock(&r->lock);
}

void reuse_policy_changed(void)
{
	if (policy_get(POLICY_buffer_reuse) == REUSE_ON)
		return;
	spin_lock(&all_lock);
	list_for_each(pos, &all_reuses)
		reuse_reclaim(container_of(pos, struct reuse, all));
	spin_unlock(&all_lock);
}
