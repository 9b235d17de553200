/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtqueues whose driver breaks every rule of virtio 1.2, 2.7: rings anywhere, indices that jump,
 * chains that loop, lengths and addresses at random, queues enabled twice, reset in flight. What is
 * right, is right often enough for the rest to be reached.
 */
#include "guest/abuse/abuse.h"
#include "guest/lib/cpu.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_pci.h"

enum { RX, TX, QUEUES = 4, MAX_SIZE = 256, FILLED = 20, DESC_BYTES = 16 };
enum { DEVICES = 2, RESET = 0, PAIR_CONTROL_QUEUES = 3 };

static struct virtio_device dev;

/* The rings as the device was told, where they are in the arena. */
static struct queue {
	uint64_t desc, avail, used;
	uint16_t size;
	uint16_t index; /* of the available ring */
} queues[QUEUES];

static bool in_arena(uint64_t at, uint64_t bytes)
{
	return at >= arena_base() && at + bytes <= arena_base() + ARENA_BYTES && at + bytes > at;
}

/* RAM must be the arena: the device writes there. */
static uint64_t wild_place(void)
{
	uint64_t at = random_address();

	return at < arena_base() ? arena_base() + (at & 0xfffff) : at;
}

static uint64_t ring_place(unsigned bytes)
{
	switch (random_below(12)) {
	case 0:
		return wild_place();
	case 1:
		return ram_end() - random_below(2 * bytes);
	case 2:
		return (uintptr_t)random_arena(bytes, 1); /* not aligned */
	default:
		return (uintptr_t)random_arena(bytes, 16);
	}
}

static void write_address(uint32_t field, uint64_t at)
{
	region_write32(&dev.common, field, (uint32_t)at);
	region_write32(&dev.common, field + 4, (uint32_t)(at >> 32));
}

static void set_up(unsigned index)
{
	struct queue *q = &queues[index % QUEUES];

	region_write16(&dev.common, COMMON_QUEUE_SELECT, (uint16_t)index);
	q->size = (uint16_t)(1u << random_below(9));
	if (one_in(8))
		q->size = (uint16_t)random_value(); /* 0, and no power of two */
	region_write16(&dev.common, COMMON_QUEUE_SIZE, q->size);
	q->size = region_read16(&dev.common, COMMON_QUEUE_SIZE); /* what the device made of it */
	q->desc = ring_place(16 * MAX_SIZE);
	q->avail = one_in(8) ? q->desc : ring_place(2 * MAX_SIZE + 6); /* one over the other */
	q->used = one_in(8) ? q->avail : ring_place(8 * MAX_SIZE + 6);
	q->index = 0;
	write_address(COMMON_QUEUE_DESC, q->desc);
	write_address(COMMON_QUEUE_DRIVER, q->avail);
	write_address(COMMON_QUEUE_DEVICE, q->used);
	region_write16(&dev.common, COMMON_QUEUE_VECTOR,
		       (uint16_t)(one_in(3) ? random_value() : index));
	if (in_arena(q->avail, 2 * MAX_SIZE + 6))
		memset((void *)q->avail, 0, 6);
	if (in_arena(q->used, 8 * MAX_SIZE + 6))
		memset((void *)q->used, 0, 6);
	region_write16(&dev.common, COMMON_QUEUE_ENABLE, one_in(8) ? (uint16_t)random_value() : 1);
}

static void set_status(uint8_t bits)
{
	region_write8(&dev.common, COMMON_STATUS, bits);
}

static void features(void)
{
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t offered;

		region_write32(&dev.common, COMMON_DEVICE_FEATURE_SELECT, i);
		offered = region_read32(&dev.common, COMMON_DEVICE_FEATURE);
		if (one_in(2))
			offered &= (uint32_t)random_u64() | (i == 1); /* VERSION_1 stays */
		if (one_in(10))
			offered ^= 1u << random_below(32);
		region_write32(&dev.common, COMMON_DRIVER_FEATURE_SELECT, i);
		region_write32(&dev.common, COMMON_DRIVER_FEATURE, offered);
	}
}

