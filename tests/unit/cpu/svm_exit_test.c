/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What does the backend make of each exit, and of events that an exit cut off; how far does it
 * skip; which MSRs may guests touch; when does an ASID become stale? No privilege is needed for
 * any of it.
 *
 * Linked with hv/cpu/svm/{exit,inject,vmcb,check,strict}.c, hv/core/decode.c.
 */
#include "tests/unit/cpu/svm_env.h"

static void test_kinds(void **state)
{
	static const struct {
		uint64_t code, info1;
		enum vmexit_kind kind;
	} table[] = {
		{ EXIT_INTR, 0, VMEXIT_INTERRUPT },
		{ EXIT_NMI, 0, VMEXIT_INTERRUPT },
		{ EXIT_VINTR, 0, VMEXIT_IRQ_WINDOW },
		{ EXIT_HLT, 0, VMEXIT_HLT },
		{ EXIT_CPUID, 0, VMEXIT_CPUID },
		{ EXIT_MSR, 0, VMEXIT_RDMSR },
		{ EXIT_MSR, 1, VMEXIT_WRMSR },
		{ EXIT_VMMCALL, 0, VMEXIT_HYPERCALL },
		{ EXIT_XSETBV, 0, VMEXIT_XSETBV },
		{ EXIT_WBINVD, 0, VMEXIT_CACHE },
		{ EXIT_VMRUN, 0, VMEXIT_UNDEFINED },
		{ EXIT_MWAIT, 0, VMEXIT_UNDEFINED },
		{ EXIT_SHUTDOWN, 0, VMEXIT_SHUTDOWN },
		{ EXIT_NPF, NPF_WRITE | BIT(32), VMEXIT_MMIO },
		{ EXIT_NPF, NPF_FETCH | BIT(32), VMEXIT_MMIO_FETCH },
		{ EXIT_NPF, NPF_WRITE | NPF_WALK, VMEXIT_MMIO_FETCH },
		{ EXIT_NPF, NPF_PRESENT | BIT(32), VMEXIT_FAILED },
		{ EXIT_RDPMC, 0, VMEXIT_NONE },
		{ EXIT_IRET, 0, VMEXIT_NONE },
		{ EXIT_EXCEPTION_AC, 0, VMEXIT_NONE },
		{ EXIT_EXCEPTION_MC, 0, VMEXIT_FAILED },
		{ 0x3ff, 0, VMEXIT_FAILED },
		{ ~0ull, 0, VMEXIT_FAILED },
		{ EXIT_INVALID_32, 0, VMEXIT_FAILED },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct vmexit exit;

		begin();
		exit = exit_of(table[i].code, table[i].info1, 0xfec00000);
		assert_int_equal(exit.kind, table[i].kind);
		if (exit.kind == VMEXIT_MMIO)
			assert_int_equal(exit.mmio.gpa.v, 0xfec00000);
		assert_true(exit.kind != VMEXIT_HLT || exit.rflags == vmcb.save.rflags);
		assert_true(exit.kind != VMEXIT_FAILED || strlen(exit.reason) > 10);
	}
}

/* With the filter the processor tells loops; without, the core counts. Off but where others wait. */
static void test_pause(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct vmexit exit;

		begin();
		svm.edx =
			i ? svm.edx | (uint32_t)SVM_EDX_PAUSE : svm.edx & ~(uint32_t)SVM_EDX_PAUSE;
		svm_vmcb_reset(&vcpu);
		assert_false(vmcb.ctl.ctl3 & CTL3_PAUSE);
		assert_int_equal(vmcb.ctl.pause_count != 0, i);
		svm_set_pause_exits(&vcpu, true);
		assert_true(vmcb.ctl.ctl3 & CTL3_PAUSE);
		exit = exit_of(EXIT_PAUSE, 0, 0);
		assert_int_equal(exit.kind, VMEXIT_PAUSE);
		assert_int_equal(exit.pause_loop, i);
		svm_set_pause_exits(&vcpu, false);
		assert_false(vmcb.ctl.ctl3 & CTL3_PAUSE);
	}
}

