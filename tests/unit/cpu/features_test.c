/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the table of features say of every machine what the checks before a start decide? What is
 * REQUIRED in one is refused by the other, whatever bit a CPU or a remapping unit lacks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "hv/cpu/cpu_features.h"
#include "hv/cpu/svm/features.h"
#include "hv/dev/vtd_features.h"

#include <cmocka.h>

#define ALL 0xffffffffu

struct count {
	unsigned of[FEATURE_UNKNOWN + 1];
	const char *last_missing;
};

static void tally(void *context, const char *part, const char *where, const char *name,
		  enum feature_state state)
{
	struct count *c = context;

	assert_true(part[0] && name && name[0] && where);
	assert_true(strlen(part) + strlen(name) < 70);
	assert_null(strpbrk(name, "\"\\"));
	c->of[state]++;
	if (state == FEATURE_MISSING)
		c->last_missing = name;
}

/* Everything may be on, nothing must be. */
static struct cpu_facts intel(void)
{
	struct cpu_facts f = {
		.basic = { 0, 0, ALL, ALL },
		.extended = { 0, 0, ALL & ~4u, ALL },
		.power = { 0, 0, 0, ALL },
		.structured = ALL,
		.msrs = true,
		.feature_control = FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX,
		.vmx = { .basic = ~0ull, .ept_vpid = ~0ull },
	};

	for (unsigned w = 0; w < CTL_COUNT; w++)
		f.vmx.controls[w] = (uint64_t)ALL << 32;
	return f;
}

static struct cpu_facts amd(void)
{
	struct cpu_facts f = intel();

	f.basic.ecx &= ~(1u << 5);
	f.extended.ecx = ALL;
	f.svm = (struct cpuid_regs){ 1, ALL, 0, ALL };
	return f;
}

static struct count asked(const struct cpu_facts *f, unsigned differing)
{
	struct count c = { { 0 }, NULL };

	cpu_features(f, 2, differing, tally, &c);
	return c;
}

static void good_machines(void **state)
{
	struct cpu_facts vmx = intel(), svm = amd();
	struct count c = asked(&vmx, 0);

	(void)state;
	assert_true(c.of[FEATURE_OK] > 50);
	assert_int_equal(c.of[FEATURE_MISSING] + c.of[FEATURE_LESS] + c.of[FEATURE_UNKNOWN], 0);
	c = asked(&svm, 0);
	assert_true(c.of[FEATURE_OK] > 20);
	assert_int_equal(c.of[FEATURE_MISSING] + c.of[FEATURE_LESS] + c.of[FEATURE_UNKNOWN], 0);
	c = asked(&svm, 1);
	assert_string_equal(c.last_missing, "all CPUs alike");
}

static void agree(const struct cpu_facts *f)
{
	char missing[400];
	bool usable = vmx_caps_check(&f->vmx, f->feature_control, missing, sizeof(missing));
	struct count c = asked(f, 0);

	if (usable != (c.of[FEATURE_MISSING] == 0))
		fail_msg("the check says \"%s\", the table misses %s", missing,
			 c.last_missing ? c.last_missing : "nothing");
}

/* One bit after the other that cannot be on, or that must be. */
static void the_table_is_the_check_for_vt_x(void **state)
{
	unsigned optional = 0, required = 0;

	(void)state;
	for (unsigned w = 0; w < CTL_COUNT; w++)
		for (unsigned bit = 0; bit < 64; bit++) {
			struct cpu_facts f = intel();
			struct count c;

			f.vmx.controls[w] ^= 1ull << bit;
			agree(&f);
			c = asked(&f, 0);
			optional += c.of[FEATURE_LESS];
			required += c.of[FEATURE_MISSING];
		}
	for (unsigned bit = 0; bit < 64; bit++) {
		struct cpu_facts f = intel();

		f.vmx.ept_vpid ^= 1ull << bit;
		agree(&f);
		f = intel();
		f.vmx.basic ^= 1ull << bit;
		if (f.vmx.basic & VMX_BASIC_TRUE) /* else its controls are not known */
			agree(&f);
	}
	assert_true(optional > 10 && required > 20);
	struct cpu_facts f = intel();
	f.feature_control = FEATURE_CONTROL_LOCK;
	agree(&f);
	assert_string_equal(asked(&f, 0).last_missing, "not locked off by the firmware");
}

