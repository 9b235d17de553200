/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The guest's TSC is zero when its VM is made, counts at one rate and has one offset on all vCPUs.
 * So the relation of time to TSC never changes: each structure is written once, when the guest
 * tells where it wants it. Time zero is the creation of the VM.
 */
#include "hv/core/pvclock.h"

#include "hv/core/timer.h"
#include "hv/core/vcpu.h"
#include "hv/core/wall.h"

#define MSR_WALL_CLOCK_OLD  0x11u /* feature bit 0 */
#define MSR_SYSTEM_TIME_OLD 0x12u
#define MSR_WALL_CLOCK	    0x4b564d00u /* feature bit 3 */
#define MSR_SYSTEM_TIME	    0x4b564d01u
#define SYSTEM_TIME_ENABLE  BIT(0)
#define FLAG_STABLE	    BIT(0)
#define VERSION		    2u /* even: complete */
#define SECOND_NS	    1000000000u

struct system_time { /* struct pvclock_vcpu_time_info */
	uint32_t version, pad0;
	uint64_t tsc_timestamp;
	uint64_t system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags;
	uint8_t pad[2];
};

struct wall_clock { /* struct pvclock_wall_clock */
	uint32_t version, sec, nsec;
};

_Static_assert(sizeof(struct system_time) == 32, "msr.rst");
_Static_assert(sizeof(struct wall_clock) == 12, "msr.rst");

void pvclock_scale(uint64_t khz, uint32_t *mul, int8_t *shift)
{
	uint64_t ns = 1000000; /* a millisecond, to khz ticks; their quotient comes below 1 … */

	*shift = 0;
	while (ns >= khz) {
		khz <<= 1;
		++*shift;
	}
	while (ns * 2 < khz) { /* … but not below a half, so that mul has all its bits */
		ns <<= 1;
		--*shift;
	}
	*mul = (uint32_t)((ns << 32) / khz);
}

static bool write_system_time(struct vcpu *v, uint64_t value)
{
	struct system_time t = { .version = VERSION, .flags = FLAG_STABLE };
	gpa_t at = { value & ~SYSTEM_TIME_ENABLE };

	pvclock_scale(tsc_khz(), &t.tsc_to_system_mul, &t.tsc_shift);
	if (value & SYSTEM_TIME_ENABLE && !vm_write(v->vm, at, &t, sizeof(t)))
		return false;
	v->pvclock = value;
	return true;
}

static bool write_wall_clock(struct vm *vm, uint64_t at)
{
	uint64_t created_ns = wall_ns_at(0 - vm->tsc_offset);
	struct wall_clock w = { VERSION, (uint32_t)(created_ns / SECOND_NS),
				(uint32_t)(created_ns % SECOND_NS) };

	if (at && !vm_write(vm, (gpa_t){ at }, &w, sizeof(w)))
		return false;
	atomic_store(&vm->wall_clock, at);
	return true;
}

bool pvclock_msr_owned(uint32_t msr)
{
	return msr == MSR_WALL_CLOCK || msr == MSR_SYSTEM_TIME || msr == MSR_WALL_CLOCK_OLD ||
	       msr == MSR_SYSTEM_TIME_OLD;
}

uint64_t pvclock_read(const struct vcpu *v, uint32_t msr)
{
	if (msr == MSR_SYSTEM_TIME || msr == MSR_SYSTEM_TIME_OLD)
		return v->pvclock;
	return atomic_load(&v->vm->wall_clock);
}

bool pvclock_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	if (msr == MSR_SYSTEM_TIME || msr == MSR_SYSTEM_TIME_OLD)
		return write_system_time(v, value);
	return write_wall_clock(v->vm, value);
}
