/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether this CPU's VT-x has what lasthop needs, and the controls it runs with: tables of what is
 * wanted against the capability MSRs (SDM 3D, appendix A). Compiled into the loader too: nothing
 * here needs more than the C headers, and nothing is changed, only read.
 */
#include "hv/cpu/vmx/caps.h"

#include <string.h>

#include "hv/cpu/detect.h"
#include "hv/cpu/msr.h"

enum need {
	REQUIRED,
	OPTIONAL,
	DYNAMIC, /* must be possible, is switched on and off at run time */
	OFF,	 /* must be possible to leave off */
};

struct ctl_want {
	uint64_t bit;
	enum need need;
	const char *words; /* what the user reads */
};

/* SDM 3C, "Pin-Based VM-Execution Controls" */
static const struct ctl_want pin[] = {
	{ PIN_EXTERNAL_INTERRUPT, REQUIRED, "exits on external interrupts" },
	{ PIN_NMI, REQUIRED, "exits on NMIs" },
	{ PIN_VIRTUAL_NMI, REQUIRED, "virtual NMIs" },
	{ PIN_PREEMPTION_TIMER, OPTIONAL, "the preemption timer" },
	{ 0, OFF, NULL },
};

/* SDM 3C, "Primary Processor-Based VM-Execution Controls" */
static const struct ctl_want proc[] = {
	{ PROC_SECONDARY, REQUIRED, "secondary execution controls" },
	{ PROC_TSC_OFFSET, REQUIRED, "TSC offsetting" },
	{ PROC_HLT, REQUIRED, "exits on HLT" },
	{ PROC_MWAIT, OPTIONAL, "exits on MWAIT" },
	{ PROC_MONITOR, OPTIONAL, "exits on MONITOR" },
	{ PROC_RDPMC, REQUIRED, "exits on RDPMC" },
	{ PROC_CR8_LOAD, REQUIRED, "exits on CR8 writes" },
	{ PROC_CR8_STORE, REQUIRED, "exits on CR8 reads" },
	{ PROC_IO_BITMAPS, REQUIRED, "I/O bitmaps" },
	{ PROC_MSR_BITMAPS, REQUIRED, "MSR bitmaps" },
	{ PROC_IRQ_WINDOW, DYNAMIC, "interrupt-window exits" },
	{ PROC_NMI_WINDOW, DYNAMIC, "NMI-window exits" },
	{ PROC_INVLPG, OFF, "INVLPG without exits" },
	{ PROC_RDTSC, OFF, "RDTSC without exits" },
	{ PROC_CR3_LOAD, OFF, "CR3 writes without exits" },
	{ PROC_CR3_STORE, OFF, "CR3 reads without exits" },
	{ PROC_MOV_DR, OFF, "debug-register access without exits" },
	{ PROC_PAUSE, OFF, "PAUSE without exits" },
	{ 0, OFF, NULL },
};

/* SDM 3C, "Secondary Processor-Based VM-Execution Controls" */
static const struct ctl_want proc2[] = {
	{ PROC2_EPT, REQUIRED, "extended page tables (EPT)" },
	{ PROC2_UNRESTR, REQUIRED, "unrestricted guest" },
	{ PROC2_VPID, OPTIONAL, "virtual-processor identifiers (VPID)" },
	{ PROC2_RDTSCP, OPTIONAL, "RDTSCP in guests" },
	{ PROC2_INVPCID, OPTIONAL, "INVPCID in guests" },
	{ PROC2_WBINVD, OPTIONAL, "exits on WBINVD" },
	{ PROC2_PAUSE_LOOP, OPTIONAL, "exits on PAUSE loops" },
	{ 0, OFF, NULL },
};

