/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power-off and reset registers. They hold no state.
 */
#include "hv/dev/power.h"

#include "hv/core/fail.h"
#include "hv/core/guest_map.h"
#include "hv/core/lifecycle.h"
#include "hv/core/marker.h"
#include "hv/core/vcpu.h"

#define SLEEP_ENABLE	     0x20u /* SLP_EN; SLP_TYP is in bits 4:2 */
#define RESET_CONTROL_CPU    0x04u
#define PORT_KEYBOARD	     0x64u
#define KEYBOARD_PULSE_RESET 0xfeu

_Static_assert(GUEST_SLEEP_STATUS == GUEST_SLEEP_CONTROL + 1 &&
		       GUEST_RESET_PORT == GUEST_SLEEP_CONTROL + 2,
	       "three ports, one region");

static void reset(struct vcpu *vcpu)
{
	vm_end(vcpu->vm, END_REBOOT, "reset by the guest");
}

static void acpi_access(struct bus_region *region, struct bus_access *access)
{
	uint16_t port = (uint16_t)(GUEST_SLEEP_CONTROL + access->offset);

	(void)region;
	if (!access->write)
		access->value = 0; /* WAK_STS is never set */
	else if (port == GUEST_RESET_PORT && access->value == GUEST_RESET_VALUE)
		reset(access->vcpu);
	else if (port == GUEST_SLEEP_CONTROL && access->value & SLEEP_ENABLE &&
		 (access->value >> 2 & 7) == GUEST_SLEEP_TYPE_S5)
		marker_power_off(access->vcpu->vm);
}

void power_reset_control(struct bus_access *access)
{
	if (!access->write)
		access->value = 0;
	else if (access->value & RESET_CONTROL_CPU)
		reset(access->vcpu);
}

/* There is no keyboard controller: reads are all ones, as of an empty port. */
static void keyboard_access(struct bus_region *region, struct bus_access *access)
{
	(void)region;
	if (!access->write)
		access->value = 0xff;
	else if (access->value == KEYBOARD_PULSE_RESET)
		reset(access->vcpu);
}

int power_init(struct power *power, struct bus *io)
{
	power->acpi = (struct bus_region){ .bytes = 3, .widest = 1, .access = acpi_access };
	power->keyboard = (struct bus_region){ .bytes = 1, .widest = 1, .access = keyboard_access };
	if (!bus_map(io, &power->acpi, GUEST_SLEEP_CONTROL) ||
	    !bus_map(io, &power->keyboard, PORT_KEYBOARD))
		return fail(LH_INVAL, "power: a register's port overlaps a device");
	return 0;
}
