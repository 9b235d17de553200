/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The common configuration structure (virtio 1.2, 4.1.4.3) and the life of the device status
 * (section 3.1). Reads are answered from a copy of the structure, whatever their width; writes
 * count only with a field's own offset and width, others do nothing.
 *
 * Queues run from DRIVER_OK to reset. All of it is under v->lock; while it stops a queue it may
 * wait for one batch of another CPU, which never takes this lock.
 */
#include "hv/dev/virtio_pci_impl.h"

#include <stddef.h>
#include <string.h>

#include "hv/core/log.h"
#include "hv/core/vm.h"
#include "vswitch/switch.h"

struct virtio_common_cfg {
	uint32_t offered_select;
	uint32_t offered;
	uint32_t accepted_select;
	uint32_t accepted;
	uint16_t config_vector;
	uint16_t queue_count;
	uint8_t status;
	uint8_t generation;
	uint16_t queue_select;
	uint16_t queue_size;
	uint16_t queue_vector;
	uint16_t queue_enable;
	uint16_t queue_notify_at;
	uint64_t queue_desc;
	uint64_t queue_driver;
	uint64_t queue_device;
	uint16_t queue_notify_data;
	uint16_t queue_reset;
} __attribute__((packed));

#define AT(field) offsetof(struct virtio_common_cfg, field)
#define HIGH_HALF 4

_Static_assert(AT(config_vector) == 16 && AT(status) == 20 && AT(queue_select) == 22 &&
		       AT(queue_size) == 24 && AT(queue_enable) == 28 && AT(queue_desc) == 32 &&
		       AT(queue_driver) == 40 && AT(queue_device) == 48 && AT(queue_reset) == 58 &&
		       sizeof(struct virtio_common_cfg) == VIRTIO_COMMON_BYTES,
	       "virtio 1.2, 4.1.4.3");

static uint32_t feature_half(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> (32 * select)) : 0;
}

static struct virtio_queue *selected(struct virtio_pci *v)
{
	return v->queue_select < v->queue_count ? &v->queue[v->queue_select] : NULL;
}

static struct virtio_common_cfg snapshot(struct virtio_pci *v)
{
	const struct virtio_queue *q = selected(v);
	struct virtio_common_cfg c = {
		.offered_select = v->offered_select,
		.offered = feature_half(v->offered, v->offered_select),
		.accepted_select = v->accepted_select,
		.accepted = feature_half(v->accepted, v->accepted_select),
		.config_vector = v->config_vector,
		.queue_count = (uint16_t)v->queue_count,
		.status = v->status,
		.generation = v->generation,
		.queue_select = v->queue_select,
	};

	if (q) { /* one that is not there has size 0 */
		c.queue_size = q->size;
		c.queue_vector = v->queue_vector[v->queue_select];
		c.queue_enable = q->enabled;
		c.queue_notify_at = v->queue_select;
		c.queue_desc = q->desc;
		c.queue_driver = q->driver;
		c.queue_device = q->device;
		c.queue_notify_data = v->queue_select;
	}
	return c;
}

static void registers_reset(struct virtio_pci *v)
{
	v->accepted = 0;
	v->offered_select = v->accepted_select = 0;
	v->queue_select = 0;
	v->config_vector = MSIX_NO_VECTOR;
	for (unsigned i = 0; i < VIRTIO_MAX_QUEUES; i++) {
		v->queue[i] = (struct virtio_queue){ .size = v->queue_size };
		v->queue_vector[i] = MSIX_NO_VECTOR;
	}
	v->isr = 0;
	v->status = 0; /* last: once it reads 0, the reset is over */
}

void virtio_common_init(struct virtio_pci *v)
{
	registers_reset(v);
}

static void reset(struct virtio_pci *v)
{
	for (unsigned i = 0; i < v->queue_count; i++)
		if (v->queue[i].enabled)
			v->ops->queue_stop(v, i);
	registers_reset(v);
}

void virtio_pci_reset(struct virtio_pci *v)
{
	spin_lock(&v->lock);
	reset(v);
	spin_unlock(&v->lock);
}

void virtio_common_halt(struct virtio_pci *v)
{
	spin_lock(&v->lock);
	for (unsigned i = 0; i < v->queue_count; i++)
		if (v->queue[i].enabled)
			v->ops->queue_stop(v, i);
	atomic_fetch_and(&v->status, (uint8_t)~VIRTIO_DRIVER_OK);
	spin_unlock(&v->lock);
}

static void refuse(struct virtio_pci *v, const char *what)
{
	log_limited(&v->vm->log_limit, "vm %s: virtio driver: %s", v->vm->config->name, what);
}

static void start_queue(struct virtio_pci *v, unsigned queue)
{
	if (!v->ops->queue_start(v, queue))
		virtio_pci_broken(v);
}

