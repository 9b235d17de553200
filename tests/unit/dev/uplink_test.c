/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does an uplink keep its port over the lives of its driver domain, and is it up exactly while
 * a driver has both directions running? */
#include "tests/unit/dev/transport.h"

#include "hv/core/lifecycle.h"
#include "hv/dev/pc_impl.h"
#include "hv/dev/uplink.h"
#include "hv/dev/virtio_net.h"
#include "lasthop/uplink.h"
#include "tests/unit/dev/fake_switch.h"
#include "vswitch/env.h"

#include <cmocka.h>

static struct config config = {
	.switch_count = 2,
	.switches = { { "lan" }, { "wan" } },
	.vm_count = 1,
	.vms = { { .name = "netd",
		   .driver_domain = true,
		   .net_count = 5,
		   .nets = { { .name = "net0",
			       .mac = { 0x52, 0x54, 0, 0, 0, 1 },
			       .queue_pairs = 1,
			       .mtu = 1500,
			       .uplink = true },
			     { .name = "net1",
			       .mac = { 0x52, 0x54, 0, 0, 0, 2 },
			       .queue_pairs = 1,
			       .mtu = 1500 },
			     { .name = "net2",
			       .mac = { 0x52, 0x54, 0, 0, 0, 3 },
			       .queue_pairs = 1,
			       .mtu = 1500,
			       .link_follows_uplink = true },
			     { .name = "net3",
			       .mac = { 0x52, 0x54, 0, 0, 0, 4 },
			       .queue_pairs = 1,
			       .mtu = 1500,
			       .uplink = true },
			     { .name = "net4",
			       .switch_index = 1,
			       .mac = { 0x52, 0x54, 0, 0, 0, 5 },
			       .queue_pairs = 1,
			       .mtu = 1500,
			       .link_follows_uplink = true } } } },
};

static void start_queue(unsigned queue)
{
	uint64_t from = 0x10000 + 0x10000 * queue;

	set_queue(queue, 16, from, from + 0x1000, from + 0x2000);
}

static struct virtio_net *plug(const struct config_net *net)
{
	struct virtio_net *made;

	assert_int_equal(transport_init(), 0);
	made = virtio_net_create(&fake_vm, &pcie, net);
	assert_non_null(made);
	return made;
}

/* What fires is not set any more, unless it sets itself. */
static void fire(void)
{
	struct timer *timer = fake_timer;

	fake_timer = NULL;
	timer->fire(timer);
}

static void keeps_its_port(void **state)
{
	const struct config_net *uplink = &config.vms[0].nets[0];
	struct port *port;

	(void)state;
	fake_reset(1);
	fake_vm.config = &config.vms[0];
	assert_int_equal(virtio_net_switches(&config), 0);
	port = uplink_port(&config.vms[0], uplink);
	assert_true(port->used && port->config.uplink && !port->config.owner);
	for (unsigned life = 0; life < 3; life++) {
		struct virtio_net *net = plug(uplink);
		uint64_t offered, accepted;

		assert_ptr_equal(net->port, port);
		assert_int_equal(pci_get(&net->virtio.pci, 0x2e, 2), UPLINK_PCI_SUBSYSTEM);
		assert_false(port->up);
		negotiate(VIRTIO_F_VERSION_1);
		start_queue(0);
		start_queue(1);
		assert_false(port->up);
		reg(STATUS, 1, true, 15);
		assert_true(port->up);
		assert_true(virtio_net_features(port, &offered, &accepted));
		if (life == 1) { /* the driver resets it, and starts again */
			negotiate(VIRTIO_F_VERSION_1);
			assert_false(port->up);
			start_queue(0);
			start_queue(1);
			reg(STATUS, 1, true, 15);
			assert_true(port->up);
		}
		virtio_net_destroy(net);
		assert_false(port->up);
		assert_true(port->used && !port->config.owner && !port->reports);
		assert_false(virtio_net_features(port, &offered, &accepted));
		virtio_net_set_link(port, life % 2);
		assert_int_equal(env_peer_state(port, 0), PEER_OFF);
	}
	uplinks_report();
	assert_int_equal(port->reports, 1);
}

