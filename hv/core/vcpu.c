/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's states, and the loop that runs it: between two exits it looks at the mailbox, the VM's
 * end, its slice, its interrupts, and enters again.
 */
#include "hv/core/vcpu.h"

#include <string.h>

#include "hv/core/fpu.h"
#include "hv/core/log.h"
#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "hv/core/sched.h"
#include "hv/core/trap.h"
#include "hv/cpu/msr.h"

/* A vCPU that was woken waits for this long at most behind one that runs. */
#define WAKEUP_US 200

bool vcpu_transition(struct vcpu *v, enum vcpu_state from, enum vcpu_state to)
{
	static const uint8_t allowed[] = {
		[VCPU_OFF] = 1u << VCPU_RUNNABLE,
		[VCPU_RUNNABLE] = 1u << VCPU_RUNNING,
		[VCPU_RUNNING] = 1u << VCPU_RUNNABLE | 1u << VCPU_BLOCKED | 1u << VCPU_OFF,
		[VCPU_BLOCKED] = 1u << VCPU_RUNNABLE | 1u << VCPU_RUNNING,
	};
	uint32_t expected = from;

	assert(allowed[from] >> to & 1);
	return atomic_compare_exchange_strong(&v->state, &expected, to);
}

void vcpu_wake(struct vcpu *v)
{
	if (!vcpu_transition(v, VCPU_BLOCKED, VCPU_RUNNABLE))
		return;
	atomic_fetch_add_explicit(&v->wakeups, 1, memory_order_relaxed);
	sched_enqueue(v, true);
}

void vcpu_kick(struct vcpu *v)
{
	struct cpu *cpu;

	switch (atomic_load(&v->state)) { /* after the interrupt was made visible: partner: block() */
	case VCPU_BLOCKED:
		vcpu_wake(v);
		break;
	case VCPU_RUNNING:
		cpu = atomic_load(&v->cpu);
		if (cpu != this_cpu())
			cpu_post(cpu, MB_KICK);
		break;
	default: /* looks before its next entry */
		break;
	}
}

/* OFF → RUNNABLE, once; the vCPU finds SIGNAL_SIPI at its first pass and sets its own state. */
static void start_by_sipi(struct vcpu *v)
{
	atomic_fetch_add(&v->vm->live_vcpus, 1);
	if (vcpu_transition(v, VCPU_OFF, VCPU_RUNNABLE))
		sched_enqueue(v, true);
	else
		atomic_fetch_sub(&v->vm->live_vcpus, 1);
}

void vcpu_signal(struct vcpu *v, enum vcpu_signal signal, uint8_t vector)
{
	uint32_t state = atomic_load(&v->state);

	if (signal == SIGNAL_INIT && v->index == 0) {
		vm_end(v->vm, END_REBOOT, "INIT to vCPU 0");
		return;
	}
	if (state == VCPU_OFF && signal != SIGNAL_SIPI)
		return; /* waits for a SIPI already; an NMI finds nobody */
	/* A SIPI counts only while the vCPU waits for one, or is about to. */
	if (signal == SIGNAL_SIPI && state != VCPU_OFF && !(atomic_load(&v->signals) & SIGNAL_INIT))
		return;
	if (signal == SIGNAL_SIPI)
		atomic_store(&v->sipi, vector);
	atomic_fetch_or(&v->signals, signal);
	if (signal == SIGNAL_SIPI && state == VCPU_OFF)
		start_by_sipi(v);
	else
		vcpu_kick(v);
}

static void load(struct vcpu *v)
{
	struct cpu *cpu = this_cpu();

	if (cpu->loaded == v)
		return;
	vcpu_unload(cpu);
	fpu_restore(v->fpu);
	cpu->loaded = v;
	atomic_store(&v->loaded, true);
	atomic_fetch_or(&v->vm->ran_on[cpu->index / 64], 1ull << cpu->index % 64);
}

void vcpu_unload(struct cpu *cpu)
{
	struct vcpu *v = cpu->loaded;

	if (!v)
		return;
	fpu_save(v->fpu);
	hvm->release(v);
	cpu->loaded = NULL;
	atomic_store(&v->loaded, false);
}

