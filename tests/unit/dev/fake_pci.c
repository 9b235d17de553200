/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_pci.h. */
#include "tests/unit/dev/fake_pci.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char fake_journal[8192];
unsigned fake_config_reads;
void (*fake_config_written)(struct fake_function *f, unsigned at, unsigned bytes);

static struct fake_function functions[FAKE_FUNCTIONS];
static unsigned function_count;
static size_t journal_fill;

void fake_pci_reset(void)
{
	memset(functions, 0, sizeof(functions));
	memset(fake_journal, 0, sizeof(fake_journal));
	function_count = fake_config_reads = 0;
	journal_fill = 0;
	fake_config_written = NULL;
}

void fake_journal_clear(void)
{
	memset(fake_journal, 0, sizeof(fake_journal));
	journal_fill = 0;
}

void fake_pci_set(struct fake_function *f, unsigned at, unsigned bytes, uint32_t value)
{
	memcpy(&f->config[at], &value, bytes);
}

uint32_t fake_pci_get(const struct fake_function *f, unsigned at, unsigned bytes)
{
	uint32_t value = 0;

	memcpy(&value, &f->config[at], bytes);
	return value;
}

static void allow(struct fake_function *f, unsigned at, unsigned bytes, uint32_t mask)
{
	memcpy(&f->writable[at], &mask, bytes);
}

struct fake_function *fake_pci_add(uint8_t bus, uint8_t device, uint8_t function, uint32_t id)
{
	struct fake_function *f = &functions[function_count++];

	f->address = (struct pci_address){ bus, (uint8_t)(device << 3 | function) };
	f->capabilities_end = 0x40;
	fake_pci_set(f, 0, 4, id);
	fake_pci_set(f, 4, 2, 7);
	fake_pci_set(f, 8, 4, 0x02000001);
	fake_pci_set(f, 0x2c, 4, 0x00011af4);
	allow(f, 4, 2, 0x0407);
	allow(f, 0x3c, 1, 0xff);
	return f;
}

struct fake_function *fake_pci_bridge(uint8_t bus, uint8_t device, uint8_t secondary, int type)
{
	struct fake_function *f = fake_pci_add(bus, device, 0, 0x000c1b36);

	fake_pci_set(f, 8, 4, 0x06040000);
	fake_pci_set(f, 0x0e, 1, 1);
	fake_pci_set(f, 0x19, 1, secondary);
	allow(f, 0x3e, 2, 0xffff);
	if (type >= 0)
		fake_pci_express(f, (unsigned)type, 0);
	return f;
}

void fake_pci_bar(struct fake_function *f, unsigned bar, uint64_t base, uint64_t bytes,
		  unsigned flags)
{
	uint64_t mask = ~(bytes - 1);

	fake_pci_set(f, 0x10 + 4 * bar, 4, (uint32_t)base | flags);
	allow(f, 0x10 + 4 * bar, 4, (uint32_t)mask);
	if (flags & 4) {
		fake_pci_set(f, 0x14 + 4 * bar, 4, (uint32_t)(base >> 32));
		allow(f, 0x14 + 4 * bar, 4, (uint32_t)(mask >> 32));
	}
}

unsigned fake_pci_capability(struct fake_function *f, uint8_t id, unsigned bytes)
{
	unsigned at = f->capabilities_end;

	fake_pci_set(f, at, 1, id);
	fake_pci_set(f, f->last_capability ? f->last_capability + 1 : 0x34, 1, at);
	fake_pci_set(f, 6, 2, 0x10);
	f->last_capability = at;
	f->capabilities_end = (at + bytes + 3) & ~3u;
	return at;
}

unsigned fake_pci_express(struct fake_function *f, unsigned type, unsigned flr)
{
	unsigned at = fake_pci_capability(f, 0x10, 60);

	fake_pci_set(f, at + 2, 2, 2 | type << 4);
	fake_pci_set(f, at + 4, 4, flr << 28);
	allow(f, at + 8, 2, 0x7fff); /* the bit that initiates FLR reads zero */
	return at;
}

void fake_pci_acs(struct fake_function *f, uint16_t capabilities)
{
	fake_pci_set(f, 0x100, 4, 0x14010001); /* another one before it */
	fake_pci_set(f, 0x140, 4, 0x0001000d);
	fake_pci_set(f, 0x144, 2, capabilities);
	allow(f, 0x146, 2, capabilities);
}

static struct fake_function *function_at(struct pci_address a)
{
	for (unsigned i = 0; i < function_count; i++)
		if (pci_requester(functions[i].address) == pci_requester(a))
			return &functions[i];
	return NULL;
}

uint32_t host_pci_read(struct pci_address address, unsigned at, unsigned bytes)
{
	const struct fake_function *f = function_at(address);

	if (at % bytes || at + bytes > 4096)
		abort();
	fake_config_reads++;
	return f ? fake_pci_get(f, at, bytes) : ~0u >> (32 - 8 * bytes);
}

void host_pci_write(struct pci_address address, unsigned at, unsigned bytes, uint32_t value)
{
	struct fake_function *f = function_at(address);

	if (at % bytes || at + bytes > 4096 || !f)
		abort();
	for (unsigned i = 0; i < bytes; i++) {
		uint8_t mask = f->writable[at + i];

		f->config[at + i] =
			(uint8_t)((f->config[at + i] & ~mask) | ((value >> 8 * i) & mask));
	}
	if (journal_fill < sizeof(fake_journal) - 64)
		journal_fill += (size_t)snprintf(
			fake_journal + journal_fill, 64, PCI_ADDRESS_FORMAT " %02x.%u=%0*x\n",
			PCI_ADDRESS_ARGS(address), at, bytes, (int)(2 * bytes), value);
	if (fake_config_written)
		fake_config_written(f, at, bytes);
}
