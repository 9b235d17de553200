/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio-net over the switch: device configuration, queues handed over to the port, and the
 * receiver's side of vswitch/env.h: interrupts, state of the vCPU, broken drivers.
 */
#include "hv/dev/virtio_net.h"

#include <string.h>

#include "hv/core/fail.h"
#include "hv/core/log.h"
#include "hv/core/pmm.h"
#include "hv/core/report.h"
#include "hv/core/vcpu.h"
#include "hv/core/vm.h"
#include "hv/dev/iommu.h"
#include "hv/dev/pc_impl.h"
#include "hv/dev/uplink.h"
#include "lasthop/uplink.h"
#include "vswitch/env.h"

#define VIRTIO_ID_NET	     1
#define CLASS_ETHERNET	     0x020000u
#define VIRTIO_NET_F_MTU     (1ull << 3)
#define VIRTIO_NET_F_MAC     (1ull << 5)
#define VIRTIO_NET_F_STATUS  (1ull << 16)
#define VIRTIO_NET_S_LINK_UP 1u

/* virtio 1.2, 5.1.4: what we have of the device configuration */
struct net_config {
	uint8_t mac[6];
	uint16_t status;
	uint16_t max_virtqueue_pairs;
	uint16_t mtu;
} __attribute__((packed));
_Static_assert(sizeof(struct net_config) == 12, "virtio 1.2, 5.1.4");

/* What a config may ask for is what the switch has. */
_Static_assert(CONFIG_MAX_PORTS == VS_MAX_PORTS && CONFIG_MAX_QUEUE_PAIRS <= VS_MAX_QUEUE_PAIRS,
	       "limits of a config");

static struct spinlock all_lock;
static struct list all_nets = { &all_nets, &all_nets }; /* under all_lock */

static struct virtio_net *net_of(struct virtio_pci *v)
{
	return container_of(v, struct virtio_net, virtio);
}

void virtio_net_lock_switch(struct virtio_net *net)
{
	virtio_net_lock(net->config->switch_index);
}

void virtio_net_unlock_switch(struct virtio_net *net)
{
	virtio_net_unlock(net->config->switch_index);
}

/* The control queue's number: behind all pairs of a driver that can use more than one (virtio 1.2,
 * 5.1.2), or one that no queue has. */
static unsigned control_queue(const struct virtio_net *net)
{
	if (!(net->virtio.accepted & VIRTIO_NET_F_CTRL_VQ))
		return VIRTIO_NET_MAX_QUEUES;
	return net->virtio.accepted & VIRTIO_NET_F_MQ ? 2 * net->config->queue_pairs : 2;
}

static bool queue_start(struct virtio_pci *v, unsigned queue)
{
	struct virtio_net *net = net_of(v);
	struct queue_setup setup = {
		.size = v->queue[queue].size,
		.desc = v->queue[queue].desc,
		.driver = v->queue[queue].driver,
		.device = v->queue[queue].device,
		.features = v->accepted,
	};
	const char *why = "";
	int err;

	if (queue == control_queue(net))
		return virtio_net_ctrl_start(net, queue);
	if (queue < 2 * net->config->queue_pairs) {
		virtio_net_lock_switch(net);
		err = port_start_queue(net->port, queue, &setup, &why);
		if (!err && net->config->uplink)
			uplink_queue_started(v->vm->config, net->config, queue);
		virtio_net_unlock_switch(net);
	} else {
		err = LH_INVAL;
		why = "it is the control queue, which was not negotiated";
	}
	if (err)
		log_limited(&v->vm->log_limit, "%s: queue %u cannot be used: %s",
			    port_name(net->port), queue, why);
	return err == 0;
}

static void queue_stop(struct virtio_pci *v, unsigned queue)
{
	struct virtio_net *net = net_of(v);

	if (queue == control_queue(net)) {
		virtio_net_ctrl_stop(net);
		return;
	}
	if (queue >= 2 * net->config->queue_pairs)
		return;
	virtio_net_lock_switch(net);
	port_stop_queue(net->port, queue);
	if (net->config->uplink)
		uplink_stopped(v->vm->config, net->config);
	virtio_net_unlock_switch(net);
}

