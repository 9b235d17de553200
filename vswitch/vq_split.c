/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Split virtqueue, device side: virtio 1.2, 2.7; and what sends a packed one to vq_packed.c. Chains may be direct, indirect, or direct ones
 * followed by one indirect descriptor (2.7.5.3.2). Every index is checked before it is used and
 * every walk counts its steps against the size of the table it is in.
 */
#include "vswitch/vq_impl.h"

/* 2.7.5 The Virtqueue Descriptor Table, 2.7.6 and 2.7.8 the rings' flags */
enum { AVAIL_F_NO_INTERRUPT = 1, USED_F_NO_NOTIFY = 1 };

struct vq_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* Where a walk stands. */
struct walk {
	const uint8_t *table;
	uint32_t entries; /* of the table */
	uint32_t steps;	  /* descriptors read of it */
	bool in_indirect;
};

const char *vq_fault_text(enum vq_fault fault)
{
	static const char *const text[] = { [VQ_OK] = "no fault",
#define VQ_FAULT_TEXT(name, words) [VQ_BAD_##name] = (words),
					    VQ_FAULT_TABLE(VQ_FAULT_TEXT)
#undef VQ_FAULT_TEXT
	};

	return text[fault];
}

static int init_split(struct vq *vq, const struct queue_setup *setup, const struct gmem *mem,
		      const char **why)
{
	uint64_t size = setup->size;

	if ((size & (size - 1)) != 0)
		return refuse(why, "size of a split ring is not a power of two");
	if (setup->desc % 16 != 0 || setup->driver % 2 != 0 || setup->device % 4 != 0)
		return refuse(why, "a ring is not aligned (table 16, available 2, used 4 bytes)");
	vq->desc = gmem_ptr(mem, setup->desc, size * DESC_BYTES);
	vq->avail = gmem_ptr(mem, setup->driver, 6 + size * 2);
	vq->used = gmem_ptr(mem, setup->device, 6 + size * 8);
	if (vq->desc == NULL || vq->avail == NULL || vq->used == NULL)
		return refuse(why, "a ring is not in one piece of the VM's memory");
	return 0;
}

int vq_init(struct vq *vq, const struct queue_setup *setup, const struct gmem *mem,
	    const char **why)
{
	if (setup->size == 0 || setup->size > 32768)
		return refuse(why, "queue size is not from 1 to 32768");
	if (!(setup->features & VIRTIO_F_VERSION_1))
		return refuse(why, "VIRTIO_F_VERSION_1 was not negotiated: legacy drivers are "
				   "not served");
	vq->size = (uint32_t)setup->size;
	vq->packed = (setup->features & VIRTIO_F_RING_PACKED) != 0;
	vq->event_idx = (setup->features & VIRTIO_F_EVENT_IDX) != 0;
	vq->indirect = (setup->features & VIRTIO_F_INDIRECT_DESC) != 0;
	vq->mem = mem;
	return vq->packed ? vq_packed_init(vq, setup, mem, why) : init_split(vq, setup, mem, why);
}

/*
 * The only read of a descriptor. The empty assembly hides from the compiler where the values came
 * from, so that it cannot read the guest's memory a second time. An indirect table may be at any
 * address.
 */
static inline struct vq_desc load_desc(const uint8_t *table, uint32_t i)
{
	uint64_t lo, hi;

	lo = load64(table + (size_t)i * DESC_BYTES);
	hi = load64(table + (size_t)i * DESC_BYTES + 8);
	__asm__("" : "+r"(lo), "+r"(hi));
	return (struct vq_desc){ .addr = lo,
				 .len = (uint32_t)hi,
				 .flags = (uint16_t)(hi >> 32),
				 .next = (uint16_t)(hi >> 48) };
}

/* Lines of a table in a ring of `size` entries of `bytes` each, from entry `i` on, `count` of them. */
static inline void prefetch_entries(const void *table, uint32_t size, uint32_t bytes, uint32_t i,
				    unsigned count, bool write)
{
	const uint32_t step = PREFETCH_LINE / bytes;
	const unsigned end = count > 1 ? count + step : count; /* many may begin amid a line */

	for (unsigned n = 0; n < end; n += step) {
		const uint8_t *p = (const uint8_t *)table + (size_t)((i + n) & (size - 1)) * bytes;

		if (write)
			prefetch_write(p);
		else
			prefetch_read(p);
	}
}

void vq_prefetch(const struct vq *vq, uint16_t pos, uint16_t desc, unsigned count)
{
	if (vq->packed) {
		vq_packed_prefetch(vq, pos, count);
		return;
	}
	prefetch_entries((const void *)(vq->avail + 2), vq->size, 2, pos, count, false);
	prefetch_entries(vq->desc, vq->size, DESC_BYTES, desc, count, false);
	prefetch_entries((const void *)(vq->used + 2), vq->size, 8, pos, count, true);
}

unsigned vq_read_singles(const struct vq *vq, uint16_t pos, uint16_t avail, enum vq_dir dir,
			 struct seg *seg, uint16_t *id, unsigned most)
{
	uint16_t write = dir == VQ_WRITE ? DESC_F_WRITE : 0;
	unsigned ready = (uint16_t)(avail - pos), n;

