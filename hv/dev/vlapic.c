/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of the guest's local APIC, and the two ways to them: the x2APIC MSRs, where what the
 * manual reserves is a #GP, and the xAPIC page, where it is ignored and noted in ESR.
 */
#include "hv/dev/vlapic.h"

#include <stddef.h>

#include "hv/core/fail.h"
#include "hv/core/guest_map.h"
#include "hv/core/pmm.h"
#include "hv/dev/vlapic_impl.h"

#define APIC_VERSION_VALUE 0x00050014u /* six LVT entries, integrated APIC */
#define APIC_BASE_RESET	   (GUEST_LAPIC_BASE | APIC_BASE_ENABLE)
#define APIC_BASE_BITS	   (BIT(8) | APIC_BASE_X2APIC | APIC_BASE_ENABLE | 0xffffff000ull)
#define ICR_BITS	   0xccfffull

/* Bits a write may set; 0 and not here: read-only or not there at all. */
static uint64_t writable_bits(const struct vlapic *v, unsigned reg)
{
	switch (reg) {
	case APIC_TPR:
	case APIC_SELF_IPI:
		return 0xff;
	case APIC_SVR:
		return 0x3ff;
	case APIC_ICR:
		return ICR_BITS | (vlapic_x2(v) ? 0xffffffff00000000ull : 0);
	case APIC_LDR:
	case APIC_ICR_HIGH:
		return 0xff000000;
	case APIC_LVT_TIMER:
		return 0x710ff;
	case APIC_LVT_THERMAL:
	case APIC_LVT_PERF:
		return 0x117ff;
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
		return 0x1f7ff;
	case APIC_LVT_ERROR:
		return 0x110ff;
	case APIC_DFR:
	case APIC_INITIAL_COUNT:
		return 0xffffffff;
	case APIC_DIVIDE:
		return 0xb;
	default: /* EOI, ESR: only zero in x2APIC mode */
		return 0;
	}
}

/* Registers of one mode only, and the write-only ones (SDM 3A, table "Local APIC Register Address
 * Map Supported by x2APIC"). */
static bool register_exists(const struct vlapic *v, unsigned reg, bool write)
{
	bool x2 = vlapic_x2(v);

	switch (reg) {
	case APIC_DFR:
	case APIC_ICR_HIGH:
		return !x2;
	case APIC_SELF_IPI:
		return x2 && write;
	case APIC_EOI:
		return write;
	case APIC_LDR:
		return !x2 || !write;
	case APIC_ID:
	case APIC_VERSION:
	case APIC_PPR:
	case APIC_CURRENT_COUNT:
		return !write;
	case APIC_TPR:
	case APIC_SVR:
	case APIC_ESR:
	case APIC_ICR:
	case APIC_INITIAL_COUNT:
	case APIC_DIVIDE:
		return true;
	default:
		return (reg >= APIC_LVT_TIMER && reg <= APIC_LVT_ERROR) ||
		       (reg >= APIC_ISR && reg < APIC_ESR && !write);
	}
}

static uint64_t register_get(struct vlapic *v, unsigned reg)
{
	switch (reg) {
	case APIC_PPR:
		return vlapic_ppr(v);
	case APIC_ICR:
		return vlapic_x2(v) ? v->icr : (uint32_t)v->icr;
	case APIC_ICR_HIGH:
		return v->icr >> 32;
	case APIC_CURRENT_COUNT:
		return vlapic_timer_current(v);
	default:
		return vlapic_get(v, reg);
	}
}

static void set_svr(struct vlapic *v, uint32_t value)
{
	vlapic_set(v, APIC_SVR, value);
	if (!(value & SVR_ENABLE))
		for (unsigned reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg++)
			vlapic_set(v, reg, vlapic_get(v, reg) | LVT_MASKED);
}

static void set_lvt(struct vlapic *v, unsigned reg, uint32_t value)
{
	value &= ~(uint32_t)BIT(12); /* delivery status: always idle */
	if (!(vlapic_get(v, APIC_SVR) & SVR_ENABLE))
		value |= LVT_MASKED;
	if (reg == APIC_LVT_TIMER)
		vlapic_timer_set_lvt(v, value);
	else
		vlapic_set(v, reg, value);
}

