/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names for addresses of a guest, from its kernel's file, which may hold anything. The table is searched from
 * end to end: somebody asks for one address.
 */
#include "hv/core/elf.h"

#include <string.h>

enum { MAX_SECTIONS = 512, STT_NOTYPE = 0, STT_FUNC = 2 };
#define MAX_SYMBOLS  (1u << 20)	 /* more than any kernel has */
#define MOST_UNSIZED (64u << 10) /* bytes behind a label that tells no size */

static bool section_at(const uint8_t *data, size_t bytes, const struct elf64_ehdr *ehdr,
		       unsigned index, struct elf64_shdr *out)
{
	uint64_t step = (uint64_t)index * sizeof(*out);

	if (index >= ehdr->shnum || ehdr->shentsize != sizeof(*out) || ehdr->shoff > bytes ||
	    !inside(ehdr->shoff + step, sizeof(*out), bytes))
		return false;
	memcpy(out, data + ehdr->shoff + step, sizeof(*out));
	return true;
}

/* The symbol table and its strings, both inside of the file. */
static bool find_tables(const uint8_t *data, size_t bytes, struct elf64_shdr *symbols,
			struct elf64_shdr *strings)
{
	struct elf64_ehdr ehdr;

	if (!elf64_header(data, bytes, &ehdr))
		return false;
	for (unsigned i = 0; i < MAX_SECTIONS && section_at(data, bytes, &ehdr, i, symbols); i++)
		if (symbols->type == ELF_SHT_SYMTAB)
			return section_at(data, bytes, &ehdr, symbols->link, strings) &&
			       inside(symbols->offset, symbols->size, bytes) &&
			       inside(strings->offset, strings->size, bytes);
	return false;
}

const char *elf64_symbol(const void *file, size_t bytes, uint64_t address, uint64_t *offset)
{
	const uint8_t *data = file;
	struct elf64_shdr symbols, strings;
	struct elf64_sym best = { 0 };

	if (!find_tables(data, bytes, &symbols, &strings))
		return NULL;
	for (uint64_t i = 0; i < symbols.size / sizeof(best) && i < MAX_SYMBOLS; i++) {
		struct elf64_sym s;
		unsigned type;

		memcpy(&s, data + symbols.offset + i * sizeof(s), sizeof(s));
		type = s.info & 15;
		if ((type == STT_FUNC || type == STT_NOTYPE) && s.shndx != 0 && s.name != 0 &&
		    s.value <= address && s.value >= best.value &&
		    address - s.value < (s.size ? s.size : MOST_UNSIZED))
			best = s;
	}
	if (best.name == 0 || best.name >= strings.size ||
	    strnlen((const char *)data + strings.offset + best.name, strings.size - best.name) ==
		    strings.size - best.name)
		return NULL;
	*offset = address - best.value;
	return (const char *)data + strings.offset + best.name;
}
