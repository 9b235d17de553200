/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMRUN's checks (APM 2, "Canonicalization and Consistency Checks") as a table, in the manual's
 * order. The processor says only that one failed; this says which. Pure, tested on the host.
 */
#include "hv/cpu/svm/check.h"

#include <stdbool.h>

#include "hv/cpu/msr.h"

#define ATTRIB_L    BIT(9)
#define ATTRIB_D    BIT(10)
#define HIGH_HALF   0xffffffff00000000ull
#define IOPM_PAGES  3u
#define MSRPM_PAGES 2u

typedef bool check_fn(const struct vmcb *v, const struct svm_limits *l);

static bool long_paging(const struct vmcb *v)
{
	return v->save.efer & EFER_LME && v->save.cr0 & CR0_PG;
}

static bool no_svme(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return !(v->save.efer & EFER_SVME);
}

static bool nw_without_cd(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return !(v->save.cr0 & CR0_CD) && v->save.cr0 & CR0_NW;
}

static bool cr0_high(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return v->save.cr0 & HIGH_HALF;
}

static bool cr3_reserved(const struct vmcb *v, const struct svm_limits *l)
{
	return v->save.efer & EFER_LMA && v->save.cr3 & ~l->address_mask;
}

static bool cr4_reserved(const struct vmcb *v, const struct svm_limits *l)
{
	return v->save.cr4 & ~l->cr4;
}

static bool dr6_high(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return v->save.dr6 & HIGH_HALF;
}

static bool dr7_high(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return v->save.dr7 & HIGH_HALF;
}

static bool efer_reserved(const struct vmcb *v, const struct svm_limits *l)
{
	return v->save.efer & ~(l->efer | EFER_SVME);
}

static bool long_without_pae(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return long_paging(v) && !(v->save.cr4 & CR4_PAE);
}

static bool long_without_pe(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return long_paging(v) && !(v->save.cr0 & CR0_PE);
}

static bool cs_l_and_d(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return long_paging(v) && v->save.cr4 & CR4_PAE && v->save.cs.attrib & ATTRIB_L &&
	       v->save.cs.attrib & ATTRIB_D;
}

static bool no_vmrun_intercept(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return !(v->ctl.ctl4 & CTL4_VMRUN);
}

static bool map_beyond(uint64_t at, unsigned pages, const struct svm_limits *l)
{
	return ((at & ~0xfffull) + pages * 4096 - 1) & ~l->address_mask;
}

static bool iopm_beyond(const struct vmcb *v, const struct svm_limits *l)
{
	return map_beyond(v->ctl.iopm, IOPM_PAGES, l);
}

static bool msrpm_beyond(const struct vmcb *v, const struct svm_limits *l)
{
	return map_beyond(v->ctl.msrpm, MSRPM_PAGES, l);
}

static bool event_illegal(const struct vmcb *v, const struct svm_limits *l)
{
	const uint64_t event = v->ctl.event_inj, vector = event & EVENT_VECTOR;

	(void)l;
	if (!(event & EVENT_VALID))
		return false;
	switch (event & EVENT_TYPE) {
	case EVENT_INTR:
	case EVENT_NMI:
	case EVENT_SOFTWARE:
		return false;
	case EVENT_EXCEPTION:
		return vector == 2 || vector > 31;
	default:
		return true;
	}
}

static bool asid_zero(const struct vmcb *v, const struct svm_limits *l)
{
	(void)l;
	return v->ctl.asid == 0;
}

static bool nested_root_beyond(const struct vmcb *v, const struct svm_limits *l)
{
	return v->ctl.np & NP_ENABLE && v->ctl.n_cr3 & ~l->address_mask;
}

static const struct {
	check_fn *fails;
	const char *sentence;
} checks[] = {
	{ no_svme, "EFER.SVME is 0" },
	{ nw_without_cd, "CR0.NW is 1 and CR0.CD is 0" },
	{ cr0_high, "CR0 has bits set above 31" },
	{ cr3_reserved, "CR3 has bits set above the physical address size" },
	{ cr4_reserved, "CR4 has a bit set that this CPU does not know" },
	{ dr6_high, "DR6 has bits set above 31" },
	{ dr7_high, "DR7 has bits set above 31" },
	{ efer_reserved, "EFER has a bit set that this CPU does not know" },
	{ long_without_pae, "EFER.LME and CR0.PG are 1 and CR4.PAE is 0" },
	{ long_without_pe, "EFER.LME and CR0.PG are 1 and CR0.PE is 0" },
	{ cs_l_and_d, "CS.L and CS.D are both 1 in long mode" },
	{ no_vmrun_intercept, "VMRUN is not intercepted" },
	{ iopm_beyond, "the I/O permission map reaches beyond the physical addresses" },
	{ msrpm_beyond, "the MSR permission map reaches beyond the physical addresses" },
	{ event_illegal, "EVENTINJ has a reserved type, or an exception with a vector of none" },
	{ asid_zero, "the ASID is 0" },
	{ nested_root_beyond, "the nested page table's root lies beyond the physical addresses" },
};

const char *svm_check(const struct vmcb *vmcb, const struct svm_limits *limits)
{
	for (unsigned i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (checks[i].fails(vmcb, limits))
			return checks[i].sentence;
	return NULL;
}

/* CR4 bits and the CPUID bits that announce them (APM 2, "CR4 Register"). */
static uint64_t cr4_known(void)
{
	static const struct {
		uint32_t leaf;
		uint8_t reg; /* 0: EAX … 3: EDX */
		uint8_t bit, cr4_bit;
	} announced[] = {
		{ 7, 2, 2, 11 },  /* UMIP */
		{ 7, 2, 16, 12 }, /* LA57 */
		{ 7, 1, 0, 16 },  /* FSGSBASE */
		{ 1, 2, 17, 17 }, /* PCIDE */
		{ 1, 2, 26, 18 }, /* OSXSAVE */
		{ 7, 1, 7, 20 },  /* SMEP */
		{ 7, 1, 20, 21 }, /* SMAP */
		{ 7, 2, 3, 22 },  /* PKE */
		{ 7, 2, 7, 23 },  /* CET */
	};
	const uint32_t last = cpuid(0, 0).eax;
	uint64_t known = 0x7ff; /* VME … OSXMMEXCPT: on every CPU with SVM */

	for (unsigned i = 0; i < sizeof(announced) / sizeof(announced[0]); i++) {
		struct cpuid_regs r;
		uint32_t regs[4];

		if (announced[i].leaf > last)
			continue;
		r = cpuid(announced[i].leaf, 0);
		regs[0] = r.eax;
		regs[1] = r.ebx;
		regs[2] = r.ecx;
		regs[3] = r.edx;
		if (regs[announced[i].reg] & BIT(announced[i].bit))
			known |= BIT(announced[i].cr4_bit);
	}
	return known;
}

struct svm_limits svm_limits(void)
{
	const unsigned address_bits = cpuid(0x80000008, 0).eax & 0xff;

	return (struct svm_limits){
		.cr4 = cr4_known(),
		.efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE,
		.address_mask = BIT(address_bits) - 1,
	};
}
