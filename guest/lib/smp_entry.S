/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a started processor begins (SDM 3A, "MP Initialization Protocol"): real mode at
 * vector << 12, in a copy of what is between smp_trampoline and its end, so all addresses in it
 * are relative to CS. From there into long mode at once, on the boot processor's page tables.
 * RDX, CR0 and CS as they were go to smp_begin(). RSP is good for an NMI in each mode, from the
 * beginning; one that comes in long mode, before the IDT is there, may be sent to smp_begin64.
 */
#include "guest/lib/smp.h"

	.text
	.globl	smp_trampoline, smp_trampoline_end, smp_begin64
	.code16
smp_trampoline:
	cli
	movl	%cr0, %esi
	movl	%edx, %ebp
	xorl	%edi, %edi
	movw	%cs, %di
	movw	%di, %ds
	movl	$1, %eax		/* EBX[31:24]: the initial APIC ID */
	cpuid
	shrl	$24, %ebx
	shll	$6, %ebx
	leal	SMP_FIRST_STACKS + 64(%ebx), %esp
	lgdtl	1f - smp_trampoline
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$page_pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	$0x80010033, %eax	/* PG, WP, NE, ET, MP, PE */
	movl	%eax, %cr0
	ljmpl	$0x10, $smp_begin64
1:	.word	GDT_BYTES - 1
	.long	gdt
smp_trampoline_end:

	.code64
smp_begin64:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$1, %eax
	cpuid
	shrl	$24, %ebx
	movl	%ebx, %eax
	incl	%eax
	imull	$SMP_STACK, %eax, %esp
	addl	$smp_stacks, %esp
	movl	%ebp, %edx
	movl	%ebx, %ecx
	xorl	%ebp, %ebp
	call	smp_begin		/* (cs, cr0, edx, id) */
2:	cli
	hlt
	jmp	2b

	.bss
	.balign	4096
	.globl	smp_stacks
smp_stacks:
	.skip	SMP_MAX * SMP_STACK

	.section .note.GNU-stack, "", @progbits
