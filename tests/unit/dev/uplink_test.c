/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does an uplink keep its port over the lives of its driver domain, and is it up exactly while
 * a driver has both directions running? */
#include "tests/unit/dev/fakes.h"

#include "hv/core/guest_map.h"
#include "hv/dev/uplink.h"
#include "hv/dev/virtio_net.h"
#include "lasthop/uplink.h"
#include "tests/unit/dev/fake_switch.h"
#include "vswitch/env.h"

#include <cmocka.h>

/* virtio 1.2, 4.1.4.3 */
enum {
	DRV_SELECT = 8,
	DRV_FEATURES = 12,
	STATUS = 20,
	Q_SELECT = 22,
	Q_SIZE = 24,
	Q_ENABLE = 28,
	Q_DESC = 32,
	Q_DRIVER = 40,
	Q_DEVICE = 48,
};

static struct bus io, memory;
static struct pcie pcie;
static struct config config = {
	.switch_count = 1,
	.switches = { { "lan" } },
	.vm_count = 1,
	.vms = { { .name = "netd",
		   .driver_domain = true,
		   .net_count = 2,
		   .nets = { { .name = "net0",
			       .mac = { 0x52, 0x54, 0, 0, 0, 1 },
			       .queue_pairs = 1,
			       .mtu = 1500,
			       .uplink = true },
			     { .name = "net1",
			       .mac = { 0x52, 0x54, 0, 0, 0, 2 },
			       .queue_pairs = 1,
			       .mtu = 1500 } } } },
};

static void reg(uint64_t at, unsigned bytes, uint64_t value)
{
	assert_true(bus_access(&memory, &fake_vcpu[0], GUEST_BAR_WINDOW + at, bytes, true, &value));
}

static void start_queue(unsigned queue)
{
	reg(Q_SELECT, 2, queue);
	reg(Q_SIZE, 2, 16);
	reg(Q_DESC, 4, 0x10000 + 0x10000 * queue);
	reg(Q_DRIVER, 4, 0x11000 + 0x10000 * queue);
	reg(Q_DEVICE, 4, 0x12000 + 0x10000 * queue);
	reg(Q_ENABLE, 2, 1);
}

static void negotiate(void)
{
	reg(STATUS, 1, 0);
	reg(STATUS, 1, 3);
	reg(DRV_SELECT, 4, 1);
	reg(DRV_FEATURES, 4, 1);
	reg(STATUS, 1, 11);
}

static struct virtio_net *plug(const struct config_net *net)
{
	struct virtio_net *made;

	memset(&io, 0, sizeof(io));
	memset(&memory, 0, sizeof(memory));
	memset(&pcie, 0, sizeof(pcie));
	assert_int_equal(pcie_init(&pcie, &io, &memory, &fake_vm.log_limit), 0);
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
		negotiate();
		start_queue(0);
		start_queue(1);
		assert_false(port->up);
		reg(STATUS, 1, 15);
		assert_true(port->up);
		assert_true(virtio_net_features(port, &offered, &accepted));
		if (life == 1) { /* the driver resets it, and starts again */
			negotiate();
			assert_false(port->up);
			start_queue(0);
			start_queue(1);
			reg(STATUS, 1, 15);
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
		negotiate();
		assert_null(fake_timer);
		start_queue(0);
		start_queue(1);
		reg(STATUS, 1, 15);
		assert_non_null(fake_timer);
		fire();
		assert_non_null(fake_timer); /* it looks again */
		port->counter++;
		fire();
		assert_null(fake_timer);
		assert_int_equal(port->passes, life);
	}
	negotiate();
	start_queue(0);
	start_queue(1);
	reg(STATUS, 1, 15);
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
	negotiate();
	start_queue(0);
	start_queue(1);
	reg(STATUS, 1, 15);
	assert_true(port->up);
	port->passes = fake_log_lines = 0;
	for (unsigned i = 0; i < 3; i++) {
		fake_log_full = i < 2;
		negotiate();
		start_queue(0);
		start_queue(1);
		reg(STATUS, 1, 15);
		assert_true(port->running[0] && port->running[1]);
		assert_int_equal(fake_log_lines, i < 2 ? 0 : 2); /* down, and up */
		assert_int_equal(fake_timer != NULL, i == 2);
	}
	virtio_net_destroy(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_its_port),
		cmocka_unit_test(others_do_not),
		cmocka_unit_test(first_frame_is_told),
		cmocka_unit_test(over_and_over_is_not_told),
	};

	return cmocka_run_group_tests_name("uplink", tests, NULL, NULL);
}
