# SPDX-License-Identifier: BSD-2-Clause
# The routines that bochs-errata.py puts into Bochs, each described there. Linked at the
# place of a function that only Bochs's debugger would call. Capitals are offsets of members
# of the CPU object, given by the script, as are the addresses of Bochs's own code and data.
	.text

# void long_idiv(Bit128s *quotient /*rdi*/, Bit64s *remainder /*rsi*/,
#                const Bit128s *dividend /*rdx*/, Bit64s divisor /*rcx*/)
# Truncating signed 128/64 division with a 128-bit quotient.
	.globl	long_idiv
long_idiv:
	mov	(%rdx), %r8		# dividend, low half
	mov	8(%rdx), %r9		# dividend, high half
	mov	%r9, %r10		# sign of the remainder
	mov	%r9, %r11
	xor	%rcx, %r11		# sign of the quotient
	test	%r9, %r9
	jns	1f
	neg	%r8
	adc	$0, %r9
	neg	%r9
1:	test	%rcx, %rcx
	jns	2f
	neg	%rcx
2:	xor	%edx, %edx		# two unsigned steps cannot overflow
	mov	%r9, %rax
	div	%rcx
	mov	%rax, %r9		# quotient, high half
	mov	%r8, %rax
	div	%rcx			# rax: quotient, low half; rdx: remainder
	test	%r11, %r11
	jns	3f
	neg	%rax
	adc	$0, %r9
	neg	%r9
3:	test	%r10, %r10
	jns	4f
	neg	%rdx
4:	mov	%rax, (%rdi)
	mov	%r9, 8(%rdi)
	mov	%rdx, (%rsi)
	ret

# cpu_run_trace() begins here: prev_rip = RIP, then its own first instruction
	.globl	run_trace
run_trace:
	mov	RIP(%rdi), %rax
	mov	%rax, PREV_RIP(%rdi)
	sub	$TRACE_FRAME, %rsp
	jmp	trace_rest

# HandleExtInterrupt() asks here: ZF = no virtual interrupt is pending and unmasked
	.globl	virtual_interrupt_due
virtual_interrupt_due:
	mov	PENDING + 5(%rbx), %al	# event_mask follows pending_event
	not	%al
	and	$2, %al
	test	%al, PENDING + 1(%rbx)
	ret

# VMX_Posted_Interrupt_Processing() asks here: highest request, or RVI if there is none
	.globl	highest_request
highest_request:
	call	highest_priority_int
	test	%eax, %eax
	jns	1f
	movzbl	RVI(%rbx), %eax
1:	ret

# The SMP loop calls this for each CPU in turn: run traces until the CPU (rdi) has had its
# share of one quantum; what it runs over is taken off its next shares. last_sync = icount
# makes the loop charge exactly one quantum, whatever the CPU did.
	.globl	run_share
run_share:
	push	%rbx
	push	%r12
	sub	$8, %rsp
	mov	%rdi, %rbx
	mov	CPU_ID(%rbx), %eax
	lea	share_end(%rip), %r12
	lea	(%r12,%rax,8), %r12	# icount at which the CPU's share ends
	mov	quantum(%rip), %ecx
	mov	ICOUNT(%rbx), %rax
	mov	(%r12), %rdx
	add	%rcx, %rdx
	mov	%rdx, %rsi
	sub	%rax, %rsi
	lea	(%rcx,%rcx), %r8
	cmp	%r8, %rsi
	jle	1f
	lea	(%rax,%rcx), %rdx	# exceptions cut its shares short: at most one is saved up
1:	mov	%rdx, (%r12)
2:	mov	ICOUNT(%rbx), %rax
	cmp	(%r12), %rax
	jge	3f
	mov	%rax, (%rsp)
	mov	%rbx, %rdi
	call	cpu_run_trace
	mov	ICOUNT(%rbx), %rax
	cmp	(%rsp), %rax
	jne	2b
	mov	%rax, (%r12)		# no progress: halted, and nothing is saved up
3:	mov	%rax, LAST_SYNC(%rbx)
	add	$8, %rsp
	pop	%r12
	pop	%rbx
	ret

# The SMP loop comes here after an exception or VM exit (rsi: the array of CPUs): count it
# for the CPU that had it, and go on with the next
	.globl	after_exception
after_exception:
	mov	PROCESSOR(%rsp), %eax
	mov	(%rsi,%rax,8), %rdi
	addq	$1, ICOUNT(%rdi)
	mov	ICOUNT(%rdi), %rax
	mov	%rax, LAST_SYNC(%rdi)
	jmp	next_cpu

# VMexit() begins here: charge the CPU (rdi) the stated cost, then its own first instruction
	.globl	vm_exit
vm_exit:
	addq	$EXIT_COST, ICOUNT(%rdi)
	.byte	VMEXIT_PUSH0, VMEXIT_PUSH1
	jmp	vm_exit_rest
