/* SPDX-License-Identifier: BSD-2-Clause */
/* See acpi.h. ACPI 6.5, section 5.2. All tables are in the identity-mapped low 4 GiB. */
#include "guest/lib/acpi.h"

#include <stddef.h>

#include "guest/lib/string.h"

struct __attribute__((packed)) rsdp { /* ACPI 6.5 table 5.3 */
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
};

enum { RSDP_V1_BYTES = 20, FADT_FACS = 36, FADT_DSDT = 40, FADT_X_DSDT = 140, TABLE_MAX = 1 << 20 };

_Static_assert(sizeof(struct acpi_header) == 36, "ACPI 6.5 table 5.4");

static const struct acpi_header *root;
static unsigned pointer_bytes = 8; /* XSDT: 8, RSDT: 4 */

bool acpi_sum_ok(const void *table, uint32_t bytes)
{
	const uint8_t *at = table;
	uint8_t sum = 0;

	if (!bytes || bytes > TABLE_MAX)
		return false;
	for (uint32_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + at[i]);
	return !sum;
}

void acpi_init(uint64_t at)
{
	const struct rsdp *rsdp = (const void *)(uintptr_t)at;

	if (!at || memcmp(rsdp->signature, "RSD PTR ", 8) || !acpi_sum_ok(rsdp, RSDP_V1_BYTES))
		return;
	if (rsdp->revision >= 2 && rsdp->xsdt && acpi_sum_ok(rsdp, rsdp->length)) {
		root = (const void *)(uintptr_t)rsdp->xsdt;
	} else {
		root = (const void *)(uintptr_t)rsdp->rsdt;
		pointer_bytes = 4;
	}
	if (!acpi_sum_ok(root, root->length))
		root = NULL;
}

const struct acpi_header *acpi_table_at(unsigned i)
{
	uint64_t at = 0;
	size_t offset = sizeof(*root) + (size_t)i * pointer_bytes;

	if (!root || offset + pointer_bytes > root->length)
		return NULL;
	memcpy(&at, (const char *)root + offset, pointer_bytes);
	return (const void *)(uintptr_t)at;
}

static const void *from_fadt(unsigned offset, unsigned wide)
{
	const struct acpi_header *fadt = acpi_table("FACP");
	uint64_t at = 0;

	if (!fadt)
		return NULL;
	if (wide && fadt->length >= wide + 8)
		memcpy(&at, (const char *)fadt + wide, 8);
	if (!at)
		memcpy(&at, (const char *)fadt + offset, 4);
	return (const void *)(uintptr_t)at;
}

const void *acpi_table(const char *signature)
{
	const struct acpi_header *table;

	if (!strcmp(signature, "FACS"))
		return from_fadt(FADT_FACS, 0);
	if (!strcmp(signature, "DSDT"))
		return from_fadt(FADT_DSDT, FADT_X_DSDT);
	for (unsigned i = 0; (table = acpi_table_at(i)); i++) {
		if (!memcmp(table->signature, signature, 4) && acpi_sum_ok(table, table->length))
			return table;
	}
	return NULL;
}
