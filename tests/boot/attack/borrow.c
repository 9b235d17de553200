/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is lent to the uplink: the driver domain claims an address that a guest sends large frames to
 * (tests/boot/guests/sender.c), and keeps them, or gives them back before any device can have read them.
 */
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_net.h"
#include "lasthop/uplink.h"
#include "tests/boot/attack/attack.h"

enum { LOANS = 100, WAIT_MS = 200, CLAIM_BYTES = 60 };

static void claim(void)
{
	static const uint8_t head[14] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, CLAIMED, 0x88, 0xb5 };
	int slot = net_tx_slot();
	uint8_t *frame;

	if (slot < 0)
		return;
	frame = net_tx_buffer((unsigned)slot);
	memset(frame, 0, CLAIM_BYTES);
	memcpy(frame, head, sizeof(head));
	net_tx_push((unsigned)slot, CLAIM_BYTES);
	net_tx_flush();
}

void act_borrow(void)
{
	bool keep = one_in(2);
	uint64_t end = rdtsc() + clock_ms(WAIT_MS);
	struct net_frame frame;
	unsigned lent = 0;
	const char *error;

	net_want(UPLINK_F_REUSE);
	error = net_open(0, NET_TX_SINGLE);
	if (error) {
		print("attack: the uplink: %s\n", error);
		return;
	}
	if (!(net_info()->features & UPLINK_F_REUSE))
		return;
	claim();
	while (lent < LOANS && rdtsc() < end) {
		if (!net_receive(&frame)) {
			cpu_pause();
			continue;
		}
		lent += (frame.header->flags & UPLINK_LENT) != 0;
		if (!keep) {
			net_release(&frame);
			net_refill();
		}
	}
	print("attack: %s %u packets that were lent\n", keep ? "keeps" : "gives back", lent);
}
