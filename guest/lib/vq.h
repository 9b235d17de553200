/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A virtqueue, driver side, split or packed (virtio 1.2, sections 2.7 and 2.8). The memory is the
 * caller's; whoever uses the queue writes its descriptors itself, as those of a split one: a packed
 * queue copies them into its ring when they are pushed. What the device says is checked: ids and
 * lengths. All chains of a packed queue in which vq_arm() is used have the same number of entries.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { VQ_MAX = 256 };
enum { VQ_DESC_NEXT = 1, VQ_DESC_WRITE = 2, VQ_DESC_INDIRECT = 4 };
enum { VQ_AVAIL_NO_INTERRUPT = 1, VQ_USED_NO_NOTIFY = 1 };

struct vq_desc {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags, next;
};

struct vq_used_elem {
	uint32_t id, bytes;
};

/* The rings, for at most VQ_MAX entries: the event words follow the queue's real size. */
struct vq_memory {
	struct vq_desc desc[VQ_MAX];
	uint16_t avail[VQ_MAX + 3]; /* flags, index, ring, used_event */
	uint16_t pad;
	struct {
		uint16_t flags, index;
		struct vq_used_elem ring[VQ_MAX];
		uint16_t avail_event;
	} used __attribute__((aligned(8)));
	/* Packed: descriptors (length, id and flags are one word), and the event structures */
	struct vq_packed_desc {
		uint64_t address, word;
	} ring[VQ_MAX] __attribute__((aligned(16)));
	uint32_t driver_event, device_event;
} __attribute__((aligned(4096)));

struct vq {
	struct vq_memory *memory;
	uint16_t size; /* power of two */
	bool event_idx;
	uint16_t avail;	    /* pushed */
	uint16_t published; /* of these, seen by the device */
	uint16_t last_used;
	bool broken; /* the device returned what it never had */
	/* Packed; positions are an entry and, in bit 15, the wrap counter */
	bool packed;
	uint16_t next, held; /* to be filled next; first that the device cannot see yet */
	uint64_t held_word;
	uint16_t last;		 /* to be used next */
	uint8_t entries[VQ_MAX]; /* of the chain with this id, while the device has it */
	uint8_t chain;		 /* entries of the last chain */
};

enum vq_kind { VQ_SPLIT, VQ_PACKED };

void vq_init(struct vq *vq, struct vq_memory *memory, uint16_t size, bool event_idx,
	     enum vq_kind kind);

/* Puts a chain into the available ring; the device learns of it by vq_publish(). */
void vq_push(struct vq *vq, uint16_t head);

/* Shows all that was pushed; true if the device wants to be notified. */
bool vq_publish(struct vq *vq) __attribute__((warn_unused_result));

/* Takes one used element; false if there is none. */
bool vq_pop(struct vq *vq, struct vq_used_elem *elem);

/* Asks for an interrupt when `more` (1..) further elements are used. True if that is to come yet:
 * the caller may sleep. */
bool vq_arm(struct vq *vq, uint16_t more) __attribute__((warn_unused_result));

/* Asks for none (without event index; with it, none comes before the next vq_arm()). */
void vq_disarm(struct vq *vq);