static void notify(struct virtio_pci *v, unsigned queue)
{
	struct virtio_net *net = net_of(v);

	if (queue == control_queue(net))
		device_queue_kick(&net->ctrl.queue);
	else if (queue < 2 * net->config->queue_pairs)
		port_kick(net->port, queue, VS_BATCH);
}

/* As its guest is told. */
static bool link_is_up(const struct virtio_net *net)
{
	return port_link(net->port) && !atomic_load(&net->world_away);
}

static uint64_t config_read(struct virtio_pci *v, unsigned at, unsigned bytes)
{
	struct virtio_net *net = net_of(v);
	struct net_config c = {
		.status = link_is_up(net) ? VIRTIO_NET_S_LINK_UP : 0,
		.max_virtqueue_pairs = (uint16_t)net->config->queue_pairs,
		.mtu = (uint16_t)net->config->mtu,
	};
	uint64_t value = 0;

	spin_lock(&net->ctrl.queue.lock);
	memcpy(c.mac, net->ctrl.mac, sizeof(c.mac));
	spin_unlock(&net->ctrl.queue.lock);
	for (unsigned i = 0; i < bytes && at + i < sizeof(c); i++)
		value |= (uint64_t)((uint8_t *)&c)[at + i] << (8 * i);
	return value;
}

static const struct virtio_device_ops net_ops = {
	.queue_start = queue_start,
	.queue_stop = queue_stop,
	.notify = notify,
	.config_read = config_read,
};

/* vswitch/env.h: called by the switch, on any CPU, inside its batches. */

enum peer_state env_peer_state(const struct port *port, unsigned queue)
{
	struct virtio_net *net = port_owner(port);
	struct vcpu *vcpu;

	if (!net) /* an uplink whose driver domain is away */
		return PEER_OFF;
	vcpu = virtio_pci_queue_vcpu(&net->virtio, queue);
	switch (atomic_load(&vcpu->state)) { /* partner of the switch's: hold.c */
	case VCPU_BLOCKED:
		return PEER_BLOCKED;
	case VCPU_RUNNABLE:
		return PEER_RUNNABLE;
	case VCPU_RUNNING:
		return PEER_RUNNING;
	default:
		return PEER_OFF;
	}
}

void env_interrupt(struct port *port, unsigned queue)
{
	struct virtio_net *net = port_owner(port);

	virtio_pci_queue_interrupt(&net->virtio, queue);
}

void env_device_broken(struct port *port, unsigned queue, const char *why)
{
	struct virtio_net *net = port_owner(port);

	if (log_may(&net->virtio.vm->log_limit)) {
		log_printf("%s: queue %u stopped: %s", port_name(port), queue, why);
		report_queue_stopped(port_name(port), queue, why, tsc_to_ns(rdtsc()));
	}
	virtio_pci_broken(&net->virtio);
}

/* Where one of the VM's vCPUs runs, best the one that the queue is for; else where that ran last. NULL: it has
 * not run yet. */
static struct cpu *senders_cpu(const struct vm *vm, unsigned queue)
{
	const struct vcpu *first = vm->vcpus[queue / 2 % vm->vcpu_count];

	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		const struct vcpu *v = vm->vcpus[(first->index + i) % vm->vcpu_count];

		if (atomic_load(&v->state) == VCPU_RUNNING)
			return atomic_load(&v->cpu);
	}
	return atomic_load(&first->cpu);
}

/* The rest is for who polls the queue next, else the sender's: a CPU that has helped it must not go on with it in turns
 * with a vCPU of its own. */
void env_more_work(struct port *port, unsigned queue)
{
	struct virtio_net *net = port_owner(port);
	struct vm *vm;
	struct cpu *self = this_cpu(), *cpu = NULL;

	if (!net) /* its driver domain has just gone, and its queues are stopped */
		return;
	if (switch_work_handed_on(&net->work[queue]))
		return;
	vm = net->virtio.vm;
	if (self->current == NULL || self->current->vm != vm)
		cpu = senders_cpu(vm, queue);
	switch_work_queue_on(&net->work[queue], cpu ? cpu : self);
}

