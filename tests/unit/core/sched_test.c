/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Are the run queues fair? N vCPUs on M CPUs in virtual time, as sched.c and vcpu.c drive them:
 * slices, wake-ups that cut one short, idle CPUs that take over. Each scenario by seed: numbers,
 * affinities, patterns of sleep. Shares are compared with max-min fairness, found by another way.
 */
#include "hv/core/sched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define US	  1000ull
#define SLICE_NS  (SLICE_US * US)
#define WAKEUP_NS (WAKEUP_US * US)
#define STEP_NS	  (20 * US) /* the simulation's clock */
#define MAX_CPU	  8
#define MAX_VCPU  24
#define MS	  (1000 * US)
#define WARM_UP	  (500 * MS)
#define MEASURED  (1000 * MS)

struct cpu *cpus[MAX_CPUS];
unsigned cpu_count;

_Noreturn void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	abort();
}

/* One that always computes has work_ns == 0; else it runs for work_ns and sleeps for sleep_ns. */
struct sim_vcpu {
	struct vcpu v;
	struct vm vm;
	struct config_vm config;
	uint64_t work_ns, sleep_ns;
	uint64_t work_left, wakes_at; /* wakes_at: 0: awake */
	uint64_t ready_at;	      /* woken, has not run yet */
	uint64_t put_at;	      /* has used up its slice */
	uint64_t ran, wait_max, away_max;
};

struct sim_cpu {
	struct cpu cpu;
	struct sim_vcpu *runs;
	uint64_t slice_start, slice_end, charged;
};

static struct sim_cpu sim_cpu[MAX_CPU];
static struct sim_vcpu sim_vcpu[MAX_VCPU];
static unsigned vcpu_count;
static uint64_t now, measured_from;
static uint32_t seed;

static uint32_t random_below(uint32_t bound)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)seed * bound >> 32);
}

static void setup(unsigned cpu_number, unsigned vcpus)
{
	memset(sim_cpu, 0, sizeof(sim_cpu));
	memset(sim_vcpu, 0, sizeof(sim_vcpu));
	cpu_count = cpu_number;
	vcpu_count = vcpus;
	now = (1000 + random_below(100000)) * 1000 * US;
	for (unsigned i = 0; i < cpu_number; i++) {
		cpus[i] = &sim_cpu[i].cpu;
		cpus[i]->index = i;
		list_init(&cpus[i]->runq);
		atomic_store(&cpus[i]->idle, true);
	}
	for (unsigned i = 0; i < vcpus; i++) {
		struct sim_vcpu *s = &sim_vcpu[i];

		s->config.affinity[0] = (1ull << cpu_number) - 1;
		s->vm.config = &s->config;
		s->v.vm = &s->vm;
		s->wakes_at = now + random_below(3000) * US;
		list_init(&s->v.runq);
	}
}

static struct sim_vcpu *sim_of(struct vcpu *v)
{
	return container_of(v, struct sim_vcpu, v);
}

static void charge(struct sim_cpu *c)
{
	uint64_t spent = now - c->charged;

	c->charged = now;
	if (now > measured_from)
		c->runs->ran += spent;
	runq_charge(&c->cpu, &c->runs->v, spent, now);
}

static void unload(struct sim_cpu *c)
{
	if (c->cpu.loaded)
		atomic_store(&c->cpu.loaded->loaded, false);
	c->cpu.loaded = NULL;
}

static void put(struct sim_vcpu *s, bool wakeup)
{
	struct cpu *cpu = runq_put(&s->v, wakeup, now);
	struct sim_cpu *c = container_of(cpu, struct sim_cpu, cpu);

	assert_true(sched_permitted(&s->v, cpu));
	if (!c->runs)
		return;
	/* sched_hurry() */
	if (c->slice_start + WAKEUP_NS < c->slice_end &&
	    runq_outranked(cpu, &c->runs->v, now - c->charged, false, now))
		c->slice_end = c->slice_start + WAKEUP_NS;
}

static void note_wait(struct sim_vcpu *s)
{
	if (now > measured_from && s->ready_at && now - s->ready_at > s->wait_max)
		s->wait_max = now - s->ready_at;
	if (now > measured_from && s->put_at && now - s->put_at > s->away_max)
		s->away_max = now - s->put_at;
	s->ready_at = s->put_at = 0;
}

