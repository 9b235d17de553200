/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The 256 entry points of the IDT and the common path: builds struct trap_frame (hv/core/trap.c)
 * on the stack and calls trap_handle(). Each stub is 16 bytes, so that the IDT needs no table.
 * Vectors with an error code from the processor: SDM 3A, "Exception and Interrupt Reference".
 */

	.text
	.globl	trap_stubs
	.type	trap_stubs, @function
	.balign	16
trap_stubs:
vector = 0
.rept 256
	.balign	16
.if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || \
	(vector == 29) || (vector == 30)
.else
	push	$0
.endif
	push	$vector
	jmp	trap_common
vector = vector + 1
.endr
	.size	trap_stubs, . - trap_stubs

	.type	trap_common, @function
trap_common:
	cld
	push	%rax
	push	%rcx
	push	%rdx
	push	%rbx
	push	%rbp
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %rdi
	call	trap_handle
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rbp
	pop	%rbx
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp /* vector, error code */
	iretq
	.size	trap_common, . - trap_common

	.section .note.GNU-stack, "", @progbits
