/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A call that can be left from anywhere below it, handlers of exceptions and interrupts included:
 * the stack pointer is kept, everything above it is given up.
 */
	.text
	.globl	attempt_call, attempt_leave, attempt_user
attempt_call:				/* bool attempt_call(act) */
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	movq	%rsp, landing
	call	*%rdi
	cli
	xorl	%eax, %eax
	jmp	1f
attempt_leave:
	cld
	movl	$0x18, %eax		/* GDT_KERNEL_DATA */
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	movq	landing(%rip), %rsp
	movl	$1, %eax
1:	movq	$0, landing
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

attempt_user:				/* does not return: RDI = regs, RSI = RIP */
	pushq	$0x23			/* GDT_USER_DATA */
	pushq	4*8(%rdi)
	pushq	$0x202			/* interrupts on */
	pushq	$0x2b			/* GDT_USER_CODE */
	pushq	%rsi
	movl	$0x23, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movq	0*8(%rdi), %rax
	movq	1*8(%rdi), %rcx
	movq	2*8(%rdi), %rdx
	movq	3*8(%rdi), %rbx
	movq	5*8(%rdi), %rbp
	movq	6*8(%rdi), %rsi
	movq	8*8(%rdi), %r8
	movq	9*8(%rdi), %r9
	movq	10*8(%rdi), %r10
	movq	11*8(%rdi), %r11
	movq	12*8(%rdi), %r12
	movq	13*8(%rdi), %r13
	movq	14*8(%rdi), %r14
	movq	15*8(%rdi), %r15
	movq	7*8(%rdi), %rdi
	iretq

	.bss
	.balign	8
	.globl	landing
landing:
	.skip	8
	.section .note.GNU-stack, "", @progbits
