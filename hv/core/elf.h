/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ELF64 as far as the loader (the core's image), the PVH loader (guest kernels) and the config
 * check need it. "System V Application Binary Interface", chapters 4 and 5; the PVH note is from
 * Xen's "x86/HVM direct boot ABI".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ELF_CLASS_64 = 2,  /* ident[4] */
	ELF_DATA_LSB = 1,  /* ident[5] */
	ELF_TYPE_EXEC = 2, /* type */
	ELF_TYPE_DYN = 3,
	ELF_MACHINE_X86_64 = 62,
	ELF_PT_LOAD = 1, /* program header type */
	ELF_PT_NOTE = 4,
	ELF_PF_X = 1, /* program header flags */
	ELF_PF_W = 2,
	ELF_PF_R = 4,
	ELF_SHT_SYMTAB = 2, /* section header type */
	ELF_NOTE_PVH = 18,  /* XEN_ELFNOTE_PHYS32_ENTRY, name "Xen" */
};

struct elf64_ehdr {
	uint8_t ident[16];
	uint16_t type;
	uint16_t machine;
	uint32_t version;
	uint64_t entry;
	uint64_t phoff;
	uint64_t shoff;
	uint32_t flags;
	uint16_t ehsize;
	uint16_t phentsize;
	uint16_t phnum;
	uint16_t shentsize;
	uint16_t shnum;
	uint16_t shstrndx;
};

struct elf64_phdr {
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t vaddr;
	uint64_t paddr;
	uint64_t filesz;
	uint64_t memsz;
	uint64_t align;
};

struct elf64_shdr {
	uint32_t name;
	uint32_t type;
	uint64_t flags;
	uint64_t addr;
	uint64_t offset;
	uint64_t size;
	uint32_t link; /* of a symbol table: index of its string table */
	uint32_t info;
	uint64_t addralign;
	uint64_t entsize;
};

struct elf64_sym {
	uint32_t name;
	uint8_t info;
	uint8_t other;
	uint16_t shndx;
	uint64_t value;
	uint64_t size;
};

struct elf64_note { /* then name and desc, each padded to 4 bytes (8 if the segment's align is 8) */
	uint32_t namesz;
	uint32_t descsz;
	uint32_t type;
};

_Static_assert(sizeof(struct elf64_ehdr) == 64, "ELF64 header");
_Static_assert(sizeof(struct elf64_phdr) == 56, "ELF64 program header");
_Static_assert(sizeof(struct elf64_shdr) == 64, "ELF64 section header");
_Static_assert(sizeof(struct elf64_sym) == 24, "ELF64 symbol");
_Static_assert(sizeof(struct elf64_note) == 12, "ELF64 note");

/* offset and length of a part of so many bytes; no sum that could overflow. */
static inline bool inside(uint64_t offset, uint64_t length, uint64_t bytes)
{
	return offset <= bytes && length <= bytes - offset;
}

/*
 * Reads of a file that may hold anything: false if the header or the table does not lie inside
 * data[0..bytes). Nothing else is checked by elf64_phdr_at(). data needs no alignment.
 */
bool elf64_header(const void *data, size_t bytes, struct elf64_ehdr *ehdr);
bool elf64_phdr_at(const void *data, size_t bytes, const struct elf64_ehdr *ehdr, unsigned index,
		   struct elf64_phdr *phdr);

/* Where the memory of the highest segment ends that is loaded; 0: there is none, or no ELF header. */
uint64_t elf64_end(const void *data, size_t bytes);

/* Where an initrd goes behind such a kernel: as high as it may below top; 0: nowhere. */
uint64_t elf64_initrd_at(uint64_t kernel_end, uint64_t initrd_bytes, uint64_t top);

/* Whether a file that may hold anything is a guest that says so (lasthop/dma_offset.h). */
bool elf64_adds_dma_offset(const void *data, size_t bytes);

/* The PVH entry point (guest-physical, below 4 GiB) from the note; false if there is none. */
bool elf64_pvh_entry(const void *data, size_t bytes, const struct elf64_ehdr *ehdr,
		     uint32_t *entry);

/* The function or label of a file that may hold anything which `address` is in, and how far into it; NULL: it has
 * none, or no symbols. Points into the file. (hv/core/elf_symbols.c) */
const char *elf64_symbol(const void *file, size_t bytes, uint64_t address, uint64_t *offset);