static void pick(struct sim_cpu *c)
{
	struct vcpu *v = runq_take(&c->cpu, now);

	atomic_store(&c->cpu.idle, !v);
	c->runs = v ? sim_of(v) : NULL;
	if (!v)
		return;
	assert_true(sched_permitted(v, &c->cpu));
	assert_true(!atomic_load(&v->loaded) || c->cpu.loaded == v);
	if (c->cpu.loaded != v)
		unload(c);
	c->cpu.loaded = v;
	atomic_store(&v->loaded, true);
	note_wait(c->runs);
	c->slice_start = c->charged = now;
	c->slice_end = now + SLICE_NS;
}

static void run_step(struct sim_cpu *c)
{
	struct sim_vcpu *s = c->runs;

	if (s->work_ns && s->work_left <= now - c->charged) {
		charge(c);
		c->runs = NULL;
		s->wakes_at = now + s->sleep_ns * (50 + random_below(101)) / 100 + 1;
	} else if (now >= c->slice_end) {
		s->work_left -= s->work_ns ? now - c->charged : 0;
		charge(c);
		c->slice_start = now;
		c->slice_end = now + SLICE_NS;
		if (!runq_outranked(&c->cpu, &s->v, 0, true, now))
			return;
		unload(c);
		c->runs = NULL;
		s->put_at = now;
		put(s, false);
	}
}

static void wake_up(void)
{
	for (unsigned i = 0; i < vcpu_count; i++) {
		struct sim_vcpu *s = &sim_vcpu[i];

		if (!s->wakes_at || s->wakes_at > now)
			continue;
		s->wakes_at = 0;
		s->work_left = s->work_ns;
		s->ready_at = now;
		put(s, true);
	}
}

static void simulate_after(uint64_t warm_up)
{
	uint64_t end = now + warm_up + MEASURED;

	measured_from = now + warm_up;
	for (; now < end; now += STEP_NS) {
		wake_up();
		for (unsigned n = 0, i = random_below(cpu_count); n < cpu_count; n++, i++) {
			struct sim_cpu *c = &sim_cpu[i % cpu_count];

			if (c->runs)
				run_step(c);
			if (!c->runs)
				pick(c);
		}
	}
}

static void simulate(void)
{
	simulate_after(WARM_UP);
}

/* The most of one CPU that vCPU n can get beside the others' shares, with demand as the bound:
 * lexicographic max-min by filling: raise all that are not stuck until a set of CPUs is full. */
static double capacity_left(const double *share, unsigned subset)
{
	double room = __builtin_popcount(subset);

	for (unsigned i = 0; i < vcpu_count; i++)
		if (!(sim_vcpu[i].config.affinity[0] & ~(uint64_t)subset))
			room -= share[i];
	return room;
}

static void fair_shares(double *share)
{
	bool stuck[MAX_VCPU] = { false };
	unsigned left = vcpu_count;

	memset(share, 0, sizeof(*share) * vcpu_count);
	while (left) {
		double least = 1, room;
		unsigned full = 0;

		/* the set of CPUs that fills up first if all who can still grow grow alike */
		for (unsigned subset = 1; subset < 1u << cpu_count; subset++) {
			unsigned growing = 0;

			for (unsigned i = 0; i < vcpu_count; i++)
				growing += !stuck[i] &&
					   !(sim_vcpu[i].config.affinity[0] & ~(uint64_t)subset);
			if (!growing)
				continue;
			room = capacity_left(share, subset) / growing;
			if (room < least) {
				least = room;
				full = subset;
			}
		}
		for (unsigned i = 0; i < vcpu_count; i++)
			if (!stuck[i] && share[i] + least > 1)
				least = 1 - share[i];
		for (unsigned i = 0; i < vcpu_count; i++) {
			if (stuck[i])
				continue;
			share[i] += least;
			if (share[i] > 1 - 1e-9 ||
			    !(sim_vcpu[i].config.affinity[0] & ~(uint64_t)full)) {
				stuck[i] = true;
				left--;
			}
		}
	}
}

static double got(unsigned i)
{
	return (double)sim_vcpu[i].ran / MEASURED;
}

