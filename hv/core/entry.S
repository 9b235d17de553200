/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the loader jumps to on the boot CPU, and where a started CPU arrives from the trampoline
 * (hv/core/trampoline.S). Both leave with a stack, GS at their struct cpu and FS at the canary that
 * the hosted libfdt looks for at FS:0x28; interrupts are off, a zero frame pointer ends back traces.
 */

#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define BOOT_STACK_BYTES (32 * 1024)

/* struct cpu and enum cpu_start; smp.c checks them */
#define CPU_STACK_TOP_AT 16
#define CPU_START_AT	 24
#define CPU_OFFERED	 0
#define CPU_TAKEN	 1

/* The address in %rax goes to an MSR; uses rcx, rdx. */
.macro	write_base msr
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$\msr, %ecx
	wrmsr
.endm

.macro	clear_segments
	xor	%eax, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
.endm

	.section .text.entry, "ax"
	.globl	core_entry
	.type	core_entry, @function
core_entry: /* RDI: struct handover, in the direct map */
	cli
	cld
	lea	boot_stack_top(%rip), %rsp
	xor	%ebp, %ebp
	clear_segments
	mov	$boot_cpu, %rax
	write_base MSR_GS_BASE
	mov	$stack_guard_area, %rax
	write_base MSR_FS_BASE
	push	%rbp /* return address 0: the end of a back trace, and the ABI's alignment */
	push	%rbp
	call	core_main
	ud2
	.size	core_entry, . - core_entry

	.globl	ap_entry
	.type	ap_entry, @function
ap_entry: /* 64-bit mode, the core's page tables, no stack yet */
	cld
	mov	ap_place(%rip), %rdi
	mov	$CPU_OFFERED, %eax
	mov	$CPU_TAKEN, %edx
	lock cmpxchg %edx, CPU_START_AT(%rdi) /* the one who takes the place gets its stack */
	jne	ap_too_late
	clear_segments
	mov	CPU_STACK_TOP_AT(%rdi), %rsp
	xor	%ebp, %ebp
	mov	%rdi, %rax
	write_base MSR_GS_BASE
	mov	$stack_guard_area, %rax
	write_base MSR_FS_BASE
	push	%rbp
	push	%rbp
	call	ap_main
	ud2
ap_too_late: /* its time was up, or this SIPI is the second of two */
	cli
	hlt
	jmp	ap_too_late
	.size	ap_entry, . - ap_entry

	.data
	.globl	stack_guard_area
	.balign	64
stack_guard_area: /* FS base of every CPU: libfdt reads its canary at FS:0x28 */
	.skip	0x28
	.globl	stack_guard_canary
stack_guard_canary:
	.quad	0x00a7d35cf1096eb2
	.skip	0x10

	.bss
	.globl	boot_stack_guard, boot_stack_top
	.balign	4096
boot_stack_guard: /* paging_init() leaves this page out */
	.skip	4096
	.skip	BOOT_STACK_BYTES
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
