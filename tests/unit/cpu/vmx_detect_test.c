/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does the VT-x check say in words what is missing, and do the controls keep to what a CPU allows?
 * Links: hv/cpu/vmx/detect.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hv/cpu/vmx/caps.h"

#define MAY(bits) ((uint64_t)(bits) << 32)

/* Bochs 3.1's corei7_skylake_x, in the bits that matter. */
static const struct vmx_caps good = {
	.basic = VMX_BASIC_TRUE | VMX_BASIC_INS_OUTS | 0x2b,
	.ept_vpid = EPT_CAP_WALK_4 | EPT_CAP_WRITE_BACK | EPT_CAP_2M | EPT_CAP_1G | EPT_CAP_INVEPT |
		    EPT_CAP_INVEPT_SINGLE | EPT_CAP_INVEPT_ALL,
	.controls = {
		[CTL_PIN] = MAY(0xff) | 0x16,
		[CTL_PROC] = MAY(0xfff9fffe) | 0x04006172,
		[CTL_PROC2] = MAY(0x02577fff),
		[CTL_EXIT] = MAY(0x007fffff) | 0x00036dfb,
		[CTL_ENTRY] = MAY(0x0000ffff) | 0x000011fb,
	},
};

static void check(const struct vmx_caps *caps, uint64_t feature_control, const char *words)
{
	char missing[200];
	bool usable = vmx_caps_check(caps, feature_control, missing, sizeof(missing));

	if (words) {
		assert_false(usable);
		assert_non_null(strstr(missing, words));
	} else {
		assert_string_equal(missing, "");
		assert_true(usable);
	}
}

static void usable_cpu(void **state)
{
	(void)state;
	check(&good, FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX, NULL);
	check(&good, 0, NULL); /* not locked: the core locks it */
}

static void locked_off(void **state)
{
	(void)state;
	check(&good, FEATURE_CONTROL_LOCK, "BIOS set-up");
}

/* One capability less, one word more. */
static void each_lack_has_a_word(void **state)
{
	static const struct {
		enum ctl_word word;
		uint64_t bit;
		const char *words;
	} rows[] = {
		{ CTL_PIN, PIN_EXTERNAL_INTERRUPT, "external interrupts" },
		{ CTL_PIN, PIN_VIRTUAL_NMI, "virtual NMIs" },
		{ CTL_PROC, PROC_MSR_BITMAPS, "MSR bitmaps" },
		{ CTL_PROC, PROC_IO_BITMAPS, "I/O bitmaps" },
		{ CTL_PROC, PROC_IRQ_WINDOW, "interrupt-window" },
		{ CTL_PROC2, PROC2_EPT, "extended page tables (EPT)" },
		{ CTL_PROC2, PROC2_UNRESTR, "unrestricted guest" },
		{ CTL_EXIT, EXIT_HOST_64, "64-bit host" },
		{ CTL_ENTRY, ENTRY_GUEST_64, "64-bit guests" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vmx_caps caps = good;

		caps.controls[rows[i].word] &= ~MAY(rows[i].bit);
		check(&caps, 0, rows[i].words);
	}
}

/* All of it, or what is missing first. */
static void apicv_needs_all_its_controls(void **state)
{
	static const struct {
		enum ctl_word word;
		uint64_t bit;
		const char *words;
	} rows[] = {
		{ CTL_PROC, PROC_TPR_SHADOW, "the TPR shadow" },
		{ CTL_PROC2, PROC2_X2APIC_MODE, "virtualised x2APIC mode" },
		{ CTL_PROC2, PROC2_APIC_REGISTERS, "APIC-register virtualisation" },
		{ CTL_PROC2, PROC2_VIRTUAL_IRQS, "virtual-interrupt delivery" },
		{ CTL_PIN, PIN_POSTED_INTERRUPTS, "posted interrupts" },
		{ CTL_EXIT, EXIT_ACK_IRQ, "acknowledgement of interrupts at exits" },
	};
	struct vmx_caps caps = good;

	(void)state;
	assert_null(vmx_apicv_lacks(&good));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		caps = good;
		caps.controls[rows[i].word] &= ~MAY(rows[i].bit);
		assert_string_equal(vmx_apicv_lacks(&caps), rows[i].words);
		assert_false(vmx_control(&good, rows[i].word) & rows[i].bit); /* off by itself */
	}
	caps = good;
	caps.controls[CTL_PROC] |= PROC_CR8_LOAD;
	assert_string_equal(vmx_apicv_lacks(&caps), "CR8 access without exits");
}

static void forced_bits_are_refused(void **state)
{
	struct vmx_caps caps = good;

	(void)state;
	caps.controls[CTL_PROC] |= PROC_CR3_LOAD;
	check(&caps, 0, "CR3 writes without exits");
	caps = good;
	caps.controls[CTL_EXIT] |= EXIT_ACK_IRQ;
	check(&caps, 0, "pending");
}