static void set_icr(struct vlapic *v, uint64_t value)
{
	v->icr = vlapic_x2(v) ? value : (v->icr & 0xffffffff00000000ull) | value;
	vlapic_send_icr(v);
}

static void send_self(struct vlapic *v, uint8_t vector)
{
	if (vector < FIRST_VECTOR)
		vlapic_error(v, ESR_SEND_ILLEGAL);
	else
		vlapic_accept(v, vector, false);
}

static void register_set(struct vlapic *v, unsigned reg, uint64_t value)
{
	if (reg >= APIC_LVT_TIMER && reg <= APIC_LVT_ERROR) {
		set_lvt(v, reg, (uint32_t)value);
		return;
	}
	switch (reg) {
	case APIC_TPR:
	case APIC_LDR:
		vlapic_set(v, reg, (uint32_t)value);
		break;
	case APIC_EOI:
		vlapic_eoi(v);
		break;
	case APIC_DFR:
		vlapic_set(v, reg, (uint32_t)value | 0x0fffffff);
		break;
	case APIC_SVR:
		set_svr(v, (uint32_t)value);
		break;
	case APIC_ESR:
		vlapic_set(v, APIC_ESR, v->esr_new);
		v->esr_new = 0;
		break;
	case APIC_ICR:
		set_icr(v, value);
		break;
	case APIC_ICR_HIGH:
		v->icr = value << 32 | (uint32_t)v->icr;
		break;
	case APIC_INITIAL_COUNT:
		vlapic_timer_set_count(v, (uint32_t)value);
		break;
	case APIC_DIVIDE:
		vlapic_timer_set_divide(v, (uint32_t)value);
		break;
	case APIC_SELF_IPI:
		send_self(v, (uint8_t)value);
		break;
	default:
		break;
	}
}

/* x2APIC: cluster and bit follow from the ID. */
static void set_ids(struct vlapic *v)
{
	uint32_t id = v->vcpu->index;

	vlapic_set(v, APIC_ID, vlapic_x2(v) ? id : id << 24);
	vlapic_set(v, APIC_LDR, vlapic_x2(v) ? (id >> 4) << 16 | 1u << (id & 15) : 0);
}

static void registers_reset(struct vlapic *v)
{
	for (unsigned reg = 0; reg <= APIC_SELF_IPI; reg++)
		vlapic_set(v, reg, 0);
	for (unsigned reg = APIC_LVT_TIMER; reg <= APIC_LVT_ERROR; reg++)
		vlapic_set(v, reg, LVT_MASKED);
	vlapic_set(v, APIC_VERSION, APIC_VERSION_VALUE);
	vlapic_set(v, APIC_SVR, 0xff);
	vlapic_set(v, APIC_DFR, 0xffffffff);
	set_ids(v);
	v->esr_new = 0;
	v->icr = 0;
	vlapic_timer_stop(v);
	vlapic_drop_requests(v); /* with SVR off: no others come */
	vlapic_changed(v);
}

/* Pending interrupts and those in service are in the page, and stay there. */
static void set_virtualized(struct vlapic *v, bool on)
{
	if (!v->may_virtualize || v->virtualized == on)
		return;
	v->virtualized = on;
	atomic_store(&v->vcpu->posting, on);
	apic_ops->virtualize(v->vcpu, on);
}

/* SDM 3A, "x2APIC State Transitions": off to on, on to x2APIC, any to off; no other. The page does
 * not move. */
static bool set_apic_base(struct vlapic *v, uint64_t value)
{
	uint64_t mode = value & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);
	uint64_t old = v->apic_base;

	if (value & ~APIC_BASE_BITS || (value & 0xffffff000ull) != GUEST_LAPIC_BASE ||
	    mode == APIC_BASE_X2APIC || (mode == APIC_BASE_ENABLE && old & APIC_BASE_X2APIC) ||
	    (mode & APIC_BASE_X2APIC && !(old & APIC_BASE_ENABLE)))
		return false;
	atomic_store(&v->apic_base, (old & APIC_BASE_BSP) | GUEST_LAPIC_BASE | mode);
	if (mode == 0)
		registers_reset(v);
	if (mode & APIC_BASE_X2APIC && !(old & APIC_BASE_X2APIC)) {
		v->icr = 0;
		set_ids(v);
	}
	set_virtualized(v, mode & APIC_BASE_X2APIC);
	return true;
}

