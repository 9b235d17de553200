/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Guest-virtual addresses, through the guest's own page tables (SDM 3A, "Paging"): none, 32-bit
 * with 4 MiB pages, PAE, 4 and 5 levels. The guest may rewrite its tables while we walk them: each
 * entry is read once, and the walk is bounded by its levels. Accessed and dirty bits are set as
 * the processor would, only if the entry is still what was read; else the walk starts again, a few
 * times.
 *
 * No check of MAXPHYADDR: an entry that points above it points outside of RAM and faults anyway.
 */
#include <string.h>

#include "hv/core/vcpu.h"
#include "hv/cpu/msr.h"

/* SDM 3A, "Format of a Page-Table Entry" */
#define PTE_P		   BIT(0)
#define PTE_W		   BIT(1)
#define PTE_U		   BIT(2)
#define PTE_A		   BIT(5)
#define PTE_D		   BIT(6)
#define PTE_PS		   BIT(7)
#define PTE_NX		   BIT(63)
#define PTE_ADDRESS	   0x000ffffffffff000ull
#define PDPTE_PAE_RESERVED (0x1e6ull | 0xfffull << 52)

/* SDM 3A, "Page-Fault Exceptions" */
#define PF_P	BIT(0)
#define PF_W	BIT(1)
#define PF_U	BIT(2)
#define PF_RSVD BIT(3)
#define PF_I	BIT(4)

#define RFLAGS_AC    BIT(18)
#define MAX_LEVELS   5
#define MAX_ATTEMPTS 4

struct mode {
	unsigned levels;
	unsigned index_bits;
	unsigned entry_bytes; /* 4 or 8 */
	uint64_t root;
	bool nxe;
};

struct walk {
	const struct vm *vm;
	const struct vcpu_sregs *s;
	struct mode mode;
	uint64_t gva;
	uint32_t access;
	uint64_t rights; /* PTE_W, PTE_U: what all levels allow; PTE_NX: what any forbids */
	unsigned depth;	 /* entries seen */
	struct {
		void *at;
		uint64_t value;
	} seen[MAX_LEVELS];
};

enum step { STEP_NEXT, STEP_DONE, STEP_FAULT };

static struct mode paging_mode(const struct vcpu_sregs *s)
{
	const bool nxe = s->efer & EFER_NXE;

	if (!(s->cr4 & CR4_PAE))
		return (struct mode){ 2, 10, 4, s->cr3 & 0xfffff000ull, false };
	if (!(s->efer & EFER_LMA))
		return (struct mode){ 3, 9, 8, s->cr3 & 0xffffffe0ull, nxe };
	return (struct mode){ s->cr4 & CR4_LA57 ? 5 : 4, 9, 8, s->cr3 & PTE_ADDRESS, nxe };
}

static bool pae(const struct walk *w)
{
	return w->mode.levels == 3;
}

static uint64_t entry_load(const void *at, unsigned bytes)
{
	if (bytes == 4)
		return __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED);
	return __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
}

