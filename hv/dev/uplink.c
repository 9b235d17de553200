/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/dev/uplink.h"

#include <stddef.h>
#include <string.h>

#include "hv/core/list.h"
#include "hv/core/lock.h"
#include "hv/core/log.h"
#include "hv/core/report.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"
#include "hv/dev/virtio_net.h"

/* (c) constant while its port is there (s) under the switch's control lock (w) under `watching`
 * (t) under `table` */
static struct uplink {
	const struct config_vm *vm;	/* (t) its driver domain's place in the running config */
	char name[CONFIG_MAX_NAME + 1]; /* (t) of its node there */
	unsigned switch_index;		/* (t) */
	struct port *port;		/* (t) NULL: the place is free */
	unsigned running;  /* (s) bit 0: the first receive queue, 1: the first transmit queue */
	bool up;	   /* (s) its driver runs */
	bool carrier;	   /* (s) has not said that the wire has none */
	uint64_t down_tsc; /* (s) 0: it has not been up yet */
	struct log_limit limit; /* (s) its driver domain starts and stops it as it likes */
	unsigned looks;		/* (w) for its first frame, that are left; 0: none is waited for */
	uint64_t frames;	/* (w) that it had brought before */
	uint64_t
		settle_tsc; /* (w) when ports that follow are told of what they were not; 0: all is told */
	struct spinlock watching; /* (w) around the timer: look() runs on the CPU that set it */
	bool silent; /* (s) it went down too often to be told: neither is its coming up */
	struct timer timer;
} uplinks[CONFIG_MAX_UPLINKS];
static struct spinlock table;

#define RUNNING_BOTH 3u

/* The first frame is looked for so often and so many times, then no more. */
#define LOOK_US 1000
#define LOOKS	5000u

/* An uplink that goes up and down too often to be told has been as it is for so long when ports that follow
 * are told how that is: their guests are not interrupted at its driver's will. */
#define SETTLE_US 1000000

static bool is_up(const struct uplink *u)
{
	return u->up && u->carrier && port_link(u->port);
}

bool uplinks_up(unsigned switch_index)
{
	bool up = false;

	spin_lock(&table);
	for (unsigned i = 0; i < CONFIG_MAX_UPLINKS && !up; i++)
		up = uplinks[i].port && uplinks[i].switch_index == switch_index &&
		     is_up(&uplinks[i]);
	spin_unlock(&table);
	return up;
}

/* Under the switch's control lock. */
static void tell_followers(unsigned switch_index)
{
	virtio_net_follow(switch_index, uplinks_up(switch_index));
}

/* Under `watching`. */
static void set_timer(struct uplink *u, uint64_t now)
{
	if (u->looks)
		timer_set(&u->timer, now + tsc_from_us(LOOK_US));
	else if (u->settle_tsc)
		timer_set(&u->timer, u->settle_tsc);
}

/* Apart from the data path, and as exact as anybody needs it. */
static void look(struct timer *timer)
{
	struct uplink *u = container_of(timer, struct uplink, timer);
	char name[2 * CONFIG_MAX_NAME + 2];
	uint64_t now = rdtsc();
	bool passes = false, settled;
	unsigned switch_index;

	spin_lock(&u->watching);
	switch_index = u->switch_index;
	settled = u->settle_tsc && timer->deadline_tsc >= u->settle_tsc;
	if (settled)
		u->settle_tsc = 0;
	if (u->looks && port_counter(u->port, STAT_tx_packets) != u->frames) {
		u->looks = 0;
		passes = true;
		snprintf(name, sizeof(name), "%s", port_name(u->port));
	} else if (u->looks) {
		u->looks--;
	}
	set_timer(u, now);
	spin_unlock(&u->watching);
	if (passes)
		report_uplink(name, "passes", tsc_to_ns(now));
	if (!settled)
		return;
	virtio_net_lock(switch_index);
	tell_followers(switch_index);
	virtio_net_unlock(switch_index);
}

