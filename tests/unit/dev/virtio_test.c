/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the virtio-net device negotiate as virtio 1.2 says, start and stop its queues at
 * the right moments, and survive a driver that writes anything anywhere? */
#include "tests/unit/dev/transport.h"

#include "hv/dev/virtio_net.h"
#include "tests/unit/dev/fake_msi.h"
#include "tests/unit/dev/fake_switch.h"
#include "vswitch/env.h"

#include <cmocka.h>

#define F_MAC	    (1ull << 5)
#define COMMON	    0x0000u
#define ISR	    0x1000u
#define NOTIFY_BASE (GUEST_IO_WINDOW)
#define DEVFN	    8u

static struct virtio_net *net;
static struct config config = { .switch_count = 1, .switches = { { "lan" } } };
static const struct config_net net_config = {
	.name = "net0", .mac = { 0x52, 0x54, 0, 0, 0, 1 }, .queue_pairs = 1, .mtu = 9000
};

static int setup(void **state)
{
	(void)state;
	fake_reset(2);
	fake_messages = 0;
	fake_start_fails = fake_port_fails = false;
	fake_more = 0;
	if (virtio_net_switches(&config) || transport_init())
		return 1;
	net = virtio_net_create(&fake_vm, &pcie, &net_config);
	return net == NULL;
}

static int teardown(void **state)
{
	(void)state;
	virtio_net_destroy(net);
	return fake_allocs != 0 || fake_port[0].used;
}

static uint64_t mem(uint64_t at, unsigned bytes, bool write, uint64_t value)
{
	assert_true(bus_access(&memory, &fake_vcpu[0], at, bytes, write, &value));
	return value;
}

static uint64_t cfg(unsigned at, unsigned bytes)
{
	return mem(GUEST_ECAM_BASE + DEVFN * 4096 + at, bytes, false, 0);
}

static void cfg_write(unsigned at, unsigned bytes, uint64_t value)
{
	mem(GUEST_ECAM_BASE + DEVFN * 4096 + at, bytes, true, value);
}

static uint64_t rd(unsigned at, unsigned bytes)
{
	return mem((cfg(0x10, 4) & ~15ull) + at, bytes, false, 0);
}

static void wr(unsigned at, unsigned bytes, uint64_t value)
{
	mem((cfg(0x10, 4) & ~15ull) + at, bytes, true, value);
}