static void test_io(void **state)
{
	struct vmexit exit;

	(void)state;
	begin();
	exit = exit_of(EXIT_IOIO, 0x3f8ull << 16 | BIT(4) | IOIO_IN, 0x1001);
	assert_int_equal(exit.io.port, 0x3f8);
	assert_int_equal(exit.io.bytes, 1);
	assert_false(exit.io.write || exit.io.string || exit.io.rep);
	svm_skip(&vcpu.vcpu, SKIP_WHOLE);
	assert_int_equal(vmcb.save.rip, 0x1001);
	exit = exit_of(EXIT_IOIO, 0xcfcull << 16 | BIT(6) | IOIO_STRING | IOIO_REP | BIT(9),
		       0x1001);
	assert_int_equal(exit.io.bytes, 4);
	assert_int_equal(exit.io.addr_bytes, 8);
	assert_true(exit.io.write && exit.io.string && exit.io.rep);
}

/* By next-RIP, by the guest's bytes, or, those unreadable, by the bare instruction's length. */
static void test_skip(void **state)
{
	(void)state;
	begin();
	vmcb.ctl.int_state = INT_SHADOW;
	memcpy(code, "\x66\x0f\xa2", 3);
	(void)exit_of(EXIT_CPUID, 0, 0);
	svm_skip(&vcpu.vcpu, SKIP_WHOLE);
	assert_int_equal(vmcb.save.rip, 0x1003);
	assert_int_equal(vmcb.ctl.int_state, 0);
	code_bytes = 0;
	svm_skip(&vcpu.vcpu, SKIP_WHOLE);
	assert_int_equal(vmcb.save.rip, 0x1005);
	svm.edx = SVM_EDX_NRIP;
	vmcb.ctl.next_rip = 0x2000;
	svm_skip(&vcpu.vcpu, SKIP_WHOLE);
	assert_int_equal(vmcb.save.rip, 0x2000);
}

/* A single step across an instruction that exits traps behind it; RF and the shadow end there. */
static void test_single_step(void **state)
{
	(void)state;
	begin();
	vmcb.save.rflags |= RFLAGS_TF | RFLAGS_RF;
	vmcb.save.dr7 |= DR7_GD;
	vmcb.ctl.int_state = INT_SHADOW;
	memcpy(code, "\x0f\xa2", 2);
	(void)exit_of(EXIT_CPUID, 0, 0);
	svm_skip(&vcpu.vcpu, SKIP_WHOLE);
	assert_int_equal(vmcb.ctl.event_inj, EVENT_VALID | EVENT_EXCEPTION | 1);
	assert_true(vmcb.save.dr6 & DR6_BS);
	assert_false(vmcb.save.rflags & RFLAGS_RF || vmcb.save.dr7 & DR7_GD);
	assert_int_equal(vmcb.ctl.int_state, 0);
	assert_int_equal(vmcb.save.rip, 0x1002);
	vmcb.ctl.event_inj = 0;
	svm_skip(&vcpu.vcpu, 0); /* one round of a repeated one */
	assert_int_equal(vmcb.save.rip, 0x1002);
	assert_int_equal(vmcb.ctl.event_inj, EVENT_VALID | EVENT_EXCEPTION | 1);
	svm_skip(&vcpu.vcpu, 7);
	assert_int_equal(vmcb.save.rip, 0x1009);
}

/* What an exit cut off comes again, in a form that VMRUN takes; software events are re-executed. */
static void test_reinject(void **state)
{
	static const struct {
		uint64_t cut, again;
	} table[] = {
		{ 0, 0 },
		{ EVENT_VALID | EVENT_INTR | 0xec, EVENT_VALID | EVENT_INTR | 0xec },
		{ EVENT_VALID | EVENT_NMI | 2, EVENT_VALID | EVENT_NMI | 2 },
		{ EVENT_VALID | EVENT_EXCEPTION | EVENT_HAS_ERROR | EVENT_ERROR(6) | 14,
		  EVENT_VALID | EVENT_EXCEPTION | EVENT_HAS_ERROR | EVENT_ERROR(6) | 14 },
		{ EVENT_VALID | EVENT_EXCEPTION | 3, 0 },
		{ EVENT_VALID | EVENT_SOFTWARE | 0x80, 0 },
		{ EVENT_INTR | 0xec, 0 }, /* not valid */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		begin();
		vmcb.ctl.event_inj = EVENT_VALID | 0x20;
		vmcb.ctl.exit_int_info = table[i].cut;
		(void)exit_of(EXIT_INTR, 0, 0);
		assert_int_equal(vmcb.ctl.event_inj, table[i].again);
	}
	/* An access while an event is delivered is no instruction to emulate. */
	begin();
	vmcb.ctl.exit_int_info = EVENT_VALID | EVENT_INTR | 0xec;
	assert_int_equal(exit_of(EXIT_NPF, NPF_WRITE | BIT(32), 0xfec00000).kind,
			 VMEXIT_MMIO_FETCH);
}

