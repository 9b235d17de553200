/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rings of Intel's NICs as the device sees them, after the 8254x manual: it takes receive
 * descriptors in order, and reads transmit descriptors, cutting segments as section 3.5 says. It sees
 * memory at an offset. For intel_test.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/intel/intel.h"
#include "tests/unit/drivers/frames.h"

enum { REGS = 0x6000 / 4, DMA_OFFSET = 0x40000000, WIRE = 64, FRAME = 70000 };

static uint32_t regs[REGS];

static uint8_t *at_device(uint64_t address)
{
	return (uint8_t *)(uintptr_t)(address - DMA_OFFSET);
}

/* --- the device: receiving --- */

static unsigned rx_room(void)
{
	return (regs[REG_RDT / 4] - regs[REG_RDH / 4]) % INTEL_RX_RING;
}

/* Writes one descriptor back, with these bytes in its buffer. */
static void device_descriptor(const uint8_t *bytes, uint32_t count, uint64_t bits)
{
	struct intel_rx_desc *ring =
		(void *)at_device(regs[REG_RDBAL / 4] | (uint64_t)regs[REG_RDBAH / 4] << 32);
	struct intel_rx_desc *d = &ring[regs[REG_RDH / 4]];

	assert_true(rx_room() > 0);
	memcpy(at_device(d->address), bytes, count < INTEL_RX_BYTES ? count : INTEL_RX_BYTES);
	d->result = count | RX_DD | bits;
	regs[REG_RDH / 4] = (regs[REG_RDH / 4] + 1) % INTEL_RX_RING;
}

static bool device_receive(const uint8_t *bytes, uint32_t count, uint64_t bits)
{
	if (rx_room() * INTEL_RX_BYTES < count)
		return false;
	for (uint32_t at = 0; at < count; at += INTEL_RX_BYTES) {
		uint32_t rest = count - at, part = rest < INTEL_RX_BYTES ? rest : INTEL_RX_BYTES;

		device_descriptor(bytes + at, part, part == rest ? RX_EOP | bits : 0);
	}
	return true;
}

/* --- the device: sending --- */

static uint8_t wire[WIRE][FRAME];
static uint32_t wire_bytes[WIRE], wire_count;

static void put_on_wire(const uint8_t *frame, uint32_t bytes, uint64_t context[2], bool txsm,
			bool ixsm)
{
	uint32_t tucss = context[0] >> 32 & 0xff, tucso = context[0] >> 40 & 0xff;
	uint32_t ipcss = context[0] & 0xff, ipcso = context[0] >> 8 & 0xff;
	uint32_t ipcse = context[0] >> 16 & 0xffff;
	uint8_t *to = wire[wire_count];

	assert_true(wire_count < WIRE);
	memcpy(to, frame, bytes);
	wire_bytes[wire_count++] = bytes;
	if (txsm)
		put16(to + tucso, (uint16_t)~fold(sum16(to + tucss, bytes - tucss, 0)));
	if (ixsm)
		put16(to + ipcso, (uint16_t)~fold(sum16(to + ipcss, ipcse + 1 - ipcss, 0)));
}

/* 3.5: one prototype header, then payload; lengths, identification, sequence and flags move on. */
static void cut(const uint8_t *frame, uint32_t bytes, uint64_t context[2], bool txsm, bool ixsm)
{
	uint32_t headers = context[1] >> 40 & 0xff, mss = context[1] >> 48;
	uint32_t l3 = context[0] & 0xff, l4 = context[0] >> 32 & 0xff, number = 0;
	static uint8_t part[FRAME];

	assert_int_equal(context[1] & 0xfffff, bytes - headers);
	for (uint32_t at = headers; at < bytes; at += mss, number++) {
		uint32_t now = bytes - at < mss ? bytes - at : mss, end = headers + now;

		memcpy(part, frame, headers);
		memcpy(part + headers, frame + at, now);
		assert_true(context[1] & TX_TCP);
		if (context[1] & TX_IP) {
			put16(part + l3 + 2, end - l3);
			put16(part + l3 + 4, get16(part + l3 + 4) + number);
		} else {
			put16(part + l3 + 4, end - l3 - 40);
		}
		put16(part + l4 + 6, get16(part + l4 + 6) + number * mss);
		put16(part + l4 + 16, fold(get16(part + l4 + 16) + end - l4));
		put_on_wire(part, end, context, txsm, ixsm);
	}
}

static void device_send(unsigned descriptors)
{
	struct intel_tx_desc *ring =
		(void *)at_device(regs[REG_TDBAL / 4] | (uint64_t)regs[REG_TDBAH / 4] << 32);
	static uint8_t frame[FRAME];
	static uint32_t bytes;
	static uint64_t context[2];

	for (; descriptors && regs[REG_TDH / 4] != regs[REG_TDT / 4]; descriptors--) {
		struct intel_tx_desc *d = &ring[regs[REG_TDH / 4]];
		bool tse = d->second & TX_TSE, txsm = d->second & TX_TXSM,
		     ixsm = d->second & TX_IXSM;

		regs[REG_TDH / 4] = (regs[REG_TDH / 4] + 1) % INTEL_TX_RING;
		assert_true(d->second & TX_DEXT);
		if (!(d->second & TX_DTYP_DATA)) {
			context[0] = d->first;
			context[1] = d->second;
			continue;
		}
		assert_true(bytes + (d->second & 0xfffff) <= FRAME);
		memcpy(frame + bytes, at_device(d->first), d->second & 0xfffff);
		bytes += d->second & 0xfffff;
		if (!(d->second & TX_EOP))
			continue;
		assert_true(d->second & TX_RS && d->second & TX_IFCS);
		if (tse)
			cut(frame, bytes, context, txsm, ixsm);
		else
			put_on_wire(frame, bytes, context, txsm, ixsm);
		d->second |= TX_DD;
		bytes = 0;
	}
}
