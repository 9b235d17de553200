/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest in real mode that counts: its rounds, and the interrupts that arrive, by vector. Each is
 * ended by an EOI to the x2APIC, which APIC virtualisation carries out without an exit.
 */
#include "tests/boot/core_apicv/guest.h"

#define FLAGS_IF   0x200
#define X2APIC_EOI 0x80b

	.section .rodata
	.globl	apicv_guest
	.code16
apicv_guest:
vector = 0
.rept 256				/* the vector table (SDM 3B, "8086 Emulation"): IP, CS */
	.word	GUEST_STUBS + 4 * vector, 0
vector = vector + 1
.endr

	.org	apicv_guest + GUEST_STUBS
.rept 256
	call	arrived
	nop
.endr

	.org	apicv_guest + GUEST_CLOSED
closed:	cli				/* each round: Bochs holds host interrupts back from an entry
					   with IF = 0 up to the next change of IF */
	incl	GUEST_LOOPS
	cmpb	$0, GUEST_OPEN
	je	closed
	sti

	.org	apicv_guest + GUEST_OPENED, 0x90
opened:	incl	GUEST_LOOPS
	cmpb	$0, GUEST_STOP
	je	opened
	hlt
	jmp	opened

arrived:
	pop	%di			/* 3 behind the vector's stub; IP, CS, FLAGS stay */
	incl	GUEST_TAKEN - GUEST_STUBS - 3(%di)
	mov	%sp, %bp
	testw	$FLAGS_IF, 4(%bp)
	jnz	1f
	incl	GUEST_MASKED
1:	mov	$X2APIC_EOI, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	iret

	.org	apicv_guest + GUEST_BYTES

	.section .note.GNU-stack, "", @progbits