void vlapic_init(struct vcpu *vcpu)
{
	struct vlapic *v = vlapic_of(vcpu);

	registers_reset(v);
	v->eoi_msr = 0;
	v->eoi_offered = false;
}

void vlapic_tpr(struct vcpu *vcpu, bool write, uint64_t *value)
{
	struct vlapic *v = vlapic_of(vcpu);

	if (write)
		vlapic_set(v, APIC_TPR, (uint32_t)*value);
	else
		*value = vlapic_get(v, APIC_TPR);
}

/* The one register that the processor lets the guest write and has not dealt with: SELF IPI, with a
 * vector that is reserved. */
void vlapic_written(struct vcpu *vcpu, uint8_t reg)
{
	struct vlapic *v = vlapic_of(vcpu);

	if (reg == APIC_SELF_IPI)
		send_self(v, (uint8_t)vlapic_get(v, reg));
}

bool vlapic_msr_owned(uint32_t msr)
{
	return msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || msr == MSR_KVM_EOI ||
	       (msr >= MSR_X2APIC_FIRST && msr <= MSR_X2APIC_LAST);
}

bool vlapic_msr_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct vlapic *v = vlapic_of(vcpu);
	unsigned reg = msr - MSR_X2APIC_FIRST;

	if (msr == MSR_APIC_BASE) {
		*value = v->apic_base;
		return true;
	}
	vlapic_timer_expire(v);
	if (msr == MSR_TSC_DEADLINE) {
		*value = v->tsc_deadline;
		return true;
	}
	if (msr == MSR_KVM_EOI) {
		*value = v->eoi_msr;
		return true;
	}
	if (!vlapic_x2(v) || !register_exists(v, reg, false))
		return false;
	vlapic_take_requests(v);
	*value = register_get(v, reg);
	return true;
}

bool vlapic_msr_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct vlapic *v = vlapic_of(vcpu);
	unsigned reg = msr - MSR_X2APIC_FIRST;

	if (msr == MSR_APIC_BASE)
		return set_apic_base(v, value);
	if (msr == MSR_TSC_DEADLINE) {
		vlapic_timer_set_deadline(v, value);
		return true;
	}
	if (msr == MSR_KVM_EOI)
		return vlapic_eoi_msr_write(v, value);
	if (!vlapic_x2(v) || !register_exists(v, reg, true) || value & ~writable_bits(v, reg))
		return false;
	register_set(v, reg, value);
	return true;
}

void vlapic_page_access(struct bus_region *region, struct bus_access *access)
{
	struct vlapic *v = vlapic_of(access->vcpu);
	unsigned reg = (unsigned)(access->offset >> 4);
	unsigned byte = access->offset & 15;

	(void)region;
	if (!vlapic_enabled(v) || vlapic_x2(v)) { /* the page answers in xAPIC mode only */
		access->value = bus_ones(access->bytes);
		return;
	}
	if (!register_exists(v, reg, access->write)) {
		access->value = 0;
		if (reg != APIC_EOI) /* reading it is harmless habit */
			vlapic_error(v, ESR_REGISTER);
		return;
	}
	vlapic_timer_expire(v);
	vlapic_take_requests(v);
	if (!access->write)
		access->value = byte < 4 ? register_get(v, reg) >> (8 * byte) : 0;
	else if (access->bytes == 4 && byte == 0) /* others are undefined: ignored */
		register_set(v, reg, access->value & writable_bits(v, reg));
}

int vlapic_create(struct vcpu *vcpu)
{
	struct vlapic *v = page_alloc(sizeof(*v));

	if (!v)
		return fail(LH_NOMEM, "vm %s: no memory for a local APIC", vcpu->vm->config->name);
	v->vcpu = vcpu;
	atomic_store(&v->apic_base, APIC_BASE_RESET | (vcpu->index == 0 ? APIC_BASE_BSP : 0));
	registers_reset(v);
	v->may_virtualize = vm_virtualizes_apics(vcpu->vm);
	if (v->may_virtualize)
		apic_ops->attach(vcpu, &v->page, &v->posted);
	vcpu->platform = v;
	return 0;
}

void vlapic_destroy(struct vcpu *vcpu)
{
	if (vcpu->platform)
		page_free(vcpu->platform, sizeof(struct vlapic));
	vcpu->platform = NULL;
}
