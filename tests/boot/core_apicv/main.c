/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does APIC virtualisation deliver an interrupt when it is due, and only then? (SDM 3C, "APIC
 * Virtualization and Virtual Interrupts".) Two claims that hold on real parts, and on Bochs only if
 * it is repaired (scripts/bochs-errata.py, faults 3 and 4):
 * - a host interrupt does not bring a pending virtual one to a guest that has interrupts off;
 * - a posted-interrupt notification that finds no request brings nothing.
 * A core_main() that brings the machine up as hv/core/main.c does, runs the guest of guest.S by the
 * backend's own functions, with the controls set here by hand, and logs one line a fact.
 */
#include "hv/core/main.h"

#include <string.h>

#include "hv/core/acpi.h"
#include "hv/core/fpu.h"
#include "hv/core/log.h"
#include "hv/core/paging.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/report.h"
#include "hv/core/smp.h"
#include "hv/core/timer.h"
#include "hv/core/trap.h"
#include "hv/cpu/lapic.h"
#include "hv/cpu/msr.h"
#include "hv/cpu/vapic.h"
#include "hv/cpu/vmx/vmx_impl.h"
#include "tests/boot/core_apicv/guest.h"

const struct hvm_ops *hvm = &vmx_ops;
const struct apic_ops *apic_ops;
const struct platform_ops *platform; /* no devices */

enum {
	PENDING = 0x51, /* the vector that waits while the guest has interrupts off */
	POSTED = 0x62,	/* the vector that is posted */
	HOST_INTERRUPTS = 1000,
	EMPTY_NOTIFICATIONS = 16,
	LIMIT_US = 200000, /* of each run of the guest */
};

extern const unsigned char apicv_guest[GUEST_BYTES];

static struct vm vm;
static unsigned char *ram, *msr_bitmap;
static struct vapic_page *vapic;
static struct posted *posted;
static unsigned passed, failed;

/* A word that the guest, or another CPU, reads and writes at the same time. */
static volatile uint32_t *word(unsigned offset)
{
	return (volatile uint32_t *)(void *)(ram + offset);
}

static uint32_t taken(uint8_t vector)
{
	return *word(GUEST_TAKEN + 4u * vector);
}

static uint32_t taken_in_all(void)
{
	uint32_t sum = 0;

	for (unsigned v = 0; v < 256; v++)
		sum += taken((uint8_t)v);
	return sum;
}

/* One fact; if it does not hold, what has arrived so far. */
static void check(bool good, const char *fact)
{
	log_printf("%s apicv: %s", good ? "PASS" : "FAIL", fact);
	if (good) {
		passed++;
		return;
	}
	failed++;
	for (unsigned v = 0; v < 256; v++)
		if (taken((uint8_t)v))
			log_printf("apicv: arrived: vector 0x%x, %u times", v, taken((uint8_t)v));
}

/* --- the machine --- */

static void *page(void)
{
	void *p = page_alloc(PAGE_SIZE);

	if (!p)
		panic("no memory");
	return p;
}

static void vm_make(void)
{
	ram = page();
	vapic = page();
	msr_bitmap = page();
	posted = page();
	if (hvm->vm_init(&vm) < 0 || hvm->map(&vm, (gpa_t){ 0 }, ptr_to_hpa(ram), PAGE_SIZE) < 0)
		panic("no memory for the VM");
}

static void vm_unmake(void)
{
	hvm->vm_free(&vm);
	page_free(ram, PAGE_SIZE);
	page_free(vapic, PAGE_SIZE);
	page_free(msr_bitmap, PAGE_SIZE);
	page_free(posted, PAGE_SIZE);
}

static void add_control(enum vmcs_field field, uint64_t bits)
{
	vmcs_write(field, vmcs_read(field) | bits);
}

/* Nothing is in service; `pending` is requested, 0: nothing. */
static void virtual_apic_on(struct vmx_vcpu *v, uint8_t pending)
{
	memset(vapic, 0, PAGE_SIZE);
	if (pending)
		vapic_set(vapic, APIC_IRR + pending / 32, 1u << pending % 32);
	vmcs_set_proc(v, v->proc | (uint32_t)APICV_PROC);
	add_control(VMCS_PROC2_CONTROLS, APICV_PROC2);
	vmcs_write(VMCS_VIRTUAL_APIC_PAGE, ptr_to_hpa(vapic).v);
	vmcs_write(VMCS_TPR_THRESHOLD, 0);
	vmcs_write(VMCS_GUEST_INTERRUPT_STATUS, pending);
	for (unsigned i = 0; i < 4; i++)
		vmcs_write((enum vmcs_field)(VMCS_EOI_EXIT_BITMAP0 + 2 * i), 0);
	memset(msr_bitmap, 0, PAGE_SIZE); /* the guest is ours: no MSR exits */
	vmcs_write(VMCS_MSR_BITMAP, ptr_to_hpa(msr_bitmap).v);
}

static void posting_on(void)
{
	memset((void *)posted, 0, sizeof(*posted));
	add_control(VMCS_PIN_CONTROLS, APICV_PIN);
	add_control(VMCS_EXIT_CONTROLS, APICV_EXIT);
	vmcs_write(VMCS_POSTED_VECTOR, VECTOR_POSTED);
	vmcs_write(VMCS_POSTED_DESCRIPTOR, ptr_to_hpa(posted).v);
}

/* A vCPU in real mode at `rip`, the guest's page as new. */
static struct vcpu *vcpu_make(unsigned rip, bool interrupts_on, uint8_t pending, bool posting)
{
	struct vcpu *v = hvm->vcpu_create(&vm, 0);
	struct vcpu_sregs s;

	if (!v)
		panic("no memory for the vCPU");
	memcpy(ram, apicv_guest, GUEST_BYTES);
	v->xcr0 = fpu_xcr0();
	v->gpr[GPR_RSP] = GUEST_STACK;
	hvm->get_sregs(v, &s);
	s.rip = rip;
	s.seg[SEG_CS].selector = 0;
	s.seg[SEG_CS].base = 0;
	s.rflags = RFLAGS_FIXED | (interrupts_on ? RFLAGS_IF : 0);
	hvm->set_sregs(v, &s);
	vmx_begin(vmx_of(v));
	virtual_apic_on(vmx_of(v), pending);
	if (posting)
		posting_on();
	vmx_end(vmx_of(v));
	return v;
}

static void unexpected(const struct vmexit *exit)
{
	log_printf("apicv: unexpected exit of kind %u%s%s", exit->kind,
		   exit->kind == VMEXIT_FAILED ? ": " : "",
		   exit->kind == VMEXIT_FAILED ? exit->reason : "");
}

/* --- a pending virtual interrupt and host interrupts --- */

/* Runs the guest until so many host interrupts have made it exit; false: it ended before. */
static bool run_interrupted(struct vcpu *v, unsigned interrupts)
{
	uint64_t end = rdtsc() + tsc_from_us(LIMIT_US);
	struct vmexit exit = { .kind = VMEXIT_NONE };
	unsigned n = 0;

	while (n < interrupts && rdtsc() < end) {
		timer_interrupt_by(rdtsc() + tsc_from_us(5 + n % 16));
		hvm->enter(v, end, false, &exit);
		if (exit.kind == VMEXIT_INTERRUPT) {
			interrupts_take();
			n++;
		} else if (exit.kind != VMEXIT_NONE && exit.kind != VMEXIT_DEADLINE) {
			unexpected(&exit);
			return false;
		}
	}
	return n == interrupts;
}

static void test_masked(void)
{
	struct vcpu *v = vcpu_make(GUEST_CLOSED, false, PENDING, false);
	uint8_t requested;

	check(run_interrupted(v, HOST_INTERRUPTS) && *word(GUEST_LOOPS) > HOST_INTERRUPTS,
	      "host interrupts make a guest exit that has its own off");
	requested = (uint8_t)vmcs_read(VMCS_GUEST_INTERRUPT_STATUS);
	check(taken_in_all() == 0 && requested == PENDING,
	      "a pending virtual interrupt waits as long as IF = 0");
	*word(GUEST_OPEN) = 1;
	run_interrupted(v, HOST_INTERRUPTS / 10);
	check(taken(PENDING) == 1 && taken_in_all() == 1 && *word(GUEST_MASKED) == 0,
	      "it arrives once after STI");
	hvm->release(v);
	hvm->vcpu_destroy(v);
}

/* --- notifications, by the other CPU while the guest runs --- */

static struct {
	_Atomic bool start, done;
	uint32_t target;	/* APIC ID of the CPU with the guest */
	uint32_t after_empty;	/* what had arrived after the notifications without a request */
	bool empty_seen, taken; /* a descriptor's ON was cleared: without, and with a request */
} script;

static bool past(uint64_t end)
{
	__builtin_ia32_pause();
	return rdtsc() > end;
}

/* Waits for so many rounds of the guest. */
static void rounds(uint32_t n)
{
	uint64_t end = rdtsc() + tsc_from_us(LIMIT_US / 100);
	uint32_t from = *word(GUEST_LOOPS);

	while (*word(GUEST_LOOPS) - from < n && !past(end))
		;
}

/* Notifies of what the descriptor holds; whether it was processed. */
static bool notify(void)
{
	uint64_t end = rdtsc() + tsc_from_us(LIMIT_US / 100);

	atomic_store(&posted->outstanding, 1);
	lapic_send_ipi(script.target, VECTOR_POSTED);
	while (atomic_load(&posted->outstanding) & 1)
		if (past(end))
			return false;
	return true;
}

static void play_script(void)
{
	rounds(100);
	for (unsigned i = 0; i < EMPTY_NOTIFICATIONS; i++) {
		lapic_send_ipi(script.target, VECTOR_POSTED);
		rounds(50);
	}
	script.empty_seen = notify();
	rounds(50);
	script.after_empty = taken_in_all();
	atomic_fetch_or(&posted->requests[POSTED / 32], 1u << POSTED % 32);
	script.taken = notify();
	rounds(500);
	*word(GUEST_STOP) = 1;
	atomic_store(&script.done, true);
}

static void test_posted(void)
{
	struct vcpu *v = vcpu_make(GUEST_OPENED, true, 0, true);
	uint64_t end = rdtsc() + tsc_from_us(LIMIT_US);
	struct vmexit exit = { .kind = VMEXIT_NONE };

	script.target = this_cpu()->apic_id;
	atomic_store(&script.start, true);
	do
		hvm->enter(v, end, false, &exit);
	while (exit.kind == VMEXIT_NONE && rdtsc() < end);
	if (exit.kind != VMEXIT_HLT)
		unexpected(&exit);
	while (!atomic_load(&script.done)) /* its waits have bounds */
		__builtin_ia32_pause();
	check(script.empty_seen && script.after_empty == 0,
	      "notifications without a request bring nothing");
	check(script.taken && taken(POSTED) == 1 && taken_in_all() - script.after_empty == 1 &&
		      atomic_load(&posted->requests[POSTED / 32]) == 0,
	      "a posted interrupt arrives once");
	check(exit.kind == VMEXIT_HLT, "none of them made the guest exit");
	hvm->release(v);
	hvm->vcpu_destroy(v);
}

static void ap_life(void)
{
	while (!atomic_load(&script.start))
		__builtin_ia32_pause();
	play_script();
	cpu_halt();
}

/* --- start --- */

static void run_tests(void)
{
	const char *lack = vmx_apicv_lacks(&vmx_caps);
	uint64_t free_before = pmm_free_bytes();

	if (lack) {
		log_printf("SKIP apicv: this CPU lacks %s", lack);
		return;
	}
	vm_make();
	test_masked();
	if (cpu_count > 1)
		test_posted();
	else
		log_printf("SKIP apicv: nobody to send notifications: at least 2 CPUs are needed");
	vm_unmake();
	log_printf("apicv: %u passed, %u failed", passed, failed);
	log_printf("all VMs have ended, %lu MiB free, %ld KiB not returned", pmm_free_bytes() >> 20,
		   (long)(free_before - pmm_free_bytes()) / 1024);
}

_Noreturn void core_main(const struct handover *h)
{
	trap_init(h);
	pmm_init(h);
	paging_init(h);
	smp_init_boot_cpu();
	trap_init_cpu();
	if (acpi_init(h->rsdp) < 0)
		panic("no ACPI tables");
	if (!lapic_probe(map_device(acpi.lapic_base, PAGE_SIZE)))
		panic("no local APIC");
	lapic_init_cpu();
	timer_calibrate();
	timer_init_cpu();
	fpu_init_cpu();
	if (hvm->cpu_enable() < 0)
		panic("no VMX");
	smp_start(h->trampoline, ap_life);
	report_boot(hvm->name, cpu_count, tsc_khz());
	run_tests();
	report_end();
	cpu_halt();
}
