/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a VM. It is made as a whole or not at all, runs until vm_end(), and is destroyed by
 * vm_reap() when its last vCPU has left the guest and no CPU can hold a pointer to it: the switch
 * may carry translations and vCPU pointers over one pass of a CPU's run loop.
 */
#include "hv/core/vm.h"

#include <string.h>

#include "hv/core/guest_map.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/fpu.h"
#include "hv/core/sched.h"

#define GIB (1ull << 30)
#define MIB (1ull << 20)

struct spinlock vm_table_lock;
struct vm *vm_table[CONFIG_MAX_VMS]; /* under vm_table_lock */
static _Atomic unsigned vms_started; /* and not yet reaped */
static _Atomic unsigned vms_ended;   /* and not yet reaped */
static struct vm *flushing;          /* whose nested translations MB_FLUSH drops */

static const struct handover_image *image_find(const struct handover *h, const char *name)
{
	const struct handover_image *image = hpa_to_ptr((hpa_t){ h->images });

	for (uint32_t i = 0; i < h->image_count; i++)
		if (strncmp(image[i].name, name, sizeof(image[i].name)) == 0)
			return &image[i];
	return NULL;
}

/* One extent of guest RAM from gpa on, 1 GiB-aligned if that can be had and helps. */
static int extent_add(struct vm *vm, unsigned slot, uint64_t bytes)
{
	hpa_t at = HPA_NONE;

	if (bytes >= GIB)
		at = pmm_alloc(bytes, GIB);
	if (at.v == HPA_NONE.v)
		at = pmm_alloc(bytes, LARGE_PAGE);
	if (at.v == HPA_NONE.v)
		return fail(LH_NOMEM, "vm %s: no %llu MiB of contiguous memory, %llu MiB free in all: "
			    "lower memory-mib", vm->config->name, (unsigned long long)(bytes / MIB),
			    (unsigned long long)(pmm_free_bytes() / MIB));
	vm->extent[slot].hpa = at;
	vm->extent[slot].bytes = bytes;
	return 0;
}

static int ram_map(struct vm *vm, uint64_t gpa, hpa_t hpa, uint64_t bytes)
{
	struct gmem_extent *e = &vm->mem.extent[vm->mem.count++];

	*e = (struct gmem_extent){ .gpa = gpa, .bytes = bytes, .ptr = hpa_to_ptr(hpa) };
	return hvm->map(vm, (gpa_t){ gpa }, hpa, bytes);
}

/* RAM as hv/core/guest_map.h has it: below 3 GiB with the hole under 1 MiB, the rest from 4 GiB. */
static int memory_create(struct vm *vm)
{
	uint64_t bytes = vm->config->memory_mib * MIB;
	uint64_t low = bytes < GUEST_HIGH_RAM_END ? bytes : GUEST_HIGH_RAM_END;
	uint64_t upper = bytes - low;
	hpa_t base;

	if (extent_add(vm, 0, low) < 0 || (upper && extent_add(vm, 1, upper) < 0))
		return LH_NOMEM;
	base = vm->extent[0].hpa;
	if (ram_map(vm, 0, base, GUEST_LOW_RAM_END) < 0 ||
	    ram_map(vm, GUEST_HIGH_RAM, (hpa_t){ base.v + GUEST_HIGH_RAM }, low - GUEST_HIGH_RAM) < 0 ||
	    (upper && ram_map(vm, GUEST_UPPER_RAM, vm->extent[1].hpa, upper) < 0))
		return fail(LH_NOMEM, "vm %s: no memory for nested page tables", vm->config->name);
	vm->acpi_gpa = (gpa_t){ low - GUEST_ACPI_BYTES };
	return 0;
}

static void vcpu_timer_fired(struct timer *timer)
{
	vcpu_wake(container_of(timer, struct vcpu, wake));
}

static void vcpu_free(struct vcpu *v)
{
	timer_cancel(&v->wake);
	if (v->platform)
		platform->vcpu_destroy(v);
	if (v->fpu)
		page_free(v->fpu, fpu_area_bytes());
	hvm->vcpu_destroy(v);
}