/* SDM 3C, "VM-Exit Controls" */
static const struct ctl_want exit_controls[] = {
	{ EXIT_HOST_64, REQUIRED, "a 64-bit host" },
	{ EXIT_SAVE_DEBUG, REQUIRED, "saving of debug controls" },
	{ EXIT_SAVE_PAT, REQUIRED, "saving of PAT" },
	{ EXIT_LOAD_PAT, REQUIRED, "loading of PAT at exits" },
	{ EXIT_SAVE_EFER, REQUIRED, "saving of EFER" },
	{ EXIT_LOAD_EFER, REQUIRED, "loading of EFER at exits" },
	{ EXIT_ACK_IRQ, OFF, "interrupts that stay pending at exits" },
	{ 0, OFF, NULL },
};

/* SDM 3C, "VM-Entry Controls" */
static const struct ctl_want entry[] = {
	{ ENTRY_LOAD_DEBUG, REQUIRED, "loading of debug controls" },
	{ ENTRY_LOAD_PAT, REQUIRED, "loading of PAT at entries" },
	{ ENTRY_LOAD_EFER, REQUIRED, "loading of EFER at entries" },
	{ ENTRY_GUEST_64, DYNAMIC, "64-bit guests" },
	{ 0, OFF, NULL },
};

/* Wanted together, or not at all (SDM 3C, "Checks on VMX Controls": one needs the other). */
static const struct {
	enum ctl_word word;
	struct ctl_want want;
} apicv[] = {
	{ CTL_PROC, { PROC_TPR_SHADOW, DYNAMIC, "the TPR shadow" } },
	{ CTL_PROC, { APICV_PROC_OFF, OFF, "CR8 access without exits" } },
	{ CTL_PROC2, { PROC2_X2APIC_MODE, DYNAMIC, "virtualised x2APIC mode" } },
	{ CTL_PROC2, { PROC2_APIC_REGISTERS, DYNAMIC, "APIC-register virtualisation" } },
	{ CTL_PROC2, { PROC2_VIRTUAL_IRQS, DYNAMIC, "virtual-interrupt delivery" } },
	{ CTL_PIN, { PIN_POSTED_INTERRUPTS, DYNAMIC, "posted interrupts" } },
	{ CTL_EXIT, { EXIT_ACK_IRQ, DYNAMIC, "acknowledgement of interrupts at exits" } },
};

static const struct ctl_want *const wants[CTL_COUNT] = {
	[CTL_PIN] = pin,     [CTL_PROC] = proc, [CTL_PROC2] = proc2, [CTL_EXIT] = exit_controls,
	[CTL_ENTRY] = entry,
};

/* Other capabilities. */
static const struct {
	size_t word; /* offset in struct vmx_caps */
	uint64_t bit;
	enum need need;
	const char *words;
} others[] = {
	{ offsetof(struct vmx_caps, basic), VMX_BASIC_INS_OUTS, REQUIRED,
	  "instruction information for INS and OUTS" },
	{ offsetof(struct vmx_caps, ept_vpid), EPT_CAP_WALK_4, REQUIRED, "EPT with four levels" },
	{ offsetof(struct vmx_caps, ept_vpid), EPT_CAP_WRITE_BACK, REQUIRED,
	  "EPT in write-back memory" },
	{ offsetof(struct vmx_caps, ept_vpid), EPT_CAP_INVEPT, REQUIRED, "INVEPT" },
	{ offsetof(struct vmx_caps, ept_vpid), EPT_CAP_INVEPT_SINGLE, OPTIONAL,
	  "INVEPT of one address space" },
	{ offsetof(struct vmx_caps, ept_vpid), EPT_CAP_2M, OPTIONAL, "EPT pages of 2 MiB" },
	{ offsetof(struct vmx_caps, ept_vpid), EPT_CAP_1G, OPTIONAL, "EPT pages of 1 GiB" },
	{ offsetof(struct vmx_caps, ept_vpid), VPID_CAP_INVVPID, OPTIONAL, "INVVPID" },
};

static bool other_available(const struct vmx_caps *caps, size_t i)
{
	uint64_t word;

	memcpy(&word, (const char *)caps + others[i].word, sizeof(word));
	return word & others[i].bit;
}

