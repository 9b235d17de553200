/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ties the guest's devices together: two buses, local APICs, I/O APIC, UART, clock, power registers,
 * PCIe with a virtio-net device per NIC, a virtio-rng and maybe a virtio-console, ACPI tables. No PIC, PIT, VGA or
 * PS/2: ports that nobody claims read all ones.
 */
#include "hv/dev/pc.h"

#include <stddef.h>
#include <string.h>

#include "hv/core/guest_map.h"
#include "hv/core/host_ioapic.h"
#include "hv/core/log.h"
#include "hv/core/pmm.h"
#include "hv/dev/acpi_tables.h"
#include "hv/dev/iommu.h"
#include "hv/dev/pci_scan.h"
#include "hv/dev/pc_impl.h"
#include "hv/dev/reuse.h"
#include "hv/dev/switch_env.h"
#include "hv/dev/uplink.h"
#include "hv/dev/virtio_net.h"
#include "hv/dev/vlapic.h"

#define XAPIC_ID_MAX 254u

static void pc_io(struct vcpu *vcpu, uint16_t port, unsigned bytes, bool write, uint32_t *value)
{
	uint64_t wide = *value;

	if (!bus_access(&vcpu->vm->platform->io, vcpu, port, bytes, write, &wide))
		wide = bus_ones(bytes);
	if (!write)
		*value = (uint32_t)wide;
}

static bool pc_mmio(struct vcpu *vcpu, gpa_t gpa, unsigned bytes, bool write, uint64_t *value)
{
	if (bus_access(&vcpu->vm->platform->memory, vcpu, gpa.v, bytes, write, value))
		return true;
	if (gpa.v < GUEST_BAR_WINDOW || gpa.v >= GUEST_BAR_END)
		return false;
	if (!write) /* no BAR is there (any more): as a PCI bus answers */
		*value = bus_ones(bytes);
	return true;
}

void pc_eoi(struct vm *vm, uint8_t vector)
{
	ioapic_eoi(&vm->platform->ioapic, vector);
}

static int make_board(struct platform *p, struct vm *vm)
{
	int err;

	p->lapic_page = (struct bus_region){ .bytes = PAGE_SIZE,
					     .widest = 4,
					     .access = vlapic_page_access };
	if (!bus_map(&p->memory, &p->lapic_page, GUEST_LAPIC_BASE))
		return fail(LH_INVAL, "the local APIC's page overlaps a device");
	err = ioapic_init(&p->ioapic, vm, &p->memory);
	if (!err)
		err = uart_init(&p->uart, vm, &p->ioapic, &p->io);
	if (!err)
		err = rtc_init(&p->rtc, &p->io);
	if (!err)
		err = power_init(&p->power, &p->io);
	if (!err)
		err = pcie_init(&p->pcie, &p->io, &p->memory, &vm->log_limit);
	if (!err)
		err = pci_ports_init(&p->pci_ports, &p->pcie, &p->io);
	return err;
}

static int make_nets(struct platform *p, struct vm *vm)
{
	for (unsigned i = 0; i < vm->config->net_count; i++) {
		p->nets[i] = virtio_net_create(vm, &p->pcie, &vm->config->nets[i]);
		if (!p->nets[i])
			return LH_NOMEM;
		p->net_count = i + 1;
	}
	return 0;
}

static int make_tables(struct vm *vm)
{
	void *at = gmem_ptr(&vm->mem, vm->acpi_gpa.v, GUEST_ACPI_BYTES);

	if (!at)
		return fail(LH_INVAL, "vm %s: ACPI tables would not be in RAM", vm->config->name);
	if (!acpi_tables_write(at, GUEST_ACPI_BYTES, vm->acpi_gpa.v, vm->vcpu_count))
		return fail(LH_INVAL, "vm %s: ACPI tables do not fit", vm->config->name);
	return 0;
}

/* Other CPUs lend to its uplinks until these are destroyed: not into a domain of the IOMMU that is gone. */
static void pc_vm_give_back(struct vm *vm)
{
	struct platform *p = vm->platform;

	passthrough_silence(&p->devices);
	reuse_close(p->reuse);
	passthrough_destroy(&p->devices);
}

static void pc_vm_destroy(struct vm *vm)
{
	struct platform *p = vm->platform;

	if (!p)
		return;
	pc_vm_give_back(vm); /* if it could not be made */
	for (unsigned i = 0; i < p->net_count; i++)
		virtio_net_destroy(p->nets[i]); /* what an uplink was lent goes back with it */
	reuse_free(p->reuse);
	reuse_revoke(vm); /* it sends no more, and its RAM is about to be freed */
	virtio_rng_finish(&p->rng);
	virtio_console_finish(&p->console);
	uart_finish(&p->uart);
	vm->platform = NULL;
	page_free(p, sizeof(*p));
}

static int pc_vm_create(struct vm *vm)
{
	struct platform *p = page_alloc(sizeof(*p));
	int err;

	if (!p)
		return fail(LH_NOMEM, "vm %s: no memory for its devices", vm->config->name);
	vm->platform = p;
	err = make_board(p, vm);
	if (!err)
		err = make_nets(p, vm);
	if (!err)
		err = virtio_rng_init(&p->rng, vm, &p->pcie);
	if (!err && vm->config->virtio_console)
		err = virtio_console_init(&p->console, vm, &p->pcie);
	if (!err)
		err = passthrough_create(&p->devices, vm);
	if (!err && p->devices.domain && vm->config->driver_domain)
		p->reuse = reuse_create(vm, p->devices.domain);
	if (!err)
		err = make_tables(vm);
	return err;
}