/* Section 3.1.1, as far as the device must insist on the order. */
static void set_status(struct virtio_pci *v, uint8_t value)
{
	uint8_t old = v->status;
	uint8_t new = value &(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK |
			      VIRTIO_DRIVER_OK | VIRTIO_FAILED) &
		      (uint8_t)~old;

	if (value == 0) {
		reset(v);
		return;
	}
	if (new &VIRTIO_FEATURES_OK &&
	    (v->accepted & ~v->offered || !(v->accepted & VIRTIO_F_VERSION_1))) {
		refuse(v, v->accepted & VIRTIO_F_VERSION_1 ? "feature bits that were not offered"
							   : "VIRTIO_F_VERSION_1 not accepted");
		new &= (uint8_t)~VIRTIO_FEATURES_OK;
	}
	if (new &VIRTIO_DRIVER_OK && !((old | new) & VIRTIO_FEATURES_OK)) {
		refuse(v, "DRIVER_OK before FEATURES_OK");
		new &= (uint8_t)~VIRTIO_DRIVER_OK;
	}
	atomic_fetch_or(&v->status, new);
	if (new &VIRTIO_DRIVER_OK)
		for (unsigned i = 0; i < v->queue_count; i++)
			if (v->queue[i].enabled)
				start_queue(v, i);
}

static void set_accepted(struct virtio_pci *v, uint32_t value)
{
	unsigned shift = 32 * v->accepted_select;

	if (v->accepted_select < 2 && !(v->status & VIRTIO_FEATURES_OK))
		v->accepted = (v->accepted & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
	else if (value) /* a third word of features that nobody offered, or too late */
		refuse(v, "feature bits after FEATURES_OK or beyond 63");
}

static uint16_t vector_or_none(const struct virtio_pci *v, uint32_t vector)
{
	return vector < v->msix.count ? (uint16_t)vector : MSIX_NO_VECTOR;
}

static void set_half(uint64_t *address, unsigned half, uint32_t value)
{
	unsigned shift = half ? 32 : 0;

	*address = (*address & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
}

static void enable_queue(struct virtio_pci *v, struct virtio_queue *q)
{
	q->enabled = true;
	if (v->status & VIRTIO_DRIVER_OK)
		start_queue(v, v->queue_select);
}

/* Fields of the selected queue; fixed once it is enabled. */
static void write_queue(struct virtio_pci *v, unsigned at, unsigned bytes, uint32_t value)
{
	struct virtio_queue *q = selected(v);

	if (!q)
		return;
	if (bytes == 2 && at == AT(queue_vector)) {
		v->queue_vector[v->queue_select] = vector_or_none(v, value);
		return;
	}
	if (q->enabled)
		return;
	if (bytes == 2 && at == AT(queue_size)) {
		if (value && value <= v->queue_size &&
		    (!(value & (value - 1)) || v->accepted & VIRTIO_F_RING_PACKED))
			q->size = (uint16_t)value;
	} else if (bytes == 2 && at == AT(queue_enable)) {
		if (value == 1)
			enable_queue(v, q);
	} else if (bytes == 4 && (at == AT(queue_desc) || at == AT(queue_desc) + HIGH_HALF)) {
		set_half(&q->desc, at != AT(queue_desc), value);
	} else if (bytes == 4 && (at == AT(queue_driver) || at == AT(queue_driver) + HIGH_HALF)) {
		set_half(&q->driver, at != AT(queue_driver), value);
	} else if (bytes == 4 && (at == AT(queue_device) || at == AT(queue_device) + HIGH_HALF)) {
		set_half(&q->device, at != AT(queue_device), value);
	}
}

static void write_field(struct virtio_pci *v, unsigned at, unsigned bytes, uint32_t value)
{
	if (bytes == 4 && at == AT(offered_select))
		v->offered_select = value;
	else if (bytes == 4 && at == AT(accepted_select))
		v->accepted_select = value;
	else if (bytes == 4 && at == AT(accepted))
		set_accepted(v, value);
	else if (bytes == 2 && at == AT(config_vector))
		v->config_vector = vector_or_none(v, value);
	else if (bytes == 1 && at == AT(status))
		set_status(v, (uint8_t)value);
	else if (bytes == 2 && at == AT(queue_select))
		v->queue_select = (uint16_t)value;
	else
		write_queue(v, at, bytes, value);
}

void virtio_common_access(struct virtio_pci *v, struct bus_access *access)
{
	struct virtio_common_cfg c;

	spin_lock(&v->lock);
	if (access->write) {
		write_field(v, (unsigned)access->offset, access->bytes, (uint32_t)access->value);
	} else {
		c = snapshot(v);
		access->value = 0;
		memcpy(&access->value, (uint8_t *)&c + access->offset, access->bytes);
	}
	spin_unlock(&v->lock);
}
