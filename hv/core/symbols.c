/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core's own ELF symbol table (System V ABI, "Symbol Table"), searched from end to end: that
 * happens only when the hypervisor dies, where no sorted copy needs to be trusted.
 */
#include "hv/core/symbols.h"

#include <stddef.h>
#include <string.h>

#define STT_FUNC 2

struct symbol { /* Elf64_Sym */
	uint32_t name;
	uint8_t info, other;
	uint16_t section;
	uint64_t value, size;
};
_Static_assert(sizeof(struct symbol) == 24, "Elf64_Sym");

extern char __text_start[], __text_end[];

static const struct symbol *symbols;
static uint64_t symbol_count;
static const char *strings;
static uint64_t string_bytes;

void symbols_init(const struct handover *h)
{
	if (!h->symtab || !h->strtab)
		return;
	symbols = (const struct symbol *)(DIRECT_MAP_BASE + h->symtab);
	symbol_count = h->symtab_count;
	strings = (const char *)(DIRECT_MAP_BASE + h->strtab);
	string_bytes = h->strtab_bytes;
}

const char *symbol_find(uint64_t address, uint64_t *offset)
{
	const struct symbol *best = NULL;

	if (address < (uint64_t)__text_start || address >= (uint64_t)__text_end)
		return NULL;
	for (uint64_t i = 0; i < symbol_count; i++) {
		const struct symbol *s = &symbols[i];

		if ((s->info & 15) == STT_FUNC && s->value <= address &&
		    (!best || s->value > best->value))
			best = s;
	}
	if (!best || best->name >= string_bytes ||
	    strnlen(strings + best->name, string_bytes - best->name) == string_bytes - best->name)
		return NULL;
	*offset = address - best->value;
	return strings + best->name;
}