/* The other port of the same VM is like any VM's. */
static void others_do_not(void **state)
{
	struct virtio_net *net = plug(&config.vms[0].nets[1]);
	struct port *port = net->port;

	(void)state;
	assert_false(port->config.uplink);
	assert_int_not_equal(pci_get(&net->virtio.pci, 0x2e, 2), UPLINK_PCI_SUBSYSTEM);
	assert_true(uplink_beside(port));
	virtio_net_destroy(net);
	assert_false(port->used);
}

/* Told once after each start; looked for while it is up, and not for ever. */
static void first_frame_is_told(void **state)
{
	struct virtio_net *net = plug(&config.vms[0].nets[0]);
	struct port *port = net->port;
	unsigned looks = 0;

	(void)state;
	port->passes = 0;
	for (unsigned life = 1; life <= 3; life++) {
		negotiate(VIRTIO_F_VERSION_1);
		assert_null(fake_timer);
		start_queue(0);
		start_queue(1);
		reg(STATUS, 1, true, 15);
		assert_non_null(fake_timer);
		fire();
		assert_non_null(fake_timer); /* it looks again */
		port->counter++;
		fire();
		assert_null(fake_timer);
		assert_int_equal(port->passes, life);
	}
	negotiate(VIRTIO_F_VERSION_1);
	start_queue(0);
	start_queue(1);
	reg(STATUS, 1, true, 15);
	while (fake_timer && looks < 1000000) {
		fire();
		looks++;
	}
	assert_in_range(looks, 2, 100000);
	assert_int_equal(port->passes, 3);
	virtio_net_destroy(net);
}

/* A driver that starts over and over: what is not told to people is not told to programs either, and not
 * looked for; the port works. */
static void over_and_over_is_not_told(void **state)
{
	struct virtio_net *net = plug(&config.vms[0].nets[0]);
	struct port *port = net->port;

	(void)state;
	negotiate(VIRTIO_F_VERSION_1);
	start_queue(0);
	start_queue(1);
	reg(STATUS, 1, true, 15);
	assert_true(port->up);
	port->passes = fake_log_lines = 0;
	for (unsigned i = 0; i < 3; i++) {
		fake_log_full = i < 2;
		negotiate(VIRTIO_F_VERSION_1);
		start_queue(0);
		start_queue(1);
		reg(STATUS, 1, true, 15);
		assert_true(port->running[0] && port->running[1]);
		assert_int_equal(fake_log_lines, i < 2 ? 0 : 2); /* down, and up */
		fire();
		assert_int_equal(fake_timer != NULL, i == 2); /* only then it looks again */
	}
	virtio_net_destroy(net);
}

static void drive(void)
{
	negotiate(VIRTIO_F_VERSION_1);
	start_queue(0);
	start_queue(1);
	reg(STATUS, 1, true, 15);
}

static bool sees_link(struct virtio_net *net)
{
	return net->virtio.ops->config_read(&net->virtio, 6, 2) & 1;
}

/* The guest has been interrupted since the last call, and knows from the generation that it must read again. */
static bool was_told(struct virtio_net *net)
{
	static unsigned seen;
	bool told = net->virtio.generation != seen;

	assert_int_equal(atomic_exchange(&net->virtio.isr, 0), told ? 2 : 0);
	seen = net->virtio.generation;
	return told;
}

/* The link of a device with link-follows-uplink is up while any uplink of its switch is, and told at each
 * change; that of others is up all the while, and on a switch where no uplink is up it is down. */
