/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The SVM backend: switching it on (APM 2, "Enabling SVM"), vCPUs, entering them. Clean bits are
 * never set, so the processor takes every field of the control block at every entry.
 */
#include "hv/cpu/svm/svm_impl.h"

#include <string.h>

#include "hv/core/fail.h"
#include "hv/core/fpu.h"
#include "hv/core/log.h"
#include "hv/core/pmm.h"
#include "hv/core/timer.h"
#include "hv/cpu/detect.h"
#include "hv/cpu/lapic.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/svm/features.h"

/* How long a guest runs in an interrupt shadow before an interrupt that waits is looked at
 * again. */
#define SHADOW_US 50

struct svm_machine svm;

static struct svm_cpu *my_area(void)
{
	return this_cpu()->hvm_area;
}

/* ---- a CPU ---- */

static struct svm_machine machine_here(void)
{
	const struct cpuid_regs leaf = cpuid(CPUID_SVM_LEAF, 0);
	const uint32_t extended = cpuid(0x80000001, 0).edx;

	return (struct svm_machine){
		.asids = SVM_EBX_ASIDS(leaf.ebx),
		.edx = leaf.edx,
		.rdtscp = extended & CPUID_80000001_EDX_RDTSCP,
		.page_1g = extended & CPUID_80000001_EDX_PAGE1G,
		.strict = svm_moves_unchecked(),
		.limits = svm_limits(),
	};
}

/* On the boot CPU, before the others run. */
static int machine_init(const struct svm_machine *here)
{
	svm = *here;
	svm.iopm = page_alloc(IOPM_BYTES);
	svm.msrpm = page_alloc(MSRPM_BYTES);
	if (!svm.iopm || !svm.msrpm)
		return fail(LH_NOMEM, "svm: no memory for the permission maps");
	memset(svm.iopm, 0xff, IOPM_BYTES);
	svm_msrpm_fill(svm.msrpm);
	return 0;
}

static int same_as_boot_cpu(const struct svm_machine *here)
{
	if (here->asids != svm.asids || here->edx != svm.edx || here->rdtscp != svm.rdtscp ||
	    here->page_1g != svm.page_1g || here->limits.cr4 != svm.limits.cr4)
		return fail(LH_UNSUPP,
			    "svm: CPU %u differs from the boot CPU in its SVM features: "
			    "update the firmware, or switch that CPU off there",
			    this_cpu()->index);
	return 0;
}

static int area_create(struct svm_cpu **out)
{
	struct svm_cpu *area = page_alloc(sizeof(*area));

	if (!area)
		return fail(LH_NOMEM, "svm: no memory on CPU %u", this_cpu()->index);
	area->host_save = page_alloc(PAGE_SIZE);
	area->host = page_alloc(sizeof(*area->host));
	if (!area->host_save || !area->host)
		return fail(LH_NOMEM, "svm: no memory on CPU %u", this_cpu()->index);
	asid_pool_init(&area->asids, svm.asids);
	*out = area;
	return 0;
}

static int svm_cpu_enable(void)
{
	const struct svm_machine here = machine_here();
	char missing[200];
	struct svm_cpu *area = NULL;
	int err;

	if (!svm_detect(missing, sizeof(missing)))
		return fail(LH_UNSUPP, "svm: CPU %u: %s", this_cpu()->index, missing);
	err = svm.iopm ? same_as_boot_cpu(&here) : machine_init(&here);
	if (err < 0)
		return err;
	err = area_create(&area);
	if (err < 0 || !area)
		return err;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, ptr_to_hpa(area->host_save).v);
	__asm__ volatile("vmsave %0" : : "a"(ptr_to_hpa(area->host).v) : "memory");
	this_cpu()->hvm_area = area;
	return 0;
}

static void svm_flush_vm(struct vm *vm)
{
	(void)vm; /* with it, all others on this CPU: rare, and simple */
	asid_new_epoch(&my_area()->asids);
}

/* ---- a vCPU ---- */

static void svm_vcpu_destroy(struct vcpu *vcpu)
{
	struct svm_vcpu *v = to_svm(vcpu);

	if (v->vmcb)
		page_free(v->vmcb, sizeof(*v->vmcb));
	if (v->entered)
		page_free(v->entered, sizeof(*v->entered));
	page_free(v, sizeof(*v));
}

static struct vcpu *svm_vcpu_create(struct vm *vm, unsigned index)
{
	struct svm_vcpu *v = page_alloc(sizeof(*v));

	if (!v)
		return NULL;
	v->vcpu.vm = vm;
	v->vcpu.index = index;
	v->vcpu.xcr0 = 1;
	v->vmcb = page_alloc(sizeof(*v->vmcb));
	v->entered = page_alloc(sizeof(*v->entered));
	if (!v->vmcb || !v->entered) {
		svm_vcpu_destroy(&v->vcpu);
		return NULL;
	}
	svm_vmcb_reset(v);
	return &v->vcpu;
}

/* ---- entering ---- */

#define MOV_TO_DR(n, value)   __asm__ volatile("mov %0, %%db" #n : : "r"(value))
#define MOV_FROM_DR(n, value) __asm__ volatile("mov %%db" #n ", %0" : "=r"(value))

