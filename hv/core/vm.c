/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a VM is made of: memory, nested page tables, vCPUs, devices, its kernel. It is made as a
 * whole or not at all. Its life from there on is in lifecycle.c.
 */
#include "hv/core/vm.h"

#include <string.h>

#include "hv/core/guest_map.h"
#include "hv/core/images.h"
#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/fpu.h"
#include "hv/core/watchdog.h"

#define GIB (1ull << 30)
#define MIB (1ull << 20)

/* One extent of guest RAM from gpa on, 1 GiB-aligned if that can be had and helps. */
static int extent_add(struct vm *vm, unsigned slot, uint64_t bytes)
{
	hpa_t at = HPA_NONE;

	if (bytes >= GIB)
		at = pmm_alloc(bytes, GIB);
	if (at.v == HPA_NONE.v)
		at = pmm_alloc(bytes, LARGE_PAGE);
	if (at.v == HPA_NONE.v)
		return fail(LH_NOMEM,
			    "vm %s: no %llu MiB of contiguous memory, %llu MiB free in all: "
			    "lower memory-mib",
			    vm->config->name, (unsigned long long)(bytes / MIB),
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

/*
 * What firmware has at its reset vector, as far as anybody jumps there: in real mode, to reset the
 * machine. Linux does on hardware-reduced ACPI, since it takes EFI to be there then, and the BIOS
 * where EFI is not, before it thinks of the FADT's reset register.
 *     mov $GUEST_RESET_PORT, %dx; mov $GUEST_RESET_VALUE, %al; out %al, (%dx); 1: hlt; jmp 1b
 */
static const uint8_t reset_code[] = { 0xba,
				      GUEST_RESET_PORT & 0xff,
				      GUEST_RESET_PORT >> 8,
				      0xb0,
				      GUEST_RESET_VALUE,
				      0xee,
				      0xf4,
				      0xeb,
				      0xfd };
_Static_assert(GUEST_RESET_VECTOR + sizeof(reset_code) <= GUEST_HIGH_RAM, "fits");

/*
 * RAM as hv/core/guest_map.h has it: below 3 GiB with the hole under 1 MiB, the rest from 4 GiB.
 * The hole is zeroed memory to the vCPUs, as a PC's is there without finding anything (Linux looks
 * for BIOS tables) but the reset vector; it is no RAM to devices and loaders.
 */
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
	    hvm->map(vm, (gpa_t){ GUEST_LOW_RAM_END }, (hpa_t){ base.v + GUEST_LOW_RAM_END },
		     GUEST_HIGH_RAM - GUEST_LOW_RAM_END) < 0 ||
	    ram_map(vm, GUEST_HIGH_RAM, (hpa_t){ base.v + GUEST_HIGH_RAM }, low - GUEST_HIGH_RAM) <
		    0 ||
	    (upper && ram_map(vm, GUEST_UPPER_RAM, vm->extent[1].hpa, upper) < 0))
		return fail(LH_NOMEM, "vm %s: no memory for nested page tables", vm->config->name);
	memcpy(hpa_to_ptr((hpa_t){ base.v + GUEST_RESET_VECTOR }), reset_code, sizeof(reset_code));
	vm->acpi_gpa = (gpa_t){ low - GUEST_ACPI_BYTES };
	return 0;
}

bool vm_virtualizes_apics(const struct vm *vm)
{
	return apic_ops && vm->config->apicv != CONFIG_APICV_OFF;
}

static void add_range(struct vm_range out[VM_RANGES], unsigned *n, uint64_t gpa, uint64_t bytes,
		      enum vm_range_type type)
{
	if (bytes)
		out[(*n)++] = (struct vm_range){ gpa, bytes, type };
}