static void test_interrupts(void **state)
{
	struct vcpu *v = &vcpu.vcpu;

	(void)state;
	begin();
	assert_false(svm_irq_ready(v)); /* IF = 0 */
	vmcb.save.rflags |= RFLAGS_IF;
	assert_true(svm_irq_ready(v));
	svm_inject(v, &(struct injection){ INJECT_IRQ, 0xec, -1 });
	assert_false(svm_irq_ready(v));
	assert_false(svm_inject_before_entry(&vcpu, true));
	assert_true(vmcb.ctl.vintr & VINTR_IRQ && vmcb.ctl.ctl3 & CTL3_VINTR);
	assert_false(svm_must_leave_at_once(&vcpu));
	(void)exit_of(EXIT_VINTR, 0, 0);
	assert_false(svm_inject_before_entry(&vcpu, false));
	assert_false(vmcb.ctl.vintr & VINTR_IRQ);
	assert_true(vmcb.ctl.ctl3 & CTL3_VINTR); /* QEMU may remember one of before */
}

static bool virq_of(unsigned vector)
{
	return vmcb.ctl.vintr & VINTR_IRQ && (vmcb.ctl.vintr >> 32 & 0xff) == vector &&
	       !(vmcb.ctl.ctl3 & CTL3_VINTR) && !(vmcb.ctl.event_inj & EVENT_VALID);
}

/* A new guest of QEMU's, about to be entered with an interrupt. */
static void begin_strict(uint8_t vector)
{
	begin();
	svm.strict = true;
	vmcb.save.rflags |= RFLAGS_IF;
	svm_inject(&vcpu.vcpu, &(struct injection){ INJECT_IRQ, vector, -1 });
	assert_false(svm_irq_ready(&vcpu.vcpu));
}

/* QEMU would deliver again what EVENTINJ has injected. */
static void test_strict_interrupts(void **state)
{
	struct vcpu *v = &vcpu.vcpu;

	(void)state;
	begin_strict(0xec);
	assert_false(svm_inject_before_entry(&vcpu, false));
	assert_true(virq_of(0xec));
	assert_false(svm_must_leave_at_once(&vcpu));
	vmcb.ctl.vintr &= ~VINTR_IRQ; /* delivered */
	(void)exit_of(EXIT_INTR, 0, 0);
	assert_true(svm_irq_ready(v));
	assert_false(svm_inject_before_entry(&vcpu, false));
	assert_false(vmcb.ctl.vintr & VINTR_IRQ);
	assert_true(vmcb.ctl.ctl3 & CTL3_VINTR); /* QEMU may remember one of before */

	/* another one waits: the window is its */
	begin_strict(0xec);
	assert_false(svm_inject_before_entry(&vcpu, true));
	assert_int_equal(vmcb.ctl.event_inj, EVENT_VALID | EVENT_INTR | 0xec);
	assert_true(vmcb.ctl.vintr & VINTR_IRQ && vmcb.ctl.ctl3 & CTL3_VINTR);
	assert_true(svm_must_leave_at_once(&vcpu));

	/* what QEMU would call an exception with an error code */
	begin_strict(17);
	assert_false(svm_inject_before_entry(&vcpu, false));
	assert_int_equal(vmcb.ctl.event_inj, EVENT_VALID | EVENT_INTR | 17);
	assert_true(svm_must_leave_at_once(&vcpu));
	svm_inject_exception(v, 14, 0);
	assert_false(svm_must_leave_at_once(&vcpu));
}

