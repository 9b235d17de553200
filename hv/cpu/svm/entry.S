/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Into the guest and out again (APM 2, "VMRUN Instruction", "Global Interrupt Flag"). Interrupts
 * leave a guest only if IF was 1 at VMRUN, while none may be taken here: GIF masks them all. The
 * instruction between STI and VMRUN keeps STI's shadow out of the guest (QEMU does not end it).
 *
 * VMRUN switches neither FS, GS, TR, LDTR nor the system-call MSRs: VMLOAD and VMSAVE do, before
 * GIF returns, for an NMI finds its CPU through GS.
 */

	.text
	.globl	svm_run, svm_run_end
	.type	svm_run, @function
svm_run: /* RDI: VMCB, RSI: the host's, both physical; RDX: GPRs in the manuals' order */
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdx
	push	%rsi
	push	%rdi
	mov	%rdi, %rax
	clgi
	sti
	vmload	%rax
	mov	0x08(%rdx), %rcx
	mov	0x18(%rdx), %rbx
	mov	0x28(%rdx), %rbp
	mov	0x30(%rdx), %rsi
	mov	0x38(%rdx), %rdi
	mov	0x40(%rdx), %r8
	mov	0x48(%rdx), %r9
	mov	0x50(%rdx), %r10
	mov	0x58(%rdx), %r11
	mov	0x60(%rdx), %r12
	mov	0x68(%rdx), %r13
	mov	0x70(%rdx), %r14
	mov	0x78(%rdx), %r15
	mov	0x10(%rdx), %rdx
	vmrun	%rax
	/* RAX and RSP are the host's again. */
	mov	16(%rsp), %rax
	mov	%rcx, 0x08(%rax)
	mov	%rdx, 0x10(%rax)
	mov	%rbx, 0x18(%rax)
	mov	%rbp, 0x28(%rax)
	mov	%rsi, 0x30(%rax)
	mov	%rdi, 0x38(%rax)
	mov	%r8, 0x40(%rax)
	mov	%r9, 0x48(%rax)
	mov	%r10, 0x50(%rax)
	mov	%r11, 0x58(%rax)
	mov	%r12, 0x60(%rax)
	mov	%r13, 0x68(%rax)
	mov	%r14, 0x70(%rax)
	mov	%r15, 0x78(%rax)
	pop	%rax
	vmsave	%rax
	pop	%rax
	vmload	%rax
	cli
	stgi
	pop	%rdx
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
svm_run_end:
	.size	svm_run, . - svm_run

	.section .note.GNU-stack, "", @progbits
