/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page allocator: the free extents, sorted by address, form a list whose nodes lie in the free
 * memory itself, so that there is no table that could be full. First fit from below; a freed
 * extent joins its neighbours at once, so the list never has two that touch. What lies below
 * 1 MiB is left alone: firmware and the trampoline live there.
 */
#include "hv/core/pmm.h"

#include <stdbool.h>

#include "hv/core/lock.h"
#include "hv/core/log.h"

#define LOW_MEMORY_END (1u << 20)

struct extent { /* at the start of a free extent */
	struct extent *next;
	uint64_t bytes;
};

static struct spinlock pmm_lock;
static struct extent *first; /* [pmm_lock] and all that follow */
static uint64_t free_bytes;  /* [pmm_lock] */
static uint64_t total_bytes; /* constant after pmm_init() */

static uint64_t round_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

/* REP STOS: on the emulators by far the fastest way through a guest's whole RAM. */
static void clear(void *p, uint64_t bytes)
{
	uint64_t count = bytes / 8;

	__asm__ volatile("rep stosq" : "+D"(p), "+c"(count) : "a"(0ull) : "memory");
}

/* Joins b to a if it follows without a gap; b may be NULL. */
static bool join(struct extent *a, const struct extent *b)
{
	if (!b || (uint64_t)a + a->bytes != (uint64_t)b)
		return false;
	a->bytes += b->bytes;
	a->next = b->next;
	return true;
}

static void give(uint64_t base, uint64_t bytes)
{
	struct extent *e = hpa_to_ptr((hpa_t){ base }), *before = NULL;
	struct extent *after = first;

	while (after && after < e) {
		before = after;
		after = after->next;
	}
	assert(!before || (uint64_t)before + before->bytes <= (uint64_t)e); /* freed twice */
	assert(!after || (uint64_t)e + bytes <= (uint64_t)after);
	free_bytes += bytes;
	e->bytes = bytes;
	e->next = after;
	join(e, after);
	if (!before) {
		first = e;
		return;
	}
	before->next = e;
	join(before, e);
}

/* Cuts [at, at + bytes) out of e, which *link points to and which holds it. */
static void cut(struct extent **link, struct extent *e, uint64_t at, uint64_t bytes)
{
	uint64_t start = (uint64_t)e, end = start + e->bytes;
	struct extent *rest = e->next;

	if (at + bytes < end) {
		struct extent *tail = (struct extent *)(at + bytes);

		tail->next = rest;
		tail->bytes = end - (at + bytes);
		rest = tail;
	}
	if (at > start) {
		e->bytes = at - start;
		e->next = rest;
		rest = e;
	}
	*link = rest;
	free_bytes -= bytes;
}

/* DIRECT_MAP_BASE is aligned to more than any `align`, so pointers align as addresses do. */
static void *take(uint64_t bytes, uint64_t align)
{
	for (struct extent **link = &first; *link; link = &(*link)->next) {
		struct extent *e = *link;
		uint64_t hpa = ptr_to_hpa(e).v;
		uint64_t skip = round_up(hpa, align) - hpa;

		if (skip >= e->bytes || e->bytes - skip < bytes)
			continue;
		cut(link, e, (uint64_t)e + skip, bytes);
		return hpa_to_ptr((hpa_t){ hpa + skip });
	}
	return NULL;
}

/* The loader's work is trusted, but a core and a loader that do not match must not run on. */
static void check_handover(const struct handover *h)
{
	const struct handover_range *r = hpa_to_ptr((hpa_t){ h->ranges });
	uint64_t end = 0;

	if (h->magic != HANDOVER_MAGIC || h->version != HANDOVER_VERSION || h->bytes != sizeof(*h))
		panic("memory: the loader's hand-over is of another version than the core");
	for (uint32_t i = 0; i < h->range_count; i++, r++) {
		if ((r->base | r->bytes) % PAGE_SIZE || r->base < end ||
		    r->base + r->bytes < r->base)
			panic("memory: range %u of the loader's map is not in order", i);
		end = r->base + r->bytes;
	}
}

void pmm_init(const struct handover *h)
{
	const struct handover_range *r = hpa_to_ptr((hpa_t){ h->ranges });

	check_handover(h);
	for (uint32_t i = 0; i < h->range_count; i++, r++) {
		uint64_t base = r->base, end = r->base + r->bytes;

		if (r->kind != MEM_RESERVED)
			total_bytes += r->bytes;
		if (base < LOW_MEMORY_END)
			base = LOW_MEMORY_END;
		if (r->kind == MEM_USABLE && base < end)
			give(base, end - base);
	}
	log_printf("memory: %lu MiB of RAM, %lu MiB free", total_bytes >> 20, free_bytes >> 20);
}

hpa_t pmm_alloc(uint64_t bytes, uint64_t align)
{
	void *p;

	if (bytes == 0 || bytes > ~0ull - PAGE_SIZE)
		return HPA_NONE;
	bytes = round_up(bytes, PAGE_SIZE);
	spin_lock(&pmm_lock);
	p = take(bytes, align < PAGE_SIZE ? PAGE_SIZE : align);
	spin_unlock(&pmm_lock);
	if (!p)
		return HPA_NONE;
	clear(p, bytes);
	return ptr_to_hpa(p);
}

void pmm_free(hpa_t at, uint64_t bytes)
{
	assert(at.v % PAGE_SIZE == 0 && bytes > 0);
	spin_lock(&pmm_lock);
	give(at.v, round_up(bytes, PAGE_SIZE));
	spin_unlock(&pmm_lock);
}

void *page_alloc(size_t bytes)
{
	hpa_t at = pmm_alloc(bytes, PAGE_SIZE);

	return at.v == HPA_NONE.v ? NULL : hpa_to_ptr(at);
}

void page_free(void *p, size_t bytes)
{
	if (p)
		pmm_free(ptr_to_hpa(p), bytes);
}

uint64_t pmm_free_bytes(void)
{
	spin_lock(&pmm_lock);
	uint64_t bytes = free_bytes;
	spin_unlock(&pmm_lock);
	return bytes;
}

uint64_t pmm_total_bytes(void)
{
	return total_bytes;
}
