/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VM exits, handled once for both backends. Whatever a guest does here hurts that guest alone: an
 * exception into it, or its end with one log line and its registers.
 */
#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "hv/core/sched.h"
#include "hv/core/trap.h"
#include "hv/core/vcpu.h"
#include "hv/core/fpu.h"
#include "hv/cpu/msr.h"

static bool mmio_access(struct vcpu *v, gpa_t gpa, unsigned bytes, bool write, uint64_t *value)
{
	if (platform->mmio(v, gpa, bytes, write, value))
		return true;
	v->mmio_refused = true;
	return false;
}

static void handle_mmio(struct vcpu *v, const struct vmexit *exit)
{
	unsigned long long at = exit->mmio.gpa.v;

	if (emulate_mmio(v, exit, mmio_access))
		return;
	if (v->mmio_refused)
		vm_crash(v, "%s unmapped address 0x%llx", exit->mmio.write ? "writes to" : "reads",
			 at);
	else
		vm_crash(v, "accesses device memory at 0x%llx by an unsupported instruction", at);
}

static bool io_access(struct vcpu *v, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
	platform->io(v, port, bytes, write, value);
	return true;
}

/* IN to AL and AX leaves the rest of RAX, IN to EAX clears its upper half. */
static void set_rax(struct vcpu *v, uint32_t value, unsigned bytes)
{
	uint64_t mask = bytes == 4 ? ~0ull : (1ull << bytes * 8) - 1;

	v->gpr[GPR_RAX] = (v->gpr[GPR_RAX] & ~mask) | (value & mask);
}

static void handle_io(struct vcpu *v, const struct vmexit *exit)
{
	uint32_t value = (uint32_t)v->gpr[GPR_RAX];

	if (exit->io.string) {
		if (!emulate_string_io(v, exit, io_access, mmio_access))
			vm_crash(v, "string I/O at port 0x%x cannot be carried out", exit->io.port);
		return;
	}
	if (exit->io.bytes < 4)
		value &= (1u << exit->io.bytes * 8) - 1;
	hvm->skip(v, SKIP_WHOLE);
	platform->io(v, exit->io.port, exit->io.bytes, exit->io.write, &value);
	if (!exit->io.write)
		set_rax(v, value, exit->io.bytes);
}

static void handle_cpuid(struct vcpu *v)
{
	struct cpuid_regs r = guest_cpuid(v, (uint32_t)v->gpr[GPR_RAX], (uint32_t)v->gpr[GPR_RCX]);

	v->gpr[GPR_RAX] = r.eax;
	v->gpr[GPR_RBX] = r.ebx;
	v->gpr[GPR_RCX] = r.ecx;
	v->gpr[GPR_RDX] = r.edx;
	hvm->skip(v, SKIP_WHOLE);
}

static void handle_rdmsr(struct vcpu *v)
{
	uint64_t value;

	if (!guest_rdmsr(v, (uint32_t)v->gpr[GPR_RCX], &value)) {
		vcpu_inject_gp(v);
		return;
	}
	v->gpr[GPR_RAX] = (uint32_t)value;
	v->gpr[GPR_RDX] = value >> 32;
	hvm->skip(v, SKIP_WHOLE);
}

static void handle_wrmsr(struct vcpu *v)
{
	uint64_t value = (uint64_t)(uint32_t)v->gpr[GPR_RDX] << 32 | (uint32_t)v->gpr[GPR_RAX];

	if (guest_wrmsr(v, (uint32_t)v->gpr[GPR_RCX], value))
		hvm->skip(v, SKIP_WHOLE);
	else
		vcpu_inject_gp(v);
}

static unsigned cpl(struct vcpu *v)
{
	struct vcpu_sregs s;

	hvm->get_sregs(v, &s);
	return s.seg[SEG_SS].access >> 5 & 3; /* SS.DPL is the CPL (SDM 3A, "Privilege Levels") */
}

/* SDM 2D, XSETBV: #GP unless CPL 0, XCR0, x87 on, AVX only with SSE, no bit we do not offer. */
static void handle_xsetbv(struct vcpu *v)
{
	uint64_t value = (uint64_t)(uint32_t)v->gpr[GPR_RDX] << 32 | (uint32_t)v->gpr[GPR_RAX];
	uint64_t avx512 = value >> 5 & 7;

	if (cpl(v) != 0 || (uint32_t)v->gpr[GPR_RCX] != 0 || !(value & 1) || value & ~fpu_xcr0() ||
	    (value & 4 && !(value & 2)) || (avx512 && (avx512 != 7 || !(value & 4)))) {
		vcpu_inject_gp(v);
		return;
	}
	v->xcr0 = value;
	hvm->skip(v, SKIP_WHOLE);
}

