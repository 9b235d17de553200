/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-rng (virtio 1.2, 5.4): the guest makes buffers available, the device fills them with random
 * bytes, as many as it likes: here one block of the generator for a buffer. Served where it is kicked,
 * in the time of the vCPU that kicks.
 *
 * What a guest can get is bounded twice. A kick is good for as many buffers as the queue has
 * entries, RNG_QUEUE. And what the CPUs share, the source behind RDSEED, is asked for 32 bytes by
 * each VM once in STIR_MS at most, however much the guest reads: the rest is computed.
 */
#include "hv/dev/virtio_rng.h"

#include <string.h>

#include "hv/core/log.h"
#include "hv/core/timer.h"
#include "hv/core/vm.h"
#include "hv/cpu/x86.h"

#define VIRTIO_ID_ENTROPY 4
#define CLASS_OTHER	  0x00ff00u
#define RNG_QUEUE	  64u
#define RNG_SEGS	  4u /* pieces of a buffer that are filled */
#define STIR_MS		  100u

static struct virtio_rng *rng_of(struct virtio_pci *v)
{
	return container_of(v, struct virtio_rng, virtio);
}

static void stop_broken(struct virtio_rng *rng, const char *why)
{
	struct vm *vm = rng->virtio.vm;

	rng->running = false;
	log_limited(&vm->log_limit, "vm %s: virtio-rng stopped: %s", vm->config->name, why);
	virtio_pci_broken(&rng->virtio);
}

static void next_block(struct virtio_rng *rng, uint8_t block[ENTROPY_BLOCK])
{
	uint64_t now = rdtsc();

	if (now - rng->stirred_tsc > tsc_khz() * STIR_MS) {
		entropy_stir(&rng->entropy);
		rng->stirred_tsc = now;
	}
	entropy_block(&rng->entropy, block);
}

/* Fills the pieces from their beginning: how many bytes. */
static uint32_t fill(struct virtio_rng *rng, const struct seg *seg, unsigned nsegs)
{
	uint8_t block[ENTROPY_BLOCK];
	uint32_t done = 0;

	next_block(rng, block);
	for (unsigned i = 0; i < nsegs && done < ENTROPY_BLOCK; i++) {
		uint32_t left = ENTROPY_BLOCK - done;
		uint32_t n = seg[i].len < left ? seg[i].len : left;

		memcpy(seg[i].ptr, block + done, n);
		done += n;
	}
	return done;
}

/* One buffer, if there is one. */
static bool serve_one(struct virtio_rng *rng)
{
	uint16_t avail = rng->vq.packed ? 0 : vq_avail_idx(&rng->vq), start = rng->next;
	struct seg seg[RNG_SEGS];
	struct vq_chain chain;
	enum vq_fault fault;

	if (!rng->vq.packed && (uint16_t)(avail - rng->next) > rng->vq.size) {
		stop_broken(rng, vq_fault_text(VQ_BAD_AVAIL_IDX));
		return false;
	}
	fault = vq_read(&rng->vq, rng->next, avail, VQ_WRITE, ENTROPY_BLOCK, seg, RNG_SEGS, &chain);
	if (fault != VQ_OK) {
		stop_broken(rng, vq_fault_text(fault));
		return false;
	}
	if (chain.slots == 0)
		return false;
	rng->next = vq_advance(&rng->vq, rng->next, chain.slots);
	vq_put_used(&rng->vq, start, chain.id, fill(rng, seg, chain.nsegs), VQ_WRITE, true);
	vq_publish(&rng->vq, start, rng->next, VQ_WRITE);
	if (vq_wants_interrupt(&rng->vq, start, rng->next))
		virtio_pci_queue_interrupt(&rng->virtio, 0);
	return true;
}

static void serve(struct virtio_rng *rng)
{
	for (unsigned i = 0; i < rng->vq.size && rng->running; i++) {
		if (serve_one(rng))
			continue;
		if (!rng->running)
			return;
		vq_arm_kick(&rng->vq, rng->next);
		if (!vq_has(&rng->vq, rng->next))
			return;
	}
	if (rng->running)
		vq_arm_kick(&rng->vq, rng->next);
}

static void notify(struct virtio_pci *v, unsigned queue)
{
	struct virtio_rng *rng = rng_of(v);

	(void)queue;
	spin_lock(&rng->lock);
	if (rng->running)
		serve(rng);
	spin_unlock(&rng->lock);
}

static bool queue_start(struct virtio_pci *v, unsigned queue)
{
	struct virtio_rng *rng = rng_of(v);
	struct queue_setup setup = {
		.size = v->queue[queue].size,
		.desc = v->queue[queue].desc,
		.driver = v->queue[queue].driver,
		.device = v->queue[queue].device,
		.features = v->accepted,
	};
	const char *why = "";
	bool ok;

	spin_lock(&rng->lock);
	ok = vq_init(&rng->vq, &setup, &v->vm->mem, &why) == 0;
	if (ok) {
		rng->running = true;
		rng->next = vq_start(&rng->vq);
		serve(rng); /* what is there already, and asks for kicks */
	} else {
		log_limited(&v->vm->log_limit, "vm %s: virtio-rng's queue cannot be used: %s",
			    v->vm->config->name, why);
	}
	spin_unlock(&rng->lock);
	return ok;
}

static void queue_stop(struct virtio_pci *v, unsigned queue)
{
	struct virtio_rng *rng = rng_of(v);

	(void)queue;
	spin_lock(&rng->lock);
	rng->running = false;
	spin_unlock(&rng->lock);
}

/* 5.4.4: it has none. */
static uint64_t config_read(struct virtio_pci *v, unsigned at, unsigned bytes)
{
	(void)v;
	(void)at;
	(void)bytes;
	return 0;
}

static const struct virtio_device_ops rng_ops = {
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.notify = notify,
	.config_read = config_read,
};

int virtio_rng_init(struct virtio_rng *rng, struct vm *vm, struct pcie *pcie)
{
	struct virtio_pci_setup setup = {
		.vm = vm,
		.type = VIRTIO_ID_ENTROPY,
		.class_code = CLASS_OTHER,
		.queue_count = 1,
		.queue_size = RNG_QUEUE,
		.features = VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX |
			    VIRTIO_F_INDIRECT_DESC,
		.ops = &rng_ops,
	};

	rng->entropy.key[0] = vm->id; /* apart from the others, if the CPU offers nothing else */
	if (!entropy_stir(&rng->entropy))
		log_printf("vm %s: virtio-rng: this CPU has no RDSEED or RDRAND: random numbers "
			   "come from timing only",
			   vm->config->name);
	rng->stirred_tsc = rdtsc();
	virtio_pci_init(&rng->virtio, &setup);
	return pcie_attach(pcie, &rng->virtio.pci);
}

void virtio_rng_finish(struct virtio_rng *rng)
{
	if (rng->virtio.vm)
		virtio_pci_reset(&rng->virtio);
}
