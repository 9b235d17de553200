/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a CPU runs after SIPI (SDM 3A, "MP Initialization Protocol"): from real mode at page:0 to
 * 64-bit mode on the core's page tables, then ap_entry. Copied by smp.c into the page that the
 * loader reserved below 1 MiB; the page is mapped R-X by then, so nothing here is written later.
 * CR3 is loaded in 32-bit mode: the core's top table lies below 4 GiB.
 */

#define MSR_EFER      0xc0000080
#define EFER_LME_NXE  0x900
#define CR0_PE        0x1
#define CR0_PG_WP_PE  0x80010011 /* ET too */
#define CR4_PAE       0x20
#define SEL_CODE64    0x08
#define SEL_DATA32    0x10
#define SEL_CODE32    0x18

/* Offsets in the page. */
#define AT(symbol) ((symbol) - trampoline_start)

	.section .rodata.trampoline, "a"
	.balign	16
	.globl	trampoline_start, trampoline_end, trampoline_cr3, trampoline_target
	.globl	trampoline_base, trampoline_far32, trampoline_far64
	.code16
trampoline_start:
	cli
	cld
	mov	%cs, %ax
	mov	%ax, %ds
	xor	%ebx, %ebx
	mov	%ax, %bx
	shl	$4, %ebx		/* EBX: address of the page */
	lgdtl	AT(gdt_pointer)
	mov	$CR0_PE, %eax
	mov	%eax, %cr0
	ljmpl	*AT(trampoline_far32)

	.code32
protected:
	mov	$SEL_DATA32, %eax
	mov	%eax, %ds
	mov	%eax, %ss
	mov	$CR4_PAE, %eax
	mov	%eax, %cr4
	mov	AT(trampoline_cr3)(%ebx), %eax
	mov	%eax, %cr3
	mov	$MSR_EFER, %ecx
	rdmsr
	or	$EFER_LME_NXE, %eax
	wrmsr
	mov	$CR0_PG_WP_PE, %eax
	mov	%eax, %cr0
	ljmpl	*AT(trampoline_far64)(%ebx)

	.code64
long_mode:
	mov	AT(trampoline_target)(%rbx), %rax
	jmp	*%rax

	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* SEL_CODE64; "accessed" is set: the CPU need not */
	.quad	0x00cf93000000ffff	/* SEL_DATA32; write to the page, which is read-only */
	.quad	0x00cf9b000000ffff	/* SEL_CODE32 */
gdt_pointer:
	.word	gdt_pointer - gdt - 1
trampoline_base: /* smp.c adds the page's address to this, far32 and far64 */
	.long	AT(gdt)
	.word	0
trampoline_far32:
	.long	AT(protected)
	.word	SEL_CODE32
	.word	0
trampoline_far64:
	.long	AT(long_mode)
	.word	SEL_CODE64
	.word	0
	.balign	8
trampoline_cr3:
	.quad	0
trampoline_target:
	.quad	ap_entry
trampoline_end:

	.section .note.GNU-stack, "", @progbits