/* Left before the interrupt was delivered, or in the midst of it: it comes again, whatever the guest
 * did meanwhile, but never with IF = 0 or within a shadow. */
static void test_strict_again(void **state)
{
	(void)state;
	begin_strict(0xec);
	assert_false(svm_inject_before_entry(&vcpu, false));
	(void)exit_of(EXIT_INTR, 0, 0);
	assert_false(svm_irq_ready(&vcpu.vcpu));
	assert_false(svm_inject_before_entry(&vcpu, false));
	assert_true(virq_of(0xec));
	vmcb.ctl.exit_int_info = EVENT_VALID | EVENT_EXCEPTION | 0xec;
	assert_int_equal(exit_of(EXIT_NPF, NPF_WRITE | BIT(32), 0xfec00000).kind,
			 VMEXIT_MMIO_FETCH);
	vmcb.ctl.exit_int_info = 0;
	assert_false(svm_inject_before_entry(&vcpu, false));
	assert_true(virq_of(0xec));

	vmcb.save.rflags &= ~RFLAGS_IF;
	(void)exit_of(EXIT_INTR, 0, 0);
	svm_inject_exception(&vcpu.vcpu, 13, 0);
	assert_true(svm_inject_before_entry(&vcpu, true)); /* no window: look again soon */
	assert_true(vmcb.ctl.vintr & VINTR_IRQ && !(vmcb.ctl.ctl3 & CTL3_VINTR));
	assert_int_equal(vmcb.ctl.event_inj & (EVENT_TYPE | EVENT_VECTOR), EVENT_EXCEPTION | 13);

	vmcb.save.rflags |= RFLAGS_IF;
	vmcb.ctl.int_state = INT_SHADOW;
	code[0] = 0xf4;
	(void)exit_of(EXIT_INTR, 0, 0);
	assert_true(svm_inject_before_entry(&vcpu, false));
	assert_false(vmcb.ctl.vintr & VINTR_IRQ);
	vmcb.ctl.int_state = 0; /* QEMU's exit, nothing executed: still within it */
	(void)exit_of(EXIT_INTR, 0, 0);
	assert_true(svm_inject_before_entry(&vcpu, false));
	assert_false(vmcb.ctl.vintr & VINTR_IRQ);
	vmcb.ctl.int_state = 0; /* it does not sleep */
	assert_int_equal(exit_of(EXIT_HLT, 0, 0).kind, VMEXIT_NONE);
	assert_false(svm_inject_before_entry(&vcpu, false));
	assert_true(virq_of(0xec));

	(void)exit_of(EXIT_INTR, 0, 0); /* an NMI need not wait for it */
	svm_inject(&vcpu.vcpu, &(struct injection){ .kind = INJECT_NMI });
	(void)svm_inject_before_entry(&vcpu, false);
	assert_int_equal(vmcb.ctl.event_inj, EVENT_VALID | EVENT_NMI | 2);

	(void)exit_of(EXIT_INTR, 0, 0);
	svm_inject(&vcpu.vcpu, &(struct injection){ .kind = INJECT_INIT });
	assert_false(svm_inject_before_entry(&vcpu, false));
	assert_false(vmcb.ctl.vintr & VINTR_IRQ);
}

/* STI; HLT: within the shadow neither window nor interrupt, though QEMU forgets the shadow. */
static void test_shadow(void **state)
{
	struct vcpu *v = &vcpu.vcpu;

	(void)state;
	begin();
	svm.strict = true;
	code[0] = 0xf4;
	vmcb.save.rflags |= RFLAGS_IF;
	vmcb.ctl.int_state = INT_SHADOW;
	assert_false(svm_irq_ready(v));
	assert_true(svm_inject_before_entry(&vcpu, true));
	assert_false(vmcb.ctl.vintr & VINTR_IRQ);
	vmcb.ctl.int_state = 0; /* QEMU's exit, nothing executed */
	(void)exit_of(EXIT_INTR, 0, 0);
	assert_false(svm_irq_ready(v));
	assert_true(svm_inject_before_entry(&vcpu, true));
	vmcb.ctl.int_state = 0;
	vmcb.save.rip += 1;
	(void)exit_of(EXIT_INTR, 0, 0);
	assert_true(svm_irq_ready(v));
}

