/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linux's kernel image for x86 as far as its check (config_bzimage.c) and its loader
 * (linux_boot.c) need it: the setup header of a bzImage ("The Linux/x86 Boot Protocol",
 * Documentation/x86/boot.rst; offsets are those of the document).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BZIMAGE_HEADER_AT     0x1f1u /* in the file and in boot_params alike */
#define BZIMAGE_HEADER_LIMIT  0x290u /* boot_params goes on with something else here */
#define BZIMAGE_ENTRY_64      0x200u /* 64-bit entry, from the load address on */
#define BZIMAGE_LOADED_HIGH   0x01u  /* loadflags: loaded at 1 MiB or above */
#define BZIMAGE_XLF_KERNEL_64 0x01u  /* xloadflags: has the 64-bit entry */

struct bzimage {
	uint16_t version; /* of the protocol: 0x20c is 2.12 */
	uint16_t xloadflags;
	uint32_t header_end;	/* offset in the file; at most BZIMAGE_HEADER_LIMIT */
	uint64_t payload_at;	/* offset of what is to be loaded … */
	uint64_t payload_bytes; /* … and its size; may be more than the file has (cut off) */
	uint64_t load_address;	/* pref_address */
	uint64_t init_bytes;	/* that the kernel wants from there on until it knows its memory */
	uint64_t initrd_last;	/* highest address that the initrd may have */
	uint32_t cmdline_bytes; /* longest command line, without the NUL */
};

/* Reads the header of a file that may hold anything. False: it is no Linux boot image. Members
 * from xloadflags on are zero where the file's protocol is older than they are. */
bool bzimage_header(const void *data, size_t bytes, struct bzimage *out);

/* Where an initrd of this size goes: as high as it may, page-aligned, below top. 0: it does not fit
 * behind the kernel. */
uint64_t bzimage_initrd_at(const struct bzimage *image, uint64_t initrd_bytes, uint64_t top);
