/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table DMAR from the fuzzer, and the bridges that its paths lead through: nothing is read
 * beyond it, each device has one unit that there is, and a table that is refused is refused with
 * one line. Input: 64 bytes that configuration space reads as, then the table.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/dev/dmar.h"

#define CONFIG_BYTES 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static const uint8_t *config;
static unsigned complaints;

static void require(bool ok)
{
	if (!ok)
		abort();
}

int fail(enum lh_err err, const char *fmt, ...)
{
	(void)fmt;
	complaints++;
	return err;
}

uint32_t host_pci_read(struct pci_address address, unsigned at, unsigned bytes)
{
	require(bytes == 1 && at < 256);
	return config[(pci_requester(address) * 7u + at) % CONFIG_BYTES];
}

static void look_up(const struct dmar *d)
{
	require(d->unit_count > 0 && d->unit_count <= DMAR_MAX_UNITS);
	require(d->scope_count <= DMAR_MAX_SCOPES);
	for (unsigned i = 0; i < 0x10000; i += 0x83) {
		struct pci_address device = { (uint8_t)(i >> 8), (uint8_t)i }, source;
		int unit = dmar_unit_of(d, device);

		require(unit < (int)d->unit_count && unit >= -1);
		(void)dmar_is_reserved(d, device);
		(void)dmar_source(d, DMAR_IOAPIC, (uint8_t)i, &source);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct dmar d;
	uint8_t *table;
	int error;

	if (bytes <= CONFIG_BYTES)
		return 0;
	config = data;
	bytes -= CONFIG_BYTES;
	table = malloc(bytes);
	memcpy(table, data + CONFIG_BYTES, bytes);
	complaints = 0;
	error = dmar_parse(&d, table, bytes);
	require(complaints == (error != 0));
	if (!error)
		look_up(&d);
	free(table);
	return 0;
}
