/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One life (see attack.h). Boot arguments: seed=N (0: the time, so that lives differ; told), acts=N (8),
 * dma=0 (without an IOMMU, where DMA to anywhere succeeds), old=1 (nothing but a message in the old
 * format), busy=1 (nothing but an endless loop), only=NAME (that act), end=N (that death).
 */
#include <stddef.h>

#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/args.h"
#include "guest/lib/clock.h"
#include "guest/lib/cpu.h"
#include "guest/lib/print.h"
#include "guest/lib/runtime.h"
#include "guest/lib/string.h"
#include "lasthop/dma_offset.h"
#include "lasthop/hypercall.h"
#include "tests/boot/attack/attack.h"

LASTHOP_ADDS_DMA_OFFSET; /* not that it would: without an IOMMU it begins no DMA */

enum { WATCHDOG_MS = 2000, LIFE_MS = 1100 };

static void pci(void)
{
	nic_calm();
	act_pci();
}

static void config_under_dma(void)
{
	dma_leave_running();
	act_pci();
}

static const struct act {
	const char *name;
	abuse_act *act, *mend;
	unsigned limit_ms;
	bool dma;
} acts[] = {
	{ "dma-read", act_dma_read, NULL, 300, true },
	{ "dma-write", act_dma_write, NULL, 300, true },
	{ "dma-rings", act_dma_rings, NULL, 300, true },
	{ "dma-message", act_dma_message, NULL, 300, true },
	{ "config-under-dma", config_under_dma, mend_pci, 300, true },
	{ "config", pci, mend_pci, 300, false },
	{ "forge", act_forge, mend_pci, 300, false },
	{ "storm-messages", act_storm_messages, NULL, 1000, false },
	{ "storm-pin", act_storm_pin, NULL, 1000, false },
	{ "uplink", act_vq, mend_vq, 300, false },
	{ "uplink-resets", act_reset_flood, mend_vq, 300, false },
	{ "bar-walk", act_bar_walk, mend_pci, 1000, false },
};

static void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0 };

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void hang(void)
{
	for (;;)
		cpu_pause();
}

static void end_well(void)
{
	guest_end(0);
}

static void end_badly(void)
{
	guest_end(1);
}

static void (*const deaths[])(void) = { triple_fault, hang, end_well, end_badly };

enum { DEATHS = sizeof(deaths) / sizeof(deaths[0]) };

static void feed(void)
{
	(void)hypercall(HC_WATCHDOG, WATCHDOG_MS, 0);
}

/* What nobody has written yet is zero: nothing of another's, and nothing of what was under way. */
static bool memory_is_fresh(void)
{
	const uint64_t *word = (const uint64_t *)arena_base();

	for (unsigned i = 0; i < ARENA_BYTES / sizeof(*word); i++)
		if (word[i])
			return false;
	return true;
}

static void look_around(void)
{
	print("%s attack: memory that nobody has written is zero\n",
	      memory_is_fresh() ? "PASS" : "FAIL");
	print("%s attack: the NIC is silent\n", nic_is_silent() ? "PASS" : "FAIL");
	print("%s attack: its PHY is as after a reset\n", nic_phy_is_plain() ? "PASS" : "FAIL");
}

enum { ACTS = sizeof(acts) / sizeof(acts[0]) };

/* NULL: any. */
static const struct act *act_named(const char *args)
{
	char name[24];

	if (!args_string(args, "only", name, sizeof(name)))
		return NULL;
	for (unsigned i = 0; i < ACTS; i++)
		if (!strcmp(acts[i].name, name))
			return &acts[i];
	guest_fail("attack: only=%s: there is no such act", name);
}

static void one_act(uint64_t seed, unsigned round, bool dma, const struct act *only)
{
	const struct act *a = only;

	random_seed(seed, 0, round);
	while (!a || (!only && a->dma && !dma))
		a = &acts[random_below(ACTS)];
	print("attack: %s\n", a->name);
	feed();
	attempt(a->act, a->limit_ms);
	if (a->mend)
		attempt_mend(a->mend);
	attempt_mend(nic_calm);
}

int guest_main(void)
{
	uint64_t seed, count, dma, old, busy, end, begin;
	const char *args = guest_cmdline();

	lapic_init();
	clock_init();
	begin = rdtsc();
	if (!args_u64(args, "seed", 0, &seed) || !args_u64(args, "acts", 8, &count) ||
	    !args_u64(args, "dma", 1, &dma) || !args_u64(args, "old", 0, &old) ||
	    !args_u64(args, "busy", 0, &busy) || !args_u64(args, "end", DEATHS, &end))
		guest_fail("attack: seed, acts, dma, old, busy and end are numbers");
	if (!nic_find())
		guest_fail("attack: no NIC was passed through");
	if (!seed)
		seed = clock_wall_ns() / 1000;
	arena_find();
	print("attack: seed %lu\n", seed);
	look_around();
	recover_init();
	random_spares_messages = true;
	while (busy)
		cpu_pause();
	feed();
	if (old) {
		dma_old_message();
		return 0;
	}
	random_seed(seed, 2, 0);
	attempt(act_borrow, 300);
	if (one_in(4))
		count = 0; /* it dies with what it has borrowed */
	for (unsigned i = 0; i < count; i++)
		one_act(seed, i, dma, act_named(args));
	while (rdtsc() - begin < clock_ms(LIFE_MS)) /* who dies young has to wait */
		cpu_pause();
	feed();
	random_seed(seed, 1, 0);
	if (dma && one_in(2))
		dma_leave_running();
	end = end < DEATHS ? end : random_below(DEATHS);
	print("attack: end %lu\n", end);
	deaths[end]();
	return 1;
}
