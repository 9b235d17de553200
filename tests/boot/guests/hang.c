/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is it told why a guest hangs? It does, in the way that boot argument how= names, for `lasthop why` to find out:
 *   pause   waits in a PAUSE loop for a word that nobody writes
 *   dark    jumps to itself with interrupts off
 *   halt    halts with interrupts off (of several vCPUs; the others are never started)
 *   deaf    opens its net device, takes no frame and sleeps: its receive ring runs empty
 *   flood   sends what a deaf one does not take, then sleeps
 *   broken  sends from an address where no memory is: its queue is stopped
 *   again   resets itself at once, again and again
 */
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/lib/virtio_net.h"
#include "hv/core/guest_map.h"

enum { FRAMES = 2000, FRAME_BYTES = 60 };

volatile uint32_t hang_word; /* nobody writes it */

__attribute__((noinline)) void hang_in_pause(void);
__attribute__((noinline)) void hang_in_the_dark(void);
__attribute__((noinline)) void hang_halted(void);
__attribute__((noinline)) void hang_asleep(void);

void hang_in_pause(void)
{
	__asm__ volatile("sti");
	while (!hang_word)
		__asm__ volatile("pause");
}

void hang_in_the_dark(void)
{
	__asm__ volatile("cli; 1: jmp 1b");
}

void hang_halted(void)
{
	__asm__ volatile("cli; hlt");
}

void hang_asleep(void)
{
	for (;;)
		__asm__ volatile("sti; hlt");
}

static void open_net(void)
{
	const char *trouble = net_open(0, NET_TX_SINGLE);

	if (trouble) {
		print("FAIL hang: %s\n", trouble);
		guest_end(1);
	}
}

static void flood(void)
{
	for (unsigned sent = 0; sent < FRAMES;) {
		int slot = net_tx_slot();

		if (slot < 0) {
			net_tx_flush();
			net_tx_sleep(rdtsc() + clock_ms(10));
			net_tx_reclaim();
			continue;
		}
		memset(net_tx_buffer((unsigned)slot), 0xff, FRAME_BYTES);
		memcpy(net_tx_buffer((unsigned)slot) + 6, net_info()->mac, 6);
		net_tx_push((unsigned)slot, FRAME_BYTES);
		sent++;
	}
	net_tx_flush();
}

/* Where no RAM is, but no device either. */
static void send_nothing(void)
{
	static const struct net_header none;

	net_tx_push_from((unsigned)net_tx_slot(), &none, (const void *)(1ull << 40), FRAME_BYTES);
	net_tx_flush();
}

static bool is(const char *how, const char *word)
{
	return !memcmp(how, word, strlen(word) + 1);
}

int guest_main(void)
{
	char how[16];

	(void)args_string(guest_cmdline(), "how", how, sizeof(how));
	print("hang: %s\n", how);
	if (is(how, "pause"))
		hang_in_pause();
	if (is(how, "dark"))
		hang_in_the_dark();
	if (is(how, "halt"))
		hang_halted();
	if (is(how, "again"))
		out8(GUEST_RESET_PORT, GUEST_RESET_VALUE);
	if (is(how, "deaf") || is(how, "flood") || is(how, "broken"))
		open_net();
	if (is(how, "flood"))
		flood();
	if (is(how, "broken"))
		send_nothing();
	hang_asleep();
	return 1;
}
