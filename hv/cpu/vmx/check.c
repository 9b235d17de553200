/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Explains a failed VM entry: the processor says "invalid guest state" and no more, so the checks
 * of the manual are made here again, as a table in the manual's order (SDM 3C, "Checks on VMX
 * Controls and Host-State Area", "Checking and Loading Guest State"). Pure: it reads a struct that
 * is filled through a reader. The first that fails is named. Only what lasthop uses is checked.
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include "hv/cpu/msr.h"

enum { ES = SEG_ES, CS, SS, DS, FS, GS, LDTR, TR };

struct state {
	const struct vmx_caps *caps;
	uint32_t control[CTL_COUNT];
	struct {
		uint64_t selector, base, limit, access;
	} seg[SEG_REG_COUNT];
	uint64_t apic_page, posted, posted_vector;
	uint64_t io_a, io_b, msr_bitmap, vpid, eptp, event, event_error, event_length;
	uint64_t host_cr0, host_cr3, host_cr4, host_efer, host_rip, host_fs, host_gs, host_tr_base;
	uint64_t host_gdt, host_idt, host_cs, host_tr;
	uint64_t cr0, cr3, cr4, efer, pat, dr7, rip, rflags, sysenter_esp, sysenter_eip;
	uint64_t gdt_base, gdt_limit, idt_base, idt_limit, link;
	uint64_t activity, blocking, pending_debug, pdpte[4];
};

static void gather(struct state *s, vmcs_reader *read, const void *context)
{
	static const struct {
		size_t offset;
		enum vmcs_field field;
	} map[] = {
#define AT(member, name) { offsetof(struct state, member), VMCS_##name }
		AT(apic_page, VIRTUAL_APIC_PAGE),
		AT(posted, POSTED_DESCRIPTOR),
		AT(posted_vector, POSTED_VECTOR),
		AT(io_a, IO_BITMAP_A),
		AT(io_b, IO_BITMAP_B),
		AT(msr_bitmap, MSR_BITMAP),
		AT(vpid, VPID),
		AT(eptp, EPT_POINTER),
		AT(event, ENTRY_INTERRUPTION_INFO),
		AT(event_error, ENTRY_EXCEPTION_ERROR_CODE),
		AT(event_length, ENTRY_INSTRUCTION_LENGTH),
		AT(host_cr0, HOST_CR0),
		AT(host_cr3, HOST_CR3),
		AT(host_cr4, HOST_CR4),
		AT(host_efer, HOST_EFER),
		AT(host_rip, HOST_RIP),
		AT(host_fs, HOST_FS_BASE),
		AT(host_gs, HOST_GS_BASE),
		AT(host_tr_base, HOST_TR_BASE),
		AT(host_gdt, HOST_GDTR_BASE),
		AT(host_idt, HOST_IDTR_BASE),
		AT(host_cs, HOST_CS_SELECTOR),
		AT(host_tr, HOST_TR_SELECTOR),
		AT(cr0, GUEST_CR0),
		AT(cr3, GUEST_CR3),
		AT(cr4, GUEST_CR4),
		AT(efer, GUEST_EFER),
		AT(pat, GUEST_PAT),
		AT(dr7, GUEST_DR7),
		AT(rip, GUEST_RIP),
		AT(rflags, GUEST_RFLAGS),
		AT(sysenter_esp, GUEST_SYSENTER_ESP),
		AT(sysenter_eip, GUEST_SYSENTER_EIP),
		AT(gdt_base, GUEST_GDTR_BASE),
		AT(gdt_limit, GUEST_GDTR_LIMIT),
		AT(idt_base, GUEST_IDTR_BASE),
		AT(idt_limit, GUEST_IDTR_LIMIT),
		AT(link, VMCS_LINK_POINTER),
		AT(activity, GUEST_ACTIVITY_STATE),
		AT(blocking, GUEST_INTERRUPTIBILITY),
		AT(pending_debug, GUEST_PENDING_DEBUG),
		AT(pdpte[0], GUEST_PDPTE0),
		AT(pdpte[1], GUEST_PDPTE1),
		AT(pdpte[2], GUEST_PDPTE2),
		AT(pdpte[3], GUEST_PDPTE3),
#undef AT
	};

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		*(uint64_t *)((char *)s + map[i].offset) = read(context, map[i].field);
	s->control[CTL_PIN] = (uint32_t)read(context, VMCS_PIN_CONTROLS);
	s->control[CTL_PROC] = (uint32_t)read(context, VMCS_PROC_CONTROLS);
	s->control[CTL_PROC2] = (uint32_t)read(context, VMCS_PROC2_CONTROLS);
	s->control[CTL_EXIT] = (uint32_t)read(context, VMCS_EXIT_CONTROLS);
	s->control[CTL_ENTRY] = (uint32_t)read(context, VMCS_ENTRY_CONTROLS);
	for (unsigned i = 0; i < SEG_REG_COUNT; i++) {
		s->seg[i].selector = read(context, vmcs_segment(VMCS_GUEST_ES_SELECTOR, i));
		s->seg[i].base = read(context, vmcs_segment(VMCS_GUEST_ES_BASE, i));
		s->seg[i].limit = read(context, vmcs_segment(VMCS_GUEST_ES_LIMIT, i));
		s->seg[i].access = read(context, vmcs_segment(VMCS_GUEST_ES_ACCESS, i));
	}
}

