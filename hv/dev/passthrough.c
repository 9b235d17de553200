/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a VM's passed-through functions. They are bus masters while the VM runs and wants it, and
 * at no other time: not while it is paused, and not from its end on until the next owner's driver has
 * switched that on. Behind an IOMMU they reach the VM's RAM, at guest-physical addresses, but not the
 * hole below 1 MiB, which is no RAM to devices.
 */
#include "hv/dev/passthrough.h"

#include <string.h>

#include "hv/core/log.h"
#include "hv/core/pmm.h"
#include "hv/core/lifecycle.h"
#include "hv/core/timer.h"
#include "hv/dev/iommu.h"
#include "hv/dev/passthrough_impl.h"
#include "hv/dev/pci_reset.h"
#include "hv/dev/pci_virtio.h"

#define STEADY_US	 30000000
#define VIRTIO_DRIVER_OK 4u
#define SUBSYSTEM_QEMU	 0x1af4u /* vendor: makers of hardware have their own */

static struct host_function *function_of(const struct config_passthrough *node)
{
	for (unsigned i = 0; i < host_function_count; i++)
		if (host_functions[i].node == node)
			return &host_functions[i];
	return NULL;
}

static int map_ram(struct iommu_domain *domain, const struct vm *vm)
{
	for (unsigned i = 0; i < vm->mem.count; i++) {
		const struct gmem_extent *e = &vm->mem.extent[i];
		int err = iommu->map(domain, (iova_t){ e->gpa }, ptr_to_hpa(e->ptr), e->bytes,
				     IOMMU_READ | IOMMU_WRITE);

		if (err < 0)
			return err;
	}
	iommu->flush(domain);
	return 0;
}

/* passthrough_check() has seen to it that they are alike. */
static bool past_iommu(const struct vm *vm)
{
	return !iommu || function_of(&vm->config->passthroughs[0])->past_iommu;
}

/* passthrough_check() has seen to allow-unsafe-dma. */
static int confine(struct passthroughs *all, struct vm *vm)
{
	if (!past_iommu(vm)) {
		all->domain = iommu->domain_create();
		return all->domain ? map_ram(all->domain, vm) : LH_NOMEM;
	}
	if (vm->mem.count > 2)
		return fail(
			LH_UNSUPP,
			"vm %s: without an IOMMU for its devices its memory must be one extent: "
			"lower memory-mib to 3072",
			vm->config->name);
	vm->unsafe_dma = true;
	log_printf("vm %s: WARNING: %s: its devices can read and write all memory "
		   "(allow-unsafe-dma)",
		   vm->config->name, iommu ? "they go past the IOMMU" : "no IOMMU");
	return 0;
}

/* Bridges on the way up pass its DMA on. */
static void open_bridges(const struct host_function *f)
{
	for (const struct host_function *b = f->above; b; b = b->above)
		host_pci_write(b->address, PCI_COMMAND, 2,
			       host_pci_read(b->address, PCI_COMMAND, 2) | PCI_COMMAND_MASTER |
				       PCI_COMMAND_MEMORY | PCI_COMMAND_IO);
}

static void tell(const struct passthrough *p)
{
	char what[96];

	host_function_describe(p->host, what, sizeof(what));
	log_printf("vm %s: has %s as 00:%02x.0, %s, DMA %s%s", p->vm->config->name, what,
		   p->pci.number, reset_name(p->host->reset),
		   p->attached ? "confined by " : "not confined", p->attached ? iommu->name : "");
}

static int make(struct passthroughs *all, struct passthrough *p, struct pcie *pcie)
{
	int err = 0;

	open_bridges(p->host);
	if (all->domain) {
		err = iommu->attach(all->domain, p->host->address);
		p->attached = !err;
	}
	if (err)
		return err;
	pass_irq_init(p);
	pass_config_init(p);
	pass_bars_init(p);
	err = pcie_attach(pcie, &p->pci);
	if (!err)
		err = pass_pin_init(p);
	if (err)
		return err;
	spin_lock(&p->lock);
	p->command = (uint16_t)pci_get(&p->pci, PCI_COMMAND, 2);
	pass_command_update(p);
	spin_unlock(&p->lock);
	tell(p);
	return 0;
}

static int add(struct passthroughs *all, struct vm *vm, struct pcie *pcie, struct ioapic *ioapic,
	       struct host_function *host)
{
	struct passthrough *p = page_alloc(sizeof(*p));

	if (!p)
		return fail(LH_NOMEM, "vm %s: no memory for a device", vm->config->name);
	all->item[all->count++] = p;
	p->vm = vm;
	p->ioapic = ioapic;
	p->host = host;
	return make(all, p, pcie);
}

