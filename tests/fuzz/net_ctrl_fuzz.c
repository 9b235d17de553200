/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control queue of a virtio-net device, behind its transport. Input: choices (bit 0: packed ring,
 * bit 1: raw), features (bit n takes the nth below). Raw: then the guest's memory, rings at its
 * beginning, which is served as it is. Else commands: how to cut it, length (2 bytes), class, number
 * and data. Each must be answered as a second reading of virtio 1.2, 5.1.6.5 answers it, and nothing
 * but the answer and the ring be written. Whatever happens, the filter that the switch has stays
 * within its bounds, and a reset undoes all.
 */
#include "tests/unit/dev/transport.h"

#include "hv/dev/virtio_net.h"
#include "tests/unit/dev/fake_switch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

enum { RX, MAC, VLAN, MQ = 4, OFFLOADS };
enum { OK = 0, ERR = 1 };

/* Guest memory: two extents, so that their border is met, on the heap for ASan. A command lies in the
 * upper one, its answer is the last byte. */
enum {
	HALF = 2048,
	RAM = 2 * HALF,
	RING = 0,
	DRIVER = 0x100,
	DEVICE = 0x200,
	DEVICE_BYTES = 0x100
};
enum { DATA = HALF, ANSWER = RAM - 1, MOST = HALF - 1, SIZE = 16, PAIRS = 4 };

#define SWITCHABLE (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4)

static struct virtio_net *net;
static uint8_t *half[2];
static uint64_t features;
static unsigned control;
static uint16_t pos; /* the driver's */
static bool packed;

static void require(bool ok)
{
	if (!ok)
		abort();
}

static uint8_t *ram(unsigned gpa)
{
	return half[gpa / HALF] + gpa % HALF;
}

/* Once: each input ends with a reset, and so begins with the same device. */
static void make_device(void)
{
	static struct config config = { .switch_count = 1, .switches = { { "lan" } } };
	static const struct config_net net_config = {
		.name = "net0",
		.mac = { 0x52, 0x54, 0, 0, 0, 1 },
		.queue_pairs = PAIRS,
		.mtu = 1500,
	};

	fake_reset(1);
	require(virtio_net_switches(&config) == 0);
	require(transport_init() == 0);
	net = virtio_net_create(&fake_vm, &pcie, &net_config);
	require(net != NULL);
	fake_vm.mem.count = 2;
	for (unsigned i = 0; i < 2; i++) {
		half[i] = calloc(1, HALF);
		fake_vm.mem.extent[i] =
			(struct gmem_extent){ .gpa = i * HALF, .bytes = HALF, .ptr = half[i] };
	}
}

static uint64_t features_of(uint8_t bits)
{
	static const uint64_t list[8] = {
		VIRTIO_NET_F_CTRL_RX,	    VIRTIO_NET_F_CTRL_VLAN,
		VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_MQ,
		VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
		VIRTIO_NET_F_GUEST_CSUM,    VIRTIO_NET_F_GUEST_TSO4,
	};
	uint64_t some = VIRTIO_F_VERSION_1 | VIRTIO_NET_F_CTRL_VQ;

	for (unsigned i = 0; i < 8; i++)
		some |= bits >> i & 1 ? list[i] : 0;
	return some;
}

static void start(uint64_t more)
{
	uint64_t all = features | more | (packed ? VIRTIO_F_RING_PACKED : 0);

	control = features & VIRTIO_NET_F_MQ ? 2 * PAIRS : 2;
	pos = packed ? VQ_WRAP : 0;
	negotiate(all);
	set_queue(control, SIZE, RING, DRIVER, DEVICE);
	reg(STATUS, 1, true, DRIVER_OK);
}

static void reset(void)
{
	reg(STATUS, 1, true, 0);
	while (switch_work_run())
		;
	require(!fake_port[0].filtered && fake_port[0].pairs == 1);
}

