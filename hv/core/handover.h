/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the loader leaves to the core when it jumps: the machine's memory map, the config, the
 * guest images and the log so far. All addresses are host-physical. Everything named here lies
 * in memory of kind MEM_HANDOVER, which the core keeps for as long as it runs.
 *
 * State at the jump (hv/core/entry.S): 64-bit mode, interrupts off, RDI = address of struct
 * handover *in the direct map*, page tables of the loader: identity and direct map of all
 * physical memory below the highest RAM address and at least 4 GiB (2 MiB pages, RWX), and the
 * core's image at its link address. The core replaces them at once (hv/core/paging.c).
 */
#pragma once

#include <stdint.h>

#define HANDOVER_MAGIC	 0x504f485453414cULL /* "LASTHOP" */
#define HANDOVER_VERSION 1

#define DIRECT_MAP_BASE 0xffff800000000000ULL /* HPA 0 is mapped here */
#define CORE_BASE	0xffffffff80000000ULL /* link address of the core's image */

enum mem_kind {
	MEM_USABLE,   /* free RAM: the core may use it */
	MEM_HANDOVER, /* RAM that holds what the loader handed over, the core's image included */
	MEM_ACPI,     /* RAM with ACPI tables; readable, never reused */
	MEM_RESERVED, /* anything else: firmware run-time memory, unusable RAM, device memory */
};

struct handover_range { /* sorted by base, page-aligned, not overlapping */
	uint64_t base;
	uint64_t bytes;
	uint32_t kind; /* enum mem_kind */
	uint32_t reserved;
};

struct handover_image { /* a file named in the config, read once; restart takes a fresh copy */
	char name[64];	/* as in the config, NUL-terminated */
	uint64_t addr;
	uint64_t bytes;
};

struct handover_fb { /* linear framebuffer, as firmware has it: unchecked; addr = 0: there is none */
	uint64_t addr;
	uint64_t bytes;
	uint32_t width, height, stride_px;
	uint32_t red, green, blue,
		unused; /* bits of a pixel, which has as many bytes as they need */
};

struct handover {
	uint64_t magic;
	uint32_t version;
	uint32_t bytes; /* sizeof(struct handover) */

	uint64_t ranges; /* struct handover_range[range_count] */
	uint64_t images; /* struct handover_image[image_count] */
	uint32_t range_count;
	uint32_t image_count;

	uint64_t core_addr; /* where the image was put (2 MiB aligned) and its size in memory */
	uint64_t core_bytes;
	uint64_t symtab; /* Elf64_Sym[symtab_count] and string table of the core, for back traces */
	uint64_t symtab_count;
	uint64_t strtab;
	uint64_t strtab_bytes;

	uint64_t dtb;
	uint64_t dtb_bytes;
	uint64_t rsdp;	     /* from the EFI system table, 0 if there is none */
	uint64_t trampoline; /* one page below 1 MiB for starting the other CPUs */
	uint64_t log;	     /* struct log_area, with what the loader has printed */
	uint64_t dead; /* the last lines of the boot before, if it died: printable, whole lines */
	uint64_t dead_bytes; /* 0: it did not */
	struct handover_fb fb;
	uint64_t
		check_only; /* 1: no config was read, and no VM is to be started (hv/dev/check_only.h) */
};
