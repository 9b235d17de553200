/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See look.h. Rings are read inside of a batch, so that they stay; the checks are the data plane's own. What
 * only the owner of `service` or a lock may touch is read here as it is: a torn or old value is no worse than
 * one that changes a moment later, and none is used as an index.
 */
#include "vswitch/look.h"

#include "vswitch/switch_impl.h"

/* A member that another CPU may be writing. */
#define GLANCE(member) (*(const volatile __typeof__(member) *)&(member))

static void look_split(const struct queue *q, struct queue_look *out)
{
	const struct vq *vq = &q->vq;

	out->avail = vq_avail_idx(vq);
	out->available = out->avail != out->next;
	/* where vq_arm_kick() writes: the used ring's flags, or the event behind its elements */
	if (vq->event_idx)
		out->kick_at =
			atomic_load_explicit(&vq->used[2 + 4 * vq->size], memory_order_relaxed);
	else
		out->kick_wanted = !(atomic_load_explicit(&vq->used[0], memory_order_relaxed) & 1);
	/* 2.7.10: at what was not taken yet, or comes soon; behind that it says "none" (vq_disarm_kick()) */
	if (vq->event_idx)
		out->kick_wanted = (uint16_t)(out->kick_at - out->next) < vq->size;
}

static void look_packed(const struct queue *q, struct queue_look *out)
{
	uint32_t event = atomic_load_explicit(q->vq.device_event, memory_order_relaxed);

	out->avail = out->next;
	out->available = vq_has(&q->vq, out->next);
	out->kick_at = (uint16_t)event;
	out->kick_wanted = event >> 16 != 1; /* 2.8.14: RING_EVENT_FLAGS_DISABLE */
}

static void look(struct queue *q, bool transmit, struct queue_look *out)
{
	out->packed = q->vq.packed;
	out->event_idx = q->vq.event_idx;
	out->size = q->vq.size;
	out->next = GLANCE(q->next);
	out->used = transmit ? GLANCE(q->used)
			     : atomic_load_explicit(&q->published, memory_order_acquire);
	if (q->vq.packed)
		look_packed(q, out);
	else
		look_split(q, out);
	out->interrupt = vq_wants_interrupt(&q->vq, out->used, vq_advance(&q->vq, out->used, 1));
	if (transmit) {
		out->lazy = atomic_load_explicit(&q->lazy, memory_order_relaxed);
		out->polled = atomic_load_explicit(&q->polled, memory_order_relaxed);
		out->held = atomic_load_explicit(&q->held, memory_order_relaxed);
		out->interrupt_owed = GLANCE(q->owed) != 0;
	} else {
		out->interrupt_owed = GLANCE(q->rx_owed);
	}
}

bool port_queue_look(struct port *port, unsigned queue, struct queue_look *out)
{
	struct vs_cpu *cpu;

	if (queue >= port->queues)
		return false;
	cpu = batch_begin(port->sw);
	if (cpu == NULL)
		return false;
	*out = (struct queue_look){ .life = QUEUE_LIFE_STOPPED };
	switch (queue_state(&port->queue[queue])) {
	case QUEUE_STOPPED:
		break;
	case QUEUE_RUNNING:
		out->life = QUEUE_LIFE_RUNNING;
		look(&port->queue[queue], queue % 2 == 1, out);
		break;
	case QUEUE_BROKEN:
		out->life = QUEUE_LIFE_BROKEN;
		break;
	}
	batch_end(cpu);
	return true;
}

static const struct port *port_of(const struct vswitch *sw, int id)
{
	return id < 0 ? NULL : atomic_load_explicit(&sw->port[id], memory_order_seq_cst);
}

static enum verdict trace_receiver(struct vs_cpu *cpu, struct port *to, const struct packet *p)
{
	const struct filter *filter = atomic_load_explicit(&to->filter, memory_order_seq_cst);
	unsigned pairs = atomic_load_explicit(&to->pairs, memory_order_relaxed);

	if (filter != NULL && !steer_wants(filter, p))
		return VERDICT_DROP_FILTERED;
	return rx_would_take(cpu, to, pairs == 1 ? 0 : 2 * steer_pair(to, p, pairs),
			     VNET_HDR_BYTES + p->bytes);
}

