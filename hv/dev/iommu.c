/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/dev/iommu.h"

#include "hv/core/acpi.h"
#include "hv/core/log.h"
#include "hv/core/timer.h"
#include "hv/cpu/x86.h"
#include "hv/dev/vtd_impl.h"

#define POLL_US 50000u

const struct iommu_ops *iommu;

static struct timer poll_timer; /* of the boot CPU */

static void poll(struct timer *timer)
{
	iommu->poll_faults();
	timer_set(timer, rdtsc() + tsc_from_us(POLL_US));
}

int iommu_start(void)
{
	int error;

	if (!acpi.dmar) {
		log_printf("iommu: none");
		return 0;
	}
	error = vtd_start(acpi.dmar, acpi.dmar_bytes);
	if (error < 0)
		return error;
	iommu = &vtd_ops;
	timer_init(&poll_timer, poll);
	timer_set(&poll_timer, rdtsc() + tsc_from_us(POLL_US));
	return 0;
}