unsigned vm_ranges(const struct vm *vm, struct vm_range out[VM_RANGES])
{
	uint64_t upper = vm->mem.count > 2 ? vm->mem.extent[2].bytes : 0;
	unsigned n = 0;

	add_range(out, &n, 0, GUEST_LOW_RAM_END, VM_RAM);
	add_range(out, &n, GUEST_HIGH_RAM, vm->acpi_gpa.v - GUEST_HIGH_RAM, VM_RAM);
	add_range(out, &n, vm->acpi_gpa.v, GUEST_ACPI_BYTES, VM_ACPI);
	add_range(out, &n, GUEST_ECAM_BASE, GUEST_ECAM_BYTES, VM_RESERVED);
	add_range(out, &n, GUEST_UPPER_RAM, upper, VM_RAM);
	return n;
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
	return platform->vcpu_create(v);
}

void vm_destroy(struct vm *vm)
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

static int vm_build(struct vm *vm, bool staged)
{
	const struct config_vm *c = vm->config;
	const struct handover_image *kernel = image_find(c->kernel, staged);
	const struct handover_image *initrd = c->initrd[0] ? image_find(c->initrd, staged) : NULL;
	int err;

	if (!kernel || (c->initrd[0] && !initrd))
		return fail(LH_NOENT, "vm %s: %s is not on this machine", c->name,
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
		err = linux_image(kernel) ? linux_load(vm, kernel, initrd)
					  : pvh_load(vm, kernel, initrd);
	return err;
}

void vm_discard(struct vm *vm)
{
	if (vm->platform)
		platform->vm_give_back(vm);
	/* The shell may be looking at its ports. No vCPU has run, so that nothing else of it is known to
	 * anybody. */
	spin_lock(&vm_table_lock);
	if (vm->platform)
		platform->vm_destroy(vm);
	spin_unlock(&vm_table_lock);
	vm_destroy(vm);
}

int vm_create(const struct config_vm *config, unsigned id, bool staged, struct vm **out)
{
	struct vm *vm = page_alloc(sizeof(*vm));
	int err;

	if (!vm)
		return fail(LH_NOMEM, "vm %s: no memory", config->name);
	vm->config = config;
	vm->id = id;
	vm->tsc_offset = 0 - rdtsc();
	watchdog_init(vm);
	err = vm_build(vm, staged);
	if (err < 0) {
		vm_discard(vm);
		return err;
	}
	*out = vm;
	return 0;
}

int vm_join(struct vm *vm, uint64_t *again_tsc)
{
	int err = platform->vm_join(vm, again_tsc);

	if (err < 0 && err != LH_AGAIN)
		vm_discard(vm);
	return err;
}

int vm_map_device(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes)
{
	return hvm->map_device(vm, gpa, hpa, bytes);
}

/* Partner: vm_drop_stale(). A vCPU that is kicked before its entry sees the bits, one that is kicked
 * behind it leaves the guest. */
void vm_unmap_device(struct vm *vm, gpa_t gpa, uint64_t bytes)
{
	hvm->unmap_device(vm, gpa, bytes);
	for (unsigned i = 0; i < MAX_CPUS / 64; i++)
		atomic_store(&vm->stale[i], ~0ull);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vcpu_kick(vm->vcpus[i]);
}

void vm_drop_stale(struct vm *vm)
{
	const unsigned cpu = this_cpu()->index;
	const uint64_t bit = 1ull << cpu % 64;

	if (!(atomic_load_explicit(&vm->stale[cpu / 64], memory_order_acquire) & bit))
		return;
	atomic_fetch_and(&vm->stale[cpu / 64], ~bit);
	hvm->flush_vm(vm);
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

int vm_load_initrd(struct vm *vm, const struct handover_image *initrd, uint64_t at)
{
	if (!at || !vm_write(vm, (gpa_t){ at }, hpa_to_ptr((hpa_t){ initrd->addr }), initrd->bytes))
		return fail(LH_INVAL,
			    "vm %s: initrd %s does not fit behind the kernel: raise memory-mib",
			    vm->config->name, vm->config->initrd);
	return 0;
}