int passthrough_create(struct passthroughs *all, struct vm *vm)
{
	return vm->config->passthrough_count ? confine(all, vm) : 0;
}

/* All are asked each time: they are reset at the same time. */
static int all_back(const struct vm *vm, uint64_t *again_tsc)
{
	bool waits = false;

	*again_tsc = 0;
	for (unsigned i = 0; i < vm->config->passthrough_count; i++) {
		struct host_function *host = function_of(&vm->config->passthroughs[i]);
		int err;

		assert(host);
		err = reset_end(host);
		if (err && err != LH_AGAIN)
			return err;
		waits |= err == LH_AGAIN;
		if (err == LH_AGAIN && host->ready_tsc > *again_tsc)
			*again_tsc = host->ready_tsc;
	}
	return waits ? LH_AGAIN : 0;
}

int passthrough_join(struct passthroughs *all, struct vm *vm, struct pcie *pcie,
		     struct ioapic *ioapic, uint64_t *again_tsc)
{
	int err = all_back(vm, again_tsc);

	for (unsigned i = 0; !err && i < vm->config->passthrough_count; i++)
		err = add(all, vm, pcie, ioapic, function_of(&vm->config->passthroughs[i]));
	return err;
}

/* A VM that waited for its start did not live meanwhile. */
static bool lived_long(const struct vm *vm)
{
	return vm->start_tsc && vm->end_tsc > vm->start_tsc &&
	       vm->end_tsc - vm->start_tsc >= tsc_from_us(STEADY_US);
}

/*
 * A function that is stuck is found by its driver, which gives up: that life is a short one. So a short life
 * that the light reset has begun is followed by the thorough one; in all other cases the light one, by which
 * the world is back sooner, is tried first. The user's stop is a way out: always the thorough one.
 */
static bool light_reset_first(const struct vm *vm, const struct host_function *f)
{
	if (!vm->end || !strcmp(vm->end, END_STOPPED))
		return false;
	return !strcmp(vm->end, END_RESTARTED) || !f->lightly || lived_long(vm);
}

/* Its interrupts end while it answers and sends nothing more: once a reset has begun it is not accessed. */
static void take_down(struct passthrough *p)
{
	pass_write(p, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_INTX_OFF);
	(void)pass_read(p, PCI_COMMAND, 2); /* there when this is */
	pass_irq_finish(p);
	pass_pin_finish(p);
	reset_begin(p->host, light_reset_first(p->vm, p->host));
	if (p->attached)
		iommu->detach(p->host->address);
	page_free(p, sizeof(*p));
}

void passthrough_silence(struct passthroughs *all)
{
	for (unsigned i = 0; i < all->count; i++)
		take_down(all->item[i]);
	all->count = 0;
}

void passthrough_destroy(struct passthroughs *all)
{
	passthrough_silence(all);
	if (all->domain)
		iommu->domain_destroy(all->domain);
	*all = (struct passthroughs){ 0 };
}

/*
 * QEMU's virtio devices lose DRIVER_OK with bus mastering and do not get it back, so that they would stand still
 * for good. Written back, they go on where they were: nothing else is lost. Not if the device has come to another
 * state meanwhile by itself. It is taken from them before, too, against the rules (virtio 1.2, 2.1.1): a kick that
 * QEMU had not handled yet would be handled without bus mastering, where the ring's index reads as zero, and what
 * the ring held before be sent again (docs/testbed.md).
 */
static void keep_status(struct passthrough *p, bool paused)
{
	volatile uint8_t *status = virtio_status(p->host);

	if (status && paused) {
		p->status = *status;
		if (p->host->subsystem_vendor == SUBSYSTEM_QEMU && p->status & VIRTIO_DRIVER_OK)
			*status = p->status & ~VIRTIO_DRIVER_OK;
	} else if (status && p->status & VIRTIO_DRIVER_OK && p->command & PCI_COMMAND_MASTER &&
		   *status == (p->status & ~VIRTIO_DRIVER_OK)) {
		*status = p->status;
	}
}

/* One that is ending is not resumed: its last vCPU may have left. */
void passthrough_pause(struct passthroughs *all, bool paused)
{
	for (unsigned i = 0; i < all->count; i++) {
		struct passthrough *p = all->item[i];
		bool was;

		spin_lock(&p->lock);
		was = p->paused;
		p->paused = paused || atomic_load(&p->vm->state) != VM_RUNNING;
		if (p->paused && !was)
			keep_status(p, true);
		pass_command_update(p);
		if (was && !p->paused)
			keep_status(p, false);
		spin_unlock(&p->lock);
	}
}