/* STI; NOP; CLI: QEMU opens the window a moment too early, rather than not at all. */
static void test_shadow_without_hlt(void **state)
{
	struct vcpu *v = &vcpu.vcpu;

	(void)state;
	begin();
	svm.strict = true;
	vmcb.save.rflags |= RFLAGS_IF;
	vmcb.ctl.int_state = INT_SHADOW;
	assert_false(svm_inject_before_entry(&vcpu, true));
	assert_true(vmcb.ctl.vintr & VINTR_IRQ);
	vmcb.ctl.int_state = 0;
	assert_int_equal(exit_of(EXIT_VINTR, 0, 0).kind, VMEXIT_IRQ_WINDOW);
	assert_true(svm_irq_ready(v));

	/* MOV SS; MOV ESP: not there */
	vmcb.ctl.int_state = INT_SHADOW;
	vmcb.save.cs.attrib = 0xc9b;
	assert_true(svm_inject_before_entry(&vcpu, true));
	assert_false(vmcb.ctl.vintr & VINTR_IRQ);
	svm.strict = false; /* a processor knows the shadow */
	assert_false(svm_inject_before_entry(&vcpu, true));
	assert_true(vmcb.ctl.vintr & VINTR_IRQ);
}

/* One NMI at a time, the next behind the first one's IRET, which the exit finds still to be done. */
static void test_nmi(void **state)
{
	(void)state;
	begin();
	svm_inject(&vcpu.vcpu, &(struct injection){ .kind = INJECT_NMI });
	(void)svm_inject_before_entry(&vcpu, false);
	assert_int_equal(vmcb.ctl.event_inj, EVENT_VALID | EVENT_NMI | 2);
	(void)exit_of(EXIT_INTR, 0, 0);
	svm_inject(&vcpu.vcpu, &(struct injection){ .kind = INJECT_NMI });
	(void)svm_inject_before_entry(&vcpu, false);
	assert_int_equal(vmcb.ctl.event_inj, 0);
	(void)exit_of(EXIT_IRET, 0, 0);
	assert_true(svm_inject_before_entry(&vcpu, false)); /* leave it soon: nothing else would */
	assert_int_equal(vmcb.ctl.event_inj, 0);
	vmcb.save.rip = 0x5000;
	(void)exit_of(EXIT_INTR, 0, 0);
	assert_false(svm_inject_before_entry(&vcpu, false));
	assert_int_equal(vmcb.ctl.event_inj, EVENT_VALID | EVENT_NMI | 2);
}

static void test_sregs(void **state)
{
	struct vcpu_sregs s, back;

	(void)state;
	begin();
	svm_get_sregs(&vcpu.vcpu, &s);
	assert_false(s.efer & EFER_SVME);
	s.seg[SEG_SS] = (struct segment){ 0x2b, 0xcf3, ~0u, 0 };
	s.seg[SEG_FS] = (struct segment){ 0, SEG_UNUSABLE, 0, 0x1234 };
	s.rip = 0xffffffff81000000ull;
	vmcb.ctl.int_state = INT_SHADOW;
	svm_set_sregs(&vcpu.vcpu, &s);
	assert_int_equal(vmcb.save.cpl, 3);
	assert_int_equal(vmcb.ctl.int_state, 0);
	assert_true(vmcb.save.efer & EFER_SVME);
	svm_get_sregs(&vcpu.vcpu, &back);
	s.cr0 |= CR0_ET;
	assert_memory_equal(&s, &back, sizeof(s));
}

static bool set_msr(struct vcpu *v, uint32_t msr, uint64_t value)
{
	return svm_msr(v, msr, true, &value);
}

