/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ports and the life of their queues: stopped, running, broken. A queue's members are written only
 * while it is stopped and no CPU can still be inside it; "running" is stored last.
 */
#include "vswitch/lend.h"

static size_t queue_bytes(unsigned queues)
{
	return queues * sizeof(struct queue) +
	       (size_t)queues / 2 *
		       (RX_RESERVATIONS * sizeof(struct reservation) +
			LEND_PACKETS * sizeof(struct lent_chain));
}

/* The queues, and behind them the reservations of the receive queues, and what comes back to transmit queues. */
static struct queue *alloc_queues(unsigned queues)
{
	struct queue *q = env_alloc(queue_bytes(queues));
	struct reservation *resv;
	struct lent_chain *back;

	if (q == NULL)
		return NULL;
	resv = (struct reservation *)(void *)(q + queues);
	back = (struct lent_chain *)(void *)(resv + (size_t)queues / 2 * RX_RESERVATIONS);
	for (unsigned i = 0; i < queues; i += 2) {
		q[i].resv = resv + (size_t)i / 2 * RX_RESERVATIONS;
		q[i + 1].back = back + (size_t)i / 2 * LEND_PACKETS;
	}
	return q;
}

static int free_id(const struct vswitch *sw)
{
	for (int id = 0; id < VS_MAX_PORTS; id++)
		if (atomic_load_explicit(&sw->port[id], memory_order_relaxed) == NULL)
			return id;
	return -1;
}

static void fill_port(struct port *port, const struct port_config *config)
{
	port->mtu = config->mtu;
	port->uplink = config->uplink;
	port->mem = config->mem;
	atomic_store_explicit(&port->owner, config->owner, memory_order_relaxed);
	for (unsigned i = 0; i < 6; i++)
		port->mac[i] = config->mac[i];
	for (unsigned i = 0; i < VS_NAME_BYTES - 1 && config->name[i] != '\0'; i++)
		port->name[i] = config->name[i];
	port->spare.shared = true;
	atomic_store_explicit(&port->pairs, 1, memory_order_relaxed);
}

struct port *port_create(struct vswitch *sw, const struct port_config *config)
{
	int id = free_id(sw);
	struct port *port;

	if (id < 0 || config->queue_pairs == 0 || config->queue_pairs > VS_MAX_QUEUE_PAIRS)
		return NULL;
	port = env_alloc(sizeof(*port));
	if (port == NULL)
		return NULL;
	port->sw = sw;
	port->id = (unsigned)id;
	port->queues = 2 * config->queue_pairs;
	port->queue = alloc_queues(port->queues);
	if (port->queue == NULL) {
		env_free(port, sizeof(*port));
		return NULL;
	}
	fill_port(port, config);
	fdb_set_uplink(sw->fdb, port->id, port->uplink);
	atomic_store_explicit(&sw->port[id], port, memory_order_seq_cst);
	/* Its address may have been seen elsewhere meanwhile. Batches that begin now know that it is here. */
	switch_quiesce(sw);
	fdb_forget(sw->fdb, mac_load(port->mac));
	return port;
}

void port_retire(struct port *port)
{
	struct vswitch *sw = port->sw;

	if (port->retired)
		return;
	for (unsigned i = 0; i < port->queues; i++)
		port_stop_queue(port, i);
	/* nobody learns for it any more, but packets may be on their way to it */
	atomic_store_explicit(&sw->port[port->id], NULL, memory_order_seq_cst);
	atomic_store_explicit(&port->capture, NULL, memory_order_seq_cst);
	fdb_forget_port(sw->fdb, port->id);
	switch_quiesce(sw);
	port->retired = true;
}

void port_destroy(struct port *port)
{
	if (port == NULL)
		return;
	port_retire(port);
	stats_free(port);
	env_free(port->queue, queue_bytes(port->queues));
	env_free(port, sizeof(*port));
}

void *port_owner(const struct port *port)
{
	return atomic_load_explicit(&port->owner, memory_order_seq_cst);
}

void port_detach(struct port *port)
{
	for (unsigned i = 0; i < port->queues; i++)
		port_stop_queue(port, i);
	atomic_store_explicit(&port->owner, NULL, memory_order_seq_cst);
	switch_quiesce(port->sw); /* nobody asks the old one any more */
	port->mem = NULL;
}

