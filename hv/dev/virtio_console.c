/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transmitted buffers go to the VM's console and its lines to hv/core/marker.c, as the UART's bytes
 * do; a turn takes a piece of a long one, so that no guest holds a CPU by a buffer's length. A typed
 * character takes a buffer of its own at once: none is kept here, and one that finds no buffer is
 * offered again by who typed (hv/core/console_input.c). Kicks of the receive queue are therefore
 * nothing to do.
 */
#include "hv/dev/virtio_console.h"

#include <string.h>

#include "hv/core/console.h"
#include "hv/core/list.h"
#include "hv/core/log.h"
#include "hv/core/marker.h"
#include "hv/core/vm.h"

#define VIRTIO_ID_CONSOLE   3
#define CLASS_COMMUNICATION 0x078000u
#define CONSOLE_QUEUE	    64u
#define MOST_BYTES	    65536u /* of a buffer are shown: as many as the console keeps */
#define PIECE_BYTES	    2048u  /* of it in one go */

/* virtio 1.2, 5.3.2 */
enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUES };

static struct virtio_console *console_of(struct virtio_pci *v)
{
	return container_of(v, struct virtio_console, virtio);
}

static void show(struct vm *vm, const uint8_t *text, uint32_t bytes)
{
	char copy[256];

	while (bytes) {
		uint32_t n = bytes < sizeof(copy) ? bytes : (uint32_t)sizeof(copy);

		memcpy(copy, text, n); /* the guest may change it meanwhile */
		for (uint32_t i = 0; i < n; i++)
			marker_char(vm, copy[i]);
		console_guest_write(vm->id, copy, n);
		text += n;
		bytes -= n;
	}
}

/* Shows the buffer from byte `from` on, a piece at most: where it ends. *more: not all was shown. */
static uint32_t show_piece(struct vm *vm, const struct seg *seg, unsigned nsegs, uint32_t from,
			   bool *more)
{
	uint32_t at = 0, left = PIECE_BYTES;

	for (unsigned i = 0; i < nsegs && at < MOST_BYTES; i++) {
		uint32_t len = seg[i].len < MOST_BYTES - at ? seg[i].len : MOST_BYTES - at;
		uint32_t skip = from > at ? from - at : 0, n;

		if (skip < len) {
			n = len - skip < left ? len - skip : left;
			show(vm, seg[i].ptr + skip, n);
			left -= n;
			if (skip + n < len) {
				*more = true;
				return at + skip + n;
			}
		}
		at += len;
	}
	*more = false;
	return at;
}

static const char *transmit(struct device_queue *q, const struct vq_chain *chain, uint32_t *written)
{
	struct virtio_console *c = container_of(q, struct virtio_console, transmit);
	bool more;

	c->sent = show_piece(c->virtio.vm, q->seg, chain->nsegs, c->sent, &more);
	if (more)
		*written = DEVICE_QUEUE_KEEP;
	else
		c->sent = 0;
	return NULL;
}

static const char *receive(struct device_queue *q, const struct vq_chain *chain, uint32_t *written)
{
	(void)chain;
	q->seg[0].ptr[0] = (uint8_t)container_of(q, struct virtio_console, receive)->typed;
	*written = 1;
	return NULL;
}

static const struct device_queue_kind transmit_queue = { VQ_READ, MOST_BYTES, transmit };
static const struct device_queue_kind receive_queue = { VQ_WRITE, 1, receive };

static struct device_queue *queue_of(struct virtio_console *c, unsigned queue)
{
	return queue == QUEUE_TRANSMIT ? &c->transmit : &c->receive;
}

static void notify(struct virtio_pci *v, unsigned queue)
{
	if (queue == QUEUE_TRANSMIT)
		device_queue_kick(&console_of(v)->transmit);
}

static bool queue_start(struct virtio_pci *v, unsigned queue)
{
	struct virtio_console *c = console_of(v);
	struct device_queue *q = queue_of(c, queue);
	bool ok;

	spin_lock(&q->lock);
	ok = device_queue_start(q, queue);
	if (queue == QUEUE_TRANSMIT) {
		c->sent = 0;
		if (ok)
			device_queue_serve(q);
	}
	spin_unlock(&q->lock);
	return ok;
}

static void queue_stop(struct virtio_pci *v, unsigned queue)
{
	device_queue_stop(queue_of(console_of(v), queue));
}

/* No config: 5.3.4: each of its fields is valid with a feature only that is not offered. */
static const struct virtio_device_ops console_ops = {
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.notify = notify,
};

bool virtio_console_listens(struct virtio_console *c)
{
	bool listens;

	spin_lock(&c->receive.lock);
	listens = c->receive.running;
	spin_unlock(&c->receive.lock);
	return listens;
}

bool virtio_console_receive(struct virtio_console *c, char typed)
{
	struct device_queue *q = &c->receive;
	bool taken;

	spin_lock(&q->lock);
	c->typed = typed;
	taken = q->running && device_queue_serve_one(q);
	spin_unlock(&q->lock);
	return taken;
}

int virtio_console_init(struct virtio_console *c, struct vm *vm, struct pcie *pcie)
{
	struct virtio_pci_setup setup = {
		.vm = vm,
		.type = VIRTIO_ID_CONSOLE,
		.class_code = CLASS_COMMUNICATION,
		.queue_count = QUEUES,
		.queue_size = CONSOLE_QUEUE,
		.features = VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX |
			    VIRTIO_F_INDIRECT_DESC,
		.ops = &console_ops,
	};
	char name[DEVICE_QUEUE_NAME];

	virtio_pci_init(&c->virtio, &setup);
	snprintf(name, sizeof(name), "vm %s: virtio-console: receive queue", vm->config->name);
	device_queue_init(&c->receive, &receive_queue, &c->virtio, name);
	snprintf(name, sizeof(name), "vm %s: virtio-console: transmit queue", vm->config->name);
	device_queue_init(&c->transmit, &transmit_queue, &c->virtio, name);
	return pcie_attach(pcie, &c->virtio.pci);
}

void virtio_console_finish(struct virtio_console *c)
{
	if (!c->virtio.vm)
		return;
	virtio_pci_reset(&c->virtio);
	device_queue_finish(&c->transmit);
	device_queue_finish(&c->receive);
}