static void begin(void)
{
	if (one_in(8))
		set_status((uint8_t)random_u64());
	set_status(RESET);
	set_status(VIRTIO_ACKNOWLEDGE);
	set_status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	features();
	set_status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	for (unsigned i = 0; i < 2; i++)
		set_up(one_in(10) ? (unsigned)random_below(8) : i);
	set_status(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
	if (one_in(4))
		set_up((unsigned)random_below(3)); /* too late */
}

/* A frame that the switch takes: to all, to a station that is not there, or garbage. */
static uint64_t frame(uint32_t bytes)
{
	uint8_t *p = random_arena(16384, 1);

	memset(p, 0, 12);
	if (one_in(4))
		for (unsigned i = 0; i < 12; i++)
			p[i] = (uint8_t)random_value();
	for (unsigned i = 12; i < 40 && i < bytes; i++)
		p[i] = (uint8_t)random_u64();
	memset(p + 12, one_in(2) ? 0xff : 0x02, 6);
	p[18] = 0x06; /* a source of our own, none of the others' */
	return (uintptr_t)p;
}

/* Descriptor i of a table with n. */
static void make_desc(struct vq_desc *d, unsigned i, unsigned n, bool write, bool indirect_table)
{
	struct vq_desc made = { .bytes = (uint32_t)random_below(2000) + 26 };

	made.address = frame(made.bytes);
	made.flags = write ? VQ_DESC_WRITE : 0;
	if (one_in(3))
		made.flags |= VQ_DESC_NEXT;
	made.next = (uint16_t)(one_in(6) ? random_value() : one_in(6) ? i : (i + 1) % n);
	if (one_in(12))
		made.flags ^= (uint16_t)(1u << random_below(4));
	if (one_in(12))
		made.address = wild_place();
	if (one_in(12))
		made.bytes = (uint32_t)random_value();
	if (one_in(8) || (indirect_table && one_in(8))) {
		made.flags = VQ_DESC_INDIRECT;
		made.bytes = 16 * (uint32_t)random_below(one_in(8) ? 4096 : 20);
		made.address = (uintptr_t)random_arena(65536, one_in(2) ? 1 : 16);
		if (one_in(8))
			made.bytes = (uint32_t)random_value();
	}
	*d = made;
}

static void fill_indirect(struct vq_desc *table, bool write)
{
	for (unsigned i = 0; i < FILLED; i++) {
		struct vq_desc made;

		make_desc(&made, i, FILLED, write, true);
		memcpy(table + i, &made, sizeof(made));
	}
}

static void fill(struct queue *q, bool write)
{
	unsigned n = q->size < FILLED ? q->size : FILLED;

	if (!n || q->size > MAX_SIZE || !in_arena(q->desc, (uint64_t)DESC_BYTES * q->size))
		return;
	for (unsigned i = 0; i < n; i++) {
		struct vq_desc *d = (struct vq_desc *)q->desc + i, made;

		make_desc(&made, i, q->size, write, false);
		memcpy(d, &made, sizeof(made));
		if (made.flags & VQ_DESC_INDIRECT && in_arena(made.address, FILLED * DESC_BYTES))
			fill_indirect((struct vq_desc *)made.address, write);
	}
}

static void push(struct queue *q)
{
	volatile uint16_t *avail = (volatile uint16_t *)q->avail;
	unsigned n = (unsigned)random_below(20) + 1;

	if (!q->size || q->size > MAX_SIZE || !in_arena(q->avail, 2 * MAX_SIZE + 6))
		return;
	for (unsigned i = 0; i < n; i++)
		avail[2 + q->index++ % q->size] =
			(uint16_t)(one_in(20) ? random_value()
					      : random_below(one_in(8) ? q->size
								       : 1 + q->size % FILLED));
	if (one_in(16))
		q->index = (uint16_t)random_value();
	avail[1] = q->index;
	avail[0] = (uint16_t)(one_in(3) ? random_u64() : 0);
	avail[2 + q->size] = (uint16_t)random_u64(); /* used_event */
}

static void kick(unsigned queue)
{
	struct pci_region at = dev.notify;
	uint32_t multiplier = dev.notify_multiplier;

	if (one_in(10))
		queue = (unsigned)random_below(64); /* one that is not there */
	at.base += queue * multiplier;
	if (at.io && at.base > 0xffff)
		return;
	if (one_in(4))
		region_write32(&at, 0, (uint32_t)random_value());
	else
		region_write16(&at, 0, (uint16_t)queue);
}

/* Wild registers of the running device. */
static void disturb(void)
{
	uint32_t at = (uint32_t)random_below(64);

	switch (random_below(5)) {
	case 0:
		region_write8(&dev.common, at, (uint8_t)random_value());
		break;
	case 1:
		region_write16(&dev.common, at & ~1u, (uint16_t)random_value());
		break;
	case 2:
		if (at >= COMMON_QUEUE_DESC && at < 56) /* rings not over us */
			break;
		region_write32(&dev.common, at & ~3u, (uint32_t)random_value());
		break;
	case 3:
		set_status(RESET); /* with chains in flight */
		begin();
		break;
	default:
		(void)region_read32(&dev.common, at);
		(void)region_read8(&dev.config, at);
		(void)region_read8(&dev.isr, 0);
	}
}

void vq_scribble(uint64_t where, uint64_t what)
{
	const struct queue *q = &queues[where % 2];
	uint64_t ring = where & 4 ? q->desc : q->avail;
	uint64_t at = ring + (where >> 8 & 0xffe) % (where & 8 ? 64 : 2048);

	at |= 8; /* of a descriptor all but the address, lest the device write to us */
	if (in_arena(at, 2))
		*(volatile uint16_t *)at = (uint16_t)(where & 16 ? what : what & 7);
}

void act_vq(void)
{
	unsigned devfn;

	if (!pci_find(VIRTIO_VENDOR, VIRTIO_NET_DEVICE, (unsigned)random_below(DEVICES), &devfn) &&
	    !pci_find(VIRTIO_VENDOR, VIRTIO_NET_DEVICE, 0, &devfn))
		return;
	if (virtio_open(&dev, devfn))
		return;
	begin();
	for (unsigned i = 0; i < 16; i++) {
		unsigned queue = (unsigned)random_below(2);

		if (i < 2 || one_in(4))
			fill(&queues[queue], queue == RX);
		push(&queues[queue]);
		kick(queue);
		if (one_in(12))
			disturb();
	}
}

void mend_vq(void)
{
	if (dev.common.base)
		set_status(RESET);
}
