/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio over PCI: identity and capabilities, notification, interrupts (virtio 1.2, 4.1.4). The
 * registers of the common configuration are in virtio_common.c.
 */
#include "hv/dev/virtio_pci.h"

#include <string.h>

#include "hv/core/list.h"
#include "hv/core/vm.h"
#include "hv/dev/virtio_pci_impl.h"

#define VIRTIO_VENDOR	   0x1af4
#define VIRTIO_DEVICE_BASE 0x1040
#define CAP_VENDOR	   0x09
#define REGISTERS_BAR	   0
#define NOTIFY_BAR	   2
#define MSIX_BAR	   4
#define REGISTERS_BYTES	   0x4000u
#define COMMON_AT	   0x0000u
#define ISR_AT		   0x1000u
#define DEVICE_AT	   0x2000u
#define DEVICE_BYTES	   0x1000u
#define ISR_QUEUE	   1u
#define ISR_CONFIG	   2u
#define NOTIFY_REGION	   128u /* a BAR is a power of two */

/* virtio 1.2, 4.1.4: struct virtio_pci_cap and the types */
enum virtio_cap_type { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI };
#define CAP_LENGTH_AT 2 /* offsets in the capability */
#define CAP_TYPE_AT   3
#define CAP_BAR_AT    4
#define CAP_OFFSET_AT 8
#define CAP_BYTES_AT  12
#define CAP_EXTRA_AT  16 /* notify multiplier, or the data window */

_Static_assert(VIRTIO_MAX_QUEUES *VIRTIO_NOTIFY_BYTES <= NOTIFY_REGION, "room for each queue");
_Static_assert(MSIX_MAX > VIRTIO_MAX_QUEUES, "a vector a queue and one for the configuration");

static unsigned add_capability(struct virtio_pci *v, enum virtio_cap_type type, unsigned bar,
			       uint32_t offset, uint32_t bytes)
{
	unsigned room = type == CAP_NOTIFY || type == CAP_PCI ? 20 : 16;
	unsigned at = pci_add_capability(&v->pci, CAP_VENDOR, room);

	pci_put(&v->pci, at + CAP_LENGTH_AT, 1, room);
	pci_put(&v->pci, at + CAP_TYPE_AT, 1, type);
	pci_put(&v->pci, at + CAP_BAR_AT, 1, bar);
	pci_put(&v->pci, at + CAP_OFFSET_AT, 4, offset);
	pci_put(&v->pci, at + CAP_BYTES_AT, 4, bytes);
	return at;
}

static void interrupt(struct virtio_pci *v, uint16_t vector, uint8_t isr)
{
	if (vector != MSIX_NO_VECTOR)
		msix_raise(&v->msix, vector);
	if (!msix_enabled(&v->msix))
		atomic_fetch_or(&v->isr, isr);
}

void virtio_pci_queue_interrupt(struct virtio_pci *v, unsigned queue)
{
	interrupt(v, atomic_load_explicit(&v->queue_vector[queue], memory_order_relaxed),
		  ISR_QUEUE);
}

void virtio_pci_broken(struct virtio_pci *v)
{
	if (atomic_fetch_or(&v->status, VIRTIO_NEEDS_RESET) & VIRTIO_DRIVER_OK)
		interrupt(v, v->config_vector, ISR_CONFIG);
}

void virtio_pci_config_changed(struct virtio_pci *v)
{
	atomic_fetch_add(&v->generation, 1);
	if (atomic_load(&v->status) & VIRTIO_DRIVER_OK)
		interrupt(v, v->config_vector, ISR_CONFIG);
}

struct vcpu *virtio_pci_queue_vcpu(struct virtio_pci *v, unsigned queue)
{
	uint16_t vector = atomic_load_explicit(&v->queue_vector[queue], memory_order_relaxed);
	struct vcpu *vcpu = NULL;

	if (vector != MSIX_NO_VECTOR)
		vcpu = msix_target(&v->msix, vector);
	return vcpu ? vcpu : v->vm->vcpus[0];
}

static void registers_access(struct bus_region *region, struct bus_access *access)
{
	struct virtio_pci *v = container_of(region, struct virtio_pci, registers);
	uint64_t at = access->offset;

	if (at + access->bytes <= COMMON_AT + VIRTIO_COMMON_BYTES) {
		virtio_common_access(v, access);
	} else if (at == ISR_AT && !access->write) { /* reading acknowledges */
		access->value = atomic_exchange(&v->isr, 0);
	} else if (at >= DEVICE_AT && at < DEVICE_AT + DEVICE_BYTES && v->ops->config_read &&
		   !access->write) {
		access->value = v->ops->config_read(v, (unsigned)(at - DEVICE_AT), access->bytes);
	} else if (!access->write) {
		access->value = 0;
	}
}

/* The hottest access there is: no lock. A queue that is not running ignores its kick. */
static void notify_access(struct bus_region *region, struct bus_access *access)
{
	struct virtio_pci *v = container_of(region, struct virtio_pci, notify);
	unsigned queue = (unsigned)(access->offset / VIRTIO_NOTIFY_BYTES);

	if (!access->write)
		access->value = 0;
	else if (access->offset % VIRTIO_NOTIFY_BYTES == 0 && queue < v->queue_count &&
		 atomic_load_explicit(&v->status, memory_order_relaxed) & VIRTIO_DRIVER_OK)
		v->ops->notify(v, queue);
}

