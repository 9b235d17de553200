/* SPDX-License-Identifier: BSD-2-Clause */
/* See vcpu_look.h. The copy is under a lock of the vCPU's own, held for as long as it takes to copy it. */
#include "hv/core/vcpu_look.h"

#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/vcpu.h"
#include "hv/cpu/msr.h"

const char *vmexit_kind_name(unsigned kind)
{
	static const char *const names[] = {
		[VMEXIT_NONE] = "none",
		[VMEXIT_INTERRUPT] = "interrupt",
		[VMEXIT_INTERRUPT_TAKEN] = "interrupt",
		[VMEXIT_DEADLINE] = "deadline",
		[VMEXIT_IRQ_WINDOW] = "window",
		[VMEXIT_HLT] = "hlt",
		[VMEXIT_PAUSE] = "pause",
		[VMEXIT_CPUID] = "cpuid",
		[VMEXIT_RDMSR] = "rdmsr",
		[VMEXIT_WRMSR] = "wrmsr",
		[VMEXIT_XSETBV] = "xsetbv",
		[VMEXIT_HYPERCALL] = "hypercall",
		[VMEXIT_APIC_EOI] = "apic-eoi",
		[VMEXIT_APIC_WRITTEN] = "apic-write",
		[VMEXIT_CR8] = "cr8",
		[VMEXIT_IO] = "io",
		[VMEXIT_MMIO] = "mmio",
		[VMEXIT_MMIO_FETCH] = "fetch",
		[VMEXIT_CACHE] = "cache",
		[VMEXIT_UNDEFINED] = "undefined",
		[VMEXIT_SHUTDOWN] = "triple-fault",
		[VMEXIT_FAILED] = "failed",
	};
	const char *name = kind < sizeof(names) / sizeof(names[0]) ? names[kind] : NULL;

	return name ? name : "other";
}

static uint64_t detail_of(const struct vcpu *v, const struct vmexit *exit)
{
	switch (exit->kind) {
	case VMEXIT_IO:
		return exit->io.port;
	case VMEXIT_RDMSR:
	case VMEXIT_WRMSR:
		return (uint32_t)v->gpr[GPR_RCX];
	case VMEXIT_MMIO:
	case VMEXIT_MMIO_FETCH:
		return exit->mmio.gpa.v;
	case VMEXIT_CPUID:
	case VMEXIT_HYPERCALL:
		return (uint32_t)v->gpr[GPR_RAX];
	case VMEXIT_APIC_EOI:
	case VMEXIT_INTERRUPT_TAKEN:
		return exit->vector;
	case VMEXIT_APIC_WRITTEN:
		return exit->apic_register;
	default:
		return 0;
	}
}

void vcpu_remember_exit(struct vcpu *v, const struct vmexit *exit, unsigned cause, uint64_t tsc)
{
	v->last_exits.exit[v->last_exits.count++ % LAST_EXITS] = (struct last_exit){
		.tsc = tsc,
		.detail = detail_of(v, exit),
		.kind = (uint8_t)exit->kind,
		.cause = (uint8_t)cause,
	};
}

/* The end of a loop that RIP is at the beginning of, perhaps. */
static unsigned look_before(struct vcpu *v, uint64_t at, uint8_t out[16])
{
	unsigned bytes = (unsigned)(at & (PAGE_SIZE - 1));

	bytes = bytes < 16 ? bytes : 16;
	return guest_look(v, -(int)bytes, out, bytes);
}

void vcpu_look_take(struct vcpu *v, bool sipi_awaited)
{
	struct vcpu_look look = { .sipi_awaited = sipi_awaited, .halted = v->halted };
	struct vcpu_sregs s;

	hvm->get_sregs(v, &s);
	look.rip = s.rip;
	look.rsp = v->gpr[GPR_RSP];
	look.rflags = s.rflags;
	look.cr0 = s.cr0;
	look.cr3 = s.cr3;
	look.cr4 = s.cr4;
	look.efer = s.efer;
	look.cs = s.seg[SEG_CS].selector;
	look.cs_base = s.seg[SEG_CS].base;
	look.cpl = s.seg[SEG_SS].access >> 5 & 3;
	look.bits64 = (s.efer & EFER_LMA) != 0 && (s.seg[SEG_CS].access >> 9 & 1);
	look.irq = platform->irq_pending(v);
	look.can_take = hvm->irq_ready(v);
	look.timer_tsc = platform->next_timer(v);
	look.code_bytes = guest_look(v, 0, look.code, sizeof(look.code));
	look.before_bytes =
		look_before(v, (look.bits64 ? 0 : look.cs_base) + look.rip, look.before);
	look.exits = v->last_exits;
	look.tsc = rdtsc();
	spin_lock(&v->look_lock);
	v->look = look;
	spin_unlock(&v->look_lock);
}

void vcpu_look_read(struct vcpu *v, struct vcpu_look *out)
{
	spin_lock(&v->look_lock);
	*out = v->look;
	spin_unlock(&v->look_lock);
}