/* Words of the manual, so that the table below reads like its text. */

static bool control_bad(const struct state *s, enum ctl_word word)
{
	uint32_t must = (uint32_t)s->caps->controls[word];
	uint32_t may = (uint32_t)(s->caps->controls[word] >> 32);

	return (s->control[word] & must) != must || (s->control[word] & ~may);
}

static bool has_all(const struct state *s, enum ctl_word word, uint64_t bits)
{
	return (s->control[word] & bits) == bits;
}

static bool virtual_apic_bad(const struct state *s)
{
	return has_all(s, CTL_PROC, PROC_TPR_SHADOW) ? (s->apic_page & 0xfff) != 0
						     : (s->control[CTL_PROC2] & APICV_PROC2) != 0;
}

static bool virtual_irqs_bad(const struct state *s)
{
	return has_all(s, CTL_PROC2, PROC2_VIRTUAL_IRQS) &&
	       !has_all(s, CTL_PIN, PIN_EXTERNAL_INTERRUPT);
}

static bool posted_bad(const struct state *s)
{
	return has_all(s, CTL_PIN, PIN_POSTED_INTERRUPTS) &&
	       (!has_all(s, CTL_PROC2, PROC2_VIRTUAL_IRQS) || !has_all(s, CTL_EXIT, EXIT_ACK_IRQ) ||
		s->posted_vector > 255 || s->posted & 63);
}

static bool fixed_bad(uint64_t value, uint64_t fixed0, uint64_t fixed1)
{
	return (value & fixed0) != fixed0 || (value & ~fixed1);
}

static bool injects(const struct state *s, enum event_type type)
{
	return (s->event & EVENT_VALID) && EVENT_TYPE(s->event) == type;
}

static bool software_event(const struct state *s)
{
	return injects(s, EVENT_SOFTWARE_INTERRUPT) || injects(s, EVENT_PRIVILEGED_EXCEPTION) ||
	       injects(s, EVENT_SOFTWARE_EXCEPTION);
}

static bool long_mode(const struct state *s)
{
	return s->control[CTL_ENTRY] & ENTRY_GUEST_64;
}

static bool usable(const struct state *s, unsigned seg)
{
	return !(s->seg[seg].access & BIT(16));
}

static bool v86(const struct state *s)
{
	return s->rflags & RFLAGS_VM;
}

static unsigned seg_type(const struct state *s, unsigned seg)
{
	return s->seg[seg].access & 15;
}

static unsigned seg_dpl(const struct state *s, unsigned seg)
{
	return s->seg[seg].access >> 5 & 3;
}

static bool present(const struct state *s, unsigned seg)
{
	return s->seg[seg].access & BIT(7);
}

static bool code_or_data(const struct state *s, unsigned seg)
{
	return s->seg[seg].access & BIT(4);
}

static bool reserved_set(const struct state *s, unsigned seg)
{
	return s->seg[seg].access & 0xfffe0f00;
}

