/* SPDX-License-Identifier: BSD-2-Clause */
/* See fakes.h. this_cpu() is the core's own: GS points to fake_cpu. */
#include "tests/unit/dev/fakes.h"

#include <asm/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv/core/lifecycle.h"
#include "hv/core/report.h"
#include "hv/core/smp.h"
#include "hv/core/wall.h"
#include "hv/core/console.h"
#include "hv/core/log.h"
#include "hv/core/pmm.h"
#include "hv/core/timer.h"
#include "hv/cpu/hvm.h"
#include "hv/dev/iommu.h"

struct config_vm fake_config = { .name = "vm", .cpus = 1 };
struct vm fake_vm;
struct vcpu fake_vcpu[FAKE_VCPUS];
struct cpu fake_cpu;
struct cpu *cpus[MAX_CPUS] = { &fake_cpu };
unsigned cpu_count = 1;
unsigned fake_kicks[FAKE_VCPUS];
unsigned fake_notified[FAKE_VCPUS];
unsigned fake_signals[FAKE_VCPUS];
unsigned fake_sipi;
uint32_t fake_posted;
void (*fake_await)(unsigned cpu);
const char *fake_end;
char fake_result[256];
char fake_console[4096];
uint64_t fake_console_total;
unsigned fake_log_lines;
bool fake_log_full;
long fake_alloc_fail;
long fake_allocs;
uint64_t fake_delayed_us;

static uint8_t ram[FAKE_RAM] __attribute__((aligned(4096)));
static unsigned console_fill;

static const struct hvm_ops fake_hvm = { .name = "fake" };
const struct hvm_ops *hvm = &fake_hvm;
const struct apic_ops *apic_ops;
const struct iommu_ops *iommu; /* the machine has none, unless a test says so */
const struct config *vm_config;

void fake_reset(unsigned vcpus)
{
	memset(&fake_vm, 0, sizeof(fake_vm));
	memset(fake_vcpu, 0, sizeof(fake_vcpu));
	memset(fake_kicks, 0, sizeof(fake_kicks));
	memset(fake_notified, 0, sizeof(fake_notified));
	apic_ops = NULL;
	memset(fake_console, 0, sizeof(fake_console));
	memset(ram, 0, sizeof(ram));
	fake_vm.config = &fake_config;
	fake_vm.mem.count = 1;
	fake_vm.mem.extent[0] = (struct gmem_extent){ .bytes = FAKE_RAM, .ptr = ram };
	fake_vm.acpi_gpa.v = FAKE_RAM - 0x10000;
	fake_vm.vcpu_count = vcpus;
	for (unsigned i = 0; i < vcpus; i++) {
		fake_vcpu[i].vm = &fake_vm;
		fake_vcpu[i].index = i;
		fake_vm.vcpus[i] = &fake_vcpu[i];
	}
	fake_cpu = (struct cpu){ .self = &fake_cpu, .index = 5 };
	syscall(SYS_arch_prctl, ARCH_SET_GS, &fake_cpu);
	memset(fake_signals, 0, sizeof(fake_signals));
	fake_sipi = fake_posted = fake_log_lines = console_fill = 0;
	fake_console_total = 0;
	fake_end = NULL;
	fake_await = NULL;
	fake_alloc_fail = -1;
}

uint64_t fake_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

unsigned fake_rounds(unsigned quick)
{
	return getenv("LASTHOP_SOAK") ? 50 * quick : quick;
}

bool vm_read(const struct vm *vm, gpa_t at, void *to, size_t bytes)
{
	(void)vm;
	if (at.v >= FAKE_RAM || bytes > FAKE_RAM - at.v)
		return false;
	memcpy(to, ram + at.v, bytes);
	return true;
}

bool vm_write(const struct vm *vm, gpa_t at, const void *from, size_t bytes)
{
	(void)vm;
	if (at.v >= FAKE_RAM || bytes > FAKE_RAM - at.v)
		return false;
	memcpy(ram + at.v, from, bytes);
	return true;
}

void *page_alloc(size_t bytes)
{
	void *p;

	if (fake_alloc_fail >= 0 && fake_alloc_fail-- == 0)
		return NULL;
	p = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
	if (!p)
		abort();
	memset(p, 0, bytes);
	fake_allocs++;
	return p;
}

void page_free(void *p, size_t bytes)
{
	(void)bytes;
	fake_allocs--;
	free(p);
}

int(fail)(enum lh_err err, const char *fmt, ...)
{
	(void)fmt;
	fake_log_lines++;
	return err;
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	abort();
}

bool log_quiet(bool on)
{
	(void)on;
	return false;
}

void log_printf(const char *fmt, ...)
{
	(void)fmt;
	fake_log_lines++;
}

void log_limited(struct log_limit *limit, const char *fmt, ...)
{
	(void)limit;
	(void)fmt;
	fake_log_lines++;
}

bool log_may(struct log_limit *limit)
{
	(void)limit;
	return !fake_log_full;
}

void console_guest_put(unsigned vm, char c)
{
	(void)vm;
	fake_console_total++;
	if (console_fill < sizeof(fake_console) - 1)
		fake_console[console_fill++] = c;
}

void console_guest_write(unsigned vm, const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		console_guest_put(vm, text[i]);
}

void console_guest_end(unsigned vm)
{
	if (console_fill && fake_console[console_fill - 1] != '\n')
		console_guest_put(vm, '\n');
}

uint64_t tsc_khz(void)
{
	return 3000000;
}

uint64_t tsc_from_us(uint64_t us)
{
	return us * 1000;
}

uint64_t tsc_to_ns(uint64_t ticks)
{
	return ticks / 3;
}

uint64_t wall_ns_at(uint64_t tsc)
{
	return FAKE_DATE * 1000000000ull + tsc % 1000;
}

void delay_us(uint64_t us)
{
	fake_delayed_us += us;
}

void vcpu_kick(struct vcpu *vcpu)
{
	fake_kicks[vcpu->index]++;
}

void vcpu_notify(struct vcpu *vcpu)
{
	fake_kicks[vcpu->index]++;
	fake_notified[vcpu->index]++;
}

bool vm_virtualizes_apics(const struct vm *vm)
{
	(void)vm;
	return apic_ops;
}

void vcpu_signal(struct vcpu *vcpu, enum vcpu_signal signal, uint8_t vector)
{
	fake_signals[vcpu->index] |= signal;
	fake_sipi = vector;
}

void vm_end(struct vm *vm, const char *end, const char *reason_fmt, ...)
{
	(void)vm;
	(void)reason_fmt;
	fake_end = end;
}

void report_guest_result(const char *vm, const char *text, const struct report_machine *machine)
{
	(void)vm;
	(void)machine;
	snprintf(fake_result, sizeof(fake_result), "%s", text);
}

void report_link(const char *port, bool up, uint64_t at_ns)
{
	(void)port;
	(void)up;
	(void)at_ns;
}

void report_queue_stopped(const char *port, unsigned queue, const char *why, uint64_t at_ns)
{
	(void)port;
	(void)queue;
	(void)why;
	(void)at_ns;
}

void cpu_await(uint64_t start_tsc, unsigned cpu, const char *what)
{
	(void)start_tsc;
	if (!fake_await)
		panic("waits for CPU %u: %s", cpu, what);
	fake_await(cpu);
}

void cpu_post(struct cpu *cpu, uint32_t bits)
{
	(void)cpu;
	fake_posted |= bits;
}