static void handle_hypercall(struct vcpu *v)
{
	if (cpl(v) != 0) {
		vcpu_inject_ud(v);
		return;
	}
	hvm->skip(v, SKIP_WHOLE);
	v->gpr[GPR_RAX] = (uint64_t)hypercall(v, v->gpr[GPR_RAX], v->gpr[GPR_RDI]);
}

/* CR8 is bits 7:4 of the task priority (SDM 3A, "Interaction of Task Priorities"). */
static void handle_cr8(struct vcpu *v, const struct vmexit *exit)
{
	uint64_t tpr = v->gpr[exit->cr8.gpr] << 4;

	if (exit->cr8.write && tpr > 0xff) {
		vcpu_inject_gp(v);
		return;
	}
	platform->tpr(v, exit->cr8.write, &tpr);
	if (!exit->cr8.write)
		v->gpr[exit->cr8.gpr] = tpr >> 4;
	hvm->skip(v, SKIP_WHOLE);
}

static void handle_hlt(struct vcpu *v, const struct vmexit *exit)
{
	hvm->skip(v, SKIP_WHOLE);
	if (exit->rflags & RFLAGS_TF) /* the trap behind it ends it */
		return;
	if (exit->rflags & RFLAGS_IF || v->vm->vcpu_count > 1)
		v->halted = true;
	else
		vm_crash(v, "halted with interrupts off: nothing can wake it");
}

/* A processor that cannot tell a loop exits at each PAUSE: so many with no other exit between them are one. */
#define PAUSES_OF_A_LOOP 32

static void handle_pause(struct vcpu *v, const struct vmexit *exit)
{
	hvm->skip(v, SKIP_WHOLE);
	if (!exit->pause_loop && ++v->pauses < PAUSES_OF_A_LOOP)
		return;
	v->pauses = 0;
	sched_yield(v);
}

void exit_handle(struct vcpu *v, const struct vmexit *exit)
{
	if (exit->kind != VMEXIT_PAUSE)
		v->pauses = 0;
	switch (exit->kind) {
	case VMEXIT_NONE:
	case VMEXIT_IRQ_WINDOW:
		break;
	case VMEXIT_DEADLINE: /* Bochs masks interrupts when a guest is entered with IF = 0 */
	case VMEXIT_INTERRUPT:
		interrupts_take();
		break;
	case VMEXIT_INTERRUPT_TAKEN:
		interrupt_handle(exit->vector);
		interrupts_take();
		break;
	case VMEXIT_APIC_EOI:
		platform->apic_eoi(v, exit->vector);
		break;
	case VMEXIT_APIC_WRITTEN:
		platform->apic_written(v, exit->apic_register);
		break;
	case VMEXIT_HLT:
		handle_hlt(v, exit);
		break;
	case VMEXIT_CPUID:
		handle_cpuid(v);
		break;
	case VMEXIT_RDMSR:
		handle_rdmsr(v);
		break;
	case VMEXIT_WRMSR:
		handle_wrmsr(v);
		break;
	case VMEXIT_XSETBV:
		handle_xsetbv(v);
		break;
	case VMEXIT_HYPERCALL:
		handle_hypercall(v);
		break;
	case VMEXIT_CR8:
		handle_cr8(v, exit);
		break;
	case VMEXIT_IO:
		handle_io(v, exit);
		break;
	case VMEXIT_MMIO:
		handle_mmio(v, exit);
		break;
	case VMEXIT_PAUSE:
		handle_pause(v, exit);
		break;
	case VMEXIT_CACHE: /* memory is coherent, and no device of ours bypasses the caches */
		hvm->skip(v, SKIP_WHOLE);
		break;
	case VMEXIT_UNDEFINED:
		vcpu_inject_ud(v);
		break;
	case VMEXIT_MMIO_FETCH:
		vm_crash(v, "executes, or has page tables, at unmapped address 0x%llx",
			 (unsigned long long)exit->mmio.gpa.v);
		break;
	case VMEXIT_SHUTDOWN:
		vm_crash(v, "triple fault");
		break;
	case VMEXIT_FAILED:
		vm_crash(v, "%s", exit->reason);
		break;
	}
}
