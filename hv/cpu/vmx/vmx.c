/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VT-x backend: VMX operation on each CPU, vCPUs in and out of CPUs, VM entry. A VMCS may be
 * active on one CPU only and VMCLEAR takes it out of that CPU alone (SDM 3C, "VMCS State"), hence
 * release().
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include <string.h>

#include "hv/core/fpu.h"
#include "hv/core/pmm.h"
#include "hv/cpu/detect.h"
#include "hv/cpu/msr.h"

/* entry.S stores registers in this order and knows this encoding. */
_Static_assert(GPR_RAX == 0 && GPR_RCX == 1 && GPR_RDX == 2 && GPR_RBX == 3 && GPR_RBP == 5 &&
		       GPR_RSI == 6 && GPR_RDI == 7 && GPR_R8 == 8 && GPR_R15 == 15,
	       "entry.S");
_Static_assert(VMCS_HOST_RSP == 0x6c14, "entry.S");

struct vmx_caps vmx_caps;
static bool caps_known;		  /* the boot CPU has filled them */
static bool has_preemption_timer; /* (c) after that */

static struct vmx_cpu *this_area(void)
{
	return this_cpu()->hvm_area;
}

/* VMXON, VMCLEAR, VMPTRLD: the address of the region; false: CF or ZF. */
#define DEFINE_VMX_REGION(instruction)                                                             \
	static bool instruction(const void *region)                                                \
	{                                                                                          \
		uint64_t hpa = ptr_to_hpa(region).v;                                               \
		bool failed;                                                                       \
		__asm__ volatile(#instruction " %1"                                                \
				 : "=@ccbe"(failed)                                                \
				 : "m"(hpa)                                                        \
				 : "cc", "memory");                                                \
		return !failed;                                                                    \
	}
DEFINE_VMX_REGION(vmxon)
DEFINE_VMX_REGION(vmclear)
DEFINE_VMX_REGION(vmptrld)
#undef DEFINE_VMX_REGION

/* A zeroed page with the revision that VMXON and VMPTRLD ask for. */
static void *region_alloc(void)
{
	uint32_t *region = page_alloc(PAGE_SIZE);

	if (region)
		*region = VMX_BASIC_REVISION(vmx_caps.basic);
	return region;
}

/* The first CPU's capabilities are everybody's: a vCPU may run on any. */
static int caps_compare(void)
{
	struct vmx_caps mine;

	vmx_caps_read(&mine);
	if (!caps_known) {
		vmx_caps = mine;
		caps_known = true;
		has_preemption_timer = vmx_control(&vmx_caps, CTL_PIN) & PIN_PREEMPTION_TIMER;
		return vmcs_init_shared();
	}
	if (memcmp(&mine, &vmx_caps, sizeof(mine)) != 0)
		return fail(LH_UNSUPP,
			    "cpu %u: its VT-x differs from the boot CPU's: microcode and firmware "
			    "set-up must be the same for all",
			    this_cpu()->index);
	return 0;
}

static int cpu_enable(void)
{
	char missing[200];
	struct vmx_cpu *area;
	uint64_t control;
	int err;

	if (!vmx_detect(missing, sizeof(missing)))
		return fail(LH_UNSUPP, "cpu %u: %s", this_cpu()->index, missing);
	err = caps_compare();
	if (err < 0)
		return err;
	control = rdmsr(MSR_FEATURE_CONTROL);
	if (!(control & FEATURE_CONTROL_LOCK))
		wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
	area = page_alloc(PAGE_SIZE);
	if (!area)
		return fail(LH_NOMEM, "cpu %u: no memory for VMX", this_cpu()->index);
	area->vmxon = region_alloc();
	if (!area->vmxon) {
		page_free(area, PAGE_SIZE);
		return fail(LH_NOMEM, "cpu %u: no memory for VMX", this_cpu()->index);
	}
	write_cr0((read_cr0() | vmx_caps.cr0_fixed0) & vmx_caps.cr0_fixed1);
	write_cr4((read_cr4() | vmx_caps.cr4_fixed0 | CR4_VMXE) & vmx_caps.cr4_fixed1);
	if (!vmxon(area->vmxon)) {
		page_free(area->vmxon, PAGE_SIZE);
		page_free(area, PAGE_SIZE);
		return fail(LH_UNSUPP, "cpu %u: VMXON failed: VT-x may be in use below us",
			    this_cpu()->index);
	}
	this_cpu()->hvm_area = area;
	ept_flush_all(); /* left by whoever ran before */
	return 0;
}

/* What this vCPU finds cached on a CPU where it was not the last time is old. */
static void drop_stale(struct vmx_vcpu *v)
{
	if (v->last_on == this_cpu())
		return;
	ept_flush_vm(v->vcpu.vm); /* an earlier VM's tables may have had the same root */
	vpid_flush(v);
	v->last_on = this_cpu();
}

