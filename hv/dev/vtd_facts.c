/* SPDX-License-Identifier: BSD-2-Clause */
/* Looks at the remapping units, and changes nothing. */
#include "hv/dev/vtd_features.h"

#include <string.h>

#include "hv/core/paging.h"
#include "hv/dev/dmar.h"
#include "hv/dev/vtd_impl.h"

void iommu_facts_read(struct iommu_facts *f, const void *table, size_t bytes)
{
	static struct dmar dmar;

	memset(f, 0, sizeof(*f));
	if (!table || dmar_parse(&dmar, table, bytes) < 0)
		return;
	f->present = f->read = true;
	f->interrupts = dmar.interrupts;
	f->cap = f->ecap = ~0ull;
	for (unsigned i = 0; i < dmar.unit_count; i++) {
		struct vtd_unit unit = { .base = dmar.unit[i].base,
					 .regs = map_device(dmar.unit[i].base, VTD_REGISTERS_END) };

		if (!unit.regs || vtd_read32(&unit, VTD_VER) == ~0u)
			continue;
		f->cap &= vtd_read64(&unit, VTD_CAP);
		f->ecap &= vtd_read64(&unit, VTD_ECAP);
		f->units++;
	}
	f->known = f->units > 0 && f->units == dmar.unit_count;
}
