/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_msi.h. */
#include "tests/unit/dev/fake_msi.h"

#include "hv/core/vm.h"
#include "hv/dev/vlapic.h"

unsigned fake_messages;
uint64_t fake_message_address;
uint32_t fake_message_data;

void msi_deliver(struct vm *vm, uint64_t address, uint32_t data)
{
	(void)vm;
	fake_messages++;
	fake_message_address = address;
	fake_message_data = data;
}

/* SDM 3A, "Message Address Register Format": physical destinations only. */
struct vcpu *msi_target(struct vm *vm, uint64_t address)
{
	unsigned id = address >> 12 & 0xff;

	return address >> 20 == 0xfee && id < vm->vcpu_count ? vm->vcpus[id] : NULL;
}

bool msi_is_interrupt(struct vm *vm, uint64_t address, uint32_t data)
{
	return (data >> 8 & 7) < 2 && (uint8_t)data >= 16 && msi_target(vm, address);
}
