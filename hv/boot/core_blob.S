/* SPDX-License-Identifier: BSD-2-Clause */
/* The core's ELF file inside the loader: one file to copy, and later to sign. CORE_ELF: its path. */
	.section .rodata.core_blob, "a"
	.globl	core_blob, core_blob_bytes
	.hidden	core_blob, core_blob_bytes
	.balign	16
core_blob:
	.incbin	CORE_ELF
core_blob_end:
	.balign	8
core_blob_bytes:
	.quad	core_blob_end - core_blob

	.section .note.GNU-stack, "", @progbits
