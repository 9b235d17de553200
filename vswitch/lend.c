/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffer reuse: packets that go to an uplink without a copy (lasthop/uplink.h says how they look there). The
 * sender's pages are shared with the driver domain's devices before receive buffers are reserved; the packet
 * is then lent by the descriptor of its buffer, and the sender's chain is not given back with its batch, but
 * when that descriptor is in the available ring again. Then the NIC has sent it.
 *
 * Whoever fills the receive queue looks for that in the available ring, before the buffers are taken again; and
 * while something is lent the driver is asked for a kick when half of it could be back, so that the last comes
 * back as well when nobody sends any more. All that happens to a loan happens under the queue's `reserve`
 * lock. What is back waits in the sender's queue for the owner of its `service`, who gives it to the driver.
 *
 * Nothing here trusts the driver domain. One that gives back what it has not sent lets the sender write into
 * what goes to the wire; one that keeps all keeps half of a sender's ring, until it is started again: the rest
 * serves other receivers, and packets to it are copied.
 *
 * A transmit queue that stops takes back what it has lent: its pages are revoked before that is done, and the
 * loans stay, of nobody, until they come back. What other queues of its VM have lent stays as it is.
 */
#include "vswitch/lend.h"

#include "vswitch/copy.h"
#include "vswitch/policy.h"

/* Smaller packets are cheaper to copy: bytes behind the headers. */
#define LEND_LEAST 1024u

static void count_cost(struct vs_cpu *cpu, struct port *to)
{
	struct stat_slot *slot = stats_slot(to, cpu->cpu);

	stat_add(slot, STAT_lent_mapped, cpu->cost.mapped);
	stat_add(slot, STAT_lent_flushes, cpu->cost.flushes);
	cpu->cost = (struct share_cost){ 0, 0 };
}

/* Shares what is behind the packet's headers, which are all in head[] afterwards. */
static void share(struct vs_cpu *cpu, struct port *to, const struct queue *tx, unsigned i)
{
	struct batch *b = &cpu->batch;
	struct packet *p = &b->pkt[i];
	uint32_t rest = VNET_HDR_BYTES + p->bytes - p->head_bytes;
	uint32_t more = HEAD_ROOM - p->head_bytes;

	if (rest < more + LEND_LEAST || tx->lent_chains + b->lends >= LEND_PACKETS ||
	    tx->lent_descs + b->lend_descs + cpu->tx_descs[i] > tx->vq.size / LEND_SHARE)
		return;
	p->seg += copy_gather(p->head + p->head_bytes, more, p->seg);
	p->head_bytes = HEAD_ROOM;
	p->pieces = (uint8_t)env_share(to, b->from, p->seg, rest - more, cpu->piece[i],
				       UPLINK_PIECES, &cpu->cost);
	if (p->pieces == 0)
		return;
	b->lends++;
	b->lend_descs += cpu->tx_descs[i];
}

void lend_begin(struct vs_cpu *cpu, struct port *to, unsigned queue, uint64_t set)
{
	const struct queue *q = &to->queue[queue];
	struct batch *b = &cpu->batch;
	uint64_t offloads;

	if (!to->uplink || b->queue == NO_QUEUE || policy_get(POLICY_buffer_reuse) == REUSE_OFF ||
	    queue_state(q) != QUEUE_RUNNING || q->loans == NULL)
		return;
	offloads = atomic_load_explicit(&q->offloads, memory_order_relaxed);
	for (; set != 0; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctzll(set);

		if ((b->pkt[i].off.needs & ~offloads) == 0)
			share(cpu, to, &b->from->queue[b->queue], i);
	}
}

/* Under the lock of the loan's queue: its chain is for the owner of `service`, who is to be told. */
static void return_chain(struct loan *loan)
{
	struct queue *tx = &loan->from->queue[loan->queue];

	spin_lock(&tx->returned);
	/* room: LEND_PACKETS are lent at most, and none twice */
	tx->back[atomic_fetch_add_explicit(&tx->back_count, 1, memory_order_relaxed)] = loan->chain;
	spin_unlock(&tx->returned);
}

