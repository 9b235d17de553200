/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A vCPU's states, and the loop that runs it: between two exits it looks at the mailbox, the VM's
 * end, its slice, its interrupts, and enters again.
 */
#include "hv/core/vcpu.h"

#include <string.h>

#include "hv/core/again.h"
#include "hv/core/apply.h"
#include "hv/core/console.h"
#include "hv/core/cpu_time.h"
#include "hv/core/exit_cause.h"
#include "hv/core/fpu.h"
#include "hv/core/log.h"
#include "hv/core/lifecycle.h"
#include "hv/core/mgmt.h"
#include "hv/core/platform.h"
#include "hv/core/sched.h"
#include "hv/core/trap.h"
#include "hv/cpu/lapic.h"
#include "hv/cpu/msr.h"

/* In struct vcpu ->signals beside enum vcpu_signal: the vCPU does nothing until a SIPI; and that
 * one's vector. One word for all of it, so that INIT and SIPI count in the order they come in. */
#define SIPI_AWAITED	  BIT(8)
#define SIPI_VECTOR_SHIFT 24
#define SIPI_VECTOR	  (0xffu << SIPI_VECTOR_SHIFT)
#define ARRIVED		  (SIGNAL_NMI | SIGNAL_INIT | SIGNAL_SIPI | SIGNAL_DUMP | SIGNAL_LOOK)

