/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-rng (virtio 1.2, 5.4): the guest makes buffers available, the device fills them with random
 * bytes, as many as it likes: here one block of the generator for a buffer.
 *
 * What a guest can get is bounded twice: a few buffers a turn (device_queue.h); and what the CPUs
 * share, the source behind RDSEED, is asked for 32 bytes by each VM once in STIR_MS at most, however
 * much the guest reads: the rest is computed.
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
#define STIR_MS		  100u

static struct virtio_rng *rng_of(struct virtio_pci *v)
{
	return container_of(v, struct virtio_rng, virtio);
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

static const char *serve(struct device_queue *q, const struct vq_chain *chain, uint32_t *written)
{
	*written = fill(container_of(q, struct virtio_rng, queue), q->seg, chain->nsegs);
	return NULL;
}

static const struct device_queue_kind rng_queue = { VQ_WRITE, ENTROPY_BLOCK, serve };

static void notify(struct virtio_pci *v, unsigned queue)
{
	(void)queue;
	device_queue_kick(&rng_of(v)->queue);
}

static bool queue_start(struct virtio_pci *v, unsigned queue)
{
	struct device_queue *q = &rng_of(v)->queue;
	bool ok;

	spin_lock(&q->lock);
	ok = device_queue_start(q, queue);
	if (ok)
		device_queue_serve(q);
	spin_unlock(&q->lock);
	return ok;
}

static void queue_stop(struct virtio_pci *v, unsigned queue)
{
	(void)queue;
	device_queue_stop(&rng_of(v)->queue);
}

/* No config: 5.4.4. */
static const struct virtio_device_ops rng_ops = {
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.notify = notify,
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
	char name[DEVICE_QUEUE_NAME];

	rng->entropy.key[0] = vm->id; /* apart from the others, if the CPU offers nothing else */
	if (!entropy_stir(&rng->entropy))
		log_printf("vm %s: virtio-rng: this CPU has no RDSEED or RDRAND: random numbers "
			   "come from timing only",
			   vm->config->name);
	rng->stirred_tsc = rdtsc();
	virtio_pci_init(&rng->virtio, &setup);
	snprintf(name, sizeof(name), "vm %s: virtio-rng", vm->config->name);
	device_queue_init(&rng->queue, &rng_queue, &rng->virtio, name);
	return pcie_attach(pcie, &rng->virtio.pci);
}

void virtio_rng_finish(struct virtio_rng *rng)
{
	if (!rng->virtio.vm)
		return;
	virtio_pci_reset(&rng->virtio);
	device_queue_finish(&rng->queue);
}
