/* SPDX-License-Identifier: BSD-2-Clause */
/* See fake_host.h. */
#include "tests/unit/dev/fake_host.h"

#include <stdlib.h>
#include <string.h>

#include "hv/core/acpi.h"
#include "hv/core/elf.h"
#include "hv/core/host_ioapic.h"
#include "hv/core/images.h"
#include "hv/core/paging.h"
#include "hv/core/screen.h"
#include "hv/core/vm.h"

struct acpi_info acpi;
char fake_order[4096];
struct host_irq *fake_irq[256];
unsigned fake_irq_left;
uint64_t fake_redirection[FAKE_GSIS];
bool fake_pin_masked[FAKE_GSIS];
uint8_t fake_device[FAKE_DEVICE_BYTES];
int fake_attach_error;
uint64_t fake_iommu_mapped, fake_faults;
unsigned fake_remaps;
int fake_cut_off;
bool fake_ioapic_unnamed, fake_kernel_is_linux;
uint64_t fake_ram_at;

static bool taken[FAKE_GSIS];
static struct {
	uint64_t gpa, hpa;
} nested[FAKE_PAGES];

void fake_host_reset(void)
{
	memset(fake_order, 0, sizeof(fake_order));
	memset(fake_irq, 0, sizeof(fake_irq));
	memset(fake_redirection, 0, sizeof(fake_redirection));
	memset(fake_pin_masked, 1, sizeof(fake_pin_masked));
	memset(fake_device, 0, sizeof(fake_device));
	memset(taken, 0, sizeof(taken));
	memset(nested, 0, sizeof(nested));
	fake_irq_left = 100;
	fake_attach_error = 0;
	fake_iommu_mapped = fake_remaps = 0;
	fake_ram_at = 0;
	fake_cut_off = -1;
	fake_ioapic_unnamed = fake_kernel_is_linux = false;
	memset(&acpi, 0, sizeof(acpi));
	iommu = NULL;
}

void fake_did(const char *what)
{
	if (strlen(fake_order) + strlen(what) + 2 < sizeof(fake_order))
		strcat(strcat(fake_order, what), " ");
}

void host_irq_share(unsigned devices)
{
	(void)devices;
}

int host_irq_alloc(struct host_irq *irq)
{
	if (fake_irq_left-- == 0)
		return LH_NOMEM;
	for (unsigned v = 0x40; v < 0xf0; v++)
		if (!fake_irq[v]) {
			fake_irq[v] = irq;
			irq->vector = (int)v;
			return 0;
		}
	return LH_NOMEM;
}

void host_irq_free(struct host_irq *irq)
{
	if (irq->vector)
		fake_irq[irq->vector] = NULL;
	irq->vector = 0;
}

unsigned host_ioapic_gsi(uint8_t line)
{
	return line;
}

bool host_ioapic_free(unsigned gsi)
{
	return gsi < FAKE_GSIS && !taken[gsi];
}

int host_ioapic_take(unsigned gsi, const char *owner, uint8_t *id)
{
	(void)owner;
	*id = 3;
	if (!host_ioapic_free(gsi))
		return LH_BUSY;
	taken[gsi] = true;
	return 0;
}

void host_ioapic_give_back(unsigned gsi)
{
	taken[gsi] = false;
	fake_pin_masked[gsi] = true;
}

void host_ioapic_write(unsigned gsi, uint64_t redirection)
{
	fake_redirection[gsi] = redirection;
	fake_pin_masked[gsi] = true;
}

uint64_t host_ioapic_plain(uint8_t vector, uint32_t apic_id, bool level)
{
	assert(level);
	return (uint64_t)apic_id << 56 | vector;
}

void host_ioapic_mask(unsigned gsi, bool masked)
{
	fake_pin_masked[gsi] = masked;
}

const struct handover_image *image_find(const char *name, bool staged)
{
	static struct handover_image kernel;

	(void)name;
	return staged ? NULL : &kernel;
}

bool elf64_adds_dma_offset(const void *data, size_t bytes)
{
	(void)data;
	(void)bytes;
	return !fake_kernel_is_linux;
}

uint64_t fake_released;

void screen_release(uint64_t hpa, uint64_t bytes)
{
	(void)hpa;
	fake_released += bytes;
}

