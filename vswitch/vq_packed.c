/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packed virtqueue, device side: virtio 1.2, 2.8. One ring of descriptors that the driver makes
 * available and the device overwrites with used ones. A chain is a run of entries; its buffer id,
 * which is the driver's affair and only handed back, is in the last one, so that a walk goes to the
 * end even when no more pieces are wanted. An entry's flags, length and id are one word, read once
 * with acquire, before its address; each walk counts its steps against the size of the ring.
 */
#include "vswitch/vq_impl.h"

/* 2.8.14 Event Suppression Structure Format: offset and wrap counter, then flags */
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2 };
#define EVENT_FLAGS_SHIFT 16
#define EVENT_FLAGS_MASK  3u

struct packed_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

/* How far a walk has come beside what is in *out. */
struct walk {
	const struct vq *vq;
	enum vq_dir dir;
	uint16_t write; /* the direction flag expected */
	uint64_t want;
	struct seg *seg;
	unsigned room;
};

int vq_packed_init(struct vq *vq, const struct queue_setup *setup, const struct gmem *mem,
		   const char **why)
{
	if (setup->desc % 16 != 0 || setup->driver % 4 != 0 || setup->device % 4 != 0)
		return refuse(why, "a packed ring is not aligned (ring 16, event areas 4 bytes)");
	vq->ring = gmem_ptr(mem, setup->desc, (uint64_t)vq->size * DESC_BYTES);
	vq->driver_event = gmem_ptr(mem, setup->driver, 4);
	vq->device_event = gmem_ptr(mem, setup->device, 4);
	if (vq->ring == NULL || vq->driver_event == NULL || vq->device_event == NULL)
		return refuse(why, "a ring is not in one piece of the VM's memory");
	return 0;
}

static inline struct packed_desc desc_of(uint64_t addr, uint64_t word)
{
	return (struct packed_desc){ .addr = addr,
				     .len = (uint32_t)word,
				     .id = (uint16_t)(word >> 32),
				     .flags = (uint16_t)(word >> 48) };
}

/* The only read of an entry of the ring; false: it is not available. (The assembly: see load_desc()
 * in vq_split.c.) */
static inline bool load_entry(const struct vq *vq, uint16_t pos, struct packed_desc *out)
{
	const uint8_t *d = vq->ring + (size_t)(pos & ~VQ_WRAP) * DESC_BYTES;
	uint64_t word, addr;

	word = atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)(d + 8), memory_order_acquire);
	if (!vq_packed_available((uint16_t)(word >> 48), pos))
		return false;
	addr = load64(d);
	__asm__("" : "+r"(addr), "+r"(word));
	*out = desc_of(addr, word);
	return true;
}

/* ... and of an entry of an indirect table, at any address. */
static inline struct packed_desc load_table(const uint8_t *d)
{
	uint64_t addr = load64(d), word = load64(d + 8);

	__asm__("" : "+r"(addr), "+r"(word));
	return desc_of(addr, word);
}

static inline bool wants_more(const struct walk *w, const struct vq_chain *out)
{
	return out->bytes < w->want && out->nsegs < w->room;
}

/* One buffer, unless all that was wanted is there. */
static inline enum vq_fault take_buffer(struct walk *w, struct packed_desc *d, struct vq_chain *out)
{
	enum vq_fault fault = VQ_OK;

	if ((d->flags & DESC_F_WRITE) != w->write &&
	    !turn_to_write(w->dir, d->flags, &w->write, out))
		return VQ_BAD_DIRECTION;
	if (w->dir == VQ_WRITE && d->len == 0)
		return VQ_BAD_RX_EMPTY;
	if (wants_more(w, out))
		fault = add_buffer(w->vq->mem, &d->addr, &d->len, w->seg, w->room, out);
	if (d->len > 0)
		out->whole = false;
	return fault;
}

/* 2.8.7 Indirect Descriptors: a table read from its beginning to its end, in which only the
 * direction flag has a meaning. */
static enum vq_fault take_table(struct walk *w, const struct packed_desc *d, struct vq_chain *out)
{
	const uint8_t *table;
	uint32_t entries = d->len / DESC_BYTES;