static void expect_shares(const double *share, double tolerance)
{
	for (unsigned i = 0; i < vcpu_count; i++)
		if (got(i) < share[i] * (1 - tolerance) || got(i) > share[i] * (1 + tolerance))
			fail_msg("%u vCPUs on %u CPUs, seed %u: vCPU %u got %.3f, fair %.3f",
				 vcpu_count, cpu_count, seed, i, got(i), share[i]);
}

/* Everybody computes, everywhere: does each get M/N of a CPU? */
static void test_equal(void **state)
{
	double share[MAX_VCPU];

	(void)state;
	for (unsigned m = 1; m <= 6; m++) {
		for (unsigned n = 1; n <= 20; n++) {
			seed = m * 100 + n;
			setup(m, n);
			simulate();
			for (unsigned i = 0; i < n; i++)
				share[i] = n > m ? (double)m / n : 1;
			expect_shares(share, 0.03);
		}
	}
}

/* Everybody computes, each on CPUs of its own: is it max-min fair? */
static void test_affinity(void **state)
{
	double share[MAX_VCPU];

	(void)state;
	for (unsigned s = 1; s <= 60; s++) {
		seed = s * 7919;
		setup(1 + random_below(5), 1 + random_below(12));
		for (unsigned i = 0; i < vcpu_count; i++)
			sim_vcpu[i].config.affinity[0] = 1 + random_below((1u << cpu_count) - 1);
		fair_shares(share);
		simulate();
		expect_shares(share, 0.05);
	}
}

/* Some sleep most of the time: do they get all they want, soon, and the others an equal rest? */
static void test_sleepers(void **state)
{
	(void)state;
	for (unsigned s = 1; s <= 60; s++) {
		unsigned sleepers;
		double rest, mean = 0;

		seed = s * 104729;
		setup(1 + random_below(4), 2 + random_below(12));
		sleepers =
			1 + random_below(vcpu_count - 1 < cpu_count ? vcpu_count - 1 : cpu_count);
		for (unsigned i = 0; i < sleepers; i++) {
			sim_vcpu[i].work_ns = (20 + random_below(200)) * US;
			sim_vcpu[i].sleep_ns = (2000 + random_below(8000)) * US;
		}
		simulate();
		rest = cpu_count;
		for (unsigned i = 0; i < sleepers; i++) {
			struct sim_vcpu *v = &sim_vcpu[i];

			rest -= got(i);
			if (v->wait_max > 2 * SLICE_NS)
				fail_msg("seed %u: a woken vCPU waited for %llu us", s,
					 (unsigned long long)(v->wait_max / US));
		}
		mean = rest / (vcpu_count - sleepers);
		for (unsigned i = sleepers; i < vcpu_count; i++)
			if (got(i) < (mean < 1 ? mean : 1) * 0.95 || got(i) > mean * 1.05)
				fail_msg("seed %u: vCPU %u got %.3f beside sleepers, mean %.3f", s,
					 i, got(i), mean);
	}
}

/* One that sleeps for a moment all the time, and wants more than its share: does it gain by that? */
static void test_greedy(void **state)
{
	static const uint64_t work_us[] = { 100, 190, 300, 700, 980, 1500, 5000 };

	(void)state;
	for (unsigned w = 0; w < sizeof(work_us) / sizeof(work_us[0]); w++) {
		for (unsigned s = 1; s <= 20; s++) {
			double share;

			seed = s * 15485863;
			setup(1 + random_below(4), 0);
			setup(cpu_count, cpu_count + 1 + random_below(8));
			sim_vcpu[0].work_ns = work_us[w] * US;
			sim_vcpu[0].sleep_ns = 20 * US;
			simulate();
			share = (double)cpu_count / vcpu_count;
			if (got(0) > share * 1.05)
				fail_msg("seed %u: with %lu us of work each time it got %.3f, fair "
					 "%.3f",
					 s, work_us[w], got(0), share);
			for (unsigned i = 1; i < vcpu_count; i++)
				if (got(i) < share * 0.95)
					fail_msg("seed %u: beside a greedy one vCPU %u got %.3f, "
						 "fair %.3f",
						 s, i, got(i), share);
		}
	}
}

