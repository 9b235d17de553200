/* SPDX-License-Identifier: BSD-2-Clause */
/* The rest of the round, one thing over and over: what an exit costs must not become what another
 * guest pays. The watchdog ends it. */
#include "guest/abuse/abuse.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/runtime.h"

static void refused_msr(void)
{
	(void)rdmsr(0xdeadbeef);
}

static void self_ipi(void)
{
	wrmsr(MSR_X2APIC + LAPIC_SELF_IPI, IRQ_TEST);
	__asm__ volatile("pause; wbinvd");
}

static void wild_hypercall(void)
{
	(void)hypercall(random_u64(), random_u64(), 0);
}

static void port(void)
{
	out32(0xcf8, in32(0xcfc));
}

static void nmi(void)
{
	wrmsr(MSR_X2APIC + 0x30, 0x400 | (uint64_t)lapic_id() << 32 /* NMI to ourselves */);
	(void)cpuid(0, 0);
}

void act_storm(void)
{
	static abuse_act *const acts[] = { self_ipi, wild_hypercall, port, nmi, refused_msr };
	abuse_act *act = acts[random_below(sizeof(acts) / sizeof(acts[0]))];

	for (;;)
		act();
}