/* Appends the two texts, or nothing if there is no room for both. */
static void append(char *out, size_t room, const char *text, const char *more)
{
	size_t used = strlen(out), n = strlen(text), rest = strlen(more) + 1;

	if (n + rest > room - used)
		return;
	memcpy(out + used, text, n);
	memcpy(out + used + n, more, rest);
}

static bool available(uint64_t capability, const struct ctl_want *want)
{
	uint32_t must = (uint32_t)capability, may = (uint32_t)(capability >> 32);

	switch (want->need) {
	case OFF:
		return !(must & want->bit);
	case DYNAMIC:
		return (may & want->bit) && !(must & want->bit);
	default:
		return (may & want->bit) != 0;
	}
}

/* Adds one more thing that is missing to the list. */
static void lacks(char *missing, size_t room, const char *words)
{
	append(missing, room, missing[0] ? ", " : "this CPU's VT-x lacks ", words);
}

bool vmx_caps_check(const struct vmx_caps *caps, uint64_t feature_control, char *missing,
		    size_t room)
{
	static const char mend[] = " (a newer CPU, or the outer hypervisor's settings, would help)";
	bool usable = true; /* what is missing may be too long to be told */

	missing[0] = '\0';
	if ((feature_control & FEATURE_CONTROL_LOCK) && !(feature_control & FEATURE_CONTROL_VMX)) {
		append(missing, room, "VT-x is locked off by the firmware: ",
		       "switch on \"Intel Virtualization Technology\" (VT-x, VMX) in the BIOS "
		       "set-up, under CPU or Security, and switch the power off and on");
		return false;
	}
	if (!(caps->basic & VMX_BASIC_TRUE)) { /* older than the two: the rest was not read */
		lacks(missing, room - sizeof(mend),
		      "extended page tables (EPT), unrestricted guest");
		append(missing, room, mend, "");
		return false;
	}
	for (unsigned w = 0; w < CTL_COUNT; w++) {
		if (w == CTL_PROC2 && !(caps->controls[CTL_PROC] >> 32 & PROC_SECONDARY))
			continue; /* said already */
		for (const struct ctl_want *want = wants[w]; want->bit; want++)
			if (want->need != OPTIONAL && !available(caps->controls[w], want)) {
				lacks(missing, room - sizeof(mend), want->words);
				usable = false;
			}
	}
	if (caps->controls[CTL_PROC2] >> 32 & PROC2_EPT)
		for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
			if (others[i].need == REQUIRED && !other_available(caps, i)) {
				lacks(missing, room - sizeof(mend), others[i].words);
				usable = false;
			}
	if (!usable)
		append(missing, room, mend, "");
	return usable;
}

const char *vmx_apicv_lacks(const struct vmx_caps *caps)
{
	for (size_t i = 0; i < sizeof(apicv) / sizeof(apicv[0]); i++)
		if (!available(caps->controls[apicv[i].word], &apicv[i].want))
			return apicv[i].want.words;
	return NULL;
}

uint32_t vmx_control(const struct vmx_caps *caps, enum ctl_word word)
{
	uint32_t value = (uint32_t)caps->controls[word]; /* the bits that must be 1 */

	for (const struct ctl_want *want = wants[word]; want->bit; want++)
		if ((want->need == REQUIRED || want->need == OPTIONAL) &&
		    available(caps->controls[word], want))
			value |= (uint32_t)want->bit;
	return value;
}

