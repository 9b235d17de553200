/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the firmware's page tables to those of handover.h. This code and the stack are identity
 * mapped in both. The stack is left too: the firmware's lies in memory that is free from here on.
 */
	.text
	.globl	jump
	.hidden	jump
	.type	jump, @function
jump: /* rdi: CR3, rsi: top of the stack, rdx: struct handover in the direct map, rcx: entry */
	cli
	cld
	mov	%rdi, %cr3
	mov	%rsi, %rsp
	mov	%rdx, %rdi
	xor	%ebp, %ebp
	jmp	*%rcx
	.size	jump, . - jump

	.section .note.GNU-stack, "", @progbits
