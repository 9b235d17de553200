/* SPDX-License-Identifier: BSD-2-Clause */
/* The driver domain's beginning: its arguments (see netd.h). */
#include "guest/lib/args.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "guest/netd/netd.h"
#include "lasthop/dma_offset.h"
#include "lasthop/hypercall.h"

LASTHOP_ADDS_DMA_OFFSET;

enum { MTU_USUAL = 1500, MTU_MIN = 68, WATCHDOG_MS = 1000 };

static unsigned offload(const char *cmdline)
{
	char word[8];

	if (!args_string(cmdline, "offload", word, sizeof(word)) || !strcmp(word, "tso"))
		return NIC_CSUM | NIC_TSO4 | NIC_TSO6;
	if (!strcmp(word, "csum"))
		return NIC_CSUM;
	if (!strcmp(word, "none"))
		return 0;
	guest_fail("offload=%s: none, csum or tso is wanted", word);
}

int guest_main(void)
{
	const char *cmdline = guest_cmdline();
	struct netd_args args;

	if (!args_hex(cmdline, "dma-offset", 0, &args.dma_offset))
		guest_fail("dma-offset: a hexadecimal number is wanted, 0x…");
	if (!args_u64(cmdline, "mtu", MTU_USUAL, &args.mtu) || args.mtu < MTU_MIN ||
	    args.mtu > NIC_MTU_MAX)
		guest_fail("mtu: %d to %d is wanted", MTU_MIN, NIC_MTU_MAX);
	if (!args_u64(cmdline, "watchdog", WATCHDOG_MS, &args.watchdog_ms))
		guest_fail("watchdog: a number of milliseconds is wanted");
	if (args.watchdog_ms > HC_WATCHDOG_MAX_MS)
		guest_fail("watchdog: 0 to %u is wanted", HC_WATCHDOG_MAX_MS);
	args.offload = offload(cmdline);
	netd_find(&args);
	netd_run(args.watchdog_ms);
}
