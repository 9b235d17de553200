/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does each of VMRUN's checks speak of itself, and is a good control block accepted?
 *
 * Linked with hv/cpu/svm/check.c.
 */
#include "hv/cpu/svm/check.h"

#include "hv/cpu/msr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct vmcb vmcb;
static const struct svm_limits limits = {
	.cr4 = 0x7ff,
	.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
	.address_mask = BIT(40) - 1,
};

static void good(void)
{
	memset(&vmcb, 0, sizeof(vmcb));
	vmcb.ctl.ctl4 = CTL4_VMRUN;
	vmcb.ctl.asid = 1;
	vmcb.ctl.np = NP_ENABLE;
	vmcb.ctl.iopm = 0x1000;
	vmcb.ctl.msrpm = 0x5000;
	vmcb.save.cr0 = CR0_PE | CR0_PG;
	vmcb.save.cr4 = CR4_PAE;
	vmcb.save.efer = EFER_SVME | EFER_LME | EFER_LMA;
	vmcb.save.cs.attrib = 0x29b;
	vmcb.save.dr6 = 0xffff0ff0;
	vmcb.save.dr7 = 0x400;
}

static void test_each_check(void **state)
{
	static const struct {
		size_t at; /* of a 32-bit word in the VMCB */
		uint32_t clear, set;
		const char *word;
	} table[] = {
		{ offsetof(struct vmcb, save.efer), EFER_SVME, 0, "SVME" },
		{ offsetof(struct vmcb, save.cr0), 0, CR0_NW, "CR0.NW" },
		{ offsetof(struct vmcb, save.cr0) + 4, 0, 1, "above 31" },
		{ offsetof(struct vmcb, save.cr3) + 4, 0, 1u << 8, "CR3" },
		{ offsetof(struct vmcb, save.cr4), 0, 1u << 20, "CR4 has" },
		{ offsetof(struct vmcb, save.dr6) + 4, 0, 1, "DR6" },
		{ offsetof(struct vmcb, save.dr7) + 4, 0, 1, "DR7" },
		{ offsetof(struct vmcb, save.efer), 0, 1u << 13, "EFER has" },
		{ offsetof(struct vmcb, save.cr4), CR4_PAE, 0, "CR4.PAE" },
		{ offsetof(struct vmcb, save.cr0), CR0_PE, 0, "CR0.PE" },
		{ offsetof(struct vmcb, save.cs.selector), 0, 1u << (16 + 10), "CS.L" },
		{ offsetof(struct vmcb, ctl.ctl4), CTL4_VMRUN, 0, "VMRUN" },
		{ offsetof(struct vmcb, ctl.iopm) + 4, 0, 1u << 8, "I/O" },
		{ offsetof(struct vmcb, ctl.msrpm) + 4, 0, 1u << 8, "MSR" },
		{ offsetof(struct vmcb, ctl.event_inj), 0, 1u << 31 | 1u << 8, "EVENTINJ" },
		{ offsetof(struct vmcb, ctl.event_inj), 0, 1u << 31 | 3u << 8 | 2, "EVENTINJ" },
		{ offsetof(struct vmcb, ctl.event_inj), 0, 1u << 31 | 3u << 8 | 32, "EVENTINJ" },
		{ offsetof(struct vmcb, ctl.asid), 1, 0, "ASID" },
		{ offsetof(struct vmcb, ctl.n_cr3) + 4, 0, 1u << 8, "nested" },
	};

	(void)state;
	good();
	assert_null(svm_check(&vmcb, &limits));
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *sentence;
		uint32_t word;

		good();
		memcpy(&word, (char *)&vmcb + table[i].at, 4);
		word = (word & ~table[i].clear) | table[i].set;
		memcpy((char *)&vmcb + table[i].at, &word, 4);
		sentence = svm_check(&vmcb, &limits);
		assert_non_null(sentence);
		if (!strstr(sentence, table[i].word))
			fail_msg("row %u: \"%s\", wanted something of %s", i, sentence,
				 table[i].word);
	}
}

/* What guests do all the time: real mode after RESET, PVH entry, an interrupt to inject. */
static void test_accepted(void **state)
{
	(void)state;
	good();
	vmcb.save.cr0 = CR0_CD | CR0_NW | CR0_ET;
	vmcb.save.cr4 = 0;
	vmcb.save.efer = EFER_SVME;
	assert_null(svm_check(&vmcb, &limits));
	vmcb.save.cr0 = CR0_PE;
	vmcb.save.cs.attrib = 0xc9b;
	assert_null(svm_check(&vmcb, &limits));
	good();
	vmcb.ctl.event_inj = EVENT_VALID | EVENT_INTR | 0xec;
	assert_null(svm_check(&vmcb, &limits));
	vmcb.ctl.event_inj = EVENT_VALID | EVENT_EXCEPTION | EVENT_HAS_ERROR | 14;
	assert_null(svm_check(&vmcb, &limits));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_check),
		cmocka_unit_test(test_accepted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
