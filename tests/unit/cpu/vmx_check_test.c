/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a failed VM entry explained by the right check? A VMCS that is right passes; each row breaks
 * one field and expects words of the answer. Links: hv/cpu/vmx/check.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hv/cpu/msr.h"
#include "hv/cpu/vmx/vmx_impl.h"

#include <cmocka.h> /* last: it has a macro fail() */

#define MAX_FIELDS 0x7000

static const struct vmx_caps caps = {
	.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG,
	.cr0_fixed1 = 0xffffffff,
	.cr4_fixed0 = CR4_VMXE,
	.cr4_fixed1 = 0x3767ff,
	.controls = {
		[CTL_PIN] = 0xff00000016, [CTL_PROC] = 0xfff9fffe04006172,
		[CTL_PROC2] = 0x2577fff00000000, [CTL_EXIT] = 0x7fffff00036dfb,
		[CTL_ENTRY] = 0xffff000011fb,
	},
};

static uint64_t fields[MAX_FIELDS];

static uint64_t read_field(const void *context, enum vmcs_field field)
{
	(void)context;
	return fields[field];
}

static void set(enum vmcs_field field, uint64_t value)
{
	fields[field] = value;
}

static void set_segment(unsigned seg, uint64_t selector, uint64_t access, uint64_t limit)
{
	set(vmcs_segment(VMCS_GUEST_ES_SELECTOR, seg), selector);
	set(vmcs_segment(VMCS_GUEST_ES_ACCESS, seg), access);
	set(vmcs_segment(VMCS_GUEST_ES_LIMIT, seg), limit);
	set(vmcs_segment(VMCS_GUEST_ES_BASE, seg), 0);
}

static void host_and_controls(void)
{
	set(VMCS_PIN_CONTROLS, 0x16 | PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI);
	set(VMCS_PROC_CONTROLS, 0x04006172 | PROC_SECONDARY);
	set(VMCS_PROC2_CONTROLS, PROC2_EPT | PROC2_VPID | PROC2_UNRESTR);
	set(VMCS_EXIT_CONTROLS, 0x36dfb | EXIT_HOST_64);
	set(VMCS_ENTRY_CONTROLS, 0x11fb);
	set(VMCS_VPID, 1);
	set(VMCS_EPT_POINTER, 0x1234501e);
	set(VMCS_HOST_CR0, CR0_PE | CR0_NE | CR0_PG);
	set(VMCS_HOST_CR4, CR4_VMXE | CR4_PAE);
	set(VMCS_HOST_EFER, EFER_LME | EFER_LMA);
	set(VMCS_HOST_CS_SELECTOR, 8);
	set(VMCS_HOST_TR_SELECTOR, 0x18);
	set(VMCS_HOST_RIP, 0xffffffff80000000);
}

/* 32-bit protected mode without paging, as a PVH kernel is entered. */
static void protected_mode(void)
{
	memset(fields, 0, sizeof(fields));
	host_and_controls();
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
		set_segment(seg, 0x10, 0xc093, 0xffffffff);
	set_segment(SEG_CS, 8, 0xc09b, 0xffffffff);
	set_segment(SEG_TR, 0x18, 0x8b, 0x67);
	set_segment(SEG_LDTR, 0, 0x10082, 0xffff);
	set(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_ET);
	set(VMCS_GUEST_CR4, CR4_VMXE);
	set(VMCS_GUEST_PAT, 0x0007040600070406);
	set(VMCS_GUEST_DR7, 0x400);
	set(VMCS_GUEST_RIP, 0x100000);
	set(VMCS_GUEST_RFLAGS, 2);
	set(VMCS_VMCS_LINK_POINTER, ~0ull);
}

static void real_mode(void)
{
	protected_mode();
	for (unsigned seg = SEG_ES; seg <= SEG_GS; seg++)
		set_segment(seg, 0, 0x93, 0xffff);
	set_segment(SEG_CS, 0xf000, 0x9b, 0xffff);
	set_segment(SEG_LDTR, 0, 0x82, 0xffff);
	set(VMCS_GUEST_CR0, CR0_NE | CR0_ET);
	set(VMCS_GUEST_RIP, 0xfff0);
}

