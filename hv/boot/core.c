/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The core's ELF file, which is a part of this program (core_blob.S), put where it can run: its
 * segments in one piece of memory, so that offset in memory = link address - CORE_BASE; and its
 * symbols, for back traces.
 */
#include "hv/boot/boot_impl.h"

#include <string.h>

#include "hv/core/elf.h"

extern const uint8_t core_blob[];
extern const uint64_t core_blob_bytes;

#define CORE_MAX_BYTES (256ull << 20) /* as core.lds says */

static bool damaged(void)
{
	return refuse(EFI_LOAD_ERROR, "BOOTX64.EFI is damaged: the core inside it is no image");
}

/* Checks every PT_LOAD, finds the end of all, and copies them if there is memory already. */
static bool segments(const struct elf64_ehdr *ehdr, uint8_t *memory, uint64_t *end)
{
	struct elf64_phdr p;

	for (unsigned i = 0; i < ehdr->phnum; i++) {
		if (!elf64_phdr_at(core_blob, core_blob_bytes, ehdr, i, &p))
			return false;
		if (p.type != ELF_PT_LOAD || !p.memsz)
			continue;
		uint64_t offset = p.vaddr - CORE_BASE;
		if (!inside(offset, p.memsz, CORE_MAX_BYTES) || p.filesz > p.memsz ||
		    !inside(p.offset, p.filesz, core_blob_bytes))
			return false;
		if (memory) /* zeroed already */
			memcpy(memory + offset, core_blob + p.offset, p.filesz);
		if (offset + p.memsz > *end)
			*end = offset + p.memsz;
	}
	return *end > 0;
}

static bool section(const struct elf64_ehdr *ehdr, unsigned index, struct elf64_shdr *shdr)
{
	uint64_t step = (uint64_t)index * sizeof(*shdr);

	if (index >= ehdr->shnum || ehdr->shentsize != sizeof(*shdr) ||
	    ehdr->shoff > core_blob_bytes ||
	    !inside(ehdr->shoff + step, sizeof(*shdr), core_blob_bytes))
		return false;
	memcpy(shdr, core_blob + ehdr->shoff + step, sizeof(*shdr));
	return true;
}

static uint64_t copy_section(const struct elf64_shdr *s)
{
	if (!inside(s->offset, s->size, core_blob_bytes) || !s->size)
		return 0;
	void *copy = pages_alloc(s->size, PAGES_HANDOVER, UINT64_MAX);
	if (copy)
		memcpy(copy, core_blob + s->offset, s->size);
	return (uintptr_t)copy;
}

/* Without symbols the core works as well: a back trace has numbers only then. */
static void load_symbols(const struct elf64_ehdr *ehdr)
{
	struct handover *h = boot.handover;
	struct elf64_shdr symtab, strtab;

	for (unsigned i = 0; section(ehdr, i, &symtab); i++) {
		if (symtab.type != ELF_SHT_SYMTAB || !section(ehdr, symtab.link, &strtab))
			continue;
		h->symtab = copy_section(&symtab);
		h->strtab = copy_section(&strtab);
		if (!h->symtab || !h->strtab) {
			h->symtab = h->strtab = 0;
			return;
		}
		h->symtab_count = symtab.size / sizeof(struct elf64_sym);
		h->strtab_bytes = strtab.size;
		return;
	}
}

bool load_core(uint64_t *entry)
{
	struct handover *h = boot.handover;
	struct elf64_ehdr ehdr;
	uint64_t bytes = 0;

	if (!elf64_header(core_blob, core_blob_bytes, &ehdr) || ehdr.ident[4] != ELF_CLASS_64 ||
	    ehdr.machine != ELF_MACHINE_X86_64 || !segments(&ehdr, NULL, &bytes) ||
	    ehdr.entry < CORE_BASE || ehdr.entry - CORE_BASE >= bytes)
		return damaged();
	bytes = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	uint8_t *memory = pages_alloc_large(bytes);
	if (!memory)
		return refuse(EFI_OUT_OF_RESOURCES, "no memory for the core with %lu KiB",
			      (unsigned long)bytes >> 10);
	uint64_t end = 0;
	if (!segments(&ehdr, memory, &end))
		return damaged();
	h->core_addr = (uintptr_t)memory;
	h->core_bytes = bytes;
	load_symbols(&ehdr);
	*entry = ehdr.entry;
	say("core: %lu KiB at 0x%lx\n", (unsigned long)bytes >> 10, (unsigned long)h->core_addr);
	return true;
}
