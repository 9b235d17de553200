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

/* (c) constant after uplinks_create() (s) under the switch's control lock
 * (w) under `watching` */
static struct uplink {
	const struct config_net *net; /* (c) */
	struct port *port;	      /* (c) */
	unsigned running;  /* (s) bit 0: the first receive queue, 1: the first transmit queue */
	bool up;	   /* (s) */
	uint64_t down_tsc; /* (s) 0: it has not been up yet */
	struct log_limit limit; /* (s) its driver domain starts and stops it as it likes */
	unsigned looks;		/* (w) for its first frame, that are left; 0: none is waited for */
	uint64_t frames;	/* (w) that it had brought before */
	struct spinlock watching; /* (w) around the timer: look() runs on the CPU that set it */
	bool silent; /* (s) it went down too often to be told: neither is its coming up */
	struct timer timer;
} uplinks[CONFIG_MAX_UPLINKS];
static unsigned uplink_count; /* (c) */

#define RUNNING_BOTH 3u

/* The first frame is looked for so often and so many times, then no more. */
#define LOOK_US 1000
#define LOOKS	5000u

/* Apart from the data path, and as exact as anybody needs it. */
static void look(struct timer *timer)
{
	struct uplink *u = container_of(timer, struct uplink, timer);
	uint64_t now = rdtsc();
	bool passes = false;

	spin_lock(&u->watching);
	if (u->looks && port_counter(u->port, STAT_tx_packets) != u->frames) {
		u->looks = 0;
		passes = true;
	} else if (u->looks && --u->looks) {
		timer_set(timer, now + tsc_from_us(LOOK_US));
	}
	spin_unlock(&u->watching);
	if (passes)
		report_uplink(port_name(u->port), "passes", tsc_to_ns(now));
}

static int create(const struct config_vm *vm, const struct config_net *net, struct vswitch *sw)
{
	struct uplink *u = &uplinks[uplink_count++];
	char name[2 * CONFIG_MAX_NAME + 2];
	struct port_config config = {
		.name = name,
		.mtu = net->mtu,
		.queue_pairs = net->queue_pairs,
		.uplink = true,
	};

	snprintf(name, sizeof(name), "%s/%s", vm->name, net->name);
	memcpy(config.mac, net->mac, sizeof(config.mac));
	u->net = net;
	timer_init(&u->timer, look);
	u->port = port_create(sw, &config);
	return u->port ? 0 : fail(LH_NOMEM, "%s: no memory for the uplink's port", name);
}

int uplinks_create(const struct config *config, struct vswitch *(*switch_at)(unsigned i))
{
	for (unsigned i = 0; i < config->vm_count; i++) {
		const struct config_vm *vm = &config->vms[i];

		for (unsigned j = 0; j < vm->net_count; j++)
			if (vm->nets[j].uplink &&
			    create(vm, &vm->nets[j], switch_at(vm->nets[j].switch_index)) < 0)
				return LH_NOMEM;
	}
	return 0;
}

static struct uplink *find(const struct config_net *net)
{
	for (unsigned i = 0; i < uplink_count; i++)
		if (uplinks[i].net == net)
			return &uplinks[i];
	panic("%s is no uplink", net->name);
}

struct port *uplink_port(const struct config_net *net)
{
	return find(net)->port;
}

static void watch(struct uplink *u, bool up, uint64_t now)
{
	spin_lock(&u->watching);
	timer_cancel(&u->timer);
	u->frames = port_counter(u->port, STAT_tx_packets);
	u->looks = up ? LOOKS : 0;
	if (up)
		timer_set(&u->timer, now + tsc_from_us(LOOK_US));
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
	watch(u, up && !u->silent, now);
	if (!u->silent)
		tell(u, up, now);
	u->down_tsc = now;
}

void uplink_queue_started(const struct config_net *net, unsigned queue)
{
	struct uplink *u = find(net);

	if (queue < 2)
		u->running |= 1u << queue;
	if (u->running == RUNNING_BOTH && !u->up)
		changed(u, true);
}

void uplink_stopped(const struct config_net *net)
{
	struct uplink *u = find(net);

	u->running = 0;
	if (u->up)
		changed(u, false);
}

bool uplink_beside(const struct port *port)
{
	const char *name = port_switch_name(port); /* the switch's own: no other has this string */

	for (unsigned i = 0; i < uplink_count; i++)
		if (port_switch_name(uplinks[i].port) == name)
			return true;
	return false;
}

void uplinks_report(void)
{
	for (unsigned i = 0; i < uplink_count; i++) {
		uint64_t counters[STAT_COUNT];

		for (unsigned id = 0; id < STAT_COUNT; id++)
			counters[id] = port_counter(uplinks[i].port, (enum stat_id)id);
		report_port(port_name(uplinks[i].port), port_switch_name(uplinks[i].port),
			    counters);
	}
}