void *map_device(uint64_t hpa, size_t bytes)
{
	if (hpa < FAKE_DEVICE_BASE || hpa - FAKE_DEVICE_BASE + bytes > FAKE_DEVICE_BYTES)
		return NULL;
	return fake_device + (hpa - FAKE_DEVICE_BASE);
}

bool is_foreign(uint64_t hpa, uint64_t bytes)
{
	return !fake_ram_at || fake_ram_at < hpa || fake_ram_at >= hpa + bytes;
}

uint64_t fake_nested(uint64_t gpa)
{
	for (unsigned i = 0; i < FAKE_PAGES; i++)
		if (nested[i].hpa && nested[i].gpa == gpa)
			return nested[i].hpa;
	return 0;
}

int vm_map_device(struct vm *vm, gpa_t gpa, hpa_t hpa, uint64_t bytes)
{
	(void)vm;
	for (uint64_t at = 0; at < bytes; at += 4096) {
		unsigned i = 0;

		while (nested[i].hpa)
			if (++i == FAKE_PAGES)
				return LH_NOMEM;
		nested[i].gpa = gpa.v + at;
		nested[i].hpa = hpa.v + at;
	}
	return 0;
}

void vm_unmap_device(struct vm *vm, gpa_t gpa, uint64_t bytes)
{
	(void)vm;
	for (unsigned i = 0; i < FAKE_PAGES; i++)
		if (nested[i].gpa - gpa.v < bytes)
			nested[i].hpa = 0;
}

struct iommu_domain {
	unsigned devices;
};

static struct iommu_domain domain;

static struct iommu_domain *domain_create(void)
{
	fake_did("domain-create");
	return &domain;
}

static void domain_destroy(struct iommu_domain *d)
{
	if (d->devices)
		abort();
	fake_did("domain-destroy");
	fake_iommu_mapped = 0;
}

static int map(struct iommu_domain *d, iova_t iova, hpa_t hpa, uint64_t bytes, unsigned rights)
{
	(void)d;
	(void)iova;
	(void)hpa;
	if (rights == IOMMU_READ) { /* hv/dev/reuse.c */
		fake_did("share");
		return 0;
	}
	if (rights != (IOMMU_READ | IOMMU_WRITE))
		abort();
	fake_iommu_mapped += bytes;
	return 0;
}

static void flush(struct iommu_domain *d)
{
	(void)d;
}

static int attach(struct iommu_domain *d, struct pci_address device)
{
	(void)device;
	if (fake_attach_error)
		return fake_attach_error;
	d->devices++;
	fake_did("attach");
	return 0;
}

static void detach(struct pci_address device)
{
	(void)device;
	domain.devices--;
	fake_did("detach");
}

static int irq_alloc(struct pci_address device, uint8_t vector, uint32_t apic_id,
		     struct msi_message *message)
{
	(void)device;
	(void)apic_id;
	*message = (struct msi_message){ 0xfee00010 | (uint64_t)vector << 5, 0 };
	fake_remaps++;
	return vector;
}

static int irq_alloc_pin(uint8_t ioapic_id, uint8_t vector, uint32_t apic_id, bool level,
			 uint64_t *redirection)
{
	(void)ioapic_id;
	(void)apic_id;
	*redirection = 1ull << 48 | (uint64_t)level << 15 | vector;
	fake_remaps++;
	return vector;
}

static bool has_ioapic(uint8_t id)
{
	return id == 3 && !fake_ioapic_unnamed;
}

static void irq_free(int handle)
{
	(void)handle;
	fake_remaps--;
}

static void irq_cut_off(int handle, bool on)
{
	fake_cut_off = on ? handle : -1;
}

static bool owns(uint64_t hpa, uint64_t bytes)
{
	return FAKE_IOMMU - hpa < bytes;
}

static uint64_t faults(struct pci_address device)
{
	return device.devfn == 4 << 3 ? fake_faults : 0;
}

const struct iommu_ops fake_iommu_ops = {
	.name = "fake",
	.domain_create = domain_create,
	.domain_destroy = domain_destroy,
	.map = map,
	.flush = flush,
	.attach = attach,
	.detach = detach,
	.irq_alloc = irq_alloc,
	.irq_alloc_pin = irq_alloc_pin,
	.has_ioapic = has_ioapic,
	.irq_free = irq_free,
	.irq_cut_off = irq_cut_off,
	.owns = owns,
	.faults = faults,
};