static void other_capabilities(void **state)
{
	struct vmx_caps caps = good;

	(void)state;
	caps.ept_vpid &= ~EPT_CAP_INVEPT;
	check(&caps, 0, "INVEPT");
	caps.ept_vpid = 0;
	check(&caps, 0, "EPT with four levels, EPT in write-back memory, INVEPT");
	caps.basic = 0;
	check(&caps, 0, "unrestricted guest");
}

/* What does not fit is left out, whole phrases of it; a list that is empty for that reason still
 * means no. The message stays within its room, and ends. */
static void everything_missing(void **state)
{
	static const char *const first[] = {
		"this CPU's VT-x lacks exits on external interrupts",
		", exits on NMIs",
		", virtual NMIs",
		", secondary execution controls",
		", TSC offsetting",
	};
	static const char mend[] = " (a newer CPU, or the outer hypervisor's settings, would help)";
	struct vmx_caps caps = { .basic = VMX_BASIC_TRUE };

	(void)state;
	for (size_t room = sizeof(mend); room <= 200; room++) {
		char missing[208], wanted[208] = "";
		size_t used = 0;

		memset(missing, 'x', sizeof(missing));
		assert_false(vmx_caps_check(&caps, 0, missing, room));
		assert_true(strlen(missing) < room);
		assert_int_equal(missing[room], 'x');
		for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
			if (used + strlen(first[i]) + sizeof(mend) > room - 1)
				break;
			used += strlen(strcpy(wanted + used, first[i]));
		}
		assert_memory_equal(missing, wanted, used);
		assert_string_equal(missing + strlen(missing) - strlen(mend), mend);
	}
}

/* In a room for all but the last letter of a phrase. */
static void no_phrase_is_cut(void **state)
{
	static const char text[] = "this CPU's VT-x lacks EPT in write-back memory"
				   " (a newer CPU, or the outer hypervisor's settings, would help)";
	struct vmx_caps caps = good;
	char missing[200];

	(void)state;
	caps.ept_vpid &= ~(EPT_CAP_WRITE_BACK | EPT_CAP_INVEPT);
	for (size_t more = 1; more <= strlen(", INVEPT"); more++) {
		assert_false(vmx_caps_check(&caps, 0, missing, sizeof(text) + more));
		assert_string_equal(missing, text);
	}
	assert_false(vmx_caps_check(&caps, 0, missing, sizeof(text) + 1 + strlen(", INVEPT")));
	assert_non_null(strstr(missing, " memory, INVEPT (a newer CPU"));
}

static void controls_keep_to_the_capabilities(void **state)
{
	(void)state;
	for (enum ctl_word w = CTL_PIN; w < CTL_COUNT; w++) {
		uint32_t must = (uint32_t)good.controls[w],
			 may = (uint32_t)(good.controls[w] >> 32);
		uint32_t value = vmx_control(&good, w);

		assert_int_equal(value & must, must);
		assert_int_equal(value & ~may, 0);
	}
	assert_true(vmx_control(&good, CTL_PROC2) & PROC2_UNRESTR);
	assert_true(vmx_control(&good, CTL_PROC) & PROC_HLT);
	assert_false(vmx_control(&good, CTL_PROC) & (PROC_WINDOWS | PROC_CR3_LOAD | PROC_MOV_DR));
	assert_false(vmx_control(&good, CTL_ENTRY) & ENTRY_GUEST_64);
}

static void optional_controls_may_be_missing(void **state)
{
	struct vmx_caps caps = good;

	(void)state;
	caps.controls[CTL_PIN] &= ~MAY(PIN_PREEMPTION_TIMER);
	caps.controls[CTL_PROC2] &=
		~MAY(PROC2_VPID | PROC2_RDTSCP | PROC2_INVPCID | PROC2_WBINVD | PROC2_PAUSE_LOOP);
	caps.controls[CTL_PROC] &= ~MAY(PROC_MWAIT | PROC_MONITOR);
	check(&caps, 0, NULL);
	assert_false(vmx_control(&caps, CTL_PIN) & PIN_PREEMPTION_TIMER);
	assert_false(vmx_control(&caps, CTL_PROC2) & PROC2_VPID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usable_cpu),
		cmocka_unit_test(locked_off),
		cmocka_unit_test(each_lack_has_a_word),
		cmocka_unit_test(apicv_needs_all_its_controls),
		cmocka_unit_test(forced_bits_are_refused),
		cmocka_unit_test(other_capabilities),
		cmocka_unit_test(everything_missing),
		cmocka_unit_test(no_phrase_is_cut),
		cmocka_unit_test(controls_keep_to_the_capabilities),
		cmocka_unit_test(optional_controls_may_be_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