static void long_mode(void)
{
	protected_mode();
	set_segment(SEG_CS, 8, 0xa09b, 0xffffffff);
	set(VMCS_ENTRY_CONTROLS, 0x11fb | ENTRY_GUEST_64);
	set(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_ET | CR0_PG);
	set(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
	set(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
	set(VMCS_GUEST_RIP, 0xffffffff81000000);
	set(VMCS_GUEST_RFLAGS, 0x202);
}

static const char *explain(void)
{
	return vmcs_explain(&caps, read_field, NULL);
}

static void with_apicv(void)
{
	long_mode();
	fields[VMCS_PIN_CONTROLS] |= APICV_PIN;
	fields[VMCS_PROC_CONTROLS] |= APICV_PROC;
	fields[VMCS_PROC2_CONTROLS] |= APICV_PROC2;
	fields[VMCS_EXIT_CONTROLS] |= APICV_EXIT;
	set(VMCS_VIRTUAL_APIC_PAGE, 0x7000);
	set(VMCS_POSTED_DESCRIPTOR, 0x8040);
	set(VMCS_POSTED_VECTOR, 0xf2);
}

static void right_states_pass(void **state)
{
	(void)state;
	protected_mode();
	assert_null(explain());
	real_mode();
	assert_null(explain());
	long_mode();
	assert_null(explain());
	with_apicv();
	assert_null(explain());
}

#define SEG(what, seg)	    (VMCS_GUEST_ES_##what + 2 * SEG_##seg)
#define EVENT(type, vector) (EVENT_VALID | EVENT_TYPE_OF(type) | (vector))

static const struct {
	void (*start)(void);
	unsigned field;
	uint64_t value;
	const char *words;
} rows[] = {
	{ long_mode, VMCS_PIN_CONTROLS, 0, "pin-based controls" },
	{ long_mode, VMCS_PROC_CONTROLS, 0x04006172 | BIT(0), "processor-based" },
	{ long_mode, VMCS_PROC2_CONTROLS, BIT(31), "secondary controls" },
	{ long_mode, VMCS_IO_BITMAP_B, 0x1001, "I/O bitmap" },
	{ long_mode, VMCS_MSR_BITMAP, 0x10, "MSR bitmap" },
	{ with_apicv, VMCS_VIRTUAL_APIC_PAGE, 0x7010, "virtual-APIC page" },
	{ with_apicv, VMCS_PROC_CONTROLS, 0x04006172 | PROC_SECONDARY, "virtual-APIC page" },
	{ with_apicv, VMCS_POSTED_DESCRIPTOR, 0x8020, "posted interrupts" },
	{ with_apicv, VMCS_POSTED_VECTOR, 256, "posted interrupts" },
	{ with_apicv, VMCS_EXIT_CONTROLS, 0x36dfb | EXIT_HOST_64, "posted interrupts" },
	{ with_apicv, VMCS_PIN_CONTROLS, 0x16 | APICV_PIN, "virtual-interrupt delivery" },
	{ long_mode, VMCS_VPID, 0, "VPID" },
	{ long_mode, VMCS_EPT_POINTER, 0x12345000, "EPT pointer" },
	{ long_mode, VMCS_EXIT_CONTROLS, 0, "VM-exit controls" },
	{ long_mode, VMCS_ENTRY_CONTROLS, BIT(9), "VM-entry controls" },
	{ long_mode, VMCS_ENTRY_INTERRUPTION_INFO, EVENT(1, 5), "reserved type" },
	{ long_mode, VMCS_ENTRY_INTERRUPTION_INFO, EVENT(EVENT_NMI, 3), "injected NMI" },
	{ long_mode, VMCS_ENTRY_INTERRUPTION_INFO, EVENT(EVENT_HARDWARE_EXCEPTION, 32),
	  "above 31" },
	{ long_mode, VMCS_ENTRY_INTERRUPTION_INFO, EVENT(EVENT_HARDWARE_EXCEPTION, 13),
	  "error code" },
	{ real_mode, VMCS_ENTRY_INTERRUPTION_INFO,
	  EVENT(EVENT_HARDWARE_EXCEPTION, 13) | EVENT_ERROR_CODE, "error code" },
	{ long_mode, VMCS_ENTRY_INTERRUPTION_INFO, EVENT(EVENT_EXTERNAL, 32) | BIT(12),
	  "reserved" },
	{ long_mode, VMCS_ENTRY_INTERRUPTION_INFO, EVENT(EVENT_SOFTWARE_INTERRUPT, 128),
	  "instruction length" },
	{ long_mode, VMCS_HOST_CR0, CR0_PE | CR0_PG, "host CR0" },
	{ long_mode, VMCS_HOST_CR4, 0, "host CR4" },
	{ long_mode, VMCS_HOST_GDTR_BASE, 1ull << 48, "host FS, GS, TR" },
	{ long_mode, VMCS_HOST_TR_SELECTOR, 0, "host CS or TR" },
	{ long_mode, VMCS_HOST_EFER, 0, "host EFER" },
	{ protected_mode, VMCS_GUEST_CR0, CR0_PE, "CR0: a bit" },
	{ protected_mode, VMCS_GUEST_CR0, CR0_NE | CR0_PG, "PG without PE" },
	{ protected_mode, VMCS_GUEST_CR4, 0, "CR4: a bit" },
	{ protected_mode, VMCS_GUEST_CR4, CR4_VMXE | BIT(12), "CR4: a bit" },
	{ long_mode, VMCS_GUEST_CR4, CR4_VMXE, "without CR0.PG or CR4.PAE" },
	{ protected_mode, VMCS_GUEST_CR4, CR4_VMXE | CR4_PCIDE, "PCIDE" },
	{ long_mode, VMCS_GUEST_CR3, BIT(60), "CR3" },
	{ long_mode, VMCS_GUEST_DR7, BIT(32), "DR7" },
	{ long_mode, VMCS_GUEST_SYSENTER_EIP, BIT(47), "SYSENTER" },
	{ long_mode, VMCS_GUEST_PAT, 2, "PAT" },
	{ long_mode, VMCS_GUEST_EFER, EFER_LMA | EFER_LME | EFER_SVME, "EFER: reserved" },
	{ long_mode, VMCS_GUEST_EFER, EFER_LME, "EFER.LMA" },
	{ long_mode, VMCS_GUEST_EFER, EFER_LMA, "EFER.LME" },
	{ long_mode, SEG(SELECTOR, TR), 0x1c, "TR: selector" },
	{ long_mode, SEG(BASE, FS), 1ull << 47, "not canonical" },
	{ long_mode, SEG(BASE, CS), 1ull << 32, "CS base" },
	{ long_mode, SEG(BASE, SS), 1ull << 32, "SS, DS or ES base" },
	{ protected_mode, SEG(ACCESS, CS), 0xc098, "CS: type" },
	{ protected_mode, SEG(ACCESS, SS), 0xc091, "SS: type" },
	{ protected_mode, SEG(ACCESS, DS), 0xc092, "DS, ES, FS or GS: type" },
	{ protected_mode, SEG(ACCESS, CS), 0xc01b, "CS: not a present" },
	{ protected_mode, SEG(ACCESS, CS), 0xc0fb, "CS: DPL" },
	{ long_mode, SEG(ACCESS, CS), 0xe09b, "both L and D" },
	{ protected_mode, SEG(LIMIT, CS), 0xfffff, NULL },
	{ protected_mode, SEG(LIMIT, CS), 0xffffe, "CS: limit" },
	{ protected_mode, SEG(ACCESS, SS), 0xc013, "SS: not present" },
	{ protected_mode, SEG(ACCESS, GS), 0xc193, "DS, ES, FS or GS: not present" },
	{ protected_mode, SEG(ACCESS, GS), 0x10000, NULL },
	{ protected_mode, SEG(ACCESS, TR), 0x10000, "TR: unusable" },
	{ long_mode, SEG(ACCESS, TR), 0x83, "TR: type" },
	{ protected_mode, SEG(ACCESS, TR), 0x83, NULL },
	{ protected_mode, SEG(ACCESS, TR), 0x0b, "TR: not present" },
	{ protected_mode, SEG(ACCESS, LDTR), 0x81, "LDTR" },
	{ long_mode, VMCS_GUEST_IDTR_BASE, 1ull << 47, "GDTR or IDTR base" },
	{ long_mode, VMCS_GUEST_GDTR_LIMIT, 0x10000, "GDTR or IDTR limit" },
	{ protected_mode, VMCS_GUEST_RIP, 1ull << 32, "RIP" },
	{ long_mode, VMCS_GUEST_RIP, 1ull << 47, "RIP" },
	{ long_mode, VMCS_GUEST_RFLAGS, 0, "RFLAGS: reserved" },
	{ long_mode, VMCS_GUEST_RFLAGS, 2 | BIT(15), "RFLAGS: reserved" },
	{ protected_mode, VMCS_ENTRY_INTERRUPTION_INFO, EVENT(EVENT_EXTERNAL, 32),
	  "RFLAGS.IF is 0" },
	{ long_mode, VMCS_GUEST_ACTIVITY_STATE, 1, "activity" },
	{ long_mode, VMCS_GUEST_INTERRUPTIBILITY, BIT(5), "interruptibility: reserved" },
	{ long_mode, VMCS_GUEST_INTERRUPTIBILITY, 3, "together" },
	{ protected_mode, VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_STI, "STI while" },
	{ long_mode, VMCS_GUEST_PENDING_DEBUG, BIT(5), "pending debug" },
	{ long_mode, VMCS_VMCS_LINK_POINTER, 0, "link pointer" },
};

static void each_broken_field_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *words;

		rows[i].start();
		fields[rows[i].field] = rows[i].value;
		words = explain();
		if (!rows[i].words && words)
			fail_msg("row %zu should pass: %s", i, words);
		if (rows[i].words && (!words || !strstr(words, rows[i].words)))
			fail_msg("row %zu: wanted \"%s\", got \"%s\"", i, rows[i].words,
				 words ? words : "nothing");
	}
}