void env_work_here(struct port *port, unsigned queue)
{
	struct virtio_net *net = port_owner(port);

	if (net)
		switch_work_queue(&net->work[queue]);
}

bool env_offload(struct port *port, unsigned queue)
{
	struct virtio_net *net = port_owner(port);

	return switch_work_offer(&net->work[queue]);
}

bool env_will_flush(struct port *port, uint32_t within_us)
{
	struct virtio_net *net = port_owner(port);
	struct vcpu *vcpu = this_cpu()->current;
	uint64_t when;

	if (!vcpu || vcpu->vm != net->virtio.vm || vcpu->leaving)
		return false;
	when = rdtsc() + tsc_from_us(within_us);
	if (when < vcpu->flush_tsc)
		vcpu->flush_tsc = when;
	return true;
}

/* Frames may be lent to its driver: there is an IOMMU for its devices. */
static uint64_t reuse_features(const struct vm *vm, const struct config_net *config)
{
	return config->uplink && iommu && vm->config->passthrough_count > 0 ? UPLINK_F_REUSE : 0;
}

/* From then on it is told by virtio_net_follow(). */
static void list_add(struct virtio_net *net)
{
	virtio_net_lock_switch(net);
	atomic_store(&net->world_away,
		     net->config->link_follows_uplink && !uplinks_up(net->config->switch_index));
	spin_lock(&all_lock);
	list_insert_before(&all_nets, &net->all);
	spin_unlock(&all_lock);
	virtio_net_unlock_switch(net);
}

static void list_drop(struct virtio_net *net)
{
	spin_lock(&all_lock);
	list_remove(&net->all);
	spin_unlock(&all_lock);
}

/* Its own port, which goes with it. */
static int port_make(struct virtio_net *net, struct vm *vm)
{
	struct vswitch *sw = virtio_net_switch(net->config->switch_index);
	char name[2 * CONFIG_MAX_NAME + 2];
	struct port_config config = {
		.name = name,
		.mtu = net->config->mtu,
		.queue_pairs = net->config->queue_pairs,
		.mem = &vm->mem,
		.owner = net,
	};

	snprintf(name, sizeof(name), "%s/%s", vm->config->name, net->config->name);
	memcpy(config.mac, net->config->mac, sizeof(config.mac));
	virtio_net_lock_switch(net);
	net->port = port_create(sw, &config);
	virtio_net_unlock_switch(net);
	if (!net->port)
		return fail(LH_NOMEM, "%s: no memory for a port on switch %s", name,
			    switch_name(sw));
	return 0;
}

static void init_work(struct virtio_net *net, struct port *port)
{
	for (unsigned i = 0; i < 2 * net->config->queue_pairs; i++)
		switch_work_init_queue(&net->work[i], port, i);
}

static int port_get(struct virtio_net *net, struct vm *vm)
{
	if (net->config->uplink) {
		net->port = uplink_port(vm->config, net->config);
		if (!net->port)
			return fail(LH_NOENT,
				    "%s/%s: the uplink could not be made: apply the config again",
				    vm->config->name, net->config->name);
		init_work(net, net->port); /* before it is the owner, and can be asked for work */
		port_attach(net->port, &vm->mem, net);
	} else {
		if (port_make(net, vm) < 0)
			return LH_NOMEM;
		init_work(net, net->port);
	}
	return 0;
}

