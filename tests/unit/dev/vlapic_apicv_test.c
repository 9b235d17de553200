/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the local APIC hand over to a processor that virtualises it, and back, without losing
 * an interrupt or an EOI that somebody waits for? The processor is faked: what it does to the page is
 * done here by hand. */
#include "tests/unit/dev/fakes.h"

#include "hv/core/guest_map.h"
#include "hv/dev/pc_impl.h"
#include "hv/dev/vlapic_impl.h"

#include <cmocka.h>

#define X2(reg)	 (MSR_X2APIC_FIRST + (reg))
#define XAPIC	 (GUEST_LAPIC_BASE | APIC_BASE_ENABLE)
#define X2APIC	 (XAPIC | APIC_BASE_X2APIC)
#define EOI_WORD 0x1234

static struct vapic_page *page; /* as attached */
static struct posted *posted;
static bool on;
static unsigned changes;
static unsigned eois;
static uint8_t eoi_vector;

static void attach(struct vcpu *vcpu, struct vapic_page *p, struct posted *requests)
{
	if (vcpu->index != 0)
		return;
	page = p;
	posted = requests;
}

static void virtualize(struct vcpu *vcpu, bool wanted)
{
	if (vcpu->index == 0)
		on = wanted;
}

static void changed(struct vcpu *vcpu)
{
	changes += vcpu->index == 0;
}

static const struct apic_ops fake_apic = { attach, virtualize, changed };

void pc_eoi(struct vm *vm, uint8_t vector)
{
	(void)vm;
	eois++;
	eoi_vector = vector;
}

static bool wr(uint32_t msr, uint64_t value)
{
	return vlapic_msr_write(&fake_vcpu[0], msr, value);
}

static uint64_t rd(uint32_t msr)
{
	uint64_t value = 0xdead;

	assert_true(vlapic_msr_read(&fake_vcpu[0], msr, &value));
	return value;
}

static void enter(void)
{
	vlapic_before_entry(&fake_vcpu[0]);
}

static void edge(uint8_t vector)
{
	msi_deliver(&fake_vm, 0xfee00000, vector);
}

static void level(uint8_t vector)
{
	const struct apic_message m = { .dest = 0, .vector = vector, .level = true };

	apic_deliver(&fake_vm, &m);
}

/* What the processor does at an entry with RVI: IRR to ISR; and at an EOI. */
static void cpu_delivers(uint8_t vector)
{
	assert_int_equal(vapic_status(page) & 0xff, vector);
	vlapic_irq_taken(&fake_vcpu[0], vector);
}

static void cpu_ends(uint8_t vector)
{
	unsigned reg = APIC_ISR + vector / 32;

	assert_int_equal(vapic_status(page) >> 8, vector);
	vapic_set(page, reg, vapic_get(page, reg) & ~(1u << vector % 32));
	if (vapic_eoi_exits(page, vector / 64) >> vector % 64 & 1)
		vlapic_eoi_exit(&fake_vcpu[0], vector);
}

