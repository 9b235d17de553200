/* SPDX-License-Identifier: BSD-2-Clause */
/* What is wanted of a NIC that is to be passed through to a driver domain: all of it is optional. */
#include "hv/core/log.h"
#include "hv/dev/pci_scan.h"
#include "hv/dev/vtd_features.h"
#include "lasthop/nics.h"

#define NETWORK_CLASS 0x02u

static bool is_bundled(const struct host_function *f)
{
#define IS(name, number, model) (f->vendor == (number) && f->device == (model)) ||
	return BUNDLED_NICS(IS) false;
#undef IS
}

/* Nobody else would lose his device, or reach this one's, if it were passed through. */
static bool is_alone(const struct host_function *f)
{
	struct host_group mine = host_group_of(f);

	for (unsigned i = 0; i < host_function_count; i++) {
		const struct host_function *other = &host_functions[i];
		struct host_group its = host_group_of(other);

		if (other != f && other->header == PCI_HEADER_ENDPOINT && its.bus == mine.bus &&
		    its.devfn == mine.devfn && its.whole_bus == mine.whole_bus)
			return false;
	}
	return true;
}

static void one(const struct host_function *f, bool known, feature_fn *report, void *context)
{
	const struct {
		const char *name;
		bool there;
		bool in_header; /* anybody may read it */
	} wanted[] = {
		{ "bundled driver (else Linux as driver domain)", is_bundled(f), true },
		{ "MSI-X or MSI", f->msix || f->msi, false },
		{ "function-level reset", f->resets, false },
		{ "a group of its own for the IOMMU", is_alone(f), false },
	};
	char where[24];

	snprintf(where, sizeof(where), PCI_ADDRESS_FORMAT " %04x:%04x",
		 PCI_ADDRESS_ARGS(f->address), f->vendor, f->device);
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		report(context, "NIC", where, wanted[i].name,
		       known || wanted[i].in_header ? feature_state(wanted[i].there, false)
						    : FEATURE_UNKNOWN);
}

void nic_features(bool known, feature_fn *report, void *context)
{
	for (unsigned i = 0; i < host_function_count; i++)
		if (host_functions[i].class_code >> 16 == NETWORK_CLASS &&
		    host_functions[i].header == PCI_HEADER_ENDPOINT)
			one(&host_functions[i], known, report, context);
}