static int vcpu_make(struct vm *vm, unsigned index)
{
	struct vcpu *v = hvm->vcpu_create(vm, index);

	if (!v)
		return fail(LH_NOMEM, "vm %s: no memory for vCPU %u", vm->config->name, index);
	vm->vcpus[index] = v;
	vm->vcpu_count = index + 1;
	atomic_store(&v->state, VCPU_OFF);
	list_init(&v->runq);
	timer_init(&v->wake, vcpu_timer_fired);
	v->xcr0 = 1; /* x87, as after RESET */
	v->fpu = page_alloc(fpu_area_bytes());
	if (!v->fpu)
		return fail(LH_NOMEM, "vm %s: no memory for the FPU state", vm->config->name);
	fpu_reset_area(v->fpu);
	hvm->set_tsc_offset(v, vm->tsc_offset);
	return platform->vcpu_create(v);
}

static void vm_destroy(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_free(vm->vcpus[i]);
	if (vm->nested.v)
		hvm->vm_free(vm);
	for (unsigned i = 0; i < GMEM_EXTENTS; i++)
		if (vm->extent[i].bytes)
			pmm_free(vm->extent[i].hpa, vm->extent[i].bytes);
	page_free(vm, sizeof(*vm));
}

static int vm_build(struct vm *vm, const struct handover *h)
{
	const struct config_vm *c = vm->config;
	const struct handover_image *kernel = image_find(h, c->kernel);
	const struct handover_image *initrd = c->initrd[0] ? image_find(h, c->initrd) : NULL;
	int err;

	if (!kernel || (c->initrd[0] && !initrd))
		return fail(LH_NOENT, "vm %s: %s was not handed over", c->name,
			    kernel ? c->initrd : c->kernel);
	err = hvm->vm_init(vm);
	if (err < 0)
		return fail(err, "vm %s: no memory for nested page tables", c->name);
	err = memory_create(vm);
	for (unsigned i = 0; err == 0 && i < c->cpus; i++)
		err = vcpu_make(vm, i);
	if (err == 0)
		err = platform->vm_create(vm);
	if (err == 0)
		err = pvh_load(vm, kernel, initrd);
	return err;
}

int vm_create(const struct config_vm *config, const struct handover *h, struct vm **out)
{
	struct vm *vm = page_alloc(sizeof(*vm));
	int err;

	if (!vm)
		return fail(LH_NOMEM, "vm %s: no memory", config->name);
	vm->config = config;
	vm->tsc_offset = 0 - rdtsc();
	spin_lock(&vm_table_lock);
	while (vm->id < CONFIG_MAX_VMS && vm_table[vm->id])
		vm->id++;
	if (vm->id < CONFIG_MAX_VMS)
		vm_table[vm->id] = vm;
	spin_unlock(&vm_table_lock);
	if (vm->id == CONFIG_MAX_VMS) {
		page_free(vm, sizeof(*vm));
		return fail(LH_BUSY, "vm %s: %u VMs exist already", config->name, CONFIG_MAX_VMS);
	}
	err = vm_build(vm, h);
	if (err < 0) {
		spin_lock(&vm_table_lock);
		vm_table[vm->id] = NULL;
		if (vm->platform)
			platform->vm_destroy(vm);
		spin_unlock(&vm_table_lock);
		vm_destroy(vm);
		return err;
	}
	*out = vm;
	return 0;
}

void vm_start(struct vm *vm)
{
	struct vcpu *v = vm->vcpus[0];

	atomic_fetch_add(&vms_started, 1);
	atomic_store(&vm->live_vcpus, 1); /* the others start by INIT-SIPI */
	atomic_store(&vm->state, VM_RUNNING);
	report_vm_start(vm->config->name);
	log_printf("vm %s: started, %u vCPU, %llu MiB", vm->config->name, vm->vcpu_count,
		   (unsigned long long)vm->config->memory_mib);
	if (vcpu_transition(v, VCPU_OFF, VCPU_RUNNABLE))
		sched_enqueue(v, false);
}

void vm_end(struct vm *vm, const char *end, const char *reason_fmt, ...)
{
	uint32_t running = VM_RUNNING;
	__builtin_va_list ap;

	spin_lock(&vm->lock);
	if (atomic_compare_exchange_strong(&vm->state, &running, VM_ENDING)) {
		vm->end = end;
		__builtin_va_start(ap, reason_fmt);
		vsnprintf(vm->end_reason, sizeof(vm->end_reason), reason_fmt, ap);
		__builtin_va_end(ap);
	}
	spin_unlock(&vm->lock);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_kick(vm->vcpus[i]);
}