/* Faults that take two fields. */
static void combinations(void **state)
{
	(void)state;
	long_mode();
	set(VMCS_ENTRY_INTERRUPTION_INFO, EVENT(EVENT_EXTERNAL, 32));
	assert_null(explain());
	set(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_MOV_SS);
	assert_non_null(strstr(explain(), "external interrupt injected while STI"));
	set(VMCS_ENTRY_INTERRUPTION_INFO, EVENT(EVENT_NMI, 2));
	set(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_NMI);
	assert_non_null(strstr(explain(), "NMI injected"));
	long_mode();
	set(VMCS_GUEST_INTERRUPTIBILITY, BLOCKED_BY_STI);
	set(VMCS_GUEST_RFLAGS, 0x302);
	assert_non_null(strstr(explain(), "BS differs"));
	set(VMCS_GUEST_PENDING_DEBUG, PENDING_DEBUG_BS);
	assert_null(explain());
	protected_mode();
	set(VMCS_GUEST_CR0, CR0_PE | CR0_NE | CR0_PG);
	set(VMCS_GUEST_CR4, CR4_VMXE | CR4_PAE);
	assert_null(explain());
	set(VMCS_GUEST_PDPTE2, 3);
	assert_non_null(strstr(explain(), "PDPTE"));
	real_mode();
	set(SEG(ACCESS, CS), 0x93);
	assert_null(explain());
	set(SEG(ACCESS, SS), 0xf3);
	assert_non_null(strstr(explain(), "SS: DPL"));
	protected_mode();
	set(VMCS_GUEST_RFLAGS, 2 | RFLAGS_VM);
	assert_non_null(strstr(explain(), "virtual-8086"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_states_pass),
		cmocka_unit_test(each_broken_field_is_named),
		cmocka_unit_test(combinations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