static void accept_features(uint64_t features)
{
	wr(STATUS, 1, VIRTIO_ACKNOWLEDGE);
	wr(STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	for (unsigned i = 0; i < 2; i++) {
		wr(DRV_SELECT, 4, i);
		wr(DRV_FEATURES, 4, features >> (32 * i) & 0xffffffff);
	}
	wr(STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
}

static void set_up_queue(unsigned queue)
{
	wr(Q_SELECT, 2, queue);
	wr(Q_SIZE, 2, 256);
	wr(Q_VECTOR, 2, queue + 1);
	wr(Q_DESC, 4, 0x10000 * (queue + 1));
	wr(Q_DESC + 4, 4, 0);
	wr(Q_DRIVER, 8, 0x11000 * (queue + 1)); /* as 64 bits: taken as two halves */
	wr(Q_DEVICE, 8, 0x1200000000ull + queue);
	wr(Q_ENABLE, 2, 1);
}

static void start(void)
{
	accept_features(VIRTIO_F_VERSION_1 | F_MAC);
	set_up_queue(0);
	set_up_queue(1);
	wr(STATUS, 1, rd(STATUS, 1) | VIRTIO_DRIVER_OK);
}

static void capabilities_are_complete(void **state)
{
	unsigned seen = 0, vendor = 0;

	(void)state;
	assert_int_equal(cfg(0, 4), 0x10411af4);
	assert_int_equal(cfg(8, 1), 1);
	assert_int_equal(cfg(0x3d, 1), 0);
	for (unsigned at = (unsigned)cfg(0x34, 1); at; at = (unsigned)cfg(at + 1, 1)) {
		assert_true(at >= 0x40 && at % 4 == 0);
		if (cfg(at, 1) == 9) {
			vendor++;
			seen |= 1u << cfg(at + 3, 1);
			assert_true(cfg(at + 4, 1) < 6);
		} else {
			assert_int_equal(cfg(at, 1), 0x11);
			assert_int_equal(cfg(at + 2, 2), 3); /* four vectors */
		}
	}
	assert_int_equal(vendor, 5);
	assert_int_equal(seen, 0x3e);
}

static void the_state_after_reset(void **state)
{
	static const uint8_t expect[] = { 0x52, 0x54, 0, 0, 0, 1, 1, 0, 1, 0, 0x28, 0x23, 0, 0 };

	(void)state;
	assert_int_equal(rd(QUEUES, 2), 3); /* the last: control */
	assert_int_equal(rd(STATUS, 1), 0);
	assert_int_equal(rd(CONFIG_VECTOR, 2), 0xffff);
	assert_int_equal(rd(Q_SIZE, 2), VIRTIO_QUEUE_SIZE);
	assert_int_equal(rd(Q_ENABLE, 2), 0);
	assert_int_equal(rd(DEV_FEATURES, 4), 1u << 1 | 1u << 2 | 1u << 3 | 1u << 5 | 1u << 7 |
						      1u << 15 | 0x9fu << 16 | 1u << 28 | 1u << 29);
	wr(DEV_SELECT, 4, 1);
	assert_int_equal(rd(DEV_FEATURES, 4), 1 | 1u << 2);
	wr(DEV_SELECT, 4, 2);
	assert_int_equal(rd(DEV_FEATURES, 4), 0);
	for (unsigned i = 0; i < sizeof(expect); i++)
		assert_int_equal(rd(CONFIG + i, 1), expect[i]);
	assert_int_equal(rd(CONFIG + 8, 4), 0x23280001);
	wr(Q_SELECT, 2, 3);
	assert_int_equal(rd(Q_SIZE, 2), 0);
	wr(Q_SELECT, 2, 1);
	assert_int_equal(rd(Q_NOTIFY, 2), 1);
	assert_string_equal(fake_port[0].name, "vm/net0");
	assert_int_equal(fake_port[0].config.mtu, 9000);
}

static void queues_run_from_driver_ok_to_reset(void **state)
{
	struct port *p = &fake_port[0];

	(void)state;
	accept_features(VIRTIO_F_VERSION_1 | F_MAC);
	assert_int_equal(rd(STATUS, 1), 11);
	set_up_queue(0);
	set_up_queue(1);
	kick(1); /* too early */
	assert_int_equal(p->starts + p->kicks, 0);
	wr(STATUS, 1, 15);
	assert_int_equal(rd(STATUS, 1), 15);
	assert_true(p->running[0] && p->running[1]);
	assert_int_equal(p->setup[1].size, 256);
	assert_int_equal(p->setup[1].desc, 0x20000);
	assert_int_equal(p->setup[1].driver, 0x22000);
	assert_int_equal(p->setup[1].device, 0x1200000001ull);
	assert_int_equal(p->setup[1].features, VIRTIO_F_VERSION_1 | F_MAC);
	wr(Q_DESC, 4, 0x77000); /* enabled: fixed */
	assert_int_equal(rd(Q_DESC, 4), 0x20000);
	kick(0);
	kick(1);
	kick(2); /* control: not negotiated */
	kick(3); /* there is none */
	assert_int_equal(p->kicks, 2);
	wr(STATUS, 1, 15);
	assert_int_equal(p->starts, 2);
	wr(STATUS, 1, 0);
	assert_int_equal(rd(STATUS, 1), 0);
	assert_true(!p->running[0] && !p->running[1]);
	kick(1);
	assert_int_equal(p->kicks, 2);
	assert_int_equal(rd(Q_ENABLE, 2), 0);
	start();
	assert_true(p->running[0] && p->running[1]);
}

static void bad_negotiation_is_refused(void **state)
{
	(void)state;
	accept_features(F_MAC); /* without VERSION_1 */
	assert_int_equal(rd(STATUS, 1) & VIRTIO_FEATURES_OK, 0);
	wr(STATUS, 1, 0);
	accept_features(VIRTIO_F_VERSION_1 | 1ull << 40); /* not offered */
	assert_int_equal(rd(STATUS, 1) & VIRTIO_FEATURES_OK, 0);
	set_up_queue(1);
	wr(STATUS, 1, 15); /* DRIVER_OK all the same */
	assert_int_equal(rd(STATUS, 1) & VIRTIO_DRIVER_OK, 0);
	assert_int_equal(fake_port[0].starts, 0);
	wr(STATUS, 1, 0);
	accept_features(VIRTIO_F_VERSION_1);
	wr(DRV_SELECT, 4, 0);
	wr(DRV_FEATURES, 4, 0xffffffff); /* too late */
	assert_int_equal(rd(DRV_FEATURES, 4), 0);
	wr(Q_SELECT, 2, 0);
	wr(Q_SIZE, 2, 100); /* no power of two */
	wr(Q_SIZE, 2, 2048);
	wr(Q_SIZE, 2, 0);
	assert_int_equal(rd(Q_SIZE, 2), VIRTIO_QUEUE_SIZE);
	wr(Q_VECTOR, 2, 4);
	assert_int_equal(rd(Q_VECTOR, 2), 0xffff);
	wr(Q_VECTOR, 2, 2);
	assert_int_equal(rd(Q_VECTOR, 2), 2);
}

static void enable_msix(void)
{
	uint64_t table = cfg(0x20, 4);

	for (unsigned i = 0; i < 3; i++) {
		mem(table + 16 * i, 4, true, 0xfee01000);
		mem(table + 16 * i + 8, 4, true, 0x50 + i);
		mem(table + 16 * i + 12, 4, true, 0);
	}
	for (unsigned at = (unsigned)cfg(0x34, 1); at; at = (unsigned)cfg(at + 1, 1))
		if (cfg(at, 1) == 0x11)
			cfg_write(at + 2, 2, 0x8000);
}

static void a_broken_queue_is_told(void **state)
{
	(void)state;
	enable_msix();
	wr(CONFIG_VECTOR, 2, 0);
	start();
	env_device_broken(net->port, 1, "test");
	assert_int_equal(rd(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
	assert_int_equal(fake_messages, 1);
	assert_int_equal(fake_message_data, 0x50);
	wr(STATUS, 1, 15);
	assert_int_equal(rd(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
	wr(STATUS, 1, 0);
	assert_int_equal(rd(STATUS, 1), 0);
	fake_start_fails = true;
	start();
	assert_int_equal(rd(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
}

static void interrupts_go_where_the_driver_wants(void **state)
{
	(void)state;
	start();
	env_interrupt(net->port, 1); /* without MSI-X only the ISR byte tells */
	assert_int_equal(fake_messages, 0);
	assert_int_equal(rd(ISR, 1), 1);
	assert_int_equal(rd(ISR, 1), 0);
	enable_msix();
	env_interrupt(net->port, 1);
	assert_int_equal(fake_messages, 1);
	assert_int_equal(fake_message_data, 0x52);
	assert_int_equal(rd(ISR, 1), 0);
	atomic_store(&fake_vcpu[1].state, VCPU_BLOCKED);
	assert_int_equal(env_peer_state(net->port, 0), PEER_BLOCKED);
	atomic_store(&fake_vcpu[1].state, VCPU_RUNNING);
	assert_int_equal(env_peer_state(net->port, 0), PEER_RUNNING);
	wr(Q_SELECT, 2, 0);
	wr(Q_VECTOR, 2, 0xffff);
	assert_int_equal(env_peer_state(net->port, 0), PEER_OFF); /* vCPU 0 */
}

static void config_space_is_another_way_in(void **state)
{
	unsigned at = (unsigned)cfg(0x34, 1);

	(void)state;
	while (cfg(at, 1) != 9 || cfg(at + 3, 1) != 5)
		at = (unsigned)cfg(at + 1, 1);
	cfg_write(at + 4, 1, 0);
	cfg_write(at + 8, 4, QUEUES);
	cfg_write(at + 12, 4, 2);
	assert_int_equal(cfg(at + 16, 2), 3);
	cfg_write(at + 8, 4, STATUS);
	cfg_write(at + 12, 4, 1);
	cfg_write(at + 16, 4, 3);
	assert_int_equal(rd(STATUS, 1), 3);
	cfg_write(at + 8, 4, 0xfffffffc); /* beyond the BAR */
	cfg_write(at + 12, 4, 4);
	cfg_write(at + 16, 4, 3);
	assert_int_equal(cfg(at + 16, 4), 3);
	cfg_write(at + 4, 1, 0xff); /* no such BAR */
	assert_int_equal(cfg(at + 16, 4), 3);
}

static void more_work_waits_its_turn(void **state)
{
	struct port *p = &fake_port[0];

	(void)state;
	start();
	fake_more = 6;
	kick(1);
	assert_int_equal(fake_posted, MB_SWITCH_WORK);
	assert_int_equal(p->services, 1);
	env_more_work(p, 1); /* already in the list */
	assert_true(switch_work_run());
	assert_int_equal(p->services, 5); /* bounded */
	assert_false(switch_work_run());
	assert_false(switch_work_run());
	assert_int_equal(p->services, 7);
	env_more_work(p, 1); /* left over: teardown takes it out */
}

static void ports_are_found_by_mac(void **state)
{
	static const uint8_t other[6] = { 0x52, 0x54, 0, 0, 0, 2 };
	struct vm *vm = NULL;

	(void)state;
	assert_ptr_equal(virtio_net_port_by_mac(net_config.mac, &vm), net->port);
	assert_ptr_equal(vm, &fake_vm);
	assert_null(virtio_net_port_by_mac(other, &vm));
}

static void creation_fails_cleanly(void **state)
{
	long before = fake_allocs;

	(void)state;
	fake_alloc_fail = 0;
	assert_null(virtio_net_create(&fake_vm, &pcie, &net_config));
	fake_alloc_fail = -1;
	fake_port_fails = true;
	assert_null(virtio_net_create(&fake_vm, &pcie, &net_config));
	assert_int_equal(fake_allocs, before);
}

/* One access of a driver that means no good; half of them with values that mean something. */
static void mischief(uint64_t *seed)
{
	static const uint32_t telling[] = { 0,
					    1,
					    2,
					    3,
					    8,
					    11,
					    15,
					    256,
					    0x8000,
					    0xc000,
					    0xffff,
					    0xfee00000,
					    0x10000,
					    0xffffffff,
					    GUEST_BAR_WINDOW,
					    GUEST_IO_WINDOW };
	uint64_t r = fake_random(seed), at = fake_random(seed);
	uint64_t value = r & 1 ? fake_random(seed) : telling[fake_random(seed) % 16];
	unsigned bytes = 1u << (r >> 1) % 4;
	bool write = r >> 3 & 1;

	switch (r >> 4 & 7) {
	case 0:
		bus_access(&memory, &fake_vcpu[0], GUEST_ECAM_BASE + DEVFN * 4096 + at % 260, bytes,
			   write, &value);
		break;
	case 1:
		bus_access(&io, &fake_vcpu[0], NOTIFY_BASE + at % 0x200, bytes > 4 ? 4 : bytes,
			   write, &value);
		break;
	case 2:
		bus_access(&memory, &fake_vcpu[0], GUEST_BAR_WINDOW + at % 0x6000, bytes, write,
			   &value);
		break;
	case 3:
		env_device_broken(net->port, at & 1, "mischief");
		break;
	case 4:
		env_interrupt(net->port, at & 1);
		break;
	default:
		bus_access(&memory, &fake_vcpu[0], GUEST_BAR_WINDOW + at % 64, bytes, write,
			   &value);
		break;
	}
}

/* Where they were, however the driver left them. */
static void put_bars_back(void)
{
	cfg_write(4, 2, 0);
	cfg_write(0x10, 4, GUEST_BAR_WINDOW);
	cfg_write(0x18, 4, GUEST_IO_WINDOW);
	cfg_write(0x20, 4, GUEST_BAR_WINDOW + 0x4000);
	cfg_write(4, 2, 7);
}

static void garbage_by_seed(void **state)
{
	unsigned starts = 0;

	(void)state;
	for (unsigned seed = 1; seed <= fake_rounds(40); seed++) {
		uint64_t random = 0x9e3779b97f4a7c15ull * seed;

		for (unsigned i = 0; i < 5000; i++) {
			if (i % 256 == 0) {
				put_bars_back();
				wr(STATUS, 1, 0);
				accept_features(VIRTIO_F_VERSION_1);
			}
			mischief(&random);
		}
		starts += fake_port[0].starts;
		put_bars_back();
		wr(STATUS, 1, 0);
		assert_false(fake_port[0].running[0] || fake_port[0].running[1]);
		start();
		assert_int_equal(rd(STATUS, 1), 15);
		assert_true(fake_port[0].running[0] && fake_port[0].running[1]);
	}
	assert_true(starts > 100); /* it got that far */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(capabilities_are_complete),
		T(the_state_after_reset),
		T(queues_run_from_driver_ok_to_reset),
		T(bad_negotiation_is_refused),
		T(a_broken_queue_is_told),
		T(interrupts_go_where_the_driver_wants),
		T(config_space_is_another_way_in),
		T(more_work_waits_its_turn),
		T(ports_are_found_by_mac),
		T(creation_fails_cleanly),
		T(garbage_by_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
