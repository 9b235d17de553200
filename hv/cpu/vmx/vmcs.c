/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fills a VMCS: controls from the tables of detect.c, host state of this CPU, bitmaps shared by all
 * vCPUs. Guest state is state.c's. All of it wants the VMCS to be current.
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include <string.h>

#include "hv/core/pmm.h"
#include "hv/core/trap.h"
#include "hv/cpu/msr.h"

#define IO_BITMAP_BYTES (2 * PAGE_SIZE) /* a bit for each port */

/* MSR bitmap (SDM 3C, "MSR-Bitmap Address"): 1 KiB each for reads and writes of 0 … 0x1fff and of
 * 0xc0000000 … 0xc0001fff. A set bit exits. */
#define MSR_BITMAP_HIGH	 1024u
#define MSR_BITMAP_WRITE 2048u
#define MSR_HIGH_BASE	 0xc0000000u

static uint8_t *io_bitmap, *msr_bitmap; /* constant once made */
static uint8_t *x2apic_bitmap; /* what msr_bitmap passes, and what a virtualised APIC answers */

static void msr_pass(uint8_t *bitmap, uint32_t msr, bool write)
{
	uint32_t bit = msr & 0x1fff;
	uint8_t *bits = bitmap + (msr >= MSR_HIGH_BASE ? MSR_BITMAP_HIGH : 0) +
			(write ? MSR_BITMAP_WRITE : 0);

	bits[bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

static void pass_some(void)
{
	for (uint32_t i = 0; i < 0x4000; i++) {
		uint32_t msr = i < 0x2000 ? i : MSR_HIGH_BASE + i - 0x2000;

		for (unsigned write = 0; write < 2; write++) {
			if (msr_passes(msr))
				msr_pass(msr_bitmap, msr, write);
			if (msr_passes(msr) || x2apic_passes(msr, write))
				msr_pass(x2apic_bitmap, msr, write);
		}
	}
}

int vmcs_init_shared(void)
{
	if (msr_bitmap)
		return 0;
	io_bitmap = page_alloc(IO_BITMAP_BYTES);
	msr_bitmap = page_alloc(PAGE_SIZE);
	x2apic_bitmap = page_alloc(PAGE_SIZE);
	if (!io_bitmap || !msr_bitmap || !x2apic_bitmap)
		return fail(LH_NOMEM, "vmx: no memory for the I/O and MSR bitmaps");
	memset(io_bitmap, 0xff, IO_BITMAP_BYTES);
	memset(msr_bitmap, 0xff, PAGE_SIZE);
	memset(x2apic_bitmap, 0xff, PAGE_SIZE);
	pass_some();
	return 0;
}

void vmcs_set_msr_bitmap(bool x2apic)
{
	vmcs_write(VMCS_MSR_BITMAP, ptr_to_hpa(x2apic ? x2apic_bitmap : msr_bitmap).v);
}

void vmcs_set_proc(struct vmx_vcpu *v, uint32_t proc)
{
	if (v->proc == proc)
		return;
	v->proc = proc;
	vmcs_write(VMCS_PROC_CONTROLS, proc);
}

/* SDM 3C, "Instructions That Cause VM Exits Conditionally", PAUSE: in TSC ticks, how far apart two
 * PAUSEs of one loop are at most, and how long a loop is let alone. */
#define PAUSE_GAP    128
#define PAUSE_WINDOW 4096

void vmcs_set_pause_loop(struct vmx_vcpu *v, bool exits)
{
	uint64_t now;

	if (v->pause_loop == exits || !(vmx_control(&vmx_caps, CTL_PROC2) & PROC2_PAUSE_LOOP))
		return;
	v->pause_loop = exits;
	now = vmcs_read(VMCS_PROC2_CONTROLS) & ~PROC2_PAUSE_LOOP;
	vmcs_write(VMCS_PROC2_CONTROLS, exits ? now | PROC2_PAUSE_LOOP : now);
}

static void set_controls(struct vmx_vcpu *v)
{
	uint32_t has = vmx_control(&vmx_caps, CTL_PROC2);
	uint32_t proc2 = has & ~(uint32_t)PROC2_PAUSE_LOOP; /* until others wait for the CPU */

	vmcs_write(VMCS_PIN_CONTROLS, vmx_control(&vmx_caps, CTL_PIN));
	vmcs_set_proc(v, vmx_control(&vmx_caps, CTL_PROC));
	vmcs_write(VMCS_PROC2_CONTROLS, v->vpid ? proc2 : proc2 & ~(uint32_t)PROC2_VPID);
	vmcs_write(VMCS_EXIT_CONTROLS, vmx_control(&vmx_caps, CTL_EXIT));
	vmcs_write(VMCS_ENTRY_CONTROLS, vmx_control(&vmx_caps, CTL_ENTRY));

	/* #AC and #DB: delivery that causes itself again would hold the CPU for ever. */
	vmcs_write(VMCS_EXCEPTION_BITMAP, BIT(X_DB) | BIT(X_AC) | BIT(X_MC));
	vmcs_write(VMCS_PF_ERROR_CODE_MASK, 0);
	vmcs_write(VMCS_PF_ERROR_CODE_MATCH, 0);
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	vmcs_write(VMCS_IO_BITMAP_A, ptr_to_hpa(io_bitmap).v);
	vmcs_write(VMCS_IO_BITMAP_B, ptr_to_hpa(io_bitmap).v + PAGE_SIZE);
	vmcs_set_msr_bitmap(false);
	vmcs_write(VMCS_EPT_POINTER, ept_pointer(v->vcpu.vm));
	if (v->vpid)
		vmcs_write(VMCS_VPID, v->vpid);
	if (has & PROC2_PAUSE_LOOP) {
		vmcs_write(VMCS_PLE_GAP, PAUSE_GAP);
		vmcs_write(VMCS_PLE_WINDOW, PAUSE_WINDOW);
	}
	vmcs_write(VMCS_TSC_OFFSET, v->vcpu.vm->tsc_offset);
}

#define READ_SELECTOR(reg)                                                                         \
	({                                                                                         \
		uint16_t selector_;                                                                \
		__asm__ volatile("mov %%" #reg ", %0" : "=rm"(selector_));                         \
		selector_;                                                                         \
	})

void vmcs_load_host(void)
{
	vmcs_write(VMCS_HOST_CR0, read_cr0());
	vmcs_write(VMCS_HOST_CR3, read_cr3());
	vmcs_write(VMCS_HOST_CR4, read_cr4());
	vmcs_write(VMCS_HOST_EFER, rdmsr(MSR_EFER));
	vmcs_write(VMCS_HOST_PAT, rdmsr(MSR_PAT));
	vmcs_write(VMCS_HOST_ES_SELECTOR, READ_SELECTOR(es));
	vmcs_write(VMCS_HOST_CS_SELECTOR, READ_SELECTOR(cs));
	vmcs_write(VMCS_HOST_SS_SELECTOR, READ_SELECTOR(ss));
	vmcs_write(VMCS_HOST_DS_SELECTOR, READ_SELECTOR(ds));
	vmcs_write(VMCS_HOST_FS_SELECTOR, READ_SELECTOR(fs));
	vmcs_write(VMCS_HOST_GS_SELECTOR, READ_SELECTOR(gs));
	vmcs_write(VMCS_HOST_TR_SELECTOR, SEL_TSS);
	vmcs_write(VMCS_HOST_FS_BASE, rdmsr(MSR_FS_BASE));
	vmcs_write(VMCS_HOST_GS_BASE, rdmsr(MSR_GS_BASE));
	vmcs_write(VMCS_HOST_TR_BASE, tss_base());
	vmcs_write(VMCS_HOST_GDTR_BASE, gdt_base());
	vmcs_write(VMCS_HOST_IDTR_BASE, idt_base());
	vmcs_write(VMCS_HOST_SYSENTER_CS, 0); /* the core does not use SYSENTER */
	vmcs_write(VMCS_HOST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_HOST_RIP, (uint64_t)vmx_exit_point);
}

void vmcs_set_up(struct vmx_vcpu *v)
{
	set_controls(v);
	vmcs_load_host();
	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ull);
	cr_set_up();
	vmx_reset_state(v);
}
