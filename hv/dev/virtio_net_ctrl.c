/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control queue of virtio-net (virtio 1.2, 5.1.6.5): receive modes, address and VLAN filters, the
 * number of queue pairs, receive offloads. The guest's wishes become one struct filter, which the
 * switch gets as a whole after each command, so that its effect is there before the driver sees the
 * answer. A queue that breaks a rule is stopped, as the switch does it with its own. A command may
 * wait for other CPUs (switch_quiesce), hence the small quota of device_queue.h.
 */
#include "hv/dev/virtio_net_ctrl.h"

#include <string.h>

#include "hv/core/log.h"
#include "hv/core/vm.h"
#include "hv/dev/virtio_net.h"
#include "vswitch/frame.h"

/* 5.1.6.5: struct virtio_net_ctrl, the answers, and classes with their commands */
enum { ANSWER_OK = 0, ANSWER_ERR = 1 };
enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_MQ, CLASS_OFFLOADS };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST, RX_MODES };
enum { MAC_TABLE_SET, MAC_ADDR_SET };
enum { VLAN_ADD, VLAN_DEL };
enum { MQ_PAIRS_SET };
enum { OFFLOADS_SET };

/* 5.1.6.5.8: feature bits that can be switched */
#define SWITCHABLE                                                                                 \
	(VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 |             \
	 VIRTIO_NET_F_GUEST_USO4 | VIRTIO_NET_F_GUEST_USO6)

/* The device-readable part of a command. */
struct reader {
	const struct seg *seg;
	unsigned left; /* pieces from seg[0] on */
	uint32_t at;   /* in seg[0] */
};

/* The next bytes, or, without `out`, past them; false: there are not so many. */
static bool take(struct reader *r, void *out, uint64_t bytes)
{
	uint8_t *to = out;

	while (bytes > 0) {
		uint32_t n;

		if (r->left == 0)
			return false;
		n = r->seg->len - r->at;
		n = n < bytes ? n : (uint32_t)bytes;
		if (to) {
			memcpy(to, r->seg->ptr + r->at, n);
			to += n;
		}
		bytes -= n;
		r->at += n;
		if (r->at == r->seg->len) {
			r->seg++;
			r->left--;
			r->at = 0;
		}
	}
	__asm__ volatile("" : : : "memory"); /* read once */
	return true;
}

static bool negotiated(const struct virtio_net *net, uint64_t feature)
{
	return (net->virtio.accepted & feature) != 0;
}

/* To the switch, whose control calls are serialised by the device's switch. */
static void apply(struct virtio_net *net)
{
	struct net_ctrl *c = &net->ctrl;
	struct filter *f = &c->filter;

	f->promisc = c->mode >> RX_PROMISC & 1;
	f->alluni = c->mode >> RX_ALLUNI & 1 || c->too_many_unis;
	f->allmulti = c->mode >> RX_ALLMULTI & 1 || c->too_many_multis;
	f->nouni = c->mode >> RX_NOUNI & 1;
	f->nomulti = c->mode >> RX_NOMULTI & 1;
	f->nobcast = c->mode >> RX_NOBCAST & 1;
	f->vlans = negotiated(net, VIRTIO_NET_F_CTRL_VLAN);
	f->mac = mac_load(c->mac);
	if (!negotiated(net, VIRTIO_NET_F_CTRL_RX)) /* it cannot ask for more */
		f->alluni = f->allmulti = true;
	virtio_net_lock_switch(net);
	port_set_filter(net->port, f);
	virtio_net_unlock_switch(net);
}

static bool set_rx(struct virtio_net *net, unsigned command, struct reader *r)
{
	uint64_t needs = command < RX_ALLUNI ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA;
	uint8_t on;

	if (command >= RX_MODES || !negotiated(net, needs) || !take(r, &on, 1))
		return false;
	net->ctrl.mode &= ~(1u << command);
	net->ctrl.mode |= on ? 1u << command : 0;
	return true;
}

/* One table: an entry count, then the addresses. More than we hold: the first ones, and *too_many. */
static bool read_table(struct reader *r, uint64_t table[FILTER_ADDRESSES], unsigned *count,
		       bool *too_many)
{
	uint32_t entries, held;
	uint8_t mac[6];

	if (!take(r, &entries, sizeof(entries)))
		return false;
	held = entries < FILTER_ADDRESSES ? entries : FILTER_ADDRESSES;
	for (uint32_t i = 0; i < held; i++) {
		if (!take(r, mac, sizeof(mac)))
			return false;
		table[i] = mac_load(mac);
	}
	*count = held;
	*too_many = entries > held;
	return take(r, NULL, (uint64_t)(entries - held) * sizeof(mac));
}

static bool set_mac_table(struct net_ctrl *c, struct reader *r)
{
	struct filter *draft = &c->draft;
	bool unis, multis;

	if (!read_table(r, draft->uni, &draft->unis, &unis) ||
	    !read_table(r, draft->multi, &draft->multis, &multis))
		return false;
	memcpy(c->filter.uni, draft->uni, sizeof(draft->uni));
	memcpy(c->filter.multi, draft->multi, sizeof(draft->multi));
	c->filter.unis = draft->unis;
	c->filter.multis = draft->multis;
	c->too_many_unis = unis;
	c->too_many_multis = multis;
	return true;
}