void vmx_begin(struct vmx_vcpu *v)
{
	struct vmx_cpu *area = this_area();
	bool moved = v->active_on != this_cpu();

	if (area->current == v)
		return;
	assert(!v->active_on || !moved); /* or it was not released */
	if (area->current)
		unswitched_save(&area->current->regs);
	if (!vmptrld(v->vmcs))
		panic("vmx: VMPTRLD failed, VM-instruction error %llu",
		      (unsigned long long)vmcs_read(VMCS_INSTRUCTION_ERROR));
	area->current = v;
	v->active_on = this_cpu();
	unswitched_load(&v->regs);
	if (moved) {
		vmcs_load_host();
		drop_stale(v);
	}
}

static void take_out(struct vmx_vcpu *v)
{
	struct vmx_cpu *area = this_area();

	if (!v->active_on)
		return;
	assert(v->active_on == this_cpu());
	if (area->current == v) {
		unswitched_save(&v->regs);
		area->current = NULL;
	}
	if (!vmclear(v->vmcs))
		panic("vmx: VMCLEAR failed");
	v->active_on = NULL;
	v->launched = false;
	v->resident = false;
}

void vmx_end(struct vmx_vcpu *v)
{
	if (!v->resident)
		take_out(v);
}

static void release(struct vcpu *vcpu)
{
	take_out(vmx_of(vcpu));
}

static bool vpids_usable(void)
{
	return (vmx_control(&vmx_caps, CTL_PROC2) & PROC2_VPID) &&
	       (vmx_caps.ept_vpid & VPID_CAP_INVVPID) &&
	       (vmx_caps.ept_vpid & (VPID_CAP_INVVPID_SINGLE | VPID_CAP_INVVPID_ALL));
}

static struct vcpu *vcpu_create(struct vm *vm, unsigned index)
{
	struct vmx_vcpu *v = page_alloc(sizeof(*v));

	if (!v)
		return NULL;
	v->vmcs = region_alloc();
	if (!v->vmcs || !vmclear(v->vmcs)) {
		if (v->vmcs)
			page_free(v->vmcs, PAGE_SIZE);
		page_free(v, sizeof(*v));
		return NULL;
	}
	v->vcpu.vm = vm;
	v->vcpu.index = index;
	v->vpid = vpids_usable() ? (uint16_t)(vm->nested_tag + index) : 0;
	v->regs.dr6 = DR6_RESET;
	vmx_begin(v);
	vmcs_set_up(v);
	vmx_end(v);
	return &v->vcpu;
}

static void vcpu_destroy(struct vcpu *vcpu)
{
	struct vmx_vcpu *v = vmx_of(vcpu);

	take_out(v);
	page_free(v->vmcs, PAGE_SIZE);
	page_free(v, sizeof(*v));
}

/* The preemption timer counts down once in 2^rate TSC ticks, in step with the TSC's bits, hence up
 * to one unit early: one more is loaded. A deadline too far away exits early and enters again. */
static void deadline_arm(uint64_t deadline_tsc)
{
	unsigned rate = vmx_caps.misc & 31;
	uint64_t now = rdtsc(), units = 0;

	if (!has_preemption_timer) {
		timer_interrupt_by(deadline_tsc);
		return;
	}
	if (deadline_tsc > now)
		units = ((deadline_tsc - now) >> rate) + 1;
	vmcs_write(VMCS_PREEMPTION_TIMER_VALUE, units < UINT32_MAX ? units : UINT32_MAX);
}

static void enter(struct vcpu *vcpu, uint64_t deadline_tsc, bool irq_waits, struct vmexit *exit)
{
	struct vmx_vcpu *v = vmx_of(vcpu);
	uint64_t host_xcr0 = fpu_xcr0();
	bool switch_xcr0 = host_xcr0 && vcpu->xcr0 != host_xcr0;
	unsigned failed;

	v->resident = true;
	vmx_begin(v);
	apicv_before_entry(v);
	vmcs_set_pause_loop(v, vcpu->contended);
	events_before_entry(v, irq_waits);
	deadline_arm(deadline_tsc);
	vmcs_write(VMCS_GUEST_RSP, vcpu->gpr[GPR_RSP]);
	if (switch_xcr0)
		xsetbv(0, vcpu->xcr0);
	failed = vmx_enter_guest(vcpu->gpr, v->launched);
	if (switch_xcr0)
		xsetbv(0, host_xcr0);
	if (failed)
		exit_decode_failed_entry(v, failed, exit);
	else
		exit_decode(v, exit);
	if (exit->kind == VMEXIT_DEADLINE && rdtsc() < deadline_tsc)
		exit->kind = VMEXIT_NONE;
}

const struct hvm_ops vmx_ops = {
	.name = "vmx",
	.cpu_enable = cpu_enable,
	.vm_init = ept_vm_init,
	.vm_free = ept_vm_free,
	.map = ept_map,
	.map_device = ept_map_device,
	.unmap_device = ept_unmap_device,
	.flush_vm = ept_flush_vm,
	.vcpu_create = vcpu_create,
	.vcpu_destroy = vcpu_destroy,
	.get_sregs = vmx_get_sregs,
	.set_sregs = vmx_set_sregs,
	.skip = vmx_skip,
	.enter = enter,
	.release = release,
	.irq_ready = vmx_irq_ready,
	.inject = vmx_inject,
	.msr = vmx_msr,
	.apic = vmx_apic,
};