/* What the switch was told. */
static void check_port(void)
{
	const struct port *p = &fake_port[0];
	const struct filter *f = &p->filter;

	require(p->filtered && f->unis <= FILTER_ADDRESSES && f->multis <= FILTER_ADDRESSES);
	require(f->mac != 0 && (f->mac >> 40 & 1) == 0 && f->mac >> 48 == 0);
	require(p->pairs >= 1 && p->pairs <= PAIRS);
	require(f->vlans == ((features & VIRTIO_NET_F_CTRL_VLAN) != 0));
	if (!(features & VIRTIO_NET_F_CTRL_RX))
		require(f->alluni && f->allmulti && !f->promisc);
	if (!(features & VIRTIO_NET_F_CTRL_RX_EXTRA))
		require(!f->nouni && !f->nomulti && !f->nobcast);
}

static bool has(uint64_t feature)
{
	return (features & feature) != 0;
}

/* A table of addresses at *at, and *at is behind it. */
static bool table_fits(const uint8_t *c, uint32_t bytes, uint64_t *at)
{
	uint32_t entries;

	if (*at + 4 > bytes)
		return false;
	memcpy(&entries, c + *at, 4);
	*at += 4 + 6ull * entries;
	return *at <= bytes;
}

static bool mac_is_good(const uint8_t *c, unsigned number, uint32_t bytes)
{
	static const uint8_t none[6];
	uint64_t at = 2;

	if (number == 0)
		return has(VIRTIO_NET_F_CTRL_RX) && table_fits(c, bytes, &at) &&
		       table_fits(c, bytes, &at);
	return number == 1 && has(VIRTIO_NET_F_CTRL_MAC_ADDR) && bytes >= 8 && !(c[2] & 1) &&
	       memcmp(c + 2, none, 6) != 0;
}

static bool offloads_are_good(const uint8_t *c, unsigned number, uint32_t bytes)
{
	uint64_t on;

	if (number != 0 || !has(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) || bytes < 10)
		return false;
	memcpy(&on, c + 2, 8);
	return (on & ~(features & SWITCHABLE)) == 0;
}

/* 5.1.6.5: is this command, from its class on, to be obeyed? */
static bool is_good(const uint8_t *c, uint32_t bytes)
{
	unsigned value = bytes < 4 ? UINT16_MAX : c[2] | (unsigned)c[3] << 8;

	if (bytes < 3)
		return false;
	switch (c[0]) {
	case RX:
		return c[1] < 6 &&
		       has(c[1] < 2 ? VIRTIO_NET_F_CTRL_RX : VIRTIO_NET_F_CTRL_RX_EXTRA);
	case MAC:
		return mac_is_good(c, c[1], bytes);
	case VLAN:
		return c[1] < 2 && has(VIRTIO_NET_F_CTRL_VLAN) && value < 4096;
	case MQ:
		return c[1] == 0 && has(VIRTIO_NET_F_MQ) && value >= 1 && value <= PAIRS;
	case OFFLOADS:
		return offloads_are_good(c, c[1], bytes);
	default:
		return false;
	}
}

/* One descriptor of a chain, the nth. */
static void put(unsigned n, uint64_t address, uint32_t bytes, uint16_t flags)
{
	unsigned at = packed ? pos & ~VQ_WRAP : n;
	uint8_t *d = ram(RING + 16 * at);
	uint16_t next = packed ? 0 : (uint16_t)(n + 1), id = 0;

	if (packed) {
		flags |= pos & VQ_WRAP ? 1u << 7 : 1u << 15;
		pos = at + 1 == SIZE ? (uint16_t)(~pos & VQ_WRAP) : (uint16_t)(pos + 1);
	}
	memcpy(d, &address, 8);
	memcpy(d + 8, &bytes, 4);
	memcpy(d + 12, packed ? &id : &flags, 2);
	memcpy(d + 14, packed ? &flags : &next, 2);
}