/* This vCPU is OFF. If its VM ends, the last one leaves it to vm_reap(): v is not touched after. */
static void leave(struct vcpu *v)
{
	struct vm *vm = v->vm;

	vcpu_unload(this_cpu());
	vcpu_transition(v, VCPU_RUNNING, VCPU_OFF);
	if (atomic_load(&vm->state) == VM_RUNNING && atomic_load(&v->signals) & SIGNAL_SIPI)
		start_by_sipi(v); /* it came meanwhile (partner: vcpu_signal) */
	if (atomic_fetch_sub(&vm->live_vcpus, 1) == 1)
		vm_last_out(vm);
}

/* Whether a vCPU that was halted or paused has something to do. */
static bool awake(struct vcpu *v)
{
	if (atomic_load(&v->vm->state) != VM_RUNNING)
		return true;
	if (atomic_load(&v->vm->paused))
		return false;
	return !v->halted || atomic_load(&v->signals) ||
	       (platform->irq_pending(v) >= 0 && hvm->irq_ready(v));
}

/* HLT or pause: true if the vCPU is blocked now and this CPU may not touch it any more. */
static bool block(struct vcpu *v)
{
	uint64_t timer;

	if (awake(v))
		return false;
	timer = platform->next_timer(v);
	if (timer != TIMER_NEVER)
		timer_set(&v->wake, timer);
	vcpu_transition(v, VCPU_RUNNING, VCPU_BLOCKED);
	/* An interrupt that was set before saw RUNNING: look again (partner: vcpu_kick). If it was
	 * set after, its sender has woken the vCPU, and it is another's already. */
	if (awake(v) && vcpu_transition(v, VCPU_BLOCKED, VCPU_RUNNING)) {
		timer_cancel(&v->wake);
		return false;
	}
	return true;
}

/* State after INIT and SIPI (SDM 3A, "Processor State After Reset", and SIPI's vector). */
static void set_startup_state(struct vcpu *v, uint8_t vector)
{
	static const struct segment data = { 0, 0x93, 0xffff, 0 };
	struct vcpu_sregs s = { .rflags = RFLAGS_FIXED, .cr0 = CR0_ET | CR0_NW | CR0_CD,
				.gdt_limit = 0xffff, .idt_limit = 0xffff };

	for (unsigned i = 0; i < SEG_REG_COUNT; i++)
		s.seg[i] = data;
	s.seg[SEG_CS] = (struct segment){ (uint16_t)(vector << 8), 0x9b, 0xffff,
					  (uint64_t)vector << 12 };
	s.seg[SEG_LDTR].access = 0x82;
	s.seg[SEG_TR].access = 0x8b;
	hvm->set_sregs(v, &s);
	memset(v->gpr, 0, sizeof(v->gpr));
	v->gpr[GPR_RDX] = cpuid(1, 0).eax; /* family, model, stepping */
	v->halted = false;
	platform->vcpu_init(v);
}

static void nmi(struct vcpu *v)
{
	v->halted = false;
	hvm->inject_nmi(v);
}

/* Takes what has arrived; true if INIT has stopped the vCPU until a SIPI. */
static bool signalled(struct vcpu *v)
{
	uint32_t arrived = atomic_fetch_and(&v->signals, ~(uint32_t)(SIGNAL_INIT | SIGNAL_NMI));

	if (arrived & SIGNAL_INIT) {
		leave(v);
		return true;
	}
	if (arrived & SIGNAL_NMI)
		nmi(v);
	if (atomic_fetch_and(&v->signals, ~(uint32_t)SIGNAL_SIPI) & SIGNAL_SIPI)
		set_startup_state(v, (uint8_t)atomic_load(&v->sipi));
	return false;
}

static void offer_interrupt(struct vcpu *v)
{
	int vector = platform->irq_pending(v);

	if (vector < 0)
		return;
	if (!hvm->irq_ready(v)) {
		hvm->irq_window(v, true);
		return;
	}
	hvm->inject_irq(v, (uint8_t)vector);
	platform->irq_taken(v, (uint8_t)vector);
	if (platform->irq_pending(v) >= 0)
		hvm->irq_window(v, true);
}