void port_attach(struct port *port, const struct gmem *mem, void *owner)
{
	port->mem = mem;
	atomic_store_explicit(&port->owner, owner, memory_order_seq_cst);
}

bool port_is_uplink(const struct port *port)
{
	return port->uplink;
}

const char *port_name(const struct port *port)
{
	return port->name;
}

const char *port_switch_name(const struct port *port)
{
	return port->sw->name;
}

const uint8_t *port_mac(const struct port *port)
{
	return port->mac;
}

static bool is_transmit(unsigned queue)
{
	return queue % 2 == 1;
}

/* Empty, with nothing reserved; `service` stays, since a CPU may just be finding out. */
static void reset_queue(struct queue *q, const struct queue_setup *setup)
{
	q->next = q->used = q->seen = vq_start(&q->vq);
	q->disarmed_at = 0;
	q->lent_chains = q->lent_descs = q->lent_slots = 0;
	atomic_store_explicit(&q->back_count, 0, memory_order_relaxed);
	q->loans_out = 0;
	q->watching = false;
	atomic_store_explicit(&q->lazy, false, memory_order_relaxed);
	q->deficit = 0;
	atomic_store_explicit(&q->bulk_us, 0, memory_order_relaxed);
	atomic_store_explicit(&q->rest_us, 0, memory_order_relaxed);
	q->restless_us = 0;
	q->careful = 0;
	q->calm = 0;
	q->lag = q->packets = q->packet_descs = 1;
	q->owed = 0;
	q->packet_bytes = 1;
	q->more = false;
	q->negotiated = offload_usable(setup->features);
	atomic_store_explicit(&q->offloads, q->negotiated, memory_order_relaxed);
	q->mergeable = (setup->features & VIRTIO_NET_F_MRG_RXBUF) != 0;
	q->resv_head = 0;
	atomic_store_explicit(&q->resv_tail, 0, memory_order_relaxed);
	atomic_store_explicit(&q->published, q->next, memory_order_relaxed);
	for (unsigned i = 0; q->resv != NULL && i < RX_RESERVATIONS; i++)
		atomic_store_explicit(&q->resv[i].done, 0, memory_order_relaxed);
}

int port_start_queue(struct port *port, unsigned queue, const struct queue_setup *setup,
		     const char **why)
{
	struct queue *q;

	if (queue >= port->queues) {
		*why = "there is no queue of this number";
		return -1;
	}
	q = &port->queue[queue];
	if (queue_state(q) == QUEUE_RUNNING) {
		*why = "the queue is running already";
		return -1;
	}
	port_stop_queue(port, queue);
	if (vq_init(&q->vq, setup, port->mem, why) != 0)
		return -1;
	reset_queue(q, setup);
	lend_start(port, queue, setup->features);
	q->kicks_on = is_transmit(queue);
	if (q->kicks_on)
		vq_arm_kick(&q->vq, q->next);
	else
		vq_disarm_kick(&q->vq, q->next);
	atomic_store_explicit(&q->state, QUEUE_RUNNING, memory_order_seq_cst);
	/* what the driver put there before we asked for kicks */
	if (is_transmit(queue) && vq_has(&q->vq, q->next))
		env_more_work(port, queue);
	return 0;
}

void port_stop_queue(struct port *port, unsigned queue)
{
	struct queue *q;

	if (queue >= port->queues)
		return;
	q = &port->queue[queue];
	if (atomic_exchange_explicit(&q->state, QUEUE_STOPPED, memory_order_seq_cst) ==
	    QUEUE_STOPPED)
		return;
	stat_add(stats_slot(port, env_cpu()), STAT_queue_resets, 1);
	switch_quiesce(port->sw);
	/* a receiver that arrives later asks for it no more: port_arrive() */
	atomic_store_explicit(&q->held, false, memory_order_relaxed);
	q->waits = 0;
	rx_forget_owed(port, queue);
	lend_stop(port, queue);
}