	out->indirect = true;
	if (!w->vq->indirect)
		return VQ_BAD_INDIRECT_OFF;
	if (d->flags & DESC_F_NEXT)
		return VQ_BAD_INDIRECT_NEXT;
	if (d->len == 0 || d->len % DESC_BYTES != 0 || entries > VQ_MAX_CHAIN)
		return VQ_BAD_INDIRECT_SIZE;
	table = gmem_ptr(w->vq->mem, d->addr, d->len);
	if (table == NULL)
		return VQ_BAD_INDIRECT_NOT_RAM;
	for (uint32_t i = 0; i < entries; i++) {
		struct packed_desc entry;
		enum vq_fault fault;

		if (!wants_more(w, out)) {
			out->whole = false;
			return VQ_OK;
		}
		if (++out->descs > VQ_MAX_CHAIN)
			return VQ_BAD_LONG;
		entry = load_table(table + (size_t)i * DESC_BYTES);
		fault = take_buffer(w, &entry, out);
		if (fault != VQ_OK)
			return fault;
	}
	return VQ_OK;
}

/* From the entry `d` at `pos` on. */
static enum vq_fault read_entries(struct walk *w, uint16_t pos, struct packed_desc d,
				  struct vq_chain *out)
{
	for (;;) {
		enum vq_fault fault;

		out->slots++;
		if (++out->descs > VQ_MAX_CHAIN)
			return VQ_BAD_LONG;
		fault = d.flags & DESC_F_INDIRECT ? take_table(w, &d, out)
						  : take_buffer(w, &d, out);
		if (fault != VQ_OK)
			return fault;
		if (!(d.flags & DESC_F_NEXT)) {
			out->id = d.id;
			return VQ_OK;
		}
		if (out->slots == w->vq->size)
			return VQ_BAD_LOOP;
		pos = vq_advance(w->vq, pos, 1);
		/* 2.8.6: the driver makes each descriptor of a chain available, the first one last */
		if (!load_entry(w->vq, pos, &d))
			return VQ_BAD_NOT_AVAILABLE;
	}
}

void vq_packed_prefetch(const struct vq *vq, uint16_t pos, unsigned count)
{
	uint32_t entry = (pos & ~VQ_WRAP) % vq->size;

	for (unsigned n = 0; n < count; n += PREFETCH_LINE / DESC_BYTES) {
		prefetch_write(vq->ring + (size_t)entry * DESC_BYTES);
		entry = (entry + PREFETCH_LINE / DESC_BYTES) % vq->size;
	}
}

unsigned vq_packed_read_singles(const struct vq *vq, uint16_t pos, enum vq_dir dir, struct seg *seg,
				uint16_t *id, unsigned most)
{
	uint16_t write = dir == VQ_WRITE ? DESC_F_WRITE : 0;
	unsigned n;

	for (n = 0; n < most; n++, pos = vq_advance(vq, pos, 1)) {
		struct packed_desc d;

		if (!load_entry(vq, pos, &d) ||
		    (d.flags & (DESC_F_NEXT | DESC_F_INDIRECT | DESC_F_WRITE)) != write ||
		    !single_piece(vq->mem, d.addr, d.len, dir, &seg[n]))
			break;
		id[n] = d.id;
	}
	return n;
}

enum vq_fault vq_packed_read(const struct vq *vq, uint16_t pos, enum vq_dir dir, uint64_t want,
			     struct seg *seg, unsigned room, struct vq_chain *out)
{
	struct walk w = {
		.vq = vq,
		.dir = dir,
		.write = dir == VQ_WRITE ? DESC_F_WRITE : 0,
		.want = want,
		.seg = seg,
		.room = room,
	};
	enum vq_fault fault;
	struct packed_desc d;

	if (!load_entry(vq, pos, &d)) {
		*out = (struct vq_chain){ .nsegs = 0 };
		return VQ_OK;
	}
	*out = (struct vq_chain){ .readable = ~0u, .whole = true };
	fault = read_entries(&w, pos, d, out);
	if (fault != VQ_OK)
		out->whole = false;
	return fault;
}

/* 2.8.10.1: did the chains pass the entry that the driver waits for? */
bool vq_packed_wants_interrupt(const struct vq *vq, uint16_t before, uint16_t end)
{
	uint32_t word = atomic_load_explicit(vq->driver_event, memory_order_seq_cst);
	uint32_t flags = word >> EVENT_FLAGS_SHIFT & EVENT_FLAGS_MASK;
	uint16_t event = (uint16_t)word;

	if (flags == EVENT_DISABLE)
		return false;
	if (flags != EVENT_DESC || !vq->event_idx || (event & ~VQ_WRAP) >= vq->size)
		return true; /* what means nothing asks for all */
	return vq_packed_distance(vq, before, event) < vq_packed_distance(vq, before, end);
}

void vq_packed_set_event(const struct vq *vq, uint16_t pos, bool want)
{
	uint32_t flags = !want ? EVENT_DISABLE : vq->event_idx ? EVENT_DESC : EVENT_ENABLE;

	atomic_store_explicit(vq->device_event, flags << EVENT_FLAGS_SHIFT | pos,
			      memory_order_seq_cst);
}