/* The command in three pieces at most, and room for the answer. */
static void put_command(uint32_t bytes, uint8_t how)
{
	uint32_t piece[3] = { 1 + how % 4u, 1 + how / 4u, MOST }, at = 0;
	unsigned n = 0;

	for (unsigned i = 0; at < bytes; i++) {
		uint32_t len = piece[i] < bytes - at ? piece[i] : bytes - at;

		put(n++, DATA + at, len, NEXT);
		at += len;
	}
	put(n, ANSWER, 1, WRITE);
	if (!packed) {
		uint16_t head = 0;

		memcpy(ram(DRIVER + 4 + 2 * (pos % SIZE)), &head, 2);
		pos++;
		memcpy(ram(DRIVER + 2), &pos, 2);
	}
}

/* Was the chain whose ring entries begin at `first` given back, with one byte written? */
static void check_used(uint16_t first)
{
	uint32_t len;
	uint16_t word;

	if (packed) {
		const uint8_t *d = ram(RING + 16 * (first & ~VQ_WRAP));

		memcpy(&len, d + 8, 4);
		memcpy(&word, d + 14, 2);
		require((word >> 7 & 1) == first >> 15 && word >> 15 == first >> 15);
	} else {
		memcpy(&len, ram(DEVICE + 4 + 8 * (first % SIZE) + 4), 4);
		memcpy(&word, ram(DEVICE + 2), 2);
		require(word == pos);
	}
	require(len == 1);
}

/* Nothing was written that is not the device's to write. */
static void check_untouched(uint8_t before[RAM], uint16_t first)
{
	unsigned entry = RING + 16 * (first & ~VQ_WRAP);

	memcpy(before + DEVICE, ram(DEVICE), DEVICE_BYTES);
	if (packed)
		memcpy(before + entry, ram(entry), 16);
	before[ANSWER] = *ram(ANSWER);
	require(memcmp(before, half[0], HALF) == 0 && memcmp(before + HALF, half[1], HALF) == 0);
}

static void command(const uint8_t *c, uint32_t bytes, uint8_t how)
{
	uint8_t before[RAM];
	uint16_t first = pos;

	memcpy(ram(DATA), c, bytes);
	*ram(ANSWER) = 0x77;
	put_command(bytes, how);
	memcpy(before, half[0], HALF);
	memcpy(before + HALF, half[1], HALF);
	kick(control);
	require(reg(STATUS, 1, false, 0) == DRIVER_OK);
	check_used(first);
	check_untouched(before, first);
	require(*ram(ANSWER) == (is_good(c, bytes) ? OK : ERR));
	check_port();
}

static void commands(const uint8_t *data, size_t bytes)
{
	memset(half[0], 0, HALF);
	start(0);
	require(reg(STATUS, 1, false, 0) == DRIVER_OK);
	while (bytes >= 3) {
		uint32_t most = bytes - 3 < MOST ? (uint32_t)(bytes - 3) : MOST;
		uint32_t n = (uint32_t)(data[1] | data[2] << 8);

		n = n < most ? n : most;
		command(data + 3, n, data[0]);
		data += 3 + n;
		bytes -= 3 + n;
	}
}

static void raw(const uint8_t *data, size_t bytes)
{
	for (unsigned i = 0; i < 2; i++) {
		size_t from = i * HALF, n = bytes > from ? bytes - from : 0;

		memset(half[i], 0, HALF);
		memcpy(half[i], data + (n > 0 ? from : 0), n < HALF ? n : HALF);
	}
	start(VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
	for (unsigned n = 0; n < 4; n++) {
		kick(control);
		switch_work_run();
		check_port();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	if (net == NULL)
		make_device();
	if (bytes < 2)
		return 0;
	packed = data[0] & 1;
	features = features_of(data[1]);
	if (data[0] & 2)
		raw(data + 2, bytes - 2);
	else
		commands(data + 2, bytes - 2);
	reset();
	return 0;
}
