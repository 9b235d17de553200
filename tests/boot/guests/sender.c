/* SPDX-License-Identifier: BSD-2-Clause */
/* Sends large frames to the address that the driver domain which attacks claims as the world's, for ever: so that
 * something is lent to it. Fails if its NIC does. */
#include "guest/lib/apic.h"
#include "guest/lib/clock.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_net.h"
#include "tests/boot/attack/claimed.h"

enum { FRAME = 1514 };

static void fill_all(void)
{
	static const uint8_t to[6] = { CLAIMED };

	for (unsigned slot = 0; slot < net_info()->tx_slots; slot++) {
		uint8_t *frame = net_tx_buffer(slot);

		memset(frame, 0xa5, FRAME);
		memcpy(frame, to, 6);
		memcpy(frame + 6, net_info()->mac, 6);
		memcpy(frame + 12, "\x88\xb5", 2);
	}
}

int guest_main(void)
{
	struct net_frame frame;
	const char *error;

	lapic_init();
	clock_init();
	error = net_open(0, NET_TX_SINGLE);
	if (error)
		guest_fail("sender: %s", error);
	fill_all();
	print("sender: sends\n");
	for (;;) {
		uint64_t next = rdtsc() + clock_ms(1);
		int slot;

		net_tx_reclaim();
		slot = net_tx_slot();
		if (slot >= 0) {
			net_tx_push((unsigned)slot, FRAME);
			net_tx_flush();
		}
		while (net_receive(&frame))
			net_release(&frame);
		net_refill();
		if (net_trouble())
			guest_fail("sender: %s", net_trouble());
		while (rdtsc() < next)
			clock_wait(next);
	}
}