static void links_follow(void **state)
{
	struct virtio_net *plain = plug(&config.vms[0].nets[1]);
	struct virtio_net *elsewhere = plug(&config.vms[0].nets[4]);
	struct virtio_net *net = plug(&config.vms[0].nets[2]), *first, *second, *late;

	(void)state;
	port_set_link(uplink_port(&config.vms[0], &config.vms[0].nets[0]), true);
	assert_false(sees_link(net));
	drive();
	assert_false(was_told(net));
	for (unsigned life = 0; life < 3; life++) {
		first = plug(&config.vms[0].nets[0]);
		assert_true(!sees_link(net) && virtio_net_uplinks_away(net->port));
		drive();
		assert_true(sees_link(net) && was_told(net));
		assert_false(virtio_net_uplinks_away(net->port) ||
			     virtio_net_uplinks_away(first->port));
		virtio_net_destroy(first);
		assert_true(!sees_link(net) && was_told(net));
	}
	first = plug(&config.vms[0].nets[0]);
	drive();
	assert_true(sees_link(net) && was_told(net));
	assert_false(sees_link(elsewhere));
	second = plug(&config.vms[0].nets[3]);
	drive();
	assert_false(was_told(net));
	virtio_net_destroy(first);
	assert_true(sees_link(net) && !was_told(net));
	assert_false(uplink_carrier(&config.vms[0], 2, false));
	assert_true(uplink_carrier(&config.vms[0], 1, false));
	assert_true(!sees_link(net) && was_told(net));
	assert_true(uplink_carrier(&config.vms[0], 1, false));
	assert_false(was_told(net));
	assert_true(uplink_carrier(&config.vms[0], 1, true));
	assert_true(sees_link(net) && was_told(net));
	/* told before the queues start, as netd does: it comes up without */
	negotiate(VIRTIO_F_VERSION_1);
	assert_true(!sees_link(net) && was_told(net));
	assert_true(uplink_carrier(&config.vms[0], 1, false));
	start_queue(0);
	start_queue(1);
	reg(STATUS, 1, true, 15);
	assert_false(was_told(net));
	/* what the last life said is not the next one's */
	negotiate(VIRTIO_F_VERSION_1);
	assert_true(uplink_carrier(&config.vms[0], 1, false));
	virtio_net_destroy(second);
	second = plug(&config.vms[0].nets[3]);
	drive();
	assert_true(sees_link(net) && was_told(net));
	virtio_net_set_link(second->port, false); /* by the user */
	assert_true(!sees_link(net) && was_told(net));
	virtio_net_set_link(second->port, true);
	assert_true(sees_link(net) && was_told(net));
	late = plug(&config.vms[0].nets[2]); /* as of another VM */
	assert_true(sees_link(late));
	virtio_net_destroy(late);
	late = plug(&config.vms[0].nets[4]);
	assert_false(sees_link(late));
	virtio_net_destroy(late);
	virtio_net_set_link(net->port, false);
	assert_true(!sees_link(net) && was_told(net));
	virtio_net_destroy(second);
	(void)was_told(net);
	virtio_net_set_link(net->port, true);
	assert_true(!sees_link(net) && was_told(net));
	assert_true(sees_link(plain));
	assert_int_equal(plain->virtio.generation + elsewhere->virtio.generation, 0);
	virtio_net_destroy(plain);
	virtio_net_destroy(elsewhere);
	virtio_net_destroy(net);
}