static bool set_mac(struct virtio_net *net, unsigned command, struct reader *r)
{
	uint8_t mac[6];

	if (command == MAC_TABLE_SET)
		return negotiated(net, VIRTIO_NET_F_CTRL_RX) && set_mac_table(&net->ctrl, r);
	if (command != MAC_ADDR_SET || !negotiated(net, VIRTIO_NET_F_CTRL_MAC_ADDR) ||
	    !take(r, mac, sizeof(mac)) || mac_load(mac) == 0 || mac_is_group(mac_load(mac)))
		return false;
	memcpy(net->ctrl.mac, mac, sizeof(mac));
	return true;
}

static bool set_vlan(struct virtio_net *net, unsigned command, struct reader *r)
{
	uint64_t *vlan = net->ctrl.filter.vlan;
	uint16_t id;

	if (command > VLAN_DEL || !negotiated(net, VIRTIO_NET_F_CTRL_VLAN) ||
	    !take(r, &id, sizeof(id)) || id >= FILTER_VLANS)
		return false;
	vlan[id / 64] &= ~(1ull << id % 64);
	vlan[id / 64] |= command == VLAN_ADD ? 1ull << id % 64 : 0;
	return true;
}

static bool set_pairs(struct virtio_net *net, unsigned command, struct reader *r)
{
	uint16_t pairs;

	if (command != MQ_PAIRS_SET || !negotiated(net, VIRTIO_NET_F_MQ) ||
	    !take(r, &pairs, sizeof(pairs)) || pairs == 0 || pairs > net->config->queue_pairs)
		return false;
	virtio_net_lock_switch(net);
	port_set_pairs(net->port, pairs);
	virtio_net_unlock_switch(net);
	return true;
}

static bool set_offloads(struct virtio_net *net, unsigned command, struct reader *r)
{
	uint64_t on;

	if (command != OFFLOADS_SET || !negotiated(net, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) ||
	    !take(r, &on, sizeof(on)) || on & ~(net->virtio.accepted & SWITCHABLE))
		return false;
	virtio_net_lock_switch(net);
	port_set_guest_offloads(net->port, on);
	virtio_net_unlock_switch(net);
	return true;
}

static bool execute(struct virtio_net *net, struct reader *r)
{
	uint8_t head[2]; /* class, command */
	bool ok = false;

	if (!take(r, head, sizeof(head)))
		return false;
	if (head[0] == CLASS_MQ)
		return set_pairs(net, head[1], r);
	if (head[0] == CLASS_OFFLOADS)
		return set_offloads(net, head[1], r);
	if (head[0] == CLASS_RX)
		ok = set_rx(net, head[1], r);
	else if (head[0] == CLASS_MAC)
		ok = set_mac(net, head[1], r);
	else if (head[0] == CLASS_VLAN)
		ok = set_vlan(net, head[1], r);
	if (ok)
		apply(net);
	return ok;
}

static const char *serve(struct device_queue *q, const struct vq_chain *chain, uint32_t *written)
{
	struct virtio_net *net = container_of(q, struct virtio_net, ctrl.queue);
	struct reader r = { .seg = q->seg, .left = chain->readable };

	if (!chain->whole)
		return "command is in too many pieces";
	if (chain->readable >= chain->nsegs)
		return "command has no room for the answer";
	*q->seg[chain->readable].ptr = execute(net, &r) ? ANSWER_OK : ANSWER_ERR;
	*written = 1;
	return NULL;
}

/* As after a reset, but for the queue itself. */
static void forget(struct virtio_net *net)
{
	struct net_ctrl *c = &net->ctrl;

	c->mode = 0;
	c->too_many_unis = c->too_many_multis = false;
	memset(&c->filter, 0, sizeof(c->filter));
	memcpy(c->mac, net->config->mac, sizeof(c->mac));
}

bool virtio_net_ctrl_start(struct virtio_net *net, unsigned number)
{
	struct device_queue *q = &net->ctrl.queue;
	bool ok;

	spin_lock(&q->lock);
	ok = device_queue_start(q, number);
	if (ok) {
		forget(net);
		apply(net);
		device_queue_serve(q);
	}
	spin_unlock(&q->lock);
	return ok;
}

void virtio_net_ctrl_stop(struct virtio_net *net)
{
	spin_lock(&net->ctrl.queue.lock);
	net->ctrl.queue.running = false;
	forget(net);
	virtio_net_lock_switch(net);
	port_set_filter(net->port, NULL);
	port_set_pairs(net->port, 1);
	virtio_net_unlock_switch(net);
	spin_unlock(&net->ctrl.queue.lock);
}

void virtio_net_ctrl_init(struct virtio_net *net)
{
	static const struct device_queue_kind kind = { VQ_BOTH, UINT64_MAX, serve };
	char name[DEVICE_QUEUE_NAME];

	snprintf(name, sizeof(name), "%s/%s: control queue", net->virtio.vm->config->name,
		 net->config->name);
	device_queue_init(&net->ctrl.queue, &kind, &net->virtio, name);
	forget(net);
}
