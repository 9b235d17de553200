/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A packed virtqueue, driver side (virtio 1.2, 2.8). Chains pushed are copied into the ring from the
 * caller's descriptors; the first entry of what was pushed is made available last, so that the
 * device sees all or nothing of it. A buffer's id is its chain's first descriptor.
 */
#include "guest/lib/vq_packed.h"

#include <stdatomic.h>

/* 2.8.1, 2.8.14 */
enum { FLAG_AVAIL = 1 << 7, FLAG_USED = 1 << 15 };
enum { EVENT_ENABLE = 0, EVENT_DISABLE = 1, EVENT_DESC = 2, EVENT_SHIFT = 16 };

static volatile uint64_t *word_at(const struct vq *vq, uint16_t pos)
{
	return &vq->memory->ring[pos & ~VQ_WRAP].word;
}

static uint16_t advance(const struct vq *vq, uint16_t pos, unsigned entries)
{
	unsigned entry = (pos & ~VQ_WRAP) + entries;

	if (entry < vq->size)
		return (uint16_t)(entry | (pos & VQ_WRAP));
	return (uint16_t)((entry - vq->size) | (~pos & VQ_WRAP));
}

/* From one position to a later one, less than two rounds of the ring. */
static unsigned distance(const struct vq *vq, uint16_t from, uint16_t to)
{
	int n = (to & ~VQ_WRAP) - (from & ~VQ_WRAP);

	if ((from ^ to) & VQ_WRAP)
		n += vq->size;
	return (unsigned)(n < 0 ? n + 2 * vq->size : n);
}

void vq_packed_push(struct vq *vq, uint16_t head)
{
	const struct vq_desc *d = &vq->memory->desc[head];
	uint8_t entries = 0;

	for (;; d = &vq->memory->desc[d->next]) {
		uint16_t flags = d->flags | (vq->next & VQ_WRAP ? FLAG_AVAIL : FLAG_USED);
		uint64_t word = (uint64_t)flags << 48 | (uint64_t)head << 32 | d->bytes;

		vq->memory->ring[vq->next & ~VQ_WRAP].address = d->address;
		if (vq->next == vq->held)
			vq->held_word = word;
		else
			*word_at(vq, vq->next) = word;
		vq->next = advance(vq, vq->next, 1);
		entries++;
		if (!(d->flags & VQ_DESC_NEXT))
			break;
	}
	vq->entries[head] = vq->chain = entries;
	vq->avail++;
}

bool vq_packed_publish(struct vq *vq)
{
	uint16_t before = vq->held;
	uint32_t event, kind;

	atomic_thread_fence(memory_order_release);
	*word_at(vq, before) = vq->held_word;
	vq->held = vq->next;
	/* Ring before event structure: the device does it the other way round */
	atomic_thread_fence(memory_order_seq_cst);
	event = *(volatile uint32_t *)&vq->memory->device_event;
	kind = event >> EVENT_SHIFT;
	if (kind != EVENT_DESC)
		return kind != EVENT_DISABLE;
	if ((event & 0x7fff) >= vq->size)
		return true;
	return distance(vq, before, (uint16_t)event) < distance(vq, before, vq->held);
}

static bool used_at(const struct vq *vq, uint16_t pos, uint64_t *word)
{
	uint16_t flags, wrap = pos & VQ_WRAP ? FLAG_AVAIL | FLAG_USED : 0;

	*word = *word_at(vq, pos);
	atomic_thread_fence(memory_order_acquire);
	flags = (uint16_t)(*word >> 48);
	return (flags & (FLAG_AVAIL | FLAG_USED)) == wrap;
}

bool vq_packed_pop(struct vq *vq, struct vq_used_elem *elem)
{
	uint64_t word;
	uint16_t id;

	/* with nothing outstanding, old entries may look used */
	if (vq->last == vq->held || vq->broken || !used_at(vq, vq->last, &word))
		return false;
	id = (uint16_t)(word >> 32);
	vq->broken = id >= vq->size || !vq->entries[id];
	if (vq->broken)
		return false;
	*elem = (struct vq_used_elem){ .id = id, .bytes = (uint32_t)word };
	vq->last = advance(vq, vq->last, vq->entries[id]);
	vq->entries[id] = 0;
	vq->last_used++;
	return true;
}

static void set_event(struct vq *vq, uint32_t kind, uint16_t pos)
{
	atomic_thread_fence(memory_order_release);
	*(volatile uint32_t *)&vq->memory->driver_event = kind << EVENT_SHIFT | pos;
}

bool vq_packed_arm(struct vq *vq, uint16_t more)
{
	uint16_t pos = advance(vq, vq->last, (more - 1u) * (vq->chain ? vq->chain : 1));
	uint64_t word;

	set_event(vq, vq->event_idx ? EVENT_DESC : EVENT_ENABLE, pos);
	/* Event structure before ring: the device does it the other way round */
	atomic_thread_fence(memory_order_seq_cst);
	return !used_at(vq, pos, &word);
}

void vq_packed_disarm(struct vq *vq)
{
	set_event(vq, EVENT_DISABLE, 0);
}