/* Somebody was woken: the rest of this slice is short. */
static void hurry(struct vcpu *v)
{
	uint64_t soon = v->slice_start_tsc + tsc_from_us(WAKEUP_US);

	if (soon < v->slice_end_tsc)
		v->slice_end_tsc = soon;
}

/* True if the slice is over and somebody else waits: the vCPU is in a queue then. */
static bool preempted(struct vcpu *v)
{
	uint64_t now = rdtsc();

	if (now < v->slice_end_tsc)
		return false;
	v->slice_start_tsc = now;
	v->slice_end_tsc = now + tsc_from_us(SLICE_US);
	if (!sched_waiting())
		return false;
	vcpu_unload(this_cpu());
	vcpu_transition(v, VCPU_RUNNING, VCPU_RUNNABLE);
	sched_enqueue(v, false);
	return true;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void vcpu_run(struct vcpu *v)
{
	struct cpu *cpu = this_cpu();
	uint64_t start = rdtsc();

	load(v);
	timer_cancel(&v->wake);
	v->slice_start_tsc = start;
	v->slice_end_tsc = start + tsc_from_us(SLICE_US);
	for (;;) {
		struct vmexit exit;

		if (sched_mail() & MB_RESCHED)
			hurry(v);
		if (atomic_load(&v->vm->state) != VM_RUNNING) {
			leave(v);
			break;
		}
		if (atomic_load(&v->signals) && signalled(v))
			break;
		if ((v->halted || atomic_load(&v->vm->paused)) && block(v))
			break;
		v->halted = false;
		if (preempted(v))
			break;
		offer_interrupt(v);
		hvm->enter(v, earlier(v->slice_end_tsc, platform->next_timer(v)), &exit);
		atomic_store_explicit(&v->exits, v->exits + 1, memory_order_relaxed);
		cpu->exits++;
		exit_handle(v, &exit);
	}
	cpu->busy_tsc += rdtsc() - start;
}

void vcpu_dump(struct vcpu *v)
{
	static const char *const names[GPR_COUNT] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						      "rsi", "rdi", "r8", "r9", "r10", "r11",
						      "r12", "r13", "r14", "r15" };
	static const char *const segs[SEG_REG_COUNT] = { "es", "cs", "ss", "ds",
							 "fs", "gs", "ldtr", "tr" };
	const char *vm = v->vm->config->name;
	struct vcpu_sregs s;

	hvm->get_sregs(v, &s);
	log_printf("vm %s: vCPU %u: rip %016llx rflags %08llx", vm, v->index,
		   (unsigned long long)s.rip, (unsigned long long)s.rflags);
	for (unsigned i = 0; i < GPR_COUNT; i += 4)
		log_printf("vm %s: %3s %016llx %3s %016llx %3s %016llx %3s %016llx", vm,
			   names[i], (unsigned long long)v->gpr[i],
			   names[i + 1], (unsigned long long)v->gpr[i + 1],
			   names[i + 2], (unsigned long long)v->gpr[i + 2],
			   names[i + 3], (unsigned long long)v->gpr[i + 3]);
	log_printf("vm %s: cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx", vm,
		   (unsigned long long)s.cr0, (unsigned long long)s.cr2, (unsigned long long)s.cr3,
		   (unsigned long long)s.cr4, (unsigned long long)s.efer);
	for (unsigned i = 0; i < SEG_REG_COUNT; i++)
		log_printf("vm %s: %-4s %04x base %016llx limit %08x access %04x", vm, segs[i],
			   s.seg[i].selector, (unsigned long long)s.seg[i].base, s.seg[i].limit,
			   s.seg[i].access);
}

void vcpu_inject_gp(struct vcpu *v)
{
	hvm->inject_exception(v, 13, 0);
}

void vcpu_inject_ud(struct vcpu *v)
{
	hvm->inject_exception(v, 6, -1);
}

void vcpu_inject_pf(struct vcpu *v, uint64_t cr2, uint32_t error_code)
{
	struct vcpu_sregs s;

	hvm->get_sregs(v, &s);
	s.cr2 = cr2;
	hvm->set_sregs(v, &s);
	hvm->inject_exception(v, 14, error_code);
}
