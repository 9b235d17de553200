/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of what is wanted of a remapping unit ("Capability Register" and the extended one). */
#include "hv/dev/vtd_features.h"

#include "hv/dev/vtd_impl.h"

static const struct {
	bool extended; /* a bit of ECAP, else of CAP: one of them is enough */
	uint64_t bits;
	bool needed; /* for passthrough */
	const char *name;
} wanted[] = {
	{ true, ECAP_QI, true, "queued invalidation" },
	{ true, ECAP_IR, true, "interrupt remapping" },
	{ false, CAP_SAGAW_39 | CAP_SAGAW_48, true, "page tables of three or four levels" },
	{ true, ECAP_EIM, false, "interrupts to x2APIC identifiers" },
	{ true, ECAP_C, false, "coherent reads of tables" },
	{ true, ECAP_SC, false, "snoop control" },
	{ false, CAP_SLLPS_2M, false, "pages of 2 MiB" },
	{ false, CAP_SLLPS_1G, false, "pages of 1 GiB" },
};

static bool has(unsigned i, uint64_t cap, uint64_t ecap)
{
	return (wanted[i].extended ? ecap : cap) & wanted[i].bits;
}

const char *vtd_lacks(uint64_t cap, uint64_t ecap)
{
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (wanted[i].needed && !has(i, cap, ecap))
			return wanted[i].name;
	return NULL;
}

void iommu_features(const struct iommu_facts *f, feature_fn *report, void *context)
{
	const char *const part = "VT-d";

	report(context, part, "", "remapping units (table DMAR)", feature_state(f->present, false));
	if (!f->present)
		return;
	report(context, part, "", "firmware lets interrupts be remapped",
	       f->read ? feature_state(f->interrupts, false) : FEATURE_UNKNOWN);
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		report(context, part, "", wanted[i].name,
		       f->known ? feature_state(has(i, f->cap, f->ecap), false) : FEATURE_UNKNOWN);
}