static void what_svm_needs(void **state)
{
	struct cpu_facts f = amd();

	(void)state;
	f.svm.edx = ALL & ~(uint32_t)SVM_EDX_NP;
	assert_string_equal(asked(&f, 0).last_missing, "nested paging (NPT)");
	f = amd();
	f.svm.ebx = 1;
	assert_int_equal(asked(&f, 0).of[FEATURE_MISSING], 1);
	f = amd();
	f.vm_cr = VM_CR_SVMDIS;
	assert_string_equal(asked(&f, 0).last_missing, "not disabled by the firmware");
	f = amd();
	f.svm.edx = (uint32_t)SVM_EDX_NP;
	assert_int_equal(asked(&f, 0).of[FEATURE_MISSING], 0);
	assert_int_equal(asked(&f, 0).of[FEATURE_LESS], 4);
}

static void neither(void **state)
{
	struct cpu_facts f = { .msrs = true };

	(void)state;
	assert_string_equal(asked(&f, 0).last_missing, "VT-x or SVM (AMD-V)");
	assert_int_equal(asked(&f, 0).of[FEATURE_OK], 1); /* all CPUs alike */
}

static void what_may_not_be_read_is_unknown(void **state)
{
	struct cpu_facts f = intel();
	struct count c;

	(void)state;
	memset(&f.vmx, 0, sizeof(f.vmx));
	f.msrs = false;
	c = asked(&f, 0);
	assert_int_equal(c.of[FEATURE_MISSING], 0);
	assert_true(c.of[FEATURE_UNKNOWN] > 40);
}

static void the_table_is_the_check_for_vt_d(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 128; bit++) {
		struct iommu_facts f = { .present = true,
					 .read = true,
					 .interrupts = true,
					 .known = true,
					 .cap = ~0ull,
					 .ecap = ~0ull };
		struct count c = { { 0 }, NULL };
		const char *lacks;

		f.cap ^= bit < 64 ? 1ull << bit : 0;
		f.ecap ^= bit < 64 ? 0 : 1ull << (bit - 64);
		lacks = vtd_lacks(f.cap, f.ecap);
		iommu_features(&f, tally, &c);
		assert_int_equal(c.of[FEATURE_MISSING], 0); /* VMs without devices need none */
		assert_true(!lacks || c.of[FEATURE_LESS] == 1);
	}
	assert_string_equal(vtd_lacks(~0ull, 0), "queued invalidation");
	assert_string_equal(vtd_lacks(0, ~0ull), "page tables of three or four levels");
	struct count c = { { 0 }, NULL };
	iommu_features(&(struct iommu_facts){ 0 }, tally, &c);
	assert_int_equal(c.of[FEATURE_LESS], 1);
}

/* Of the CPU under this test: no leaf is asked for that it has not. */
static bool no_msr(void *context, uint32_t msr, uint64_t *value)
{
	(void)context;
	(void)msr;
	*value = 0;
	return false;
}

static void this_cpu_is_read(void **state)
{
	struct cpu_facts one, two;

	(void)state;
	cpu_facts_read(&one, no_msr, NULL);
	cpu_facts_read(&two, no_msr, NULL);
	assert_memory_equal(&one, &two, sizeof(one));
	assert_true(one.extended.edx & 1u << 29);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_machines),
		cmocka_unit_test(the_table_is_the_check_for_vt_x),
		cmocka_unit_test(what_svm_needs),
		cmocka_unit_test(neither),
		cmocka_unit_test(what_may_not_be_read_is_unknown),
		cmocka_unit_test(the_table_is_the_check_for_vt_d),
		cmocka_unit_test(this_cpu_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
