/* SPDX-License-Identifier: BSD-2-Clause */
/* See vq.h. Tested on the host against a device in a few lines. */
#include "guest/lib/vq.h"

#include <stdatomic.h>

#include "guest/lib/string.h"
#include "guest/lib/vq_packed.h"

/* Words that the device reads or writes while we run */
static void store16(volatile uint16_t *at, uint16_t value)
{
	atomic_thread_fence(memory_order_release);
	*at = value;
}

static uint16_t load16(const volatile uint16_t *at)
{
	uint16_t value = *at;

	atomic_thread_fence(memory_order_acquire);
	return value;
}

static volatile uint16_t *avail_event(const struct vq *vq)
{
	return (volatile uint16_t *)&vq->memory->used.ring[vq->size];
}

static volatile uint16_t *used_event(const struct vq *vq)
{
	return &vq->memory->avail[2 + vq->size];
}

void vq_init(struct vq *vq, struct vq_memory *memory, uint16_t size, bool event_idx,
	     enum vq_kind kind)
{
	memset(memory, 0, sizeof(*memory));
	*vq = (struct vq){ .memory = memory, .size = size, .event_idx = event_idx };
	vq->packed = kind == VQ_PACKED;
	vq->next = vq->held = vq->last = VQ_WRAP;
	vq_disarm(vq);
}

void vq_push(struct vq *vq, uint16_t head)
{
	if (vq->packed) {
		vq_packed_push(vq, head);
		return;
	}
	vq->memory->avail[2 + (vq->avail & (vq->size - 1))] = head;
	vq->avail++;
}

bool vq_publish(struct vq *vq)
{
	uint16_t old = vq->published, now = vq->avail;

	if (old == now)
		return false;
	vq->published = now;
	if (vq->packed)
		return vq_packed_publish(vq);
	store16(&vq->memory->avail[1], now); /* pairs with the device's read of the index */
	/* Index before event word: the device does it the other way round (virtio 1.2, 2.7.13.4.1) */
	atomic_thread_fence(memory_order_seq_cst);
	if (!vq->event_idx)
		return !(load16(&vq->memory->used.flags) & VQ_USED_NO_NOTIFY);
	return (uint16_t)(now - load16(avail_event(vq)) - 1) < (uint16_t)(now - old);
}

bool vq_pop(struct vq *vq, struct vq_used_elem *elem)
{
	uint16_t used;

	if (vq->packed)
		return vq_packed_pop(vq, elem);
	used = load16(&vq->memory->used.index);
	if (used == vq->last_used || vq->broken)
		return false;
	*elem = vq->memory->used.ring[vq->last_used & (vq->size - 1)];
	vq->broken = elem->id >= vq->size || (uint16_t)(used - vq->last_used) > vq->size;
	if (vq->broken)
		return false;
	vq->last_used++;
	return true;
}

bool vq_arm(struct vq *vq, uint16_t more)
{
	if (vq->packed)
		return vq_packed_arm(vq, more);
	if (vq->event_idx)
		store16(used_event(vq), (uint16_t)(vq->last_used + more - 1));
	else
		store16(&vq->memory->avail[0], 0);
	/* Event word before index: the device does it the other way round */
	atomic_thread_fence(memory_order_seq_cst);
	return (uint16_t)(load16(&vq->memory->used.index) - vq->last_used) < more;
}

void vq_disarm(struct vq *vq)
{
	if (vq->packed)
		vq_packed_disarm(vq);
	else if (vq->event_idx)
		store16(used_event(vq), (uint16_t)(vq->last_used - 1));
	else
		store16(&vq->memory->avail[0], VQ_AVAIL_NO_INTERRUPT);
}
