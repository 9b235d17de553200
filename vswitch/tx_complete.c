/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Giving the chains of a transmit queue back: in the order in which they were taken, but for those that
 * are lent (lend.c), which follow when they have come back. The driver learns of it later: service.c.
 */
#include "vswitch/switch_impl.h"

/* Gives chains that were put, up to position `end`, with one store of the index. */
static void publish(struct queue *q, uint16_t end, unsigned chains)
{
	if (chains == 0)
		return;
	vq_publish(&q->vq, q->used, end, VQ_READ);
	if (q->owed == 0) {
		q->owed_from = q->used;
		q->owed_slots = 0;
		q->owed_us = q->polling ? env_now_us() : 0;
	}
	q->owed += (uint16_t)chains;
	q->owed_slots += vq_distance(&q->vq, q->used, end);
	q->used = end;
}

void tx_complete(struct queue *q, const struct vs_cpu *cpu)
{
	const struct batch *b = &cpu->batch;
	bool running = queue_state(q) == QUEUE_RUNNING;
	uint16_t pos = q->used;
	unsigned chains = 0;

	if (running)
		vq_prefetch_index(&q->vq);
	for (unsigned i = 0; i < b->count; i++) {
		if (b->pkt[i].lent) {
			q->lent_chains++;
			q->lent_descs += cpu->tx_descs[i];
			q->lent_slots += cpu->tx_slots[i];
		} else if (running) {
			vq_put_used(&q->vq, pos, b->pkt[i].chain, 0, VQ_READ, chains++ == 0);
			pos = vq_advance(&q->vq, pos, cpu->tx_slots[i]);
		}
	}
	publish(q, pos, chains);
}

void tx_complete_returned(struct queue *q)
{
	uint16_t pos = q->used;
	unsigned chains;

	if (atomic_load_explicit(&q->back_count, memory_order_relaxed) == 0 ||
	    queue_state(q) != QUEUE_RUNNING)
		return;
	spin_lock(&q->returned);
	chains = atomic_load_explicit(&q->back_count, memory_order_relaxed);
	for (unsigned i = 0; i < chains; i++) {
		const struct lent_chain *c = &q->back[i];

		vq_put_used(&q->vq, pos, c->id, 0, VQ_READ, i == 0);
		pos = vq_advance(&q->vq, pos, c->slots);
		q->lent_descs -= c->descs;
		q->lent_slots -= c->slots;
	}
	q->lent_chains -= (uint16_t)chains;
	atomic_store_explicit(&q->back_count, 0, memory_order_relaxed);
	spin_unlock(&q->returned);
	publish(q, pos, chains);
}