/*
 * The window of VIRTIO_PCI_CAP_PCI_CFG (4.1.4.9): an access to BAR memory that goes through
 * configuration space. The guest chooses BAR, offset and length; anything but a naturally aligned
 * access within a BAR of ours does nothing.
 */
static void window_access(struct virtio_pci *v, struct vcpu *vcpu, unsigned at, unsigned bytes,
			  bool write)
{
	unsigned data = v->pci_window + CAP_EXTRA_AT;
	uint32_t bar = pci_get(&v->pci, v->pci_window + CAP_BAR_AT, 1);
	uint32_t length = pci_get(&v->pci, v->pci_window + CAP_BYTES_AT, 4);
	struct bus_access access = {
		.vcpu = vcpu,
		.offset = pci_get(&v->pci, v->pci_window + CAP_OFFSET_AT, 4),
		.bytes = length,
		.write = write,
		.value = write ? pci_get(&v->pci, data, 4) : 0,
	};
	struct bus_region *region;

	if (at >= data + 4 || at + bytes <= data || bar >= PCI_BARS ||
	    (length != 1 && length != 2 && length != 4))
		return;
	region = v->pci.bar[bar].region;
	if (!region || access.offset % length || access.offset + length > region->bytes)
		return;
	bus_region_access(region, &access);
	if (!write)
		pci_put(&v->pci, data, length, (uint32_t)access.value);
}

static void before_read(struct pci_function *f, struct vcpu *vcpu, unsigned at, unsigned bytes)
{
	window_access(container_of(f, struct virtio_pci, pci), vcpu, at, bytes, false);
}

/* A driver that never sets the bit has its queues served all the same. */
static void command_written(struct virtio_pci *v)
{
	bool master = pci_get(&v->pci, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;

	if (v->master && !master)
		virtio_common_halt(v);
	v->master = master;
}

static void after_write(struct pci_function *f, struct vcpu *vcpu, unsigned at, unsigned bytes)
{
	struct virtio_pci *v = container_of(f, struct virtio_pci, pci);

	window_access(v, vcpu, at, bytes, true);
	if (at <= PCI_COMMAND && at + bytes > PCI_COMMAND)
		command_written(v);
	if (at < v->msix.capability + 4 && at + bytes > v->msix.capability)
		msix_config_written(&v->msix, f);
}

static const struct pci_function_ops pci_ops = {
	.before_read = before_read,
	.after_write = after_write,
};

static void add_capabilities(struct virtio_pci *v)
{
	unsigned at;

	add_capability(v, CAP_COMMON, REGISTERS_BAR, COMMON_AT, VIRTIO_COMMON_BYTES);
	at = add_capability(v, CAP_NOTIFY, NOTIFY_BAR, 0, NOTIFY_REGION);
	pci_put(&v->pci, at + CAP_EXTRA_AT, 4, VIRTIO_NOTIFY_BYTES);
	add_capability(v, CAP_ISR, REGISTERS_BAR, ISR_AT, 1);
	add_capability(v, CAP_DEVICE, REGISTERS_BAR, DEVICE_AT, DEVICE_BYTES);
	at = add_capability(v, CAP_PCI, 0, 0, 0);
	pci_put_writable(&v->pci, at + CAP_BAR_AT, 1, 0xff);
	pci_put_writable(&v->pci, at + CAP_OFFSET_AT, 4, ~0u);
	pci_put_writable(&v->pci, at + CAP_BYTES_AT, 4, ~0u);
	pci_put_writable(&v->pci, at + CAP_EXTRA_AT, 4, ~0u);
	v->pci_window = at;
}

void virtio_pci_init(struct virtio_pci *v, const struct virtio_pci_setup *setup)
{
	struct pci_identity id = {
		.vendor = VIRTIO_VENDOR,
		.device = VIRTIO_DEVICE_BASE + setup->type,
		.subsystem_vendor = VIRTIO_VENDOR,
		.subsystem = setup->subsystem ? setup->subsystem
					      : (uint16_t)(VIRTIO_DEVICE_BASE + setup->type),
		.class_code = setup->class_code,
		.revision = 1,
	};

	v->vm = setup->vm;
	v->ops = setup->ops;
	v->queue_count = setup->queue_count;
	v->queue_size = setup->queue_size;
	v->offered = setup->features;
	v->registers = (struct bus_region){ .bytes = REGISTERS_BYTES,
					    .widest = 4,
					    .access = registers_access };
	v->notify =
		(struct bus_region){ .bytes = NOTIFY_REGION, .widest = 4, .access = notify_access };
	pci_function_init(&v->pci, &id, &pci_ops);
	pci_add_bar(&v->pci, REGISTERS_BAR, PCI_BAR_MEMORY, &v->registers);
	pci_add_bar(&v->pci, NOTIFY_BAR, PCI_BAR_IO, &v->notify);
	add_capabilities(v);
	msix_init(&v->msix, v->vm, &v->pci, MSIX_BAR, v->queue_count + 1);
	virtio_common_init(v);
}