void vm_crash(struct vcpu *vcpu, const char *reason_fmt, ...)
{
	struct vm *vm = vcpu->vm;
	char reason[sizeof(vm->end_reason)];
	__builtin_va_list ap;

	__builtin_va_start(ap, reason_fmt);
	vsnprintf(reason, sizeof(reason), reason_fmt, ap);
	__builtin_va_end(ap);
	log_printf("vm %s: stopped: %s", vm->config->name, reason);
	vcpu_dump(vcpu);
	vm_end(vm, "crash", "%s", reason);
}

void vm_last_out(struct vm *vm)
{
	atomic_store(&vm->state, VM_ENDED);
	atomic_fetch_add(&vms_ended, 1);
}

void vm_flush_posted(void)
{
	hvm->flush_vm(flushing);
}

/* Waits until every other CPU has passed its run loop and dropped its translations of the VM: none
 * holds a pointer into it then. */
static void quiesce(struct vm *vm)
{
	uint64_t seen[MAX_CPUS];

	flushing = vm;
	for (unsigned i = 0; i < cpu_count; i++) {
		seen[i] = atomic_load(&cpus[i]->epoch);
		if (cpus[i] != this_cpu())
			cpu_post(cpus[i], MB_FLUSH);
	}
	hvm->flush_vm(vm);
	for (unsigned i = 0; i < cpu_count; i++)
		while (cpus[i] != this_cpu() && atomic_load(&cpus[i]->epoch) == seen[i])
			__builtin_ia32_pause();
}

/* Takes one ended VM out of the table, its devices and ports destroyed. */
static struct vm *take_ended(void)
{
	struct vm *vm = NULL;

	spin_lock(&vm_table_lock);
	for (unsigned i = 0; i < CONFIG_MAX_VMS && !vm; i++)
		if (vm_table[i] && atomic_load(&vm_table[i]->state) == VM_ENDED)
			vm = vm_table[i];
	if (vm) {
		vm_table[vm->id] = NULL;
		atomic_fetch_sub(&vms_ended, 1);
		platform->vm_destroy(vm);
		vm->platform = NULL;
	}
	spin_unlock(&vm_table_lock);
	return vm;
}

static void reap(struct vm *vm)
{
	quiesce(vm);
	log_printf("vm %s: ended: %s%s%s", vm->config->name, vm->end,
		   vm->end_reason[0] ? ": " : "", vm->end_reason);
	report_vm_end(vm->config->name, vm->vcpu_count, vm->end, vm->end_reason);
	vm_destroy(vm);
	if (atomic_fetch_sub(&vms_started, 1) == 1) {
		log_printf("all VMs have ended, %llu MiB free",
			   (unsigned long long)(pmm_free_bytes() / MIB));
		report_end();
	}
}

void vm_reap(void)
{
	static struct spinlock reaping; /* one CPU at a time, since quiesce() waits for the others */
	struct vm *vm;

	/* A VM that ends while another CPU reaps is seen by that CPU: it looks again after unlock. */
	while (atomic_load(&vms_ended) && spin_trylock(&reaping)) {
		vm = take_ended();
		if (vm)
			reap(vm);
		spin_unlock(&reaping);
	}
}

static bool vm_copy(const struct vm *vm, gpa_t at, uint8_t *to, const uint8_t *from, size_t bytes)
{
	while (bytes) {
		size_t piece = bytes;
		size_t to_page_end = PAGE_SIZE - at.v % PAGE_SIZE;
		uint8_t *ram;

		if (piece > to_page_end)
			piece = to_page_end; /* extents border on each other only at pages */
		ram = gmem_ptr(&vm->mem, at.v, piece);
		if (!ram)
			return false;
		if (to) {
			memcpy(to, ram, piece);
			to += piece;
		} else {
			memcpy(ram, from, piece);
			from += piece;
		}
		at.v += piece;
		bytes -= piece;
	}
	return true;
}

bool vm_read(const struct vm *vm, gpa_t at, void *to, size_t bytes)
{
	return vm_copy(vm, at, to, NULL, bytes);
}

bool vm_write(const struct vm *vm, gpa_t at, const void *from, size_t bytes)
{
	return vm_copy(vm, at, NULL, from, bytes);
}