void port_set_guest_offloads(struct port *port, uint64_t features)
{
	uint64_t theirs = VIRTIO_NET_F_GUEST_CSUM | OFFLOAD_GUEST_GSO;

	for (unsigned i = 0; i < port->queues; i += 2) {
		struct queue *q = &port->queue[i];

		atomic_store_explicit(&q->offloads,
				      offload_usable(q->negotiated & (features | ~theirs)),
				      memory_order_relaxed);
	}
	/* virtio 1.2, 5.1.6.5.8: once the command is answered, nothing comes by the old ones */
	switch_quiesce(port->sw);
}

/* Of a queue that runs, those of these features that are in use. */
static uint64_t queue_offloads(const struct queue *q, uint64_t features)
{
	if (queue_state(q) != QUEUE_RUNNING)
		return 0;
	return features & atomic_load_explicit(&q->offloads, memory_order_relaxed);
}

uint64_t port_offloads(const struct port *port)
{
	uint64_t received = VIRTIO_NET_F_GUEST_CSUM | OFFLOAD_GUEST_GSO;

	return queue_offloads(&port->queue[0], received) |
	       queue_offloads(&port->queue[1], VIRTIO_NET_F_CSUM | OFFLOAD_HOST_GSO);
}

void port_set_filter(struct port *port, const struct filter *filter)
{
	const struct filter *old = atomic_load_explicit(&port->filter, memory_order_relaxed);
	struct filter *spare = &port->filters[old == &port->filters[0]];

	if (filter != NULL)
		*spare = *filter;
	atomic_store_explicit(&port->filter, filter != NULL ? spare : NULL, memory_order_seq_cst);
	if (!port->uplink)
		atomic_store_explicit(&port->guest_mac, filter != NULL ? filter->mac : 0,
				      memory_order_seq_cst);
	/* nobody reads the old filter any more, and batches that begin now know of the address */
	switch_quiesce(port->sw);
	if (!port->uplink && filter != NULL)
		fdb_forget_uplinks(port->sw->fdb, filter->mac);
}

void port_set_pairs(struct port *port, unsigned pairs)
{
	if (pairs < 1 || pairs > port->queues / 2)
		return;
	atomic_store_explicit(&port->pairs, pairs, memory_order_relaxed);
	/* virtio 1.2, 5.1.6.5.5: once the command is answered, no other queue is filled */
	switch_quiesce(port->sw);
}

void port_set_link(struct port *port, bool up)
{
	atomic_store_explicit(&port->unplugged, !up, memory_order_relaxed);
}

bool port_link(const struct port *port)
{
	return !atomic_load_explicit(&port->unplugged, memory_order_relaxed);
}

void queue_break(struct port *port, unsigned queue, enum vq_fault fault, unsigned cpu)
{
	uint32_t running = QUEUE_RUNNING;

	/* only once, and not if it was stopped meanwhile */
	if (!atomic_compare_exchange_strong_explicit(&port->queue[queue].state, &running,
						     QUEUE_BROKEN, memory_order_seq_cst,
						     memory_order_seq_cst))
		return;
	stat_add(stats_slot(port, cpu), STAT_queue_stopped, 1);
	env_device_broken(port, queue, vq_fault_text(fault));
}

enum verdict port_inject(struct port *port, const void *frame, size_t bytes)
{
	static const uint8_t no_offload[VNET_HDR_BYTES];
	struct vs_cpu *cpu = batch_begin(port->sw);
	struct stat_slot *slot = stats_slot(port, env_cpu());
	enum verdict verdict;

	if (cpu == NULL) { /* no memory: nothing can be sent from here */
		stat_add(slot, STAT_tx_packets, 1);
		stat_add(slot, STAT_tx_drop_no_port, 1);
		return VERDICT_DROP_NO_PORT;
	}
	/* both are only read; a frame beyond 32 bits is dropped by its length before that */
	cpu->tx_seg[0] = (struct seg){ (uint8_t *)(uintptr_t)no_offload, VNET_HDR_BYTES };
	cpu->tx_seg[1] = (struct seg){ (uint8_t *)(uintptr_t)frame, (uint32_t)bytes };
	batch_open(cpu, port);
	batch_add(cpu, cpu->tx_seg, (uint64_t)bytes + VNET_HDR_BYTES, 0);
	batch_sort(cpu);
	batch_forward(cpu);
	verdict = (enum verdict)cpu->batch.pkt[0].verdict;
	batch_end(cpu);
	return verdict;
}