	if (vq->packed)
		return vq_packed_read_singles(vq, pos, dir, seg, id, most);
	for (n = 0; n < most && n < ready; n++) {
		uint16_t head = vq_avail_head(vq, (uint16_t)(pos + n));
		struct vq_desc d;

		if (head >= vq->size)
			break;
		d = load_desc(vq->desc, head);
		if ((d.flags & (DESC_F_NEXT | DESC_F_INDIRECT | DESC_F_WRITE)) != write ||
		    !single_piece(vq->mem, d.addr, d.len, dir, &seg[n]))
			break;
		id[n] = head;
	}
	return n;
}

/* 2.7.5.3 Indirect Descriptors: the walk goes on in the table at its first entry. */
static enum vq_fault enter_indirect(const struct vq *vq, const struct vq_desc *d, struct walk *w)
{
	if (!vq->indirect)
		return VQ_BAD_INDIRECT_OFF;
	if (w->in_indirect)
		return VQ_BAD_INDIRECT_NESTED;
	if (d->flags & DESC_F_NEXT)
		return VQ_BAD_INDIRECT_NEXT;
	if (d->len == 0 || d->len % DESC_BYTES != 0 || d->len / DESC_BYTES > VQ_MAX_CHAIN)
		return VQ_BAD_INDIRECT_SIZE;
	w->table = gmem_ptr(vq->mem, d->addr, d->len);
	if (w->table == NULL)
		return VQ_BAD_INDIRECT_NOT_RAM;
	w->entries = d->len / DESC_BYTES;
	w->steps = 0;
	w->in_indirect = true;
	return VQ_OK;
}

enum vq_fault vq_read_chain(const struct vq *vq, uint16_t head, enum vq_dir dir, uint64_t want,
			    struct seg *seg, unsigned room, struct vq_chain *out)
{
	struct walk w = { .table = vq->desc, .entries = vq->size };
	uint16_t write = dir == VQ_WRITE ? DESC_F_WRITE : 0;
	enum vq_fault fault;
	uint32_t i = head;

	*out = (struct vq_chain){ .readable = ~0u, .id = head, .slots = 1 };
	if (head >= vq->size)
		return VQ_BAD_HEAD;
	while (out->bytes < want && out->nsegs < room) {
		struct vq_desc d = load_desc(w.table, i);

		if (++w.steps > w.entries)
			return VQ_BAD_LOOP;
		if (++out->descs > VQ_MAX_CHAIN)
			return VQ_BAD_LONG;
		if (d.flags & DESC_F_INDIRECT) {
			/* its WRITE flag says nothing: 2.7.5.3.2 */
			out->indirect = true;
			fault = enter_indirect(vq, &d, &w);
			if (fault != VQ_OK)
				return fault;
			i = 0;
			continue;
		}
		if ((d.flags & DESC_F_WRITE) != write && !turn_to_write(dir, d.flags, &write, out))
			return VQ_BAD_DIRECTION;
		if (dir == VQ_WRITE && d.len == 0)
			return VQ_BAD_RX_EMPTY;
		fault = add_buffer(vq->mem, &d.addr, &d.len, seg, room, out);
		if (fault != VQ_OK)
			return fault;
		if (!(d.flags & DESC_F_NEXT)) {
			out->whole = d.len == 0;
			return VQ_OK;
		}
		if (d.next >= w.entries)
			return VQ_BAD_NEXT;
		i = d.next;
	}
	return VQ_OK;
}

/* Did the index pass `event` on its way from `before` to `idx`? 2.7.7.1, 2.7.10.1 */
static inline bool passed(uint16_t event, uint16_t before, uint16_t idx)
{
	return (uint16_t)(idx - event - 1) < (uint16_t)(idx - before);
}

bool vq_wants_interrupt(const struct vq *vq, uint16_t before, uint16_t idx)
{
	uint16_t word;

	if (vq->packed)
		return vq_packed_wants_interrupt(vq, before, idx);
	if (vq->event_idx) {
		word = atomic_load_explicit(&vq->avail[2 + vq->size], memory_order_seq_cst);
		return passed(word, before, idx);
	}
	word = atomic_load_explicit(&vq->avail[0], memory_order_seq_cst);
	return !(word & AVAIL_F_NO_INTERRUPT);
}

static inline _Atomic uint16_t *avail_event(const struct vq *vq)
{
	return vq->used + 2 + (size_t)vq->size * 4;
}

void vq_arm_kick(const struct vq *vq, uint16_t pos)
{
	if (vq->packed)
		vq_packed_set_event(vq, pos, true);
	else if (vq->event_idx)
		atomic_store_explicit(avail_event(vq), pos, memory_order_seq_cst);
	else
		atomic_store_explicit(&vq->used[0], 0, memory_order_seq_cst);
}

void vq_disarm_kick(const struct vq *vq, uint16_t pos)
{
	if (vq->packed)
		vq_packed_set_event(vq, pos, false);
	else if (vq->event_idx)
		atomic_store_explicit(avail_event(vq), (uint16_t)(pos - 1), memory_order_relaxed);
	else
		atomic_store_explicit(&vq->used[0], USED_F_NO_NOTIFY, memory_order_relaxed);
}