static void add_receiver(struct vs_cpu *cpu, struct port *to, const struct packet *p,
			 struct switch_trace *out)
{
	unsigned n = out->receivers++;

	out->receiver[n].port = to;
	out->receiver[n].verdict = trace_receiver(cpu, to, p);
}

/* The source's stage: where it is known, and whether it may come from this port. */
static bool trace_source(const struct vs_cpu *cpu, const struct port *from, const uint8_t *head,
			 struct switch_trace *out)
{
	uint64_t src = frame_src(head);
	int known;

	out->verdict = frame_check_head(head);
	if (out->verdict != VERDICT_DELIVERED)
		return false;
	known = fdb_lookup(from->sw->fdb, src, cpu->now_s);
	if (from->uplink && known != (int)from->id && batch_has_address(from, src)) {
		out->verdict = VERDICT_DROP_REFLECTED;
		return false;
	}
	out->was = known == (int)from->id ? NULL : port_of(from->sw, known);
	out->source = known == (int)from->id ? TRACE_KNOWN : known < 0 ? TRACE_NEW : TRACE_MOVES;
	return true;
}

/* The destination's stage, and the receivers. */
static void trace_destination(struct vs_cpu *cpu, struct port *from, const struct packet *p,
			      struct switch_trace *out)
{
	uint64_t dst = frame_dst(p->head);
	struct vswitch *sw = from->sw;
	int id;

	out->group = mac_is_group(dst);
	id = out->group ? -1 : fdb_lookup(sw->fdb, dst, cpu->now_s);
	/* its own, which it is about to be learned by */
	out->behind = dst == frame_src(p->head) ? from : port_of(sw, id);
	if (out->behind == from) {
		out->verdict = VERDICT_DROP_SAME_PORT;
	} else if (out->behind != NULL && from->uplink && out->behind->uplink) {
		out->verdict = VERDICT_DROP_TRANSIT;
	} else if (out->behind != NULL) {
		add_receiver(cpu, atomic_load_explicit(&sw->port[id], memory_order_seq_cst), p,
			     out);
		out->verdict = out->receiver[0].verdict;
	} else {
		for (unsigned i = 0; i < VS_MAX_PORTS; i++) {
			struct port *to = atomic_load_explicit(&sw->port[i], memory_order_seq_cst);

			if (to != NULL && to != from && !(to->uplink && from->uplink))
				add_receiver(cpu, to, p, out);
		}
		out->verdict = out->receivers > 0 ? VERDICT_FLOODED : VERDICT_DROP_NO_PORT;
	}
}

static void trace(struct vs_cpu *cpu, struct port *from, const uint8_t *frame, uint32_t bytes,
		  struct switch_trace *out)
{
	struct packet *p = &cpu->batch.pkt[0]; /* no batch is open: it is scratch */
	struct seg *seg = cpu->tx_seg;

	if (atomic_load_explicit(&from->unplugged, memory_order_relaxed)) {
		out->verdict = VERDICT_DROP_UNPLUGGED;
		return;
	}
	out->verdict = frame_check_length(VNET_HDR_BYTES + (uint64_t)bytes, out->most_bytes);
	if (out->verdict != VERDICT_DELIVERED)
		return;
	out->length_passes = true;
	for (unsigned i = 0; i < VNET_HDR_BYTES; i++)
		p->head[i] = 0;
	for (unsigned i = 0; i < ETH_HDR_BYTES; i++)
		p->head[VNET_HDR_BYTES + i] = frame[i];
	*seg = (struct seg){ (uint8_t *)(uintptr_t)frame + ETH_HDR_BYTES, bytes - ETH_HDR_BYTES };
	p->seg = seg;
	p->bytes = bytes;
	p->head_bytes = HEAD_BYTES;
	p->off.needs = 0;
	out->source_passes = trace_source(cpu, from, p->head, out);
	if (!out->source_passes)
		return;
	trace_destination(cpu, from, p, out);
}

bool port_trace(struct port *port, const void *frame, uint32_t bytes, struct switch_trace *out)
{
	struct vs_cpu *cpu = batch_begin(port->sw);

	if (cpu == NULL)
		return false;
	*out = (struct switch_trace){ .most_bytes = port->mtu + ETH_SLACK };
	trace(cpu, port, frame, bytes, out);
	batch_end(cpu);
	return true;
}