struct virtio_net *virtio_net_create(struct vm *vm, struct pcie *pcie,
				     const struct config_net *config)
{
	struct virtio_net *net = page_alloc(sizeof(*net));
	struct virtio_pci_setup setup = {
		.vm = vm,
		.type = VIRTIO_ID_NET,
		.class_code = CLASS_ETHERNET,
		.queue_count = 2 * config->queue_pairs + 1,
		.queue_size = VIRTIO_QUEUE_SIZE,
		.features = switch_features() | VIRTIO_NET_F_MTU | VIRTIO_NET_F_MAC |
			    VIRTIO_NET_F_STATUS | VIRTIO_F_VERSION_1 | NET_CTRL_FEATURES |
			    (config->queue_pairs > 1 ? VIRTIO_NET_F_MQ : 0) |
			    reuse_features(vm, config),
		.subsystem = config->uplink ? UPLINK_PCI_SUBSYSTEM : 0,
		.ops = &net_ops,
	};

	if (!net) {
		fail(LH_NOMEM, "vm %s: no memory for %s", vm->config->name, config->name);
		return NULL;
	}
	net->config = config;
	list_init(&net->all);
	virtio_pci_init(&net->virtio, &setup);
	virtio_net_ctrl_init(net);
	if (port_get(net, vm) < 0 || pcie_attach(pcie, &net->virtio.pci) < 0) {
		virtio_net_destroy(net);
		return NULL;
	}
	list_add(net);
	return net;
}

static void report_counters(const struct port *port)
{
	uint64_t counters[STAT_COUNT];

	for (unsigned id = 0; id < STAT_COUNT; id++)
		counters[id] = port_counter(port, (enum stat_id)id);
	report_port(port_name(port), port_switch_name(port), counters);
}

/* Nobody asks the device of its port any more. */
static void port_drop(struct virtio_net *net)
{
	virtio_net_lock_switch(net);
	if (net->config->uplink) {
		port_detach(net->port);
		uplink_stopped(net->virtio.vm->config, net->config);
	} else {
		port_retire(net->port);
	}
	virtio_net_unlock_switch(net);
	if (net->config->uplink)
		return;
	report_counters(net->port);
	port_destroy(net->port);
}

void virtio_net_destroy(struct virtio_net *net)
{
	list_drop(net);
	if (net->port) {
		virtio_pci_reset(&net->virtio);
		device_queue_finish(&net->ctrl.queue);
		for (unsigned i = 0; i < 2 * net->config->queue_pairs; i++)
			switch_work_cancel(&net->work[i]);
		port_drop(net);
	}
	page_free(net, sizeof(*net));
}

struct port *virtio_net_port_by_mac(const uint8_t mac[6], struct vm **vm)
{
	struct port *port = NULL;

	spin_lock(&all_lock);
	list_for_each(pos, &all_nets) {
		struct virtio_net *net = container_of(pos, struct virtio_net, all);

		if (memcmp(net->config->mac, mac, 6) == 0) {
			port = net->port;
			*vm = net->virtio.vm;
			break;
		}
	}
	spin_unlock(&all_lock);
	return port;
}

void virtio_net_set_link(struct port *port, bool up)
{
	struct virtio_net *net = port_owner(port);

	port_set_link(port, up);
	report_link(port_name(port), up, tsc_to_ns(rdtsc()));
	if (net)
		virtio_pci_config_changed(&net->virtio);
	if (port_is_uplink(port))
		uplink_link_set(port);
}

/* Under the list's lock. */
static void follow(struct virtio_net *net, bool up)
{
	if (atomic_exchange(&net->world_away, !up) == !up)
		return;
	report_link(port_name(net->port), link_is_up(net), tsc_to_ns(rdtsc()));
	virtio_pci_config_changed(&net->virtio);
}

void virtio_net_follow(unsigned switch_index, bool up)
{
	spin_lock(&all_lock);
	list_for_each(pos, &all_nets) {
		struct virtio_net *net = container_of(pos, struct virtio_net, all);

		if (net->config->link_follows_uplink && net->config->switch_index == switch_index)
			follow(net, up);
	}
	spin_unlock(&all_lock);
}

bool virtio_net_uplinks_away(struct port *port)
{
	struct virtio_net *net = port_owner(port);

	return net && atomic_load(&net->world_away);
}

bool virtio_net_features(struct port *port, uint64_t *offered, uint64_t *accepted)
{
	struct virtio_net *net = port_owner(port);
	struct virtio_pci *v;

	*offered = *accepted = 0;
	if (!net)
		return false;
	v = &net->virtio;
	*offered = v->offered;
	spin_lock(&v->lock);
	*accepted = v->accepted;
	spin_unlock(&v->lock);
	return (atomic_load_explicit(&v->status, memory_order_relaxed) & VIRTIO_DRIVER_OK) != 0;
}
