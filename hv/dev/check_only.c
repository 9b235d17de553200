/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each CPU reads its own features, and those that differ from the boot CPU's are counted: the
 * backends refuse them.
 */
#include "hv/dev/check_only.h"

#include <stdatomic.h>
#include <string.h>

#include "hv/core/acpi.h"
#include "hv/core/console.h"
#include "hv/core/log.h"
#include "hv/core/platform.h"
#include "hv/core/report.h"
#include "hv/core/smp.h"
#include "hv/core/trap.h"
#include "hv/cpu/cpu_features.h"
#include "hv/dev/vtd_features.h"

static struct cpu_facts boot_cpu_facts; /* (c) once other CPUs run */
static _Atomic unsigned differing, compared;

static bool read_here(void *context, uint32_t msr, uint64_t *value)
{
	(void)context;
	*value = rdmsr(msr);
	return true;
}

static void compare(void)
{
	struct cpu_facts mine;

	cpu_facts_read(&mine, read_here, NULL);
	if (memcmp(&mine, &boot_cpu_facts, sizeof(mine)))
		atomic_fetch_add(&differing, 1);
	atomic_fetch_add(&compared, 1);
	cpu_halt();
}

static void start_and_compare(const struct handover *h)
{
	uint64_t begin;

	cpu_facts_read(&boot_cpu_facts, read_here, NULL);
	smp_start(h->trampoline, compare);
	begin = rdtsc();
	while (atomic_load(&compared) + 1 < cpu_count)
		cpu_await(begin, cpu_count - 1, "it was to tell its features");
}

static void tell(void *context, const char *part, const char *where, const char *name,
		 enum feature_state state)
{
	unsigned *missing = context;

	*missing += state == FEATURE_MISSING;
	log_printf("check: %-5s %s%s%s: %s", part, where, where[0] ? " " : "", name,
		   feature_state_name(state));
	report_feature(part, where, name, feature_state_name(state));
}

void check_only(const struct handover *h)
{
	struct iommu_facts iommu;
	unsigned missing = 0;

	start_and_compare(h);
	platform->host_devices_find();
	iommu_facts_read(&iommu, acpi.dmar, acpi.dmar_bytes);
	cpu_features(&boot_cpu_facts, cpu_count, atomic_load(&differing), tell, &missing);
	iommu_features(&iommu, tell, &missing);
	nic_features(true, tell, &missing);
	if (missing)
		log_printf("check: lasthop cannot run here, see MISSING above");
	else
		log_printf("check: lasthop can run here");
	log_set_orderly(true);
	report_end();
	log_printf(
		"all VMs have ended: this was only a check; switch the machine off, or reset it");
	console_flush(CONSOLE_ALL);
	cpu_halt();
}
