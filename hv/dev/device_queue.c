/* SPDX-License-Identifier: BSD-2-Clause */
/* See device_queue.h. A turn is bounded, however fast other vCPUs add buffers meanwhile. */
#include "hv/dev/device_queue.h"

#include <string.h>

#include "hv/core/list.h"
#include "hv/core/log.h"
#include "hv/core/percpu.h"
#include "hv/core/timer.h"
#include "hv/core/vcpu.h"
#include "hv/core/vm.h"
#include "hv/cpu/x86.h"

#define GAP_US 1000u /* between two turns in another VM's time */

/* At an exit of whoever runs on this CPU. */
static void turn(struct switch_work *work)
{
	struct device_queue *q = container_of(work, struct device_queue, more);
	const struct vcpu *vcpu = this_cpu()->current;
	bool foreign = vcpu && vcpu->vm != q->virtio->vm;

	if (foreign && rdtsc() < atomic_load(&q->next_tsc)) {
		switch_work_queue(work);
		return;
	}
	device_queue_kick(q);
	atomic_store(&q->next_tsc, rdtsc() + tsc_from_us(GAP_US));
}

void device_queue_init(struct device_queue *q, const struct device_queue_kind *kind,
		       struct virtio_pci *virtio, const char *name)
{
	q->kind = kind;
	q->virtio = virtio;
	snprintf(q->name, sizeof(q->name), "%s", name);
	switch_work_init(&q->more, turn);
}

bool device_queue_start(struct device_queue *q, unsigned number)
{
	struct virtio_pci *v = q->virtio;
	const struct virtio_queue *rings = &v->queue[number];
	struct queue_setup setup = {
		.size = rings->size,
		.desc = rings->desc,
		.driver = rings->driver,
		.device = rings->device,
		.features = v->accepted,
	};
	const char *why = "";

	q->running = vq_init(&q->vq, &setup, &v->vm->mem, &why) == 0;
	if (!q->running) {
		log_limited(&v->vm->log_limit, "%s cannot be used: %s", q->name, why);
		return false;
	}
	q->number = number;
	q->next = vq_start(&q->vq);
	return true;
}

void device_queue_stop(struct device_queue *q)
{
	spin_lock(&q->lock);
	q->running = false;
	spin_unlock(&q->lock);
}

static bool stop_broken(struct device_queue *q, const char *why)
{
	q->running = false;
	log_limited(&q->virtio->vm->log_limit, "%s stopped: %s", q->name, why);
	virtio_pci_broken(q->virtio);
	return false;
}

bool device_queue_serve_one(struct device_queue *q)
{
	uint16_t avail = q->vq.packed ? 0 : vq_avail_idx(&q->vq), start = q->next;
	struct vq_chain chain;
	enum vq_fault fault;
	uint32_t written = 0;
	const char *why;

	if (!q->vq.packed && (uint16_t)(avail - q->next) > q->vq.size)
		return stop_broken(q, vq_fault_text(VQ_BAD_AVAIL_IDX));
	fault = vq_read(&q->vq, q->next, avail, q->kind->dir, q->kind->want, q->seg,
			DEVICE_QUEUE_SEGS, &chain);
	if (fault != VQ_OK)
		return stop_broken(q, vq_fault_text(fault));
	if (chain.slots == 0)
		return false;
	why = q->kind->serve(q, &chain, &written);
	if (why)
		return stop_broken(q, why);
	if (written == DEVICE_QUEUE_KEEP)
		return true;
	q->next = vq_advance(&q->vq, q->next, chain.slots);
	vq_put_used(&q->vq, start, chain.id, written, VQ_WRITE, true);
	vq_publish(&q->vq, start, q->next, VQ_WRITE);
	if (vq_wants_interrupt(&q->vq, start, q->next))
		virtio_pci_queue_interrupt(q->virtio, q->number);
	return true;
}

void device_queue_serve(struct device_queue *q)
{
	for (unsigned i = 0; i < DEVICE_QUEUE_QUOTA && q->running; i++) {
		if (device_queue_serve_one(q))
			continue;
		if (!q->running)
			return;
		vq_arm_kick(&q->vq, q->next);
		if (!vq_has(&q->vq, q->next))
			return;
	}
	if (q->running)
		switch_work_queue(&q->more);
}

void device_queue_kick(struct device_queue *q)
{
	spin_lock(&q->lock);
	if (q->running)
		device_queue_serve(q);
	spin_unlock(&q->lock);
}

void device_queue_finish(struct device_queue *q)
{
	switch_work_cancel(&q->more);
}