static void unshare(struct port *to, const struct loan *loan, struct share_cost *cost)
{
	if (loan->from != NULL)
		env_unshare(to, loan->piece, loan->pieces, cost);
	else
		env_unshare_disowned(to, loan->piece, loan->pieces, cost);
}

/* Under the lock: the descriptor's buffer is the driver's to give again. */
static void collect_one(struct vs_cpu *cpu, struct port *to, struct queue *q, uint16_t id)
{
	struct loan *loan = &q->loans[id];

	if (loan->pieces == 0)
		return;
	unshare(to, loan, &cpu->cost);
	loan->pieces = 0;
	q->loans_out--;
	if (loan->from == NULL)
		return;
	return_chain(loan);
	id = (uint16_t)loan->from->id;
	if (!(cpu->back_ports >> id & 1))
		cpu->back_queues[id] = 0;
	cpu->back_ports |= 1ull << id;
	cpu->back_queues[id] |= (uint8_t)(1u << loan->queue / 2);
}

void lend_collect(struct vs_cpu *cpu, struct port *to, struct queue *q, uint16_t avail)
{
	if ((uint16_t)(avail - q->seen) > q->vq.size)
		q->seen =
			avail; /* an index that goes back: what it hides comes back when it is taken */
	for (; q->seen != avail; q->seen++) {
		uint16_t id = vq_avail_head(&q->vq, q->seen);

		if (q->loans_out > 0 && id < q->vq.size)
			collect_one(cpu, to, q, id);
	}
}

/* Asks for a kick when half of what is out could be back; false: that was so before the driver could know. */
static bool arm(struct queue *q)
{
	uint16_t half = (uint16_t)((q->loans_out + 1) / 2);

	vq_arm_kick(&q->vq, (uint16_t)(q->seen + half - 1));
	q->watching = true;
	return (uint16_t)(vq_avail_idx(&q->vq) - q->seen) < half;
}

/* Each round but the last finds the index further on, and all of them together by no more than the ring has: no
 * buffer is taken meanwhile. A driver that breaks this rule is asked for nothing.
 * Model: tests/model/lend.pml. */
void lend_watch(struct vs_cpu *cpu, struct port *to, struct queue *q)
{
	uint32_t left = q->vq.size, step;

	for (; q->loans_out > 0; left -= step) {
		uint16_t avail;

		if (arm(q))
			return;
		avail = vq_avail_idx(&q->vq);
		step = (uint16_t)(avail - q->seen);
		if (step == 0 || step > left)
			break;
		lend_collect(cpu, to, q, avail);
	}
	if (!q->watching)
		return;
	q->watching = false;
	q->disarmed_at = q->seen;
	vq_disarm_kick(&q->vq, q->seen);
}

void lend_packet(struct vs_cpu *cpu, struct port *to, struct queue *q, unsigned i, uint16_t id)
{
	struct batch *b = &cpu->batch;
	struct packet *p = &b->pkt[i];
	struct loan *loan = &q->loans[id];

	collect_one(cpu, to, q, id); /* nothing, unless the driver has changed what it offered */
	loan->from = b->from;
	loan->queue = b->queue;
	loan->chain = (struct lent_chain){ p->chain, cpu->tx_slots[i], cpu->tx_descs[i] };
	loan->pieces = p->pieces;
	for (unsigned n = 0; n < p->pieces; n++)
		loan->piece[n] = cpu->piece[i][n];
	q->loans_out++;
	p->lent = true;
}

/* The queue has chains that its owner is to give to the driver: unless this CPU is that, or somebody polls. */
static void announce(struct port *from, unsigned queue)
{
	/* partner: port_poll_end(), which serves the queue after it has taken the mark away */
	if (!atomic_load_explicit(&from->queue[queue].polled, memory_order_seq_cst))
		env_more_work(from, queue);
}

/* In the batch in which they came back, which keeps the senders. */
static void announce_all(struct vs_cpu *cpu, struct vswitch *sw, const struct port *self,
			 unsigned self_queue)
{
	for (; cpu->back_ports != 0; cpu->back_ports &= cpu->back_ports - 1) {
		unsigned id = (unsigned)__builtin_ctzll(cpu->back_ports);
		struct port *from = atomic_load_explicit(&sw->port[id], memory_order_seq_cst);

		for (unsigned i = 1; from != NULL && i < from->queues; i += 2)
			if (cpu->back_queues[id] >> i / 2 & 1 && (from != self || i != self_queue))
				announce(from, i);
	}
}