/* A driver that starts over and over does not interrupt them each time; they are told in the end. */
static void followers_are_not_stormed(void **state)
{
	struct virtio_net *net = plug(&config.vms[0].nets[2]), *uplink;

	(void)state;
	drive();
	uplink = plug(&config.vms[0].nets[0]);
	drive();
	net->virtio.isr = 0;
	net->virtio.generation = 0;
	fake_log_full = true;
	for (unsigned i = 0; i < 10; i++) {
		negotiate(VIRTIO_F_VERSION_1);
		start_queue(0);
		start_queue(1);
		reg(STATUS, 1, true, 15);
	}
	assert_true(sees_link(net));
	assert_int_equal(net->virtio.generation, 0);
	fire();
	assert_int_equal(net->virtio.generation, 0); /* as they know it */
	assert_null(fake_timer);
	negotiate(VIRTIO_F_VERSION_1);
	assert_true(sees_link(net));
	assert_non_null(fake_timer);
	fire();
	assert_false(sees_link(net));
	assert_int_equal(net->virtio.generation, 1);
	assert_int_equal(net->virtio.isr, 2);
	assert_null(fake_timer);
	/* nor does carrier that comes and goes */
	fake_log_full = false;
	drive();
	drive(); /* this going down is told, and so is its coming up */
	assert_true(sees_link(net));
	fake_log_full = true;
	for (unsigned i = 0; i < 11; i++)
		uplink_carrier(&config.vms[0], 0, i % 2);
	assert_true(sees_link(net));
	uplink->port->counter++; /* the first frame: nothing more to look for */
	fire();
	assert_true(sees_link(net));
	fire();
	assert_false(sees_link(net));
	assert_null(fake_timer);
	uplink_carrier(&config.vms[0], 0, true);
	assert_false(sees_link(net));
	fire();
	assert_true(sees_link(net));
	fake_log_full = false;
	virtio_net_destroy(uplink);
	virtio_net_destroy(net);
}

/* Another config: the same uplink keeps its port, with what was counted and learned; one that differs in
 * anything gets another, one that is gone has none, and a failure leaves none behind. */
static void another_config(void **state)
{
	static struct config next, before;
	struct config_net *uplink = &next.vms[0].nets[0];
	struct port *port;

	(void)state;
	fake_reset(1);
	vm_config = &config;
	fake_vm.config = &config.vms[0];
	before = next = config;
	port = uplink_port(&config.vms[0], &config.vms[0].nets[0]);
	port->reports = 0;
	uplink_port(&config.vms[0], &config.vms[0].nets[3])->reports = 0;
	pc_vm_leave(&next, 0);
	assert_true(port->used && !port->reports);
	uplink->mtu = 9000;
	pc_vm_leave(&next, 0);
	assert_false(port->used);
	assert_int_equal(port->reports, 1);
	assert_null(uplink_port(&config.vms[0], &config.vms[0].nets[0]));
	config = next;
	fake_port_fails = true;
	assert_int_equal(pc_vm_enter(0), LH_NOMEM);
	assert_null(uplink_port(&config.vms[0], uplink));
	fake_port_fails = false;
	pc_vm_leave(&before, 0);
	assert_int_equal(pc_vm_enter(0), 0);
	port = uplink_port(&config.vms[0], uplink);
	assert_true(port->used && port->config.mtu == 9000 && port->config.uplink);
	assert_int_equal(pc_vm_enter(0), 0); /* those that are there are not made twice */
	assert_ptr_equal(uplink_port(&config.vms[0], uplink), port);

	/* it comes to another switch, gets another name, is no uplink any more, or its VM another name or none */
	const char *names[] = { "mac", "switch", "name", "flag", "vm", "none" };
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		next = config;
		if (i == 0)
			uplink->mac[5]++;
		if (i == 1)
			strcpy(next.switches[0].name, "wan");
		if (i == 2)
			strcpy(uplink->name, "net7");
		if (i == 3)
			uplink->uplink = false;
		if (i == 4)
			strcpy(next.vms[0].name, "netd2");
		if (i == 5)
			memset(&next.vms[0], 0, sizeof(next.vms[0]));
		pc_vm_leave(&next, 0);
		if (uplink_port(&config.vms[0], &config.vms[0].nets[0]))
			fail_msg("%s: the uplink stays", names[i]);
		assert_int_equal(pc_vm_enter(0), 0);
	}
	config = before;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_its_port),      cmocka_unit_test(others_do_not),
		cmocka_unit_test(first_frame_is_told), cmocka_unit_test(over_and_over_is_not_told),
		cmocka_unit_test(links_follow),	       cmocka_unit_test(followers_are_not_stormed),
		cmocka_unit_test(another_config),
	};

	return cmocka_run_group_tests_name("uplink", tests, NULL, NULL);
}