/* What VMRUN does not switch and the core does not use stays in the CPU until another vCPU
 * comes. */
static void load(struct svm_vcpu *v)
{
	if (v->loaded)
		return;
	MOV_TO_DR(0, v->dr[0]);
	MOV_TO_DR(1, v->dr[1]);
	MOV_TO_DR(2, v->dr[2]);
	MOV_TO_DR(3, v->dr[3]);
	if (svm.rdtscp)
		wrmsr(MSR_TSC_AUX, v->tsc_aux);
	v->loaded = true;
}

static void svm_release(struct vcpu *vcpu)
{
	struct svm_vcpu *v = to_svm(vcpu);

	if (!v->loaded)
		return;
	MOV_FROM_DR(0, v->dr[0]);
	MOV_FROM_DR(1, v->dr[1]);
	MOV_FROM_DR(2, v->dr[2]);
	MOV_FROM_DR(3, v->dr[3]);
	v->loaded = false;
}

/* XCR0 is the guest's only inside: the core's own XSAVE needs all components. QEMU does not
 * intercept XSETBV, so the guest's may be another afterwards. */
static void run_guest(struct svm_vcpu *v, struct svm_cpu *cpu)
{
	const uint64_t host = fpu_xcr0();

	if (host && v->vcpu.xcr0 != host)
		xsetbv(0, v->vcpu.xcr0);
	svm_run(ptr_to_hpa(v->vmcb).v, ptr_to_hpa(cpu->host).v, v->vcpu.gpr);
	if (host) {
		const uint64_t now = xgetbv(0);

		v->vcpu.xcr0 = now & host;
		if (now != host)
			xsetbv(0, host);
	}
}

/* What decides VMRUN's checks has changed since it was last checked: by us, or by the guest. */
static bool must_check(const struct svm_vcpu *v)
{
	const struct vmcb_save *now = &v->vmcb->save, *then = &v->entered->save;

	return v->changed || now->cr0 != then->cr0 || now->cr4 != then->cr4 ||
	       now->efer != then->efer || now->cs.attrib != then->cs.attrib;
}

/* VMRUN's checks, before it makes them: the processor would not say which one failed. The copy is
 * what is shown after a refusal all the same, since that destroys the guest's registers in the
 * block. */
static bool acceptable(struct svm_vcpu *v, struct vmexit *exit)
{
	const struct vmcb_save *now = &v->vmcb->save;
	struct vmcb_save *copy = &v->entered->save;
	const char *sentence;

	v->entered->ctl.event_inj = v->vmcb->ctl.event_inj;
	copy->rip = now->rip;
	copy->rsp = now->rsp;
	copy->rax = now->rax;
	copy->rflags = now->rflags;
	copy->cr3 = now->cr3;
	if (!must_check(v))
		return true;
	memcpy(v->entered, v->vmcb, sizeof(*v->entered));
	sentence = svm_check(v->vmcb, &svm.limits);
	if (sentence) {
		exit->kind = VMEXIT_FAILED;
		snprintf(exit->reason, sizeof(exit->reason), "VM entry refused: %s", sentence);
		return false;
	}
	v->changed = false;
	return true;
}

static void svm_enter(struct vcpu *vcpu, uint64_t deadline_tsc, bool irq_waits, struct vmexit *exit)
{
	struct svm_vcpu *v = to_svm(vcpu);
	struct svm_cpu *cpu = my_area();
	struct vmcb *vmcb = v->vmcb;

	load(v);
	vmcb->ctl.tlb_control = asid_prepare(&v->asid, &cpu->asids) ? TLB_FLUSH_ALL : TLB_KEEP;
	vmcb->ctl.asid = v->asid.number;
	vmcb->save.rax = vcpu->gpr[GPR_RAX];
	vmcb->save.rsp = vcpu->gpr[GPR_RSP];
	if (svm_inject_before_entry(v, irq_waits)) {
		const uint64_t soon = rdtsc() + tsc_from_us(SHADOW_US);

		deadline_tsc = soon < deadline_tsc ? soon : deadline_tsc;
	}
	svm_set_pause_exits(v, vcpu->contended);
	svm_strict_before_entry(v);
	if (!acceptable(v, exit))
		return;
	timer_interrupt_by(deadline_tsc);
	if (svm_must_leave_at_once(v))
		lapic_interrupt_self(VECTOR_IPI);
	run_guest(v, cpu);
	svm_exit(v, exit);
}

static const struct apic_ops *svm_apic(const char **lacks)
{
	*lacks = "VT-x";
	return NULL;
}

const struct hvm_ops svm_ops = {
	.name = "svm",
	.cpu_enable = svm_cpu_enable,
	.vm_init = svm_vm_init,
	.vm_free = svm_vm_free,
	.map = svm_map,
	.map_device = svm_map_device,
	.unmap_device = svm_unmap_device,
	.flush_vm = svm_flush_vm,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.get_sregs = svm_get_sregs,
	.set_sregs = svm_set_sregs,
	.skip = svm_skip,
	.enter = svm_enter,
	.release = svm_release,
	.irq_ready = svm_irq_ready,
	.inject = svm_inject,
	.msr = svm_msr,
	.apic = svm_apic,
};
