/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the PVH entry to C. The loader (Xen, "x86/HVM direct boot ABI") enters in 32-bit protected
 * mode without paging, EBX = guest-physical address of struct hvm_start_info; the note tells it
 * where. We go to long mode on static page tables that map the low 4 GiB one to one. Every page
 * is open to ring 3 as well: a test guest may want to go there.
 */
	.section .note.Xen, "a", @note
	.balign	4
	.long	4, 8, 18		/* name and descriptor bytes, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.quad	start32

#define PTE_PWU		0x007		/* present, writable, user */
#define PTE_UNCACHED	0x018
#define PTE_LARGE	0x080

	.text
	.code32
	.globl	start32
start32:
	cli
	cld
	movl	$(boot_stack + BOOT_STACK), %esp
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
	lgdt	gdt_pointer
	ljmp	$0x10, $start64

	.code64
start64:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%ebx, %edi		/* runtime_start(start_info) */
	xorl	%ebp, %ebp
	call	runtime_start
1:	cli
	hlt
	jmp	1b

	.data
	.balign	8
	.globl	gdt			/* the TSS descriptor is filled in by trap.c */
gdt:	.quad	0, 0
	.quad	0x00af9a000000ffff	/* 0x10 kernel code, 64 bit */
	.quad	0x00cf92000000ffff	/* 0x18 kernel data */
	.quad	0x00cff2000000ffff	/* 0x20 user data */
	.quad	0x00affa000000ffff	/* 0x28 user code, 64 bit */
	.quad	0, 0			/* 0x30 TSS */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt

	.balign	4096
	.globl	page_pml4, page_spare
page_pml4:
	.quad	page_pdpt + PTE_PWU
	.fill	511, 8, 0
page_pdpt:
	.quad	page_pd + PTE_PWU, page_pd + 0x1000 + PTE_PWU
	.quad	page_pd + 0x2000 + PTE_PWU, page_pd + 0x3000 + PTE_PWU
	.fill	508, 8, 0
page_pd:				/* RAM, then devices from 3 GiB on */
	.set	address, 0
	.rept	1536
	.quad	address + PTE_PWU + PTE_LARGE
	.set	address, address + 0x200000
	.endr
	.rept	512
	.quad	address + PTE_PWU + PTE_LARGE + PTE_UNCACHED
	.set	address, address + 0x200000
	.endr
page_spare:				/* PDPT, PD, PT for paging.c */
	.fill	3 * 512, 8, 0

	.set	BOOT_STACK, 65536
	.bss
	.balign	4096
boot_stack:
	.skip	BOOT_STACK

	.section .note.GNU-stack, "", @progbits
