/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unsigned vmx_enter_guest(uint64_t gpr[GPR_COUNT], bool launched)
 *
 * Loads the guest's registers, enters, and stores them at the exit. gpr[] is in the order of enum
 * gpr, 8 bytes each (asserted in vmx.c); RSP is in the VMCS. VT-x switches RSP, RIP, RFLAGS,
 * segments; FPU and vector registers stay the guest's (hv/core/fpu.h).
 */

#define VMCS_HOST_RSP 0x6c14

	.text
	.globl	vmx_enter_guest
	.type	vmx_enter_guest, @function
	.balign	16
vmx_enter_guest:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	$VMCS_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	test	%sil, %sil		/* ZF lives until the jump: MOV leaves flags alone */
	mov	0x00(%rdi), %rax
	mov	0x08(%rdi), %rcx
	mov	0x10(%rdi), %rdx
	mov	0x18(%rdi), %rbx
	mov	0x28(%rdi), %rbp
	mov	0x30(%rdi), %rsi
	mov	0x40(%rdi), %r8
	mov	0x48(%rdi), %r9
	mov	0x50(%rdi), %r10
	mov	0x58(%rdi), %r11
	mov	0x60(%rdi), %r12
	mov	0x68(%rdi), %r13
	mov	0x70(%rdi), %r14
	mov	0x78(%rdi), %r15
	mov	0x38(%rdi), %rdi
	jnz	1f
	vmlaunch
	jmp	2f
1:	vmresume
2:	mov	$1, %eax		/* not entered: CF or ZF, no field holds guest registers */
	jc	3f
	mov	$2, %eax
3:	pop	%rdi
	jmp	4f

	.globl	vmx_exit_point
	.type	vmx_exit_point, @function
vmx_exit_point:
	push	%rdi
	mov	0x08(%rsp), %rdi
	mov	%rax, 0x00(%rdi)
	mov	%rcx, 0x08(%rdi)
	mov	%rdx, 0x10(%rdi)
	mov	%rbx, 0x18(%rdi)
	mov	%rbp, 0x28(%rdi)
	mov	%rsi, 0x30(%rdi)
	pop	%rax
	mov	%rax, 0x38(%rdi)
	mov	%r8, 0x40(%rdi)
	mov	%r9, 0x48(%rdi)
	mov	%r10, 0x50(%rdi)
	mov	%r11, 0x58(%rdi)
	mov	%r12, 0x60(%rdi)
	mov	%r13, 0x68(%rdi)
	mov	%r14, 0x70(%rdi)
	mov	%r15, 0x78(%rdi)
	pop	%rdi
	xor	%ecx, %ecx		/* nothing of the guest's stays for speculation to use */
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%eax, %eax
4:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
	.size	vmx_enter_guest, . - vmx_enter_guest

	.section .note.GNU-stack, "", @progbits