static int pc_vm_join(struct vm *vm, uint64_t *again_tsc)
{
	struct platform *p = vm->platform;

	return passthrough_join(&p->devices, vm, &p->pcie, &p->ioapic, again_tsc);
}

static struct port *pc_vm_port(struct vm *vm, unsigned i)
{
	struct platform *p = vm->platform;

	return p && i < p->net_count ? p->nets[i]->port : NULL;
}

static void pc_switch_flush(struct vm *vm, bool late)
{
	struct platform *p = vm->platform;

	for (unsigned i = 0; i < p->net_count; i++)
		port_flush(p->nets[i]->port, late);
}

static void pc_switch_settle(struct vm *vm)
{
	struct platform *p = vm->platform;

	for (unsigned i = 0; i < p->net_count; i++)
		port_settle(p->nets[i]->port);
}

static void pc_switch_arrive(struct vm *vm)
{
	struct platform *p = vm->platform;

	for (unsigned i = 0; i < p->net_count; i++)
		port_arrive(p->nets[i]->port);
	switch_work_hurry();
}

static bool pc_console_input(struct vm *vm, char c)
{
	struct platform *p = vm->platform;

	if (vm->config->virtio_console && virtio_console_listens(&p->console))
		return virtio_console_receive(&p->console, c);
	return uart_receive(&p->uart, c);
}

static void pc_vm_paused(struct vm *vm, bool paused)
{
	passthrough_pause(&vm->platform->devices, paused);
}

static int pc_pin_route(uint8_t ioapic_id, uint8_t vector, uint32_t apic_id, uint64_t *redirection)
{
	int handle;

	if (iommu) {
		handle = iommu->irq_alloc_pin(ioapic_id, vector, apic_id, false, redirection);
		return handle < 0 ? handle : 0;
	}
	if (apic_id > XAPIC_ID_MAX)
		return LH_UNSUPP;
	*redirection = host_ioapic_plain(vector, apic_id, false);
	return 0;
}

static bool pc_host_device_faults(unsigned i, char *name, unsigned room, uint64_t *faults)
{
	if (!iommu || i >= host_function_count)
		return false;
	snprintf(name, room, PCI_ADDRESS_FORMAT, PCI_ADDRESS_ARGS(host_functions[i].address));
	*faults = iommu->faults(host_functions[i].address);
	return true;
}

static bool pc_host_device(unsigned i, char *line, unsigned room)
{
	uint64_t faults = 0;
	unsigned fill;

	if (i >= host_function_count)
		return false;
	host_function_describe(&host_functions[i], line, room);
	if (iommu)
		faults = iommu->faults(host_functions[i].address);
	fill = (unsigned)strlen(line);
	if (faults)
		snprintf(line + fill, room - fill, ", %llu blocked", (unsigned long long)faults);
	return true;
}

static bool pc_uplink_carrier(struct vm *vm, uint64_t n, bool carrier)
{
	return uplink_carrier(vm->config, n, carrier);
}

const struct platform_ops pc_platform = {
	.vm_create = pc_vm_create,
	.vm_join = pc_vm_join,
	.vm_destroy = pc_vm_destroy,
	.vm_give_back = pc_vm_give_back,
	.vm_paused = pc_vm_paused,
	.vcpu_create = vlapic_create,
	.vcpu_destroy = vlapic_destroy,
	.io = pc_io,
	.mmio = pc_mmio,
	.vcpu_init = vlapic_init,
	.tpr = vlapic_tpr,
	.msr_owned = vlapic_msr_owned,
	.msr_read = vlapic_msr_read,
	.msr_write = vlapic_msr_write,
	.irq_pending = vlapic_irq_pending,
	.irq_taken = vlapic_irq_taken,
	.apic_eoi = vlapic_eoi_exit,
	.apic_written = vlapic_written,
	.before_entry = vlapic_before_entry,
	.after_exit = vlapic_after_exit,
	.next_timer = vlapic_next_timer,
	.switch_work = switch_work_run,
	.switch_poll = switch_poll,
	.switch_flush = pc_switch_flush,
	.switch_settle = pc_switch_settle,
	.switch_arrive = pc_switch_arrive,
	.port_by_mac = virtio_net_port_by_mac,
	.leads_outside = uplink_beside,
	.uplink_carrier = pc_uplink_carrier,
	.vm_port = pc_vm_port,
	.port_set_link = virtio_net_set_link,
	.port_uplinks_away = virtio_net_uplinks_away,
	.port_features = virtio_net_features,
	.switches_create = virtio_net_switches,
	.vm_leave = pc_vm_leave,
	.vm_enter = pc_vm_enter,
	.switch_put = virtio_net_switch_put,
	.uplinks_report = uplinks_report,
	.switch_at = virtio_net_switch,
	.policy_changed = reuse_policy_changed,
	.host_devices_find = pci_scan,
	.host_devices_check = passthrough_check,
	.host_devices_check_vm = passthrough_check_vm,
	.pin_route = pc_pin_route,
	.host_device = pc_host_device,
	.host_device_faults = pc_host_device_faults,
	.console_input = pc_console_input,
};