void lend_end(struct vs_cpu *cpu, struct port *to, uint64_t set)
{
	struct batch *b = &cpu->batch;

	if (!to->uplink)
		return;
	for (set &= b->to[to->id]; set != 0; set &= set - 1) {
		unsigned i = (unsigned)__builtin_ctzll(set);
		struct packet *p = &b->pkt[i];

		if (p->pieces == 0 || p->lent)
			continue;
		env_unshare(to, cpu->piece[i], p->pieces, &cpu->cost);
		p->pieces = 0;
		b->lends--;
		b->lend_descs -= cpu->tx_descs[i];
	}
	announce_all(cpu, to->sw, b->from, b->queue);
	count_cost(cpu, to);
}

void lend_kicked(struct port *port, unsigned queue)
{
	struct queue *q = &port->queue[queue];
	struct vs_cpu *cpu = port->uplink ? batch_begin(port->sw) : NULL;

	if (cpu == NULL)
		return;
	if (queue_state(q) == QUEUE_RUNNING && q->loans != NULL) {
		spin_lock(&q->reserve);
		lend_collect(cpu, port, q, vq_avail_idx(&q->vq));
		lend_watch(cpu, port, q);
		spin_unlock(&q->reserve);
		announce_all(cpu, port->sw, NULL, NO_QUEUE);
		count_cost(cpu, port);
	}
	batch_end(cpu);
}

void lend_start(struct port *port, unsigned queue, uint64_t features)
{
	struct queue *q = &port->queue[queue];

	if (queue % 2 == 0 && port->uplink && (features & UPLINK_F_REUSE) && !q->vq.packed)
		q->loans = env_alloc(q->vq.size * sizeof(*q->loans)); /* NULL: all is copied */
}

/* The receive queue's driver has lost what it was lent. */
static void stop_borrowing(struct port *port, struct queue *q)
{
	struct share_cost cost = { 0, 0 }; /* of the end: nobody asks */

	for (unsigned i = 0; i < q->vq.size; i++)
		if (q->loans[i].pieces != 0)
			unshare(port, &q->loans[i], &cost);
	env_reclaim(port); /* before the senders write there again */
	for (unsigned i = 0; i < q->vq.size; i++) {
		struct loan *loan = &q->loans[i];

		if (loan->pieces == 0 || loan->from == NULL)
			continue;
		return_chain(loan);
		announce(loan->from, loan->queue);
	}
	env_free(q->loans, q->vq.size * sizeof(*q->loans));
	q->loans = NULL;
}

/* Those of the queue's loans that this transmit queue has made are nobody's; false: there are none. */
static bool disown(struct port *to, struct queue *q, const struct port *from, unsigned queue)
{
	bool any = false;

	spin_lock(&q->reserve);
	for (unsigned i = 0; i < q->vq.size; i++) {
		struct loan *loan = &q->loans[i];

		if (loan->pieces == 0 || loan->from != from || loan->queue != queue)
			continue;
		env_disown(to, loan->piece, loan->pieces);
		loan->from = NULL;
		any = true;
	}
	spin_unlock(&q->reserve);
	return any;
}

static void stop_lending(const struct port *port, unsigned queue)
{
	bool any = false;

	for (unsigned id = 0; id < VS_MAX_PORTS; id++) {
		struct port *to = atomic_load_explicit(&port->sw->port[id], memory_order_relaxed);

		for (unsigned i = 0; to != NULL && i < to->queues; i += 2)
			if (to->queue[i].loans != NULL)
				any |= disown(to, &to->queue[i], port, queue);
	}
	if (any)
		env_revoke(port);
}

void lend_stop(struct port *port, unsigned queue)
{
	struct queue *q = &port->queue[queue];

	if (q->loans != NULL)
		stop_borrowing(port, q);
	if (q->lent_chains > 0)
		stop_lending(port, queue);
}