bool vcpu_transition(struct vcpu *v, enum vcpu_state from, enum vcpu_state to)
{
	static const uint8_t allowed[] = {
		[VCPU_OFF] = 1u << VCPU_RUNNABLE | 1u << VCPU_BLOCKED,
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

	switch (atomic_load(
		&v->state)) { /* after the interrupt was made visible: partner: block() */
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

/* A notification that comes when the vCPU is in the guest no more, or not yet again, is nothing to its
 * CPU: the requests are looked for before the next entry. Model: tests/model/posted.pml. */
void vcpu_notify(struct vcpu *v)
{
	struct cpu *cpu;

	if (atomic_load(&v->state) != VCPU_RUNNING || !atomic_load(&v->posting)) {
		vcpu_kick(v);
		return;
	}
	cpu = atomic_load(&v->cpu);
	if (cpu != this_cpu())
		lapic_send_ipi(cpu->apic_id, VECTOR_POSTED);
}

void vcpu_start(struct vcpu *v)
{
	sched_count(1);
	if (v->index == 0) {
		vcpu_transition(v, VCPU_OFF, VCPU_RUNNABLE);
		sched_enqueue(v, false);
	} else {
		atomic_store(&v->signals, SIPI_AWAITED);
		vcpu_transition(v, VCPU_OFF, VCPU_BLOCKED);
	}
}

void vcpu_start_at(struct vcpu *v, uint64_t tsc)
{
	sched_count(1);
	timer_set(&v->wake, tsc);
	vcpu_transition(v, VCPU_OFF, VCPU_BLOCKED);
}

/* What a signal makes of those before it. A SIPI counts only while the vCPU waits for one, or is
 * about to; INIT takes a SIPI and an NMI that came before it away. */
static uint32_t add_signal(uint32_t old, enum vcpu_signal signal, uint8_t vector)
{
	bool stopped = old & (SIGNAL_INIT | SIPI_AWAITED) && !(old & SIGNAL_SIPI);

	switch (signal) {
	case SIGNAL_INIT:
		old &= ~(SIGNAL_NMI | SIGNAL_SIPI | SIPI_VECTOR);
		return old & SIPI_AWAITED ? old : old | SIGNAL_INIT;
	case SIGNAL_SIPI:
		return stopped ? old | SIGNAL_SIPI | (uint32_t)vector << SIPI_VECTOR_SHIFT : old;
	case SIGNAL_NMI:
		return stopped ? old : old | SIGNAL_NMI;
	case SIGNAL_DUMP:
	case SIGNAL_LOOK:
		break;
	}
	return old | signal;
}

void vcpu_signal(struct vcpu *v, enum vcpu_signal signal, uint8_t vector)
{
	uint32_t old = atomic_load(&v->signals), now;

	if (signal == SIGNAL_INIT && v->index == 0) {
		vm_end(v->vm, END_REBOOT, "INIT to vCPU 0");
		return;
	}
	do {
		now = add_signal(old, signal, vector);
		if (now == old)
			return;
	} while (!atomic_compare_exchange_weak(&v->signals, &old, now));
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

/* The VM ends: the last vCPU out leaves it to vm_reap(). v is not touched after. */
static void leave(struct vcpu *v)
{
	struct vm *vm = v->vm;

	sched_charge(v);
	vcpu_unload(this_cpu());
	vcpu_transition(v, VCPU_RUNNING, VCPU_OFF);
	sched_count(-1);
	if (atomic_fetch_sub(&vm->live_vcpus, 1) == 1)
		vm_last_out(vm);
}

/* Whether the vCPU may be entered. A timer that is over becomes an interrupt by the way, so that
 * it is not waited for again. */
static bool ready(struct vcpu *v)
{
	bool stopped = atomic_load(&v->vm->paused) || atomic_load(&v->signals) & SIPI_AWAITED;
	bool interrupted;

	if (!v->halted && !stopped)
		return true;
	interrupted = platform->irq_pending(v) >= 0 && hvm->irq_ready(v);
	return interrupted && !stopped;
}

/* Whether the run loop has something to do for it. */
static bool awake(struct vcpu *v)
{
	return atomic_load(&v->vm->state) != VM_RUNNING || atomic_load(&v->signals) & ARRIVED ||
	       ready(v);
}

/*
 * The guest may have put packets without a kick: takes them. After each exit; when flush_tsc is over,
 * or the vCPU leaves this CPU, with less trust from then on (late). Who leaves is told besides what a
 * CPU that polls has left for later, so that it need not be woken for it.
 * Models: tests/model/lag.pml, owed.pml.
 */
static void flush(struct vcpu *v, bool leaving)
{
	bool late = leaving || rdtsc() >= v->flush_tsc;

	v->leaving = leaving;
	if (v->flush_tsc != TIMER_NEVER) {
		v->flush_tsc = TIMER_NEVER; /* who is not done says so again: env_will_flush() */
		platform->switch_flush(v->vm, late);
	}
	if (leaving)
		platform->switch_settle(v->vm);
}

/* HLT, pause, INIT: true if the vCPU is blocked now and this CPU may not touch it any more. */
static bool block(struct vcpu *v)
{
	struct vm *vm = v->vm;
	uint64_t timer = platform->next_timer(v);

	flush(v, true);
	if (timer != TIMER_NEVER)
		timer_set(&v->wake, timer);
	sched_charge(v);
	vcpu_transition(v, VCPU_RUNNING, VCPU_BLOCKED);
	/* An interrupt that was set before saw RUNNING: look again (partner: vcpu_kick). If it was
	 * set after, its sender has woken the vCPU, and it is another's already. Model:
	 * tests/model/vcpu_wake.pml. */
	if (awake(v) && vcpu_transition(v, VCPU_BLOCKED, VCPU_RUNNING)) {
		timer_cancel(&v->wake);
		v->leaving = false;
		return false;
	}
	if (atomic_load(&vm->paused)) /* of several vCPUs the last one sees the others out */
		vm_paused_out(vm);
	return true;
}

static void init(struct vcpu *v)
{
	hvm->inject(v, &(struct injection){ .kind = INJECT_INIT });
	platform->vcpu_init(v);
	v->halted = false;
}

/* State after INIT and SIPI (SDM 3A, table "IA-32 and Intel 64 Processor States Following Power-up,
 * Reset, or INIT"; "MP Initialization Protocol"). */
static void start_at(struct vcpu *v, uint32_t vector)
{
	static const struct segment data = { 0, 0x93, 0xffff, 0 };
	struct vcpu_sregs s = { .rflags = RFLAGS_FIXED,
				.cr0 = CR0_ET | CR0_NW | CR0_CD,
				.gdt_limit = 0xffff,
				.idt_limit = 0xffff };

	for (unsigned i = 0; i < SEG_REG_COUNT; i++)
		s.seg[i] = data;
	s.seg[SEG_CS] = (struct segment){ (uint16_t)(vector << 8), 0x9b, 0xffff, vector << 12 };
	s.seg[SEG_LDTR].access = 0x82;
	s.seg[SEG_TR].access = 0x8b;
	hvm->set_sregs(v, &s);
	memset(v->gpr, 0, sizeof(v->gpr));
	v->gpr[GPR_RDX] = cpuid(1, 0).eax; /* family, model, stepping */
}

/* Takes what has arrived, in the order in which it counts (add_signal). */
static void take_signals(struct vcpu *v)
{
	uint32_t old = atomic_load(&v->signals), now;

	do {
		bool stopped = old & (SIGNAL_INIT | SIPI_AWAITED) && !(old & SIGNAL_SIPI);

		now = stopped ? SIPI_AWAITED : 0;
	} while (!atomic_compare_exchange_weak(&v->signals, &old, now));
	if (old & SIGNAL_DUMP)
		vcpu_dump(v);
	if (old & SIGNAL_LOOK)
		vcpu_look_take(v, old & SIPI_AWAITED && !(old & SIGNAL_SIPI));
	if (old & SIGNAL_INIT)
		init(v);
	if (old & SIGNAL_SIPI)
		start_at(v, old >> SIPI_VECTOR_SHIFT);
	if (old & SIGNAL_NMI) {
		hvm->inject(v, &(struct injection){ .kind = INJECT_NMI });
		v->halted = false;
	}
}

/* True: an interrupt waits that the guest cannot take yet. */
static bool offer_interrupt(struct vcpu *v)
{
	int vector;

	if (atomic_load_explicit(&v->posting, memory_order_relaxed))
		return false; /* before_entry(), and the processor */
	vector = platform->irq_pending(v);
	if (vector < 0)
		return false;
	if (!hvm->irq_ready(v))
		return true;
	hvm->inject(v, &(struct injection){ INJECT_IRQ, (uint8_t)vector, -1 });
	platform->irq_taken(v, (uint8_t)vector);
	return platform->irq_pending(v) >= 0;
}

/* The user wants something done by this CPU's run loop. */
static bool asked(void)
{
	return console_command_waiting() || mgmt_request_waiting() || apply_waiting() ||
	       again_asks();
}

/* True if the slice is over and somebody else is to run: the vCPU is in a queue then. */
static bool preempted(struct vcpu *v)
{
	if (rdtsc() < v->slice_end_tsc && !asked())
		return false;
	if (!sched_slice_over(v) && !asked())
		return false;
	flush(v, true);
	vcpu_unload(this_cpu());
	vcpu_transition(v, VCPU_RUNNING, VCPU_RUNNABLE);
	sched_enqueue(v, false);
	return true;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When it has to leave the guest. Our own timers are among it, since a guest with IF = 0 on Bochs
 * does not leave for their interrupt. */
static uint64_t deadline(struct vcpu *v)
{
	struct cpu *cpu = this_cpu();
	uint64_t own = earlier(v->slice_end_tsc, cpu->armed_tsc);

	if (atomic_load(&cpu->mailbox)) /* to itself, so that no interrupt tells of it */
		own = earlier(own, rdtsc() + tsc_from_us(SLICE_US));
	v->timer_tsc = platform->next_timer(v);
	return earlier(own, earlier(v->flush_tsc, v->timer_tsc));
}

static void count_exit(struct vcpu *v, const struct vmexit *exit)
{
	enum exit_cause cause = exit_cause(v, exit);
	struct cpu *cpu = this_cpu();

	atomic_store_explicit(&v->exits[cause], v->exits[cause] + 1, memory_order_relaxed);
	atomic_store_explicit(&cpu->exits[cause], cpu->exits[cause] + 1, memory_order_relaxed);
	/* cpu_time_turn() has just read the clock */
	vcpu_remember_exit(v, exit, cause,
			   atomic_load_explicit(&cpu->accounted, memory_order_relaxed));
}

void vcpu_run(struct vcpu *v)
{
	const enum cpu_time inside = v->vm->config->driver_domain ? TIME_DRIVER : TIME_GUEST;
	struct cpu *cpu = this_cpu();

	v->leaving = false;
	v->flush_tsc = TIMER_NEVER;
	sched_begin(v, rdtsc());
	load(v);
	sched_offer(); /* of the one unloaded: it may be in our queue, and could not move until now */
	timer_cancel(&v->wake);
	platform->switch_arrive(v->vm); /* served below, with the mail */
	for (;;) {
		struct vmexit exit;
		bool irq_waits;

		if (rdtsc() >= cpu->armed_tsc)
			timer_poll();
		if ((sched_mail() | atomic_load(&cpu->mailbox)) & MB_RESCHED)
			sched_hurry(v);
		if (atomic_load(&v->vm->state) != VM_RUNNING) {
			leave(v);
			break;
		}
		if (atomic_load(&v->signals) & ARRIVED)
			take_signals(v);
		if (!ready(v)) {
			if (block(v))
				break;
			continue;
		}
		v->halted = false;
		if (preempted(v))
			break;
		v->contended = sched_contended();
		irq_waits = offer_interrupt(v);
		platform->before_entry(v);
		vm_drop_stale(v->vm);
		cpu_time_turn(cpu, TIME_ROOT, inside);
		hvm->enter(v, deadline(v), irq_waits, &exit);
		cpu_time_turn(cpu, inside, TIME_ROOT);
		platform->after_exit(v);
		count_exit(v, &exit);
		exit_handle(v, &exit);
		flush(v, false);
	}
}

/* Where an address leads by the guest's tables as they are in memory: what the processor saw may have
 * been another thing. */
static void dump_address(struct vcpu *v, const char *name, uint64_t gva)
{
	const char *vm = v->vm->config->name;
	uint32_t pf_error;
	gpa_t gpa;

	if (gva_to_gpa(v, gva, 0, &gpa, &pf_error) < 0)
		log_printf("vm %s: %s: no page is mapped there (error code %x)", vm, name,
			   pf_error);
	else
		log_printf("vm %s: %s: at guest-physical %llx", vm, name,
			   (unsigned long long)gpa.v);
}

void vcpu_dump(struct vcpu *v)
{
	static const char *const names[GPR_COUNT] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp",
						      "rsi", "rdi", "r8",  "r9",  "r10", "r11",
						      "r12", "r13", "r14", "r15" };
	static const char *const segs[SEG_REG_COUNT] = { "es", "cs", "ss",   "ds",
							 "fs", "gs", "ldtr", "tr" };
	const char *vm = v->vm->config->name;
	struct vcpu_sregs s;

	hvm->get_sregs(v, &s);
	log_printf("vm %s: vCPU %u: rip %016llx rflags %08llx", vm, v->index,
		   (unsigned long long)s.rip, (unsigned long long)s.rflags);
	for (unsigned i = 0; i < GPR_COUNT; i += 4)
		log_printf("vm %s: %3s %016llx %3s %016llx %3s %016llx %3s %016llx", vm, names[i],
			   (unsigned long long)v->gpr[i], names[i + 1],
			   (unsigned long long)v->gpr[i + 1], names[i + 2],
			   (unsigned long long)v->gpr[i + 2], names[i + 3],
			   (unsigned long long)v->gpr[i + 3]);
	log_printf("vm %s: cr0 %llx cr2 %llx cr3 %llx cr4 %llx efer %llx", vm,
		   (unsigned long long)s.cr0, (unsigned long long)s.cr2, (unsigned long long)s.cr3,
		   (unsigned long long)s.cr4, (unsigned long long)s.efer);
	dump_address(v, "rip", s.seg[SEG_CS].base + s.rip);
	dump_address(v, "cr2", s.cr2);
	for (unsigned i = 0; i < SEG_REG_COUNT; i++)
		log_printf("vm %s: %-4s %04x base %016llx limit %08x access %04x", vm, segs[i],
			   s.seg[i].selector, (unsigned long long)s.seg[i].base, s.seg[i].limit,
			   s.seg[i].access);
}

void vcpu_inject(struct vcpu *v, uint8_t vector, int64_t error_code)
{
	hvm->inject(v, &(struct injection){ INJECT_EXCEPTION, vector, error_code });
}

void vcpu_inject_gp(struct vcpu *v)
{
	vcpu_inject(v, 13, 0);
}

void vcpu_inject_ud(struct vcpu *v)
{
	vcpu_inject(v, 6, -1);
}

void vcpu_inject_pf(struct vcpu *v, uint64_t cr2, uint32_t error_code)
{
	struct vcpu_sregs s;

	hvm->get_sregs(v, &s);
	s.cr2 = cr2;
	hvm->set_sregs(v, &s);
	vcpu_inject(v, 14, error_code);
}
