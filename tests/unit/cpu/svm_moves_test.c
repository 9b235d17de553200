/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which values may a guest move to control and debug registers, on a processor that checks them and
 * on one that does not (QEMU's TCG)?
 *
 * Linked with hv/cpu/svm/{exit,inject,vmcb,check,strict}.c, hv/core/decode.c.
 */
#include "tests/unit/cpu/svm_env.h"

/* QEMU: a guest's MOV to CR4 with a reserved bit is VMEXIT_INVALID; it must be the guest's #GP. */
static void test_invalid_mov_cr(void **state)
{
	struct vmexit exit;

	(void)state;
	begin();
	memcpy(code, "\x0f\x22\xe0", 3);
	exit = exit_of(EXIT_INVALID_32, 0, 0);
	assert_int_equal(exit.kind, VMEXIT_NONE);
	assert_int_equal(vmcb.ctl.event_inj, EVENT_VALID | EVENT_EXCEPTION | EVENT_HAS_ERROR | 13);
	/* The same code, but the entry was refused: RIP is ours, and the copy is shown. */
	entered = vmcb;
	entered.save.rip = 0x4711;
	entered.save.rax = 0x99;
	entered.save.efer = 0;
	vmcb.save.rip = (uint64_t)svm_run + 8;
	exit = exit_of(EXIT_INVALID_32, 0, 0);
	assert_int_equal(exit.kind, VMEXIT_FAILED);
	assert_string_equal(exit.reason, "VM entry refused: EFER.SVME is 0");
	assert_int_equal(vmcb.save.rip, 0x4711);
	assert_int_equal(vcpu.vcpu.gpr[GPR_RAX], 0x99);
}

/* Where the processor lets any value pass: what is wrong is #GP, the rest is moved by the guest. */
static void test_strict(void **state)
{
	static const struct {
		const char *code;
		uint64_t exit, value;
		bool allowed;
	} table[] = {
		{ "\x0f\x22\xc0", EXIT_CR0_WRITE, CR0_PE | CR0_PG | CR0_TS, true },
		{ "\x0f\x22\xc0", EXIT_CR0_WRITE, CR0_PG, false },
		{ "\x0f\x22\xc0", EXIT_CR0_WRITE, CR0_PE, false }, /* 64-bit code */
		{ "\x0f\x22\xc0", EXIT_CR0_WRITE, CR0_PE | CR0_PG | CR0_NW, false },
		{ "\x0f\x22\xc0", EXIT_CR0_WRITE, CR0_PE | CR0_PG | BIT(40), false },
		{ "\x0f\x01\xf0", EXIT_CR0_WRITE, 0, true }, /* LMSW */
		{ "\x0f\x23\xf0", EXIT_DR6_WRITE, BIT(63), false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		begin();
		svm.strict = true;
		vmcb.save.cr0 = CR0_PE | CR0_PG;
		vmcb.save.cr4 = CR4_PAE;
		memcpy(code, table[i].code, 3);
		svm_strict_before_entry(&vcpu);
		assert_int_equal(vmcb.ctl.cr_write, CR8_BIT | BIT(0) | BIT(4));
		assert_int_equal(vmcb.ctl.dr_write, BIT(5) | BIT(6) | BIT(7));
		vmcb.save.rax = table[i].value;
		assert_int_equal(exit_of(table[i].exit, 0, 0).kind, VMEXIT_NONE);
		assert_int_equal(vmcb.ctl.event_inj != 0, !table[i].allowed);
		svm_strict_before_entry(&vcpu);
		assert_int_equal(vmcb.ctl.cr_write == (CR8_BIT | CR4_BIT), table[i].allowed);
		assert_int_equal(vmcb.ctl.dr_write == (BIT(5) | BIT(7)), table[i].allowed);
		svm_strict_before_entry(&vcpu); /* for one entry only */
		assert_int_equal(vmcb.ctl.dr_write, BIT(5) | BIT(6) | BIT(7));
	}
}

/* QEMU never sees a breakpoint switched on; the guest reads back what it wrote. */
static void test_dr7(void **state)
{
	(void)state;
	begin();
	svm.strict = true;
	svm_strict_before_entry(&vcpu);
	assert_int_equal(vmcb.ctl.dr_read, BIT(5) | BIT(7));
	memcpy(code, "\x0f\x23\xf8", 3); /* mov %rax, %db7 */
	vmcb.save.rax = 0xd0402 | DR7_GD;
	assert_int_equal(exit_of(EXIT_DR7_WRITE, 0, 0).kind, VMEXIT_NONE);
	assert_int_equal(vmcb.save.dr7, 0xd0400);
	assert_int_equal(vmcb.save.rip, 0x1003);
	memcpy(code, "\x0f\x21\xeb", 3); /* mov %db5, %rbx */
	assert_int_equal(exit_of(EXIT_DR5_READ, 0, 0).kind, VMEXIT_NONE);
	assert_int_equal(vcpu.vcpu.gpr[GPR_RBX], 0xd0402 | DR7_GD);
	assert_int_equal(vmcb.save.rip, 0x1006);
	vmcb.save.cr4 |= CR4_DE; /* then there is no DR5 */
	(void)exit_of(EXIT_DR5_READ, 0, 0);
	assert_int_equal(vmcb.ctl.event_inj, EVENT_VALID | EVENT_EXCEPTION | 6);
	vmcb.ctl.event_inj = 0;
	memcpy(code, "\x0f\x23\xf8", 3);
	vmcb.save.rax = BIT(32);
	(void)exit_of(EXIT_DR7_WRITE, 0, 0);
	assert_true(vmcb.ctl.event_inj & EVENT_HAS_ERROR);
	assert_int_equal(vmcb.save.rip, 0x1006);
	vmcb.ctl.event_inj = 0;
	code[1] = 0x90; /* changed meanwhile */
	(void)exit_of(EXIT_DR7_WRITE, 0, 0);
	assert_false(vmcb.ctl.event_inj || vcpu.move_allowed);
	assert_int_equal(vmcb.save.rip, 0x1006);
}

/* Of CR4 a guest gets what CPUID shows it, whatever the processor has, on every processor. */
static void test_cr4(void **state)
{
	static const struct {
		uint64_t value;
		bool allowed;
	} table[] = {
		{ CR4_PAE | CR4_PGE, true },
		{ CR4_PAE | CR4_OSXSAVE | CR4_SMAP, true },
		{ CR4_PGE, false }, /* in long mode */
		{ CR4_PAE | BIT(30), false },
		{ CR4_PAE | CR4_SMEP, false }, /* the processor has none */
		{ CR4_PAE | CR4_LA57, false },
		{ CR4_PAE | CR4_PCIDE, false },
		{ CR4_PAE | BIT(22), false }, /* PKE */
		{ CR4_PAE | BIT(23), false }, /* CET */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		bool allowed = table[i].allowed;

		begin();
		svm.limits.cr4 = ~0ull & ~CR4_SMEP;
		assert_true(vmcb.ctl.cr_write & CR4_BIT);
		vmcb.save.cr4 = CR4_PAE;
		memcpy(code, "\x0f\x22\xe0", 3);
		vmcb.save.rax = table[i].value;
		vcpu.asid.number = 7;
		assert_int_equal(exit_of(EXIT_CR4_WRITE, 0, 0).kind, VMEXIT_NONE);
		assert_int_equal(vmcb.ctl.event_inj != 0, !allowed);
		assert_int_equal(vmcb.save.cr4, allowed ? table[i].value : CR4_PAE);
		assert_int_equal(vmcb.save.rip, allowed ? 0x1003 : 0x1000);
		assert_int_equal(vcpu.asid.number, allowed ? 0 : 7);
		svm_strict_before_entry(&vcpu);
		assert_true(vmcb.ctl.cr_write & CR4_BIT);
	}
	code[1] = 0x90; /* changed meanwhile by another vCPU */
	vmcb.ctl.event_inj = 0;
	assert_int_equal(exit_of(EXIT_CR4_WRITE, 0, 0).kind, VMEXIT_NONE);
	assert_false(vcpu.move_allowed || vmcb.ctl.event_inj);
}

static void test_cr8(void **state)
{
	struct vmexit exit;

	(void)state;
	begin();
	memcpy(code, "\x45\x0f\x22\xc3", 4); /* mov %r11, %cr8 */
	exit = exit_of(EXIT_CR8_WRITE, 0, 0);
	assert_int_equal(exit.kind, VMEXIT_CR8);
	assert_true(exit.cr8.write);
	assert_int_equal(exit.cr8.gpr, GPR_R11);
	exit = exit_of(EXIT_CR8_READ, 0, 0); /* the code says otherwise by now */
	assert_int_equal(exit.kind, VMEXIT_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invalid_mov_cr),
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_dr7),
		cmocka_unit_test(test_cr4),
		cmocka_unit_test(test_cr8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
