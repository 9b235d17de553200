/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the loader share. The loader runs on the firmware's page tables, identity
 * mapped, on the boot CPU; a step returns false after refuse(), and efi_main() then gives all
 * memory back and returns to the firmware.
 */
#pragma once

#include <efi.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/core/config.h"
#include "hv/core/handover.h"

#define PAGE_BYTES 4096ull
#define LARGE_PAGE (2ull << 20)

struct boot {
	EFI_HANDLE image;
	EFI_SYSTEM_TABLE *system;
	EFI_BOOT_SERVICES *services;
	struct handover *handover; /* filled step by step */
	EFI_STATUS status;	   /* why nothing is started: set by refuse() */
};
extern struct boot boot;

/* text.c: screen, serial line and log. */
bool text_init(void);
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A line that the next one overwrites, not in the log; 100 ends it. */
void say_progress(const char *name, unsigned percent);
/* One sentence that says why nothing is started, also as event line. Returns false. */
bool refuse(EFI_STATUS status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The firmware may have gone in part: from here on COM1 is written by us, too. */
void text_alone(void);

/* memory.c: whole pages from the firmware. */
enum page_use {
	PAGES_HANDOVER, /* stay after the jump: MEM_HANDOVER */
	PAGES_SCRATCH,	/* free RAM for the core: MEM_USABLE */
};
/* Zeroed pages whose end is below `below`; NULL if there are none. */
void *pages_alloc(uint64_t bytes, enum page_use use, uint64_t below);
/* As well, with an address that is a multiple of 2 MiB; below 4 GiB if possible. */
void *pages_alloc_large(uint64_t bytes);
/* As well, at that address, and as they are; NULL if they are not free there. */
void *pages_at(uint64_t base, uint64_t bytes);
/* Gives back what was given last. */
void pages_free_last(void);
void pages_free_all(void);
/* The end of RAM, at least 4 GiB. */
bool memory_top(uint64_t *top);
/* Ends the firmware's boot services. On success nothing of them may be called any more, and
 * handover->ranges is complete; on failure it is told why. */
bool leave_firmware(void);

/* last_boot.c: where the log is to lie, begun; and what the boot before has left there, into
 * handover->dead. NULL: no memory. */
struct log_area;
struct log_area *log_area_find(void);

/* load.c: whether only the machine is to be checked; the config and the images that it names, into handover->dtb and ->images. */
bool check_is_wanted(void);
bool load_files(void);

/* core.c: the core's image and its symbols. */
bool load_core(uint64_t *entry);

/* paging.c: the page tables that handover.h describes; returns their physical address. */
bool build_page_tables(uint64_t top, uint64_t *cr3);

/* platform.c: framebuffer, ACPI and the page below 1 MiB, into handover. */
void find_framebuffer(void);
void find_rsdp(void);
bool take_trampoline(void);

/* jump.S: loads CR3 and the stack, and never comes back. */
_Noreturn void jump(uint64_t cr3, uint64_t stack, uint64_t handover, uint64_t entry);