/* Under `table`: that of a node, or (NULL) a free place. */
static struct uplink *look_up(const struct config_vm *vm, const char *name)
{
	for (unsigned i = 0; i < CONFIG_MAX_UPLINKS; i++) {
		struct uplink *u = &uplinks[i];

		if (vm ? u->port && u->vm == vm && !strcmp(u->name, name) : !u->port)
			return u;
	}
	return NULL;
}

static struct uplink *uplink_of(const struct config_vm *vm, const char *name)
{
	struct uplink *u;

	spin_lock(&table);
	u = look_up(vm, name);
	spin_unlock(&table);
	return u;
}

static int create(const struct config_vm *vm, const struct config_net *net)
{
	char name[2 * CONFIG_MAX_NAME + 2];
	struct port_config config = {
		.name = name,
		.mtu = net->mtu,
		.queue_pairs = net->queue_pairs,
		.uplink = true,
	};
	struct port *port;
	struct uplink *u;

	snprintf(name, sizeof(name), "%s/%s", vm->name, net->name);
	memcpy(config.mac, net->mac, sizeof(config.mac));
	virtio_net_lock(net->switch_index);
	port = port_create(virtio_net_switch(net->switch_index), &config);
	virtio_net_unlock(net->switch_index);
	if (!port)
		return fail(LH_NOMEM, "%s: no memory for the uplink's port", name);
	spin_lock(&table);
	u = look_up(NULL, ""); /* there is one: as many as ports of switches */
	u->vm = vm;
	snprintf(u->name, sizeof(u->name), "%s", net->name);
	u->switch_index = net->switch_index;
	u->port = port;
	u->running = 0;
	u->up = u->silent = false;
	u->carrier = true;
	u->down_tsc = 0;
	u->looks = 0;
	u->settle_tsc = 0;
	timer_init(&u->timer, look);
	spin_unlock(&table);
	return 0;
}

int uplinks_create(const struct config_vm *vm)
{
	for (unsigned j = 0; j < vm->net_count; j++)
		if (vm->nets[j].uplink && !uplink_of(vm, vm->nets[j].name) &&
		    create(vm, &vm->nets[j]) < 0)
			return LH_NOMEM;
	return 0;
}

static void report_counters(const struct port *port)
{
	uint64_t counters[STAT_COUNT];

	for (unsigned id = 0; id < STAT_COUNT; id++)
		counters[id] = port_counter(port, (enum stat_id)id);
	report_port(port_name(port), port_switch_name(port), counters);
}

/* Its driver domain is gone. */
static void destroy(struct uplink *u)
{
	struct port *port = u->port;

	spin_lock(&u->watching); /* look() does nothing more from here on */
	timer_cancel(&u->timer);
	u->looks = 0;
	u->settle_tsc = 0;
	spin_unlock(&u->watching);
	spin_lock(&table);
	u->port = NULL;
	spin_unlock(&table);
	virtio_net_lock(u->switch_index);
	port_retire(port);
	virtio_net_unlock(u->switch_index);
	report_counters(port);
	port_destroy(port);
}

void uplinks_destroy(const struct config_vm *vm, uplink_keep_fn *keep, const void *context)
{
	for (unsigned i = 0; i < CONFIG_MAX_UPLINKS; i++)
		if (uplinks[i].port && uplinks[i].vm == vm && !keep(context, uplinks[i].name))
			destroy(&uplinks[i]);
}

static struct uplink *find(const struct config_vm *vm, const struct config_net *net)
{
	struct uplink *u = uplink_of(vm, net->name);

	if (!u)
		panic("%s/%s is no uplink", vm->name, net->name);
	return u;
}

struct port *uplink_port(const struct config_vm *vm, const struct config_net *net)
{
	struct uplink *u = uplink_of(vm, net->name);

	return u ? u->port : NULL;
}