/* MSR numbers, SDM 4, table "IA-32 Architectural MSRs" */
enum {
	MSR_VMX_BASIC = 0x480,
	MSR_VMX_MISC = 0x485,
	MSR_VMX_CR0_FIXED0 = 0x486,
	MSR_VMX_CR0_FIXED1 = 0x487,
	MSR_VMX_CR4_FIXED0 = 0x488,
	MSR_VMX_CR4_FIXED1 = 0x489,
	MSR_VMX_PROC2 = 0x48b,
	MSR_VMX_EPT_VPID_CAP = 0x48c,
	MSR_VMX_TRUE_PIN = 0x48d,
	MSR_VMX_TRUE_PROC = 0x48e,
	MSR_VMX_TRUE_EXIT = 0x48f,
	MSR_VMX_TRUE_ENTRY = 0x490,
};

bool vmx_caps_read_by(struct vmx_caps *caps,
		      bool (*read)(void *context, uint32_t msr, uint64_t *value), void *context)
{
	bool good;

	memset(caps, 0, sizeof(*caps));
	good = read(context, MSR_VMX_BASIC, &caps->basic) &&
	       read(context, MSR_VMX_MISC, &caps->misc) &&
	       read(context, MSR_VMX_CR0_FIXED0, &caps->cr0_fixed0) &&
	       read(context, MSR_VMX_CR0_FIXED1, &caps->cr0_fixed1) &&
	       read(context, MSR_VMX_CR4_FIXED0, &caps->cr4_fixed0) &&
	       read(context, MSR_VMX_CR4_FIXED1, &caps->cr4_fixed1);
	if (good && caps->basic & VMX_BASIC_TRUE)
		good = read(context, MSR_VMX_TRUE_PIN, &caps->controls[CTL_PIN]) &&
		       read(context, MSR_VMX_TRUE_PROC, &caps->controls[CTL_PROC]) &&
		       read(context, MSR_VMX_TRUE_EXIT, &caps->controls[CTL_EXIT]) &&
		       read(context, MSR_VMX_TRUE_ENTRY, &caps->controls[CTL_ENTRY]);
	if (good && caps->controls[CTL_PROC] >> 32 & PROC_SECONDARY)
		good = read(context, MSR_VMX_PROC2, &caps->controls[CTL_PROC2]);
	if (good && caps->controls[CTL_PROC2] >> 32 & (PROC2_EPT | PROC2_VPID))
		good = read(context, MSR_VMX_EPT_VPID_CAP, &caps->ept_vpid);
	return good;
}

static bool read_here(void *context, uint32_t msr, uint64_t *value)
{
	(void)context;
	*value = rdmsr(msr);
	return true;
}

void vmx_caps_read(struct vmx_caps *caps)
{
	(void)vmx_caps_read_by(caps, read_here, NULL);
}

void vmx_features(const struct vmx_caps *caps, bool known, uint64_t feature_control,
		  feature_fn *report, void *context)
{
	const char *const part = "VT-x";
	bool locked_off = (feature_control & FEATURE_CONTROL_LOCK) &&
			  !(feature_control & FEATURE_CONTROL_VMX);

	report(context, part, "", "not locked off by the firmware",
	       known ? feature_state(!locked_off, true) : FEATURE_UNKNOWN);
	for (unsigned w = 0; w < CTL_COUNT; w++)
		for (const struct ctl_want *want = wants[w]; want->bit; want++)
			report(context, part, "", want->words,
			       known ? feature_state(available(caps->controls[w], want),
						     want->need != OPTIONAL)
				     : FEATURE_UNKNOWN);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		report(context, part, "", others[i].words,
		       known ? feature_state(other_available(caps, i), others[i].need == REQUIRED)
			     : FEATURE_UNKNOWN);
	for (size_t i = 0; i < sizeof(apicv) / sizeof(apicv[0]); i++)
		report(context, "apicv", "", apicv[i].want.words,
		       known ? feature_state(
				       available(caps->controls[apicv[i].word], &apicv[i].want),
				       false)
			     : FEATURE_UNKNOWN);
}

bool vmx_detect(char *missing, size_t room)
{
	struct vmx_caps caps;

	vmx_caps_read(&caps);
	return vmx_caps_check(&caps, rdmsr(MSR_FEATURE_CONTROL), missing, room);
}
