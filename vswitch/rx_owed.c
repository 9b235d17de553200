/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts owed to receivers. One that is blocked needs each packet at once. One that runs would pay
 * an exit for each interrupt, and with a CPU that polls for the sender, packets come one by one: so that
 * CPU leaves the interrupt until its next poll finds the receiver asleep, or a tenth of poll_us has gone
 * by, or it stops to poll. The CPU of any of the receiver's vCPUs asks for it before that leaves
 * (port_settle()). Most often the driver has found the packets by itself before. A guest that sends a stream
 * and sleeps since its window is full is owed acknowledgements in the same way: each wake-up is a VM exit.
 *
 * A receiver that gets more than it can handle does not sleep, and at each interrupt its kernel goes first, before
 * what it takes packets for. So it is interrupted half as often each time that it has not slept meanwhile and many
 * packets have come, until its kernel's work is so long at a time that it shares the CPU with the rest.
 *
 * Only who polls makes such a debt, and it looks at those of all ports of the switch at each of its polls
 * and when it ends: so somebody does as long as there is one.
 * Model: tests/model/owed.pml.
 */
#include "vswitch/switch_impl.h"

#include "vswitch/policy.h"

#define MOST_CALM  4u /* the patience is doubled that often at most */
#define MANY	   8u /* packets of one debt: those of a stream are large, and fewer */
#define FULL_SHARE 2u /* of the ring: the debt is due */

/* Its guest has just sent large packets by this pair: what comes in are acknowledgements, most likely. */
static bool sends_bulk(const struct port *to, unsigned queue)
{
	uint64_t bulk_us =
		atomic_load_explicit(&to->queue[queue + 1].bulk_us, memory_order_relaxed);

	return bulk_us != 0 && env_now_us() - bulk_us < policy_get(POLICY_poll_us);
}

/* Slots of the ring that the debt is for. */
static uint32_t owed_slots(const struct queue *q)
{
	uint16_t idx = atomic_load_explicit(&q->published, memory_order_relaxed);

	return vq_distance(&q->vq, q->rx_owed_from, idx);
}

/* Under the publish lock: a receiver that runs may be told later. */
static bool may_wait_running(struct queue *q)
{
	if (!q->rx_owed)
		return true;
	if (owed_slots(q) < q->vq.size / FULL_SHARE &&
	    env_now_us() - q->rx_owed_us < (uint64_t)policy_patience_us() << q->calm)
		return true;
	if (q->rx_owed_packets >= MANY && q->calm < MOST_CALM)
		q->calm++;
	return false;
}

/* Under the publish lock: the driver may be told later. */
static bool may_wait(struct port *to, unsigned queue)
{
	struct queue *q = &to->queue[queue];
	enum peer_state state = env_peer_state(to, queue);

	if (state != PEER_RUNNING)
		q->calm = 0;
	if (!policy_get(POLICY_batching))
		return false;
	if (state == PEER_RUNNING)
		return may_wait_running(q);
	return state == PEER_BLOCKED && sends_bulk(to, queue) &&
	       !(q->rx_owed && owed_slots(q) >= q->vq.size / FULL_SHARE) &&
	       !(q->rx_owed && env_now_us() - q->rx_owed_us >= policy_patience_us());
}

/* Under the publish lock: settles the debt; false: nothing is due now. */
static bool due_now(struct port *to, unsigned queue, bool polling, struct stat_slot *slot)
{
	struct queue *q = &to->queue[queue];
	uint16_t idx = atomic_load_explicit(&q->published, memory_order_relaxed);
	bool wanted = vq_wants_interrupt(&q->vq, q->rx_owed_from, idx);

	if (!wanted)
		stat_add(slot, STAT_interrupts_saved, 1);
	if (!polling)
		q->calm = 0; /* told by its own CPU, which it leaves; or the flood is none */
	if (!wanted || !polling || !may_wait(to, queue)) {
		q->rx_owed = false;
		return wanted;
	}
	if (!q->rx_owed) {
		q->rx_owed = true;
		q->rx_owed_us = env_now_us();
	}
	atomic_fetch_or_explicit(&to->sw->owing, 1ull << to->id, memory_order_relaxed);
	return false;
}

bool rx_interrupt_due(struct port *to, unsigned queue, uint16_t before, unsigned packets,
		      bool polling, struct stat_slot *slot)
{
	struct queue *q = &to->queue[queue];

	if (q->rx_owed) {
		stat_add(slot, STAT_interrupts_saved, 1);
	} else {
		q->rx_owed_from = before;
		q->rx_owed_packets = 0;
	}
	q->rx_owed_packets += packets;
	return due_now(to, queue, polling, slot);
}

bool rx_interrupt(struct port *to, unsigned queue, struct stat_slot *slot)
{
	enum stat_id id = STAT_interrupts_blocked; /* off: as if blocked */

	switch (env_peer_state(to, queue)) {
	case PEER_RUNNING:
		id = STAT_interrupts_running;
		break;
	case PEER_RUNNABLE:
		id = STAT_interrupts_runnable;
		break;
	case PEER_BLOCKED:
	case PEER_OFF:
		break;
	}
	stat_add(slot, id, 1);
	env_interrupt(to, queue);
	return id == STAT_interrupts_blocked;
}

/* In a batch. */
static void settle_port(struct port *port, bool polling)
{
	struct stat_slot *slot = stats_slot(port, env_cpu());

	for (unsigned i = 0; i < port->queues; i += 2) {
		struct queue *q = &port->queue[i];
		bool due = false;

		if (queue_state(q) != QUEUE_RUNNING)
			continue;
		spin_lock(&q->publish);
		if (q->rx_owed)
			due = due_now(port, i, polling, slot);
		spin_unlock(&q->publish);
		if (due)
			rx_interrupt(port, i, slot);
	}
}

void rx_settle(struct port *port)
{
	struct vs_cpu *cpu;

	if (!(atomic_load_explicit(&port->sw->owing, memory_order_relaxed) >> port->id & 1))
		return;
	cpu = batch_begin(port->sw);
	if (cpu == NULL)
		return;
	settle_port(port, false);
	batch_end(cpu);
}

void rx_forget_owed(struct port *port, unsigned queue)
{
	struct queue *q = &port->queue[queue];

	if (q->rx_owed)
		stat_add(stats_slot(port, env_cpu()), STAT_interrupts_saved, 1);
	q->rx_owed = false;
}

void rx_settle_all(struct vswitch *sw, bool last)
{
	struct vs_cpu *cpu;
	uint64_t set;

	if (atomic_load_explicit(&sw->owing, memory_order_relaxed) == 0)
		return;
	cpu = batch_begin(sw);
	if (cpu == NULL)
		return;
	/* who is owed still is put back */
	set = atomic_exchange_explicit(&sw->owing, 0, memory_order_acq_rel);
	for (; set != 0; set &= set - 1) {
		unsigned id = (unsigned)__builtin_ctzll(set);
		struct port *port = atomic_load_explicit(&sw->port[id], memory_order_seq_cst);

		if (port != NULL)
			settle_port(port, !last);
	}
	batch_end(cpu);
}