static int setup(void **state)
{
	(void)state;
	fake_reset(2);
	apic_ops = &fake_apic;
	on = false;
	changes = eois = 0;
	for (unsigned i = 0; i < 2; i++) {
		if (vlapic_create(&fake_vcpu[i]))
			return 1;
		vlapic_msr_write(&fake_vcpu[i], MSR_APIC_BASE, X2APIC);
		vlapic_msr_write(&fake_vcpu[i], X2(APIC_SVR), 0x1ff);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		vlapic_destroy(&fake_vcpu[i]);
	return fake_allocs != 0;
}

static void only_in_x2apic_mode(void **state)
{
	(void)state;
	assert_true(on && fake_vcpu[0].posting);
	assert_true(wr(MSR_APIC_BASE, GUEST_LAPIC_BASE));
	assert_true(!on && !fake_vcpu[0].posting);
	assert_true(wr(MSR_APIC_BASE, XAPIC));
	assert_true(!on && !fake_vcpu[0].posting);
	assert_true(wr(MSR_APIC_BASE, X2APIC));
	assert_true(on && fake_vcpu[0].posting);
	vlapic_init(&fake_vcpu[0]); /* INIT leaves the mode */
	assert_true(on && fake_vcpu[0].posting);
}

/* Whatever waits or is in service when the guest switches to x2APIC mode. */
static void the_switch_loses_nothing(void **state)
{
	(void)state;
	wr(MSR_APIC_BASE, GUEST_LAPIC_BASE);
	wr(MSR_APIC_BASE, XAPIC);
	vapic_set(page, APIC_SVR, 0x1ff);
	edge(0x41);
	assert_int_equal(vlapic_irq_pending(&fake_vcpu[0]), 0x41);
	vlapic_irq_taken(&fake_vcpu[0], 0x41);
	edge(0x31);
	level(0x51);
	assert_int_equal(vlapic_irq_pending(&fake_vcpu[0]), 0x51);
	edge(0x35); /* not looked at before the switch */
	vapic_set(page, APIC_TPR, 0x20);
	wr(MSR_APIC_BASE, X2APIC);
	enter();
	assert_int_equal(vapic_status(page), 0x4151);
	assert_int_equal(rd(X2(APIC_IRR + 1)), 1 << 0x11 | 1 << 0x15);
	assert_int_equal(rd(X2(APIC_TPR)), 0x20);
	assert_int_equal(rd(X2(APIC_ID)), 0);
	assert_int_equal(rd(X2(APIC_LDR)), 1);
	assert_int_equal(vapic_eoi_exits(page, 1), 1ull << 0x11);
}

/* Edge-triggered ones are the processor's to take; only the first of several is told. */
static void others_post(void **state)
{
	(void)state;
	edge(0x41);
	edge(0x42);
	assert_int_equal(fake_notified[0], 1);
	assert_int_equal(posted->requests[2], 6);
	assert_int_equal(posted->outstanding, 1);
	assert_int_equal(vapic_highest(page, APIC_IRR), -1);
	changes = 0;
	enter();
	assert_int_equal(changes, 1);
	assert_int_equal(posted->outstanding | posted->requests[2], 0);
	assert_int_equal(vapic_status(page), 0x42);
	enter(); /* nothing new: nothing to write */
	assert_int_equal(changes, 1);
	edge(0x43);
	assert_int_equal(fake_notified[0], 2);
	assert_int_equal(vlapic_irq_pending(&fake_vcpu[0]), 0x43); /* as block() looks */
	assert_int_equal(changes, 2);
}

/* The processor must not see a level-triggered one before the EOI-exit bitmap has it. */
static void level_triggered_is_kept_back(void **state)
{
	(void)state;
	level(0x61);
	assert_int_equal(posted->requests[3] | posted->outstanding, 0);
	assert_int_equal(fake_kicks[0], 1);
	assert_int_equal(fake_notified[0], 0); /* it has to leave the guest */
	changes = 0;
	enter();
	assert_int_equal(changes, 1);
	assert_int_equal(vapic_eoi_exits(page, 1), 1ull << (0x61 - 64));
	cpu_delivers(0x61);
	cpu_ends(0x61);
	assert_int_equal(eois, 1);
	assert_int_equal(eoi_vector, 0x61);
	assert_int_equal(vapic_eoi_exits(page, 1), 0);
	edge(0x61); /* the vector is somebody else's now */
	enter();
	cpu_delivers(0x61);
	cpu_ends(0x61);
	vlapic_eoi_exit(&fake_vcpu[0], 0x61); /* by a bitmap that was old */
	assert_int_equal(eois, 1);
}

static void init_forgets_all(void **state)
{
	(void)state;
	edge(0x41);
	enter();
	cpu_delivers(0x41);
	edge(0x42);
	level(0x43);
	changes = 0;
	vlapic_init(&fake_vcpu[0]);
	assert_int_equal(changes, 1);
	enter();
	assert_int_equal(vapic_status(page), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vapic_eoi_exits(page, i), 0);
	wr(X2(APIC_SVR), 0x1ff);
	edge(0x44);
	assert_int_equal(fake_notified[0], 3); /* told anew: nothing is outstanding */
}

/* SELF IPI with a reserved vector is what the processor leaves to us. */
static void reserved_vectors_are_errors(void **state)
{
	(void)state;
	vapic_set(page, APIC_SELF_IPI, 15);
	vlapic_written(&fake_vcpu[0], APIC_SELF_IPI);
	vlapic_written(&fake_vcpu[0], APIC_TPR);
	wr(X2(APIC_ESR), 0);
	assert_int_equal(rd(X2(APIC_ESR)), ESR_SEND_ILLEGAL);
	enter();
	assert_int_equal(vapic_status(page), 0);
}

static void no_eoi_is_offered(void **state)
{
	uint32_t word;

	(void)state;
	wr(MSR_KVM_EOI, EOI_WORD | 1);
	edge(0x41);
	enter();
	cpu_delivers(0x41);
	enter();
	assert_true(vm_read(&fake_vm, (gpa_t){ EOI_WORD }, &word, sizeof(word)));
	assert_int_equal(word, 0);
	vlapic_after_exit(&fake_vcpu[0]);
	assert_int_equal(vapic_status(page), 0x4100);
}

/* Whatever is sent arrives once it has been looked for, in both modes, and RVI and SVI follow the page. */
static void nothing_is_lost_by_seed(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (unsigned i = 0; i < fake_rounds(20000); i++) {
		uint8_t vector =
			(uint8_t)(FIRST_VECTOR + fake_random(&seed) % (256 - FIRST_VECTOR));
		unsigned reg = vector / 32, bit = vector % 32;
		bool is_level = fake_random(&seed) & 1;

		if (is_level)
			level(vector);
		else
			edge(vector);
		if (fake_random(&seed) % 8 == 0)
			(void)vlapic_irq_pending(&fake_vcpu[0]);
		enter();
		assert_true(vapic_get(page, APIC_IRR + reg) >> bit & 1);
		assert_int_equal(vapic_get(page, APIC_TMR + reg) >> bit & 1, is_level);
		assert_true((vapic_status(page) & 0xff) >= vector);
		cpu_delivers((uint8_t)vapic_status(page));
		if (fake_random(&seed) & 1)
			cpu_ends((uint8_t)(vapic_status(page) >> 8));
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(only_in_x2apic_mode), T(the_switch_loses_nothing),
		T(others_post),		T(level_triggered_is_kept_back),
		T(init_forgets_all),	T(reserved_vectors_are_errors),
		T(no_eoi_is_offered),	T(nothing_is_lost_by_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