/* The granularity bit must suit the limit. */
static bool granularity_bad(const struct state *s, unsigned seg)
{
	bool g = s->seg[seg].access & BIT(15);

	return g ? (s->seg[seg].limit & 0xfff) != 0xfff : (s->seg[seg].limit >> 20) != 0;
}

static bool v86_bad(const struct state *s, unsigned seg)
{
	return v86(s) && (s->seg[seg].base != s->seg[seg].selector << 4 ||
			  s->seg[seg].limit != 0xffff || s->seg[seg].access != 0xf3);
}

/* A data segment that is not usable, or of a type that can be loaded. */
static bool data_type_bad(const struct state *s, unsigned seg)
{
	unsigned type = seg_type(s, seg);

	return !v86(s) && usable(s, seg) && (!(type & 1) || ((type & 8) && !(type & 2)));
}

static bool data_access_bad(const struct state *s, unsigned seg)
{
	return !v86(s) && usable(s, seg) &&
	       (!code_or_data(s, seg) || !present(s, seg) || reserved_set(s, seg) ||
		granularity_bad(s, seg));
}

static bool system_access_bad(const struct state *s, unsigned seg)
{
	return code_or_data(s, seg) || !present(s, seg) || reserved_set(s, seg) ||
	       granularity_bad(s, seg);
}

static bool cs_type_bad(const struct state *s)
{
	unsigned type = seg_type(s, CS);

	return !v86(s) && type != 3 && (type & 9) != 9;
}

static bool cs_dpl_bad(const struct state *s)
{
	switch (v86(s) ? 0 : seg_type(s, CS)) {
	case 3:
		return seg_dpl(s, CS) != 0;
	case 9:
	case 11:
		return seg_dpl(s, CS) != seg_dpl(s, SS);
	case 13:
	case 15:
		return seg_dpl(s, CS) > seg_dpl(s, SS);
	default:
		return false;
	}
}

static bool wants_error_code(const struct state *s)
{
	uint8_t vector = EVENT_VECTOR(s->event);

	return injects(s, EVENT_HARDWARE_EXCEPTION) && (s->cr0 & CR0_PE) &&
	       (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17);
}

static bool pdptes_bad(const struct state *s)
{
	if (long_mode(s) || !(s->cr0 & CR0_PG) || !(s->cr4 & CR4_PAE))
		return false;
	for (unsigned i = 0; i < 4; i++)
		if ((s->pdpte[i] & 1) && (s->pdpte[i] & 0xfff00000000001e6))
			return true;
	return false;
}

#define UNRESTRICTED_FREE (CR0_PE | CR0_PG) /* what unrestricted guest need not have set */
#define TRAP_PENDING(s)	  (((s)->pending_debug & PENDING_DEBUG_BS) != 0)
#define TRAP_FLAG(s)	  (((s)->rflags & RFLAGS_TF) != 0)

