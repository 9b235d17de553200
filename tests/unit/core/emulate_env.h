/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What hv/core/emulate.c finds around it in its tests: one vCPU, code of our choice at RIP,
 * addresses that translate to themselves, and a device that remembers what was written to it. Each
 * test program includes this once.
 */
#pragma once

#include "hv/core/emulate_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#define BUFFER_BYTES 4096u
static uint8_t *code_page, *buffer;  /* one mapping below 4 GiB */
static uint8_t shadow[BUFFER_BYTES]; /* the device's memory, found where the buffer is */

static struct vm vm;
static struct vcpu vcpu = { .vm = &vm };
static struct vcpu_sregs sregs;
static uint8_t fetch_bytes[15];
static unsigned fetch_count = 15;
static uint64_t fault_page = ~0ull; /* GVAs here are not mapped */
static struct {
	unsigned accesses, exceptions, faults, skips;
	uint64_t gpa, cr2;
	unsigned bytes;
	uint32_t pf_error;
	uint8_t vector;
} seen;

static void fake_get_sregs(struct vcpu *v, struct vcpu_sregs *out)
{
	(void)v;
	*out = sregs;
}

static void fake_set_sregs(struct vcpu *v, const struct vcpu_sregs *in)
{
	(void)v;
	sregs = *in;
}

static void fake_skip(struct vcpu *v, unsigned bytes)
{
	(void)v;
	seen.skips++;
	sregs.rip += bytes;
	if (insn_mode(&sregs) != 8)
		sregs.rip &= 0xffffffff;
}

void vcpu_inject(struct vcpu *v, uint8_t vector, int64_t error_code)
{
	(void)v;
	(void)error_code;
	seen.exceptions++;
	seen.vector = vector;
}

static const struct hvm_ops fake_ops = { .get_sregs = fake_get_sregs,
					 .set_sregs = fake_set_sregs,
					 .skip = fake_skip };
const struct hvm_ops *hvm = &fake_ops;

void vcpu_inject_pf(struct vcpu *v, uint64_t cr2, uint32_t error_code)
{
	(void)v;
	seen.faults++;
	seen.cr2 = cr2;
	seen.pf_error = error_code;
}

int gva_to_gpa(struct vcpu *v, uint64_t gva, uint32_t access, gpa_t *out, uint32_t *pf_error)
{
	(void)v;
	*pf_error = access;
	out->v = gva;
	return gva / 4096 == fault_page ? LH_FAULT : 0;
}

unsigned guest_fetch(struct vcpu *v, uint8_t out[15])
{
	(void)v;
	memcpy(out, fetch_bytes, fetch_count);
	return fetch_count;
}

bool vm_read(const struct vm *m, gpa_t at, void *to, size_t bytes)
{
	const void *p = gmem_ptr(&m->mem, at.v, bytes);

	return p ? memcpy(to, p, bytes) != NULL : false;
}

bool vm_write(const struct vm *m, gpa_t at, const void *from, size_t bytes)
{
	void *p = gmem_ptr(&m->mem, at.v, bytes);

	return p ? memcpy(p, from, bytes) != NULL : false;
}

/* The buffer's shadow as a device; elsewhere reads give a pattern. */
static bool device(struct vcpu *v, gpa_t gpa, unsigned bytes, bool write, uint64_t *value)
{
	const uint64_t offset = gpa.v - (uint64_t)buffer;

	(void)v;
	assert_true(bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
	seen.accesses++;
	seen.gpa = gpa.v;
	seen.bytes = bytes;
	if (offset >= BUFFER_BYTES || bytes > BUFFER_BYTES - offset) {
		if (!write)
			*value = 0x8877665544332211ull;
		return true;
	}
	if (write)
		memcpy(shadow + offset, value, bytes);
	else
		memcpy(value, shadow + offset, bytes);
	return true;
}
static uint64_t seed = 88172645463325252ull;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void set_mode(unsigned mode)
{
	memset(&sregs, 0, sizeof(sregs));
	sregs.rip = 0x1000;
	sregs.rflags = RFLAGS_FIXED;
	sregs.seg[SEG_CS].access = mode == 8 ? 0xa9b : mode == 4 ? 0xc9b : 0x9b;
	sregs.seg[SEG_SS].access = 0xc93;
	sregs.efer = mode == 8 ? EFER_LMA | EFER_LME : 0;
	memset(&vm.mem, 0, sizeof(vm.mem));
	memset(&seen, 0, sizeof(seen));
	fault_page = ~0ull;
	fetch_count = 15;
}

static bool emulate(const void *code, unsigned length)
{
	const struct vmexit exit = { .kind = VMEXIT_MMIO };

	vcpu.mmio_tries = ~0u - 1; /* no second try */
	vcpu.mmio_rip = sregs.rip;
	memset(fetch_bytes, 0x90, sizeof(fetch_bytes));
	memcpy(fetch_bytes, code, length < 15 ? length : 15);
	return emulate_mmio(&vcpu, &exit, device);
}

static int make_pages(void **state)
{
	(void)state;
	code_page = mmap(NULL, 4096 + BUFFER_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	buffer = code_page + 4096;
	return code_page == MAP_FAILED;
}