static void test_msrs(void **state)
{
	struct vcpu *v = &vcpu.vcpu;
	uint64_t value;

	(void)state;
	begin();
	assert_true(set_msr(v, MSR_LSTAR, 0xffffffff81000000ull));
	assert_int_equal(vmcb.save.lstar, 0xffffffff81000000ull);
	assert_false(set_msr(v, MSR_LSTAR, BIT(60)));
	assert_true(set_msr(v, MSR_GS_BASE, 0x5000));
	assert_int_equal(vmcb.save.gs.base, 0x5000);
	assert_true(set_msr(v, MSR_EFER, EFER_LME | EFER_NXE | EFER_SCE));
	assert_true(svm_msr(v, MSR_EFER, false, &value));
	assert_int_equal(value, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE);
	assert_true(vmcb.save.efer & EFER_SVME);
	assert_false(set_msr(v, MSR_EFER, EFER_SVME));
	vmcb.save.cr0 = CR0_PG | CR0_PE;
	assert_false(set_msr(v, MSR_EFER, 0)); /* LME off while paging */
	assert_true(set_msr(v, MSR_PAT, 0x0007040600070406ull));
	assert_false(set_msr(v, MSR_PAT, 2));
	assert_true(set_msr(v, MSR_TSC_AUX, 3));
	assert_false(set_msr(v, MSR_TSC_AUX, BIT(32)));
	assert_false(svm_msr(v, 0x10, false, &value));
}

/* Exactly the MSRs that VMLOAD switches are the guest's own; EFER and TSC are not. */
static void test_msr_map(void **state)
{
	uint8_t *map = maps + IOPM_BYTES;
	unsigned open = 0;

	(void)state;
	svm_msrpm_fill(map);
	for (unsigned i = 0; i < MSRPM_BYTES; i++)
		open += 8 - (unsigned)__builtin_popcount(map[i]);
	assert_int_equal(open, 2 * 10);
	assert_int_equal(map[0x800 + 0x82 / 4] >> 2 * (0x82 % 4) & 3, 0); /* LSTAR */
	assert_int_equal(map[0x800 + 0x80 / 4] & 3, 3);			  /* EFER */
	assert_int_equal(map[0x174 / 4] & 3, 0);			  /* SYSENTER_CS */
	assert_int_equal(map[0x10 / 4] & 3, 3);				  /* TSC */
}

/* More vCPUs than ASIDs on two CPUs: no number is used twice without a flush between. */
static void test_asids(void **state)
{
	struct asid_pool pools[2];
	struct asid asids[8] = { 0 };
	int holder[2][4] = { 0 }; /* vCPU + 1 whose translations a number may still have */

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		asid_pool_init(&pools[i], 4);
	for (unsigned i = 0; i < 10000; i++) {
		const unsigned v = i * 7919 / 13 % 8, cpu = i / 3 % 2;

		if (i % 97 == 0)
			asid_new_epoch(&pools[cpu]);
		if (asid_prepare(&asids[v], &pools[cpu]))
			memset(holder[cpu], 0, sizeof(holder[cpu]));
		assert_in_range(asids[v].number, 1, 3);
		assert_true(holder[cpu][asids[v].number] == 0 ||
			    holder[cpu][asids[v].number] == (int)v + 1);
		holder[cpu][asids[v].number] = (int)v + 1;
	}
}

/* After a new epoch a vCPU has another number, or everything was flushed. */
static void test_asid_epoch(void **state)
{
	struct asid_pool pool;
	struct asid asid = { 0 };

	(void)state;
	asid_pool_init(&pool, 16);
	assert_true(asid_prepare(&asid, &pool)); /* the CPU's first */
	for (unsigned i = 0; i < 100; i++) {
		const uint32_t before = asid.number;

		assert_false(asid_prepare(&asid, &pool));
		assert_int_equal(asid.number, before);
		asid_new_epoch(&pool);
		assert_true(asid_prepare(&asid, &pool) || asid.number != before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_single_step),
		cmocka_unit_test(test_reinject),
		cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_strict_interrupts),
		cmocka_unit_test(test_strict_again),
		cmocka_unit_test(test_shadow),
		cmocka_unit_test(test_shadow_without_hlt),
		cmocka_unit_test(test_nmi),
		cmocka_unit_test(test_sregs),
		cmocka_unit_test(test_msrs),
		cmocka_unit_test(test_msr_map),
		cmocka_unit_test(test_asids),
		cmocka_unit_test(test_asid_epoch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