/* Sets bits unless the guest has changed the entry since it was read. */
static bool entry_mark(void *at, unsigned bytes, uint64_t seen, uint64_t bits)
{
	uint32_t seen32 = (uint32_t)seen;

	if ((seen & bits) == bits)
		return true;
	if (bytes == 4)
		return __atomic_compare_exchange_n((uint32_t *)at, &seen32, seen32 | (uint32_t)bits,
						   false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n((uint64_t *)at, &seen, seen | bits, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* Address bits below an entry of this level: 12 for a page table, then more. */
static unsigned level_shift(const struct walk *w, unsigned level)
{
	return 12 + (level - 1) * w->mode.index_bits;
}

static bool is_large(const struct walk *w, unsigned level, uint64_t entry)
{
	if (!(entry & PTE_PS) || level == 1)
		return false;
	if (w->mode.entry_bytes == 4)
		return w->s->cr4 & CR4_PSE;
	return level == 2 || (level == 3 && !pae(w));
}

static bool reserved_bits_set(const struct walk *w, unsigned level, uint64_t entry)
{
	if (w->mode.entry_bytes == 4)
		return is_large(w, level, entry) && entry & BIT(21);
	if (pae(w) && level == 3)
		return entry & PDPTE_PAE_RESERVED;
	if (entry & PTE_NX && !w->mode.nxe)
		return true;
	if (pae(w) && entry & 0x7ff0000000000000ull)
		return true;
	if (level > 3 && entry & PTE_PS)
		return true;
	/* Bit 12 of a large page is PAT. */
	return is_large(w, level, entry) && entry & (BIT(level_shift(w, level)) - 1) & ~0x1fffull;
}

static uint64_t page_base(const struct walk *w, unsigned level, uint64_t entry)
{
	if (w->mode.entry_bytes == 4 && level == 2) /* PSE-36: bits 20:13 are address bits 39:32 */
		return (entry & 0xffc00000ull) | (entry >> 13 & 0xff) << 32;
	return entry & PTE_ADDRESS & ~(BIT(level_shift(w, level)) - 1);
}

/* One level: table becomes the next one, or the address of the page. */
static enum step walk_level(struct walk *w, unsigned level, uint64_t *table, uint32_t *pf_error)
{
	const unsigned shift = level_shift(w, level);
	const uint64_t index = w->gva >> shift & (BIT(w->mode.index_bits) - 1);
	void *at = gmem_ptr(&w->vm->mem, *table + index * w->mode.entry_bytes, w->mode.entry_bytes);
	uint64_t entry;

	*pf_error = 0;
	if (!at)
		return STEP_FAULT;
	entry = entry_load(at, w->mode.entry_bytes);
	if (!(entry & PTE_P))
		return STEP_FAULT;
	if (reserved_bits_set(w, level, entry)) {
		*pf_error = PF_P | PF_RSVD;
		return STEP_FAULT;
	}
	if (!(pae(w) && level == 3)) { /* the PDPTEs of PAE have no rights and no A bit */
		w->rights &= entry | PTE_NX;
		w->rights |= entry & PTE_NX;
		w->seen[w->depth].at = at;
		w->seen[w->depth++].value = entry;
	}
	if (level > 1 && !is_large(w, level, entry)) {
		*table = w->mode.entry_bytes == 4 ? entry & 0xfffff000u : entry & PTE_ADDRESS;
		return STEP_NEXT;
	}
	*table = page_base(w, level, entry) + (w->gva & (BIT(shift) - 1));
	return STEP_DONE;
}

/* SDM 3A, "Determination of Access Rights" */
static bool allowed(const struct walk *w)
{
	const bool user_page = w->rights & PTE_U;
	const bool fetch = w->access & PF_I;

	if (fetch && w->mode.nxe && w->rights & PTE_NX)
		return false;
	if (w->access & PF_U)
		return user_page && (!(w->access & PF_W) || w->rights & PTE_W);
	if (user_page && fetch && w->s->cr4 & CR4_SMEP)
		return false;
	if (user_page && !fetch && w->s->cr4 & CR4_SMAP && !(w->s->rflags & RFLAGS_AC))
		return false;
	return !(w->access & PF_W) || w->rights & PTE_W || !(w->s->cr0 & CR0_WP);
}

static bool mark_seen(struct walk *w)
{
	if (w->access & GVA_LOOK)
		return true;
	for (unsigned i = 0; i < w->depth; i++) {
		const bool dirty = i + 1 == w->depth && w->access & PF_W;

		if (!entry_mark(w->seen[i].at, w->mode.entry_bytes, w->seen[i].value,
				dirty ? PTE_A | PTE_D : PTE_A))
			return false;
	}
	return true;
}

/* STEP_NEXT: the guest changed an entry meanwhile; *out is what the old one said. */
static enum step walk_once(struct walk *w, gpa_t *out, uint32_t *pf_error)
{
	enum step step = STEP_NEXT;
	uint64_t table = w->mode.root;

	w->rights = PTE_W | PTE_U;
	w->depth = 0;
	for (unsigned level = w->mode.levels; level && step == STEP_NEXT; level--)
		step = walk_level(w, level, &table, pf_error);
	if (step == STEP_FAULT)
		return STEP_FAULT;
	if (!allowed(w)) {
		*pf_error = PF_P;
		return STEP_FAULT;
	}
	out->v = table;
	return mark_seen(w) ? STEP_DONE : STEP_NEXT;
}

int gva_to_gpa(struct vcpu *vcpu, uint64_t gva, uint32_t access, gpa_t *out, uint32_t *pf_error)
{
	struct vcpu_sregs s;
	struct walk w = { .vm = vcpu->vm, .s = &s, .gva = gva, .access = access };
	enum step step = STEP_NEXT;

	hvm->get_sregs(vcpu, &s);
	*pf_error = 0;
	if (!(s.cr0 & CR0_PG)) {
		out->v = gva & 0xffffffff;
		return 0;
	}
	w.mode = paging_mode(&s);
	for (unsigned i = 0; i < MAX_ATTEMPTS && step == STEP_NEXT; i++)
		step = walk_once(&w, out, pf_error);
	if (step != STEP_FAULT)
		return 0;
	*pf_error |= access & (PF_W | PF_U);
	if (access & PF_I && (w.mode.nxe || s.cr4 & CR4_SMEP))
		*pf_error |= PF_I;
	return LH_FAULT;
}

static unsigned fetch(struct vcpu *vcpu, int from, uint32_t access, uint8_t *out, unsigned count)
{
	struct vcpu_sregs s;
	unsigned done = 0;
	uint64_t at, mask = UINT64_MAX;
	uint32_t pf_error;
	gpa_t gpa;

	hvm->get_sregs(vcpu, &s);
	if ((s.seg[SEG_SS].access >> 5 & 3) == 3)
		access |= PF_U;
	at = s.rip + (uint64_t)(int64_t)from;
	if (!(s.efer & EFER_LMA && s.seg[SEG_CS].access & BIT(9))) {
		at += s.seg[SEG_CS].base;
		mask = UINT32_MAX;
	}
	while (done < count) {
		const uint64_t piece_at = (at + done) & mask;
		const unsigned in_page = 4096 - (unsigned)(piece_at & 4095);
		const unsigned piece = in_page < count - done ? in_page : count - done;

		if (gva_to_gpa(vcpu, piece_at, access, &gpa, &pf_error) < 0 ||
		    !vm_read(vcpu->vm, gpa, out + done, piece))
			break;
		done += piece;
	}
	return done;
}

unsigned guest_fetch(struct vcpu *vcpu, uint8_t out[15])
{
	return fetch(vcpu, 0, PF_I, out, 15);
}

unsigned guest_look(struct vcpu *vcpu, int from, uint8_t *out, unsigned count)
{
	return fetch(vcpu, from, PF_I | GVA_LOOK, out, count);
}