/* X(name, broken if, words) */
#define CHECKS(X)                                                                                  \
	/* VM-execution control fields */                                                          \
	X(pin, control_bad(s, CTL_PIN), "pin-based controls: a bit that this CPU does not allow")  \
	X(proc, control_bad(s, CTL_PROC), "processor-based controls: a bit not allowed")           \
	X(proc2, control_bad(s, CTL_PROC2), "secondary controls: a bit not allowed")               \
	X(io_bitmap, (s->io_a | s->io_b) & 0xfff, "I/O bitmap: not page-aligned")                  \
	X(msr_bitmap, s->msr_bitmap & 0xfff, "MSR bitmap: not page-aligned")                       \
	X(virtual_apic, virtual_apic_bad(s),                                                       \
	  "virtual-APIC page: not page-aligned, or APIC virtualisation without TPR shadow")        \
	X(virtual_irqs, virtual_irqs_bad(s),                                                       \
	  "virtual-interrupt delivery without exits on external interrupts")                       \
	X(posted, posted_bad(s),                                                                   \
	  "posted interrupts: descriptor not aligned, bad vector, or without the controls that "   \
	  "they need")                                                                             \
	X(nmi_window,                                                                              \
	  (s->control[CTL_PROC] & PROC_NMI_WINDOW) && !(s->control[CTL_PIN] & PIN_VIRTUAL_NMI),    \
	  "NMI window without virtual NMIs")                                                       \
	X(virtual_nmi,                                                                             \
	  (s->control[CTL_PIN] & PIN_VIRTUAL_NMI) && !(s->control[CTL_PIN] & PIN_NMI),             \
	  "virtual NMIs without NMI exits")                                                        \
	X(vpid, (s->control[CTL_PROC2] & PROC2_VPID) && !s->vpid, "VPID is 0")                     \
	X(eptp, (s->eptp & 0xfff) != 0x1e, "EPT pointer: not write-back with four levels")         \
	/* VM-exit and VM-entry control fields */                                                  \
	X(exit, control_bad(s, CTL_EXIT), "VM-exit controls: a bit not allowed")                   \
	X(entry, control_bad(s, CTL_ENTRY), "VM-entry controls: a bit not allowed")                \
	X(event_type, injects(s, 1) || injects(s, 7), "injected event: reserved type")             \
	X(event_nmi, injects(s, EVENT_NMI) && EVENT_VECTOR(s->event) != 2,                         \
	  "injected NMI: vector is not 2")                                                         \
	X(event_exception, injects(s, EVENT_HARDWARE_EXCEPTION) && EVENT_VECTOR(s->event) > 31,    \
	  "injected exception: vector above 31")                                                   \
	X(event_code,                                                                              \
	  (s->event & EVENT_VALID) && wants_error_code(s) != !!(s->event & EVENT_ERROR_CODE),      \
	  "injected event: error code where there is none, or none where there is one")            \
	X(event_reserved, (s->event & EVENT_VALID) && (s->event & 0x7ffff000),                     \
	  "injected event: reserved bits")                                                         \
	X(event_error, wants_error_code(s) && s->event_error >> 16, "error code above 16 bits")    \
	X(event_length, software_event(s) && (s->event_length < 1 || s->event_length > 15),        \
	  "injected software event: instruction length is not 1 to 15")                            \
	/* Host state */                                                                           \
	X(host_cr0, fixed_bad(s->host_cr0, s->caps->cr0_fixed0, s->caps->cr0_fixed1),              \
	  "host CR0: a bit that VMX fixes")                                                        \
	X(host_cr4, fixed_bad(s->host_cr4, s->caps->cr4_fixed0, s->caps->cr4_fixed1),              \
	  "host CR4: a bit that VMX fixes")                                                        \
	X(host_cr3, s->host_cr3 >> 52, "host CR3: above the physical address width")               \
	X(host_bases,                                                                              \
	  !canonical(s->host_fs) || !canonical(s->host_gs) || !canonical(s->host_tr_base) ||       \
		  !canonical(s->host_gdt) || !canonical(s->host_idt),                              \
	  "host FS, GS, TR, GDTR or IDTR base: not canonical")                                     \
	X(host_selectors, ((s->host_cs | s->host_tr) & 7) || !s->host_cs || !s->host_tr,           \
	  "host CS or TR selector: 0, or with RPL or TI")                                          \
	X(host_rip, !canonical(s->host_rip), "host RIP: not canonical")                            \
	X(host_efer, (~s->host_efer & (EFER_LMA | EFER_LME)), "host EFER: not in long mode")       \
	/* Guest control registers, debug registers, MSRs */                                       \
	X(cr0, fixed_bad(s->cr0 | UNRESTRICTED_FREE, s->caps->cr0_fixed0, s->caps->cr0_fixed1),    \
	  "CR0: a bit that VMX fixes")                                                             \
	X(cr0_pg, (s->cr0 & (CR0_PG | CR0_PE)) == CR0_PG, "CR0: PG without PE")                    \
	X(cr4, fixed_bad(s->cr4, s->caps->cr4_fixed0, s->caps->cr4_fixed1),                        \
	  "CR4: a bit that VMX fixes or this CPU lacks")                                           \
	X(long_paging, long_mode(s) && !((s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE)),                 \
	  "64-bit guest without CR0.PG or CR4.PAE")                                                \
	X(pcide, !long_mode(s) && (s->cr4 & CR4_PCIDE), "CR4.PCIDE outside of long mode")          \
	X(cr3, s->cr3 >> 52, "CR3: above the physical address width")                              \
	X(dr7, s->dr7 >> 32, "DR7: upper half is not 0")                                           \
	X(sysenter, !canonical(s->sysenter_esp) || !canonical(s->sysenter_eip),                    \
	  "SYSENTER_ESP or _EIP: not canonical")                                                   \
	X(pat, !pat_valid(s->pat), "PAT: reserved memory type")                                    \
	X(efer, s->efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE), "EFER: reserved bits")     \
	X(efer_lma, long_mode(s) != !!(s->efer & EFER_LMA),                                        \
	  "EFER.LMA differs from the entry control for 64-bit guests")                             \
	X(efer_lme, (s->cr0 & CR0_PG) && !(s->efer & EFER_LMA) != !(s->efer & EFER_LME),           \
	  "EFER.LME differs from LMA while paging is on")                                          \
	/* Guest segment registers */                                                              \
	X(tr_ti, s->seg[TR].selector & 4, "TR: selector in the LDT")                               \
	X(ldtr_ti, usable(s, LDTR) && (s->seg[LDTR].selector & 4), "LDTR: selector in the LDT")    \
	X(v86_cs, v86_bad(s, CS), "CS: not as virtual-8086 mode wants it")                         \
	X(v86_ss, v86_bad(s, SS), "SS: not as virtual-8086 mode wants it")                         \
	X(v86_ds, v86_bad(s, DS) || v86_bad(s, ES) || v86_bad(s, FS) || v86_bad(s, GS),            \
	  "a data segment: not as virtual-8086 mode wants it")                                     \
	X(bases,                                                                                   \
	  !canonical(s->seg[TR].base) || !canonical(s->seg[FS].base) ||                            \
		  !canonical(s->seg[GS].base) ||                                                   \
		  (usable(s, LDTR) && !canonical(s->seg[LDTR].base)),                              \
	  "TR, LDTR, FS or GS base: not canonical")                                                \
	X(cs_base, s->seg[CS].base >> 32, "CS base: above 4 GiB")                                  \
	X(data_base,                                                                               \
	  (usable(s, SS) && s->seg[SS].base >> 32) || (usable(s, DS) && s->seg[DS].base >> 32) ||  \
		  (usable(s, ES) && s->seg[ES].base >> 32),                                        \
	  "SS, DS or ES base: above 4 GiB")                                                        \
	X(cs_type, cs_type_bad(s), "CS: type is not accessed code, nor 3")                         \
	X(ss_type, !v86(s) && usable(s, SS) && (seg_type(s, SS) & 11) != 3,                        \
	  "SS: type is not accessed writable data")                                                \
	X(data_type,                                                                               \
	  data_type_bad(s, DS) || data_type_bad(s, ES) || data_type_bad(s, FS) ||                  \
		  data_type_bad(s, GS),                                                            \
	  "DS, ES, FS or GS: type is not accessed and readable")                                   \
	X(cs_access, !v86(s) && (!code_or_data(s, CS) || !present(s, CS) || reserved_set(s, CS)),  \
	  "CS: not a present code segment, or reserved bits")                                      \
	X(cs_dpl, cs_dpl_bad(s), "CS: DPL does not suit SS")                                       \
	X(cs_db,                                                                                   \
	  !v86(s) && long_mode(s) && (s->seg[CS].access & BIT(13)) &&                              \
		  (s->seg[CS].access & BIT(14)),                                                   \
	  "CS: both L and D")                                                                      \
	X(cs_limit, !v86(s) && granularity_bad(s, CS), "CS: limit and granularity do not suit")    \
	X(ss_dpl, !v86(s) && (seg_type(s, CS) == 3 || !(s->cr0 & CR0_PE)) && seg_dpl(s, SS),       \
	  "SS: DPL is not 0 in real mode")                                                         \
	X(ss_access, data_access_bad(s, SS), "SS: not present, reserved bits or granularity")      \
	X(data_access,                                                                             \
	  data_access_bad(s, DS) || data_access_bad(s, ES) || data_access_bad(s, FS) ||            \
		  data_access_bad(s, GS),                                                          \
	  "DS, ES, FS or GS: not present, reserved bits or granularity")                           \
	X(tr_usable, !usable(s, TR), "TR: unusable")                                               \
	X(tr_type, seg_type(s, TR) != 11 && (long_mode(s) || seg_type(s, TR) != 3),                \
	  "TR: type is not a busy TSS")                                                            \
	X(tr_access, system_access_bad(s, TR), "TR: not present, reserved bits or granularity")    \
	X(ldtr, usable(s, LDTR) && (seg_type(s, LDTR) != 2 || system_access_bad(s, LDTR)),         \
	  "LDTR: not a present LDT, reserved bits or granularity")                                 \
	/* Guest descriptor-table registers, RIP, RFLAGS */                                        \
	X(tables, !canonical(s->gdt_base) || !canonical(s->idt_base),                              \
	  "GDTR or IDTR base: not canonical")                                                      \
	X(table_limits, s->gdt_limit >> 16 || s->idt_limit >> 16,                                  \
	  "GDTR or IDTR limit: over 64 KiB")                                                       \
	X(rip,                                                                                     \
	  (long_mode(s) && (s->seg[CS].access & BIT(13))) ? !canonical(s->rip)                     \
							  : s->rip >> 32 != 0,                     \
	  "RIP: not canonical, or above 4 GiB outside of 64-bit code")                             \
	X(rflags, !(s->rflags & RFLAGS_FIXED) || (s->rflags & ~0x3f7fd7ull),                       \
	  "RFLAGS: reserved bits")                                                                 \
	X(rflags_vm, v86(s) && (long_mode(s) || !(s->cr0 & CR0_PE)),                               \
	  "RFLAGS.VM in long mode or in real mode")                                                \
	X(rflags_if, injects(s, EVENT_EXTERNAL) && !(s->rflags & RFLAGS_IF),                       \
	  "external interrupt injected while RFLAGS.IF is 0")                                      \
	/* Guest non-register state */                                                             \
	X(activity, s->activity != 0, "activity state: not active")                                \
	X(blocking, s->blocking & ~0x1full, "interruptibility: reserved bits")                     \
	X(blocking_two, (~s->blocking & BLOCKED_ONE_INSTRUCTION) == 0,                             \
	  "interruptibility: blocking by STI and by MOV SS together")                              \
	X(blocking_sti, (s->blocking & BLOCKED_BY_STI) && !(s->rflags & RFLAGS_IF),                \
	  "interruptibility: blocking by STI while RFLAGS.IF is 0")                                \
	X(blocking_irq, injects(s, EVENT_EXTERNAL) && (s->blocking & BLOCKED_ONE_INSTRUCTION),     \
	  "external interrupt injected while STI or MOV SS blocks it")                             \
	X(blocking_nmi,                                                                            \
	  injects(s, EVENT_NMI) && (s->blocking & (BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI)),           \
	  "NMI injected while MOV SS or another NMI blocks it")                                    \
	X(blocking_smi, s->blocking &BLOCKED_BY_SMI, "interruptibility: blocking by SMI")          \
	X(debug, s->pending_debug & ~0x1500full, "pending debug exceptions: reserved bits")        \
	X(debug_bs, (s->blocking & BLOCKED_ONE_INSTRUCTION) && TRAP_PENDING(s) != TRAP_FLAG(s),    \
	  "pending debug exceptions: BS differs from RFLAGS.TF under blocking")                    \
	X(link, s->link != ~0ull, "VMCS link pointer: not all ones")                               \
	X(pdptes, pdptes_bad(s), "PDPTEs: reserved bits")

#define CHECK_FUNCTION(name, broken, words)                                                        \
	static bool check_##name(const struct state *s)                                            \
	{                                                                                          \
		return broken;                                                                     \
	}
CHECKS(CHECK_FUNCTION)
#undef CHECK_FUNCTION

static const struct {
	bool (*broken)(const struct state *s);
	const char *words;
} checks[] = {
#define CHECK_ROW(name, broken, words) { check_##name, words },
	CHECKS(CHECK_ROW)
#undef CHECK_ROW
};

const char *vmcs_explain(const struct vmx_caps *caps, vmcs_reader *read, const void *context)
{
	struct state s = { .caps = caps };

	gather(&s, read, context);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		if (checks[i].broken(&s))
			return checks[i].words;
	return NULL;
}