/* One that has slept for long begins to compute: does the other one go on as well? */
static void test_credit_is_bounded(void **state)
{
	(void)state;
	seed = 1;
	setup(1, 2);
	sim_vcpu[1].wakes_at = now + WARM_UP + 100 * MS;
	simulate();
	assert_true(sim_vcpu[0].away_max <= 4 * SLICE_NS);
	assert_true(got(0) > 0.1 + 0.45 * 0.95);
}

/* 0 and 1 share CPU 0 for 3 s, while 2 has CPU 1 for itself. Then 1 ends, and 3 comes, for CPU 1
 * only. Three on two CPUs then: is 2, which has had the most by far, soon treated as an equal? */
static void test_debt_expires(void **state)
{
	static const double share[] = { 2. / 3, 0, 2. / 3, 2. / 3 };

	(void)state;
	seed = 1;
	setup(2, 4);
	for (unsigned i = 0; i < 4; i++)
		sim_vcpu[i].config.affinity[0] = i < 2 ? 1 : 3;
	sim_vcpu[3].config.affinity[0] = 2;
	sim_vcpu[1].work_ns = 1500 * MS;
	sim_vcpu[1].sleep_ns = 1000000 * MS;
	sim_vcpu[3].wakes_at = now + 3000 * MS;
	simulate_after(3500 * MS);
	expect_shares(share, 0.05);
}

/* Who yields lets the first in the queue by, for as long as that is not its own loss. */
static void test_yield(void **state)
{
	static const struct {
		uint64_t mine, first;
		bool yields, outranked;
	} cases[] = {
		{ 5 * MS, 6 * MS, true, true },		 { 6 * MS, 5 * MS, true, true },
		{ 5 * MS, 5 * MS, true, true },		 { 1 * MS, 5 * MS, true, true },
		{ 1 * MS, 5 * MS + 1000, false, false }, /* RUNQ_YIELD_NS */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vcpu *mine, *first;

		setup(1, 2);
		mine = &sim_vcpu[0].v;
		first = &sim_vcpu[1].v;
		now &= ~((1ull << 27) - 1); /* no halving within this */
		atomic_store(&mine->cpu, cpus[0]);
		atomic_store(&first->cpu, cpus[0]);
		atomic_store(&cpus[0]->idle, false);
		assert_false(runq_yield(cpus[0], mine, now)); /* nobody waits */
		runq_charge(cpus[0], first, cases[i].first, now);
		runq_charge(cpus[0], mine, cases[i].mine, now);
		runq_put(first, false, now);
		assert_int_equal(runq_yield(cpus[0], mine, now), cases[i].yields);
		assert_int_equal(runq_outranked(cpus[0], mine, 0, true, now), cases[i].outranked);
	}
}

/* Does usage fade, and a queue stay sorted over many halvings? */
static void test_decay(void **state)
{
	static const uint64_t pauses_ms[] = { 1, 100, 134, 135, 1000, 10000, 10000000 };
	uint64_t ns = 12345678 * US;

	(void)state;
	for (unsigned p = 0; p < sizeof(pauses_ms) / sizeof(pauses_ms[0]); p++) {
		setup(1, 2);
		atomic_store(&cpus[0]->idle, false);
		runq_charge(cpus[0], &sim_vcpu[0].v, 5 * SLICE_NS, ns);
		runq_charge(cpus[0], &sim_vcpu[1].v, 3 * SLICE_NS, ns);
		atomic_store(&sim_vcpu[0].v.cpu, cpus[0]);
		atomic_store(&sim_vcpu[1].v.cpu, cpus[0]);
		assert_ptr_equal(runq_put(&sim_vcpu[0].v, false, ns), cpus[0]);
		ns += pauses_ms[p] * 1000 * US;
		(void)runq_put(&sim_vcpu[1].v, false, ns);
		assert_int_equal(cpus[0]->runq_length, 2);
		if (pauses_ms[p] < 1000)
			assert_ptr_equal(runq_take(cpus[0], ns), &sim_vcpu[1].v);
		else
			(void)runq_take(cpus[0], ns);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decay),	     cmocka_unit_test(test_equal),
		cmocka_unit_test(test_affinity),     cmocka_unit_test(test_sleepers),
		cmocka_unit_test(test_greedy),	     cmocka_unit_test(test_credit_is_bounded),
		cmocka_unit_test(test_debt_expires), cmocka_unit_test(test_yield),
	};

	return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
