/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control queue of virtio-net (virtio 1.2, 5.1.6.5): receive modes, address and VLAN filters, the
 * number of queue pairs, receive offloads. Served where it is kicked. The guest's wishes become one struct filter,
 * which the switch gets as a whole after each command, so that its effect is there before the
 * driver sees the answer. A queue that breaks a rule is stopped, as the switch does it with its own.
 *
 * One kick is good for as many commands as the queue has entries: a second vCPU that goes on adding
 * some cannot keep this CPU here.
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

/* 5.1.6.5.6: feature bits that can be switched */
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

static void stop_broken(struct virtio_net *net, const char *why)
{
	net->ctrl.running = false;
	log_limited(&net->virtio.vm->log_limit, "%s: control queue stopped: %s",
		    port_name(net->port), why);
	virtio_pci_broken(&net->virtio);
}

/* One command, if there is one. */
static bool serve_one(struct virtio_net *net)
{
	struct net_ctrl *c = &net->ctrl;
	uint16_t avail = c->vq.packed ? 0 : vq_avail_idx(&c->vq), start = c->next;
	struct vq_chain chain;
	enum vq_fault fault;
	struct reader r;

	if (!c->vq.packed && (uint16_t)(avail - c->next) > c->vq.size) {
		stop_broken(net, vq_fault_text(VQ_BAD_AVAIL_IDX));
		return false;
	}
	fault = vq_read(&c->vq, c->next, avail, VQ_BOTH, UINT64_MAX, c->seg, NET_CTRL_SEGS, &chain);
	if (fault != VQ_OK) {
		stop_broken(net, vq_fault_text(fault));
		return false;
	}
	if (chain.slots == 0)
		return false;
	if (!chain.whole || chain.readable >= chain.nsegs) {
		stop_broken(net, chain.whole ? "command has no room for the answer"
					     : "command is in too many pieces");
		return false;
	}
	r = (struct reader){ .seg = c->seg, .left = chain.readable };
	*c->seg[chain.readable].ptr = execute(net, &r) ? ANSWER_OK : ANSWER_ERR;
	c->next = vq_advance(&c->vq, c->next, chain.slots);
	vq_put_used(&c->vq, start, chain.id, 1, VQ_WRITE, true);
	vq_publish(&c->vq, start, c->next, VQ_WRITE);
	if (vq_wants_interrupt(&c->vq, start, c->next))
		virtio_pci_queue_interrupt(&net->virtio, c->queue);
	return true;
}

static void serve(struct virtio_net *net)
{
	struct net_ctrl *c = &net->ctrl;

	for (unsigned i = 0; i < c->vq.size && c->running; i++) {
		if (serve_one(net))
			continue;
		if (!c->running)
			return;
		vq_arm_kick(&c->vq, c->next);
		if (!vq_has(&c->vq, c->next))
			return;
	}
	if (c->running)
		vq_arm_kick(&c->vq, c->next);
}

void virtio_net_ctrl_kick(struct virtio_net *net)
{
	spin_lock(&net->ctrl.lock);
	if (net->ctrl.running)
		serve(net);
	spin_unlock(&net->ctrl.lock);
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

bool virtio_net_ctrl_start(struct virtio_net *net, unsigned queue, const struct queue_setup *setup)
{
	struct net_ctrl *c = &net->ctrl;
	const char *why = "";
	bool ok;

	spin_lock(&c->lock);
	ok = vq_init(&c->vq, setup, &net->virtio.vm->mem, &why) == 0;
	if (ok) {
		c->queue = queue;
		c->next = vq_start(&c->vq);
		c->running = true;
		forget(net);
		apply(net);
		serve(net); /* what is there already, and asks for kicks */
	} else {
		log_limited(&net->virtio.vm->log_limit, "%s: control queue cannot be used: %s",
			    port_name(net->port), why);
	}
	spin_unlock(&c->lock);
	return ok;
}

void virtio_net_ctrl_stop(struct virtio_net *net)
{
	spin_lock(&net->ctrl.lock);
	net->ctrl.running = false;
	forget(net);
	virtio_net_lock_switch(net);
	port_set_filter(net->port, NULL);
	port_set_pairs(net->port, 1);
	virtio_net_unlock_switch(net);
	spin_unlock(&net->ctrl.lock);
}

void virtio_net_ctrl_init(struct virtio_net *net)
{
	forget(net);
}