static void watch(struct uplink *u, bool up, uint64_t now)
{
	spin_lock(&u->watching);
	timer_cancel(&u->timer);
	u->frames = port_counter(u->port, STAT_tx_packets);
	u->looks = up && !u->silent ? LOOKS : 0;
	u->settle_tsc = u->silent ? now + tsc_from_us(SETTLE_US) : 0;
	set_timer(u, now);
	spin_unlock(&u->watching);
}

static void tell(const struct uplink *u, bool up, uint64_t now)
{
	report_uplink(port_name(u->port), up ? "up" : "down", tsc_to_ns(now));
	if (!up)
		log_printf("uplink %s: down", port_name(u->port));
	else if (u->down_tsc)
		log_printf("uplink %s: up again after %llu ms", port_name(u->port),
			   (unsigned long long)(tsc_to_ns(now - u->down_tsc) / 1000000));
	else
		log_printf("uplink %s: up", port_name(u->port));
}

static void changed(struct uplink *u, bool up)
{
	uint64_t now = rdtsc();

	u->up = up;
	if (!up)
		u->silent = !log_may(&u->limit);
	watch(u, up, now);
	if (!u->silent) {
		tell(u, up, now);
		tell_followers(u->switch_index);
	}
	u->down_tsc = now;
}

void uplink_queue_started(const struct config_vm *vm, const struct config_net *net, unsigned queue)
{
	struct uplink *u = find(vm, net);

	if (queue < 2)
		u->running |= 1u << queue;
	if (u->running == RUNNING_BOTH && !u->up)
		changed(u, true);
}

void uplink_stopped(const struct config_vm *vm, const struct config_net *net)
{
	struct uplink *u = find(vm, net);

	u->running = 0;
	if (u->up)
		changed(u, false);
	u->carrier = true; /* for all that we know of the next driver */
}

/* Under the switch's control lock. Told as often as its going down. */
static void carrier_changed(struct uplink *u)
{
	if (log_may(&u->limit)) {
		log_printf("uplink %s: %scarrier", port_name(u->port), u->carrier ? "" : "no ");
		tell_followers(u->switch_index);
		return;
	}
	spin_lock(&u->watching);
	u->settle_tsc = rdtsc() + tsc_from_us(SETTLE_US);
	if (!u->looks)
		set_timer(u, 0);
	spin_unlock(&u->watching);
}

static void set_carrier(struct uplink *u, bool carrier)
{
	virtio_net_lock(u->switch_index);
	if (u->carrier != carrier) {
		u->carrier = carrier;
		if (u->up)
			carrier_changed(u);
	}
	virtio_net_unlock(u->switch_index);
}

bool uplink_carrier(const struct config_vm *vm, uint64_t n, bool carrier)
{
	for (unsigned i = 0; i < vm->net_count; i++) {
		if (!vm->nets[i].uplink || n-- > 0)
			continue;
		set_carrier(find(vm, &vm->nets[i]), carrier);
		return true;
	}
	return false;
}

void uplink_link_set(const struct port *port)
{
	unsigned switch_index = CONFIG_MAX_SWITCHES;

	spin_lock(&table);
	for (unsigned i = 0; i < CONFIG_MAX_UPLINKS; i++)
		if (uplinks[i].port == port)
			switch_index = uplinks[i].switch_index;
	spin_unlock(&table);
	if (switch_index == CONFIG_MAX_SWITCHES)
		return;
	virtio_net_lock(switch_index);
	tell_followers(switch_index);
	virtio_net_unlock(switch_index);
}

bool uplink_beside(const struct port *port)
{
	const char *name = port_switch_name(port); /* the switch's own: no other has this string */
	bool beside = false;

	spin_lock(&table);
	for (unsigned i = 0; i < CONFIG_MAX_UPLINKS && !beside; i++)
		beside = uplinks[i].port && port_switch_name(uplinks[i].port) == name;
	spin_unlock(&table);
	return beside;
}

void uplinks_report(void)
{
	for (unsigned i = 0; i < CONFIG_MAX_UPLINKS; i++)
		if (uplinks[i].port)
			report_counters(uplinks[i].port);
}
