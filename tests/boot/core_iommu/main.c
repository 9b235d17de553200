/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a device behind QEMU's VT-d kept to what is mapped for it, with the rights it was mapped with,
 * for as long as it is mapped; and to the interrupts that it was given? A core_main() that brings
 * the machine up as hv/core/main.c does, plays QEMU's device edu by hand (edu.h), with interrupts
 * off, and logs one line a fact.
 */
#include "hv/core/main.h"

#include "hv/core/acpi.h"
#include "hv/core/log.h"
#include "hv/core/paging.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/report.h"
#include "hv/core/smp.h"
#include "hv/core/timer.h"
#include "hv/core/trap.h"
#include "hv/cpu/lapic.h"
#include "hv/dev/iommu.h"
#include "tests/boot/core_iommu/edu.h"

const struct hvm_ops *hvm = &svm_ops; /* no VM is made */
const struct apic_ops *apic_ops;
const struct platform_ops *platform;

#define WORDS  64u
#define IOVA   0x40000000ull /* 1 GiB */
#define FLASH  0xffc00000ull /* of q35 */
#define OTHERS ((struct pci_address){ 0, 0x1f << 3 })
#define RW     (IOMMU_READ | IOMMU_WRITE)

static struct pci_address edu;
static uint64_t *page, *other; /* in the core's own memory: what a device is after */
static uint64_t seed;	       /* of what is in `page` */
static unsigned passed, failed;

static void check(bool good, const char *fact)
{
	log_printf("%s iommu: %s", good ? "PASS" : "FAIL", fact);
	passed += good;
	failed += !good;
}

/* --- memory --- */

static void fill(uint64_t *p, uint64_t first)
{
	for (unsigned i = 0; i < WORDS; i++)
		p[i] = first * 0x9e3779b97f4a7c15 + i;
}

static bool holds(const volatile uint64_t *p, uint64_t first)
{
	for (unsigned i = 0; i < WORDS; i++)
		if (p[i] != first * 0x9e3779b97f4a7c15 + i)
			return false;
	return true;
}

static uint64_t faults(void)
{
	iommu->poll_faults();
	return iommu->faults(edu);
}

/* Whether the device gets from one page to the other: it reads `from` and writes that to `to`. */
static bool copies(uint64_t from, uint64_t to)
{
	seed++;
	fill(page, seed);
	fill(other, 0);
	edu_read(from, WORDS);
	edu_write(to, WORDS);
	return holds(other, seed);
}

static bool blocked(uint64_t from, uint64_t to)
{
	uint64_t before = faults();

	return !copies(from, to) && holds(other, 0) && holds(page, seed) && faults() > before;
}

static hpa_t hpa(const uint64_t *p)
{
	return ptr_to_hpa(p);
}

static void map(struct iommu_domain *d, uint64_t iova, hpa_t at, uint64_t bytes, unsigned rights)
{
	if (iommu->map(d, (iova_t){ iova }, at, bytes, rights) < 0)
		panic("cannot map");
}

static struct iommu_domain *domain(void)
{
	struct iommu_domain *d = iommu->domain_create();

	if (!d)
		panic("no domain");
	return d;
}

static void attach(struct iommu_domain *d)
{
	if (iommu->attach(d, edu) < 0)
		panic("cannot attach");
}

static void test_unassigned(void)
{
	check(blocked(hpa(page).v, hpa(other).v), "a device that is not assigned gets at nothing");
}

static void test_mapped(struct iommu_domain *d)
{
	uint64_t before;

	attach(d);
	check(blocked(IOVA, IOVA + PAGE_SIZE), "nor does one with nothing mapped");
	map(d, IOVA, hpa(page), PAGE_SIZE, RW);
	map(d, IOVA + PAGE_SIZE, hpa(other), PAGE_SIZE, RW);
	check(copies(IOVA, IOVA + PAGE_SIZE), "it reads and writes what is mapped");
	before = faults();
	check(!copies(hpa(page).v, IOVA + PAGE_SIZE) && faults() > before,
	      "not what has that address in the machine");
}

static void remap(struct iommu_domain *d, uint64_t iova, hpa_t at, unsigned rights)
{
	map(d, iova, at, PAGE_SIZE, rights);
	iommu->flush(d);
}

/* QEMU tells no fault of an access that a cached translation forbids: nothing is cached at the
 * start. */
static void test_rights(struct iommu_domain *d)
{
	uint64_t before = faults();

	remap(d, IOVA, hpa(page), IOMMU_READ);
	remap(d, IOVA + PAGE_SIZE, hpa(other), IOMMU_WRITE);
	fill(page, ++seed);
	edu_write(IOVA, WORDS);
	check(holds(page, seed) && faults() > before, "it cannot write what it may read");
	before = faults();
	edu_read(IOVA + PAGE_SIZE, WORDS);
	check(faults() > before, "nor read what it may write");
	check(copies(IOVA, IOVA + PAGE_SIZE), "the one right each that a copy takes is enough");
}

/* An unmapping is complete with its flush, not before. */
static void test_unmap(struct iommu_domain *d)
{
	(void)copies(IOVA, IOVA + PAGE_SIZE); /* cached now */
	iommu->unmap(d, (iova_t){ IOVA + PAGE_SIZE }, PAGE_SIZE);
	check(copies(IOVA, IOVA + PAGE_SIZE), "what was unmapped is still cached: a flush is due");
	iommu->flush(d);
	check(blocked(IOVA, IOVA + PAGE_SIZE), "after the flush it is out of reach");
	remap(d, IOVA + PAGE_SIZE, hpa(other), RW);
	check(copies(IOVA, IOVA + PAGE_SIZE), "mapped again it is back");
}

static void test_large(struct iommu_domain *d)
{
	hpa_t block = pmm_alloc(2 * LARGE_PAGE, LARGE_PAGE);
	uint64_t *was_page = page, *was_other = other;

	if (block.v == HPA_NONE.v)
		panic("no memory");
	page = hpa_to_ptr((hpa_t){ block.v + 0x1000 });
	other = hpa_to_ptr((hpa_t){ block.v + LARGE_PAGE + 0x5000 });
	map(d, 2 * IOVA, block, 2ull * LARGE_PAGE, RW);
	check(copies(2 * IOVA + 0x1000, 2 * IOVA + LARGE_PAGE + 0x5000), "large pages lead right");
	iommu->unmap(d, (iova_t){ 2 * IOVA + LARGE_PAGE + 0x5000 }, PAGE_SIZE);
	iommu->flush(d);
	check(blocked(2 * IOVA + 0x1000, 2 * IOVA + LARGE_PAGE + 0x5000),
	      "a page cut out of a large one is out of reach");
	other = hpa_to_ptr((hpa_t){ block.v + LARGE_PAGE + 0x6000 });
	check(copies(2 * IOVA + 0x1000, 2 * IOVA + LARGE_PAGE + 0x6000), "its neighbour is not");
	iommu->unmap(d, (iova_t){ 2 * IOVA }, 2ull * LARGE_PAGE);
	iommu->flush(d);
	pmm_free(block, 2ull * LARGE_PAGE);
	page = was_page;
	other = was_other;
}

/* From one domain to another, which has other pages at the same addresses. */
static void test_moved(struct iommu_domain *first)
{
	struct iommu_domain *second = domain();
	uint64_t *foreign = page, foreigns;

	(void)copies(IOVA, IOVA + PAGE_SIZE);
	iommu->detach(edu);
	check(blocked(IOVA, IOVA + PAGE_SIZE), "a device that was detached gets at nothing");
	foreigns = seed;
	page = page_alloc(PAGE_SIZE);
	if (!page)
		panic("no memory");
	map(second, IOVA, hpa(page), PAGE_SIZE, RW);
	map(second, IOVA + PAGE_SIZE, hpa(other), PAGE_SIZE, RW);
	attach(second);
	check(copies(IOVA, IOVA + PAGE_SIZE) && holds(foreign, foreigns),
	      "in another domain it has that one's pages, none of the first's");
	iommu->detach(edu);
	iommu->domain_destroy(second);
	page_free(page, PAGE_SIZE);
	page = foreign;
	iommu->domain_destroy(first);
}

/* --- interrupts: they stay in the IRR, since this CPU has its own off --- */

enum { FIRST_VECTOR = 0x51, IOAPIC_ID = 0, IOAPIC_PIN = 20 };
#define IOAPIC_BASE  0xfec00000ull
#define IOAPIC_ENTRY (0x10u + 2u * IOAPIC_PIN)

static bool requested(uint8_t vector)
{
	const volatile uint32_t *irr = map_device(acpi.lapic_base + 0x200, 0x100);

	delay_us(1000);
	return irr[vector / 32 * 4] >> vector % 32 & 1;
}

static bool arrives(uint64_t address, uint32_t data, uint8_t vector)
{
	edu_use_msi(address, data);
	edu_interrupt();
	edu_calm();
	return requested(vector);
}

static int alloc(struct pci_address device, uint8_t vector, struct msi_message *message)
{
	int handle = iommu->irq_alloc(device, vector, this_cpu()->apic_id, message);

	if (handle < 0)
		panic("no interrupt");
	return handle;
}

static void test_messages(void)
{
	struct msi_message own, foreign, freed;
	int handles[3];

	handles[0] = alloc(edu, FIRST_VECTOR, &own);
	handles[1] = alloc(OTHERS, FIRST_VECTOR + 1, &foreign);
	check(arrives(own.address, own.data, FIRST_VECTOR),
	      "an interrupt that it was given arrives");
	check(!arrives(foreign.address, foreign.data, FIRST_VECTOR + 1),
	      "by another device's handle it sends nothing");
	check(!arrives(own.address + (1 << 7), own.data, FIRST_VECTOR + 2),
	      "nor by one that nobody has");
	handles[2] = alloc(edu, FIRST_VECTOR + 3, &freed);
	iommu->irq_free(handles[2]);
	check(!arrives(freed.address, freed.data, FIRST_VECTOR + 3), "nor by one that was freed");
	iommu->irq_free(handles[1]);
	iommu->irq_free(handles[0]);
}

static void ioapic_write(unsigned index, uint32_t value)
{
	volatile uint32_t *ioapic = map_device(IOAPIC_BASE, PAGE_SIZE);

	ioapic[0] = index;
	ioapic[4] = value;
}

static void test_pin(void)
{
	uint8_t vector = FIRST_VECTOR + 4;
	uint64_t entry;
	int handle = iommu->irq_alloc_pin(IOAPIC_ID, vector, this_cpu()->apic_id, true, &entry);

	if (handle < 0)
		panic("no pin");
	ioapic_write(IOAPIC_ENTRY + 1, (uint32_t)(entry >> 32));
	ioapic_write(IOAPIC_ENTRY, (uint32_t)entry);
	edu_use_pin();
	edu_interrupt();
	check(!requested(vector), "the entry for a pin comes masked");
	ioapic_write(IOAPIC_ENTRY, (uint32_t)(entry & ~BIT(16)));
	check(requested(vector), "unmasked, the pin's interrupt arrives");
	edu_calm();
	ioapic_write(IOAPIC_ENTRY, (uint32_t)BIT(16));
	iommu->irq_free(handle);
}

/* --- start --- */

/* What firmware may keep for a device's DMA (RMRR). */
static void test_foreign(const struct handover *h)
{
	check(!is_foreign(hpa(page).v, PAGE_SIZE) && !is_foreign(h->core_addr, PAGE_SIZE) &&
		      !is_foreign(h->core_addr - 0x10000000, ~0ull) &&
		      !is_foreign(h->trampoline, PAGE_SIZE) && is_foreign(FLASH, PAGE_SIZE),
	      "firmware's memory is told from ours");
}

static void run_tests(const struct handover *h)
{
	struct iommu_domain *d = domain();
	uint64_t free_before;

	page = page_alloc(PAGE_SIZE);
	other = page_alloc(PAGE_SIZE);
	if (!page || !other)
		panic("no memory");
	test_foreign(h);
	test_unassigned();
	attach(d); /* the table of its bus stays */
	iommu->detach(edu);
	free_before = pmm_free_bytes();
	test_mapped(d);
	test_rights(d);
	test_unmap(d);
	test_large(d);
	iommu->unmap(d, (iova_t){ 0 }, 4 * IOVA);
	iommu->flush(d);
	remap(d, IOVA, hpa(page), RW);
	remap(d, IOVA + PAGE_SIZE, hpa(other), RW);
	test_moved(d);
	test_messages();
	test_pin();
	log_printf("iommu: %u passed, %u failed", passed, failed);
	free_before += PAGE_SIZE * 2; /* the first domain and its root table, gone since */
	log_printf("all VMs have ended, %lu MiB free, %ld KiB not returned", pmm_free_bytes() >> 20,
		   (long)(free_before - pmm_free_bytes()) / 1024);
}

_Noreturn void core_main(const struct handover *h)
{
	trap_init(h);
	pmm_init(h);
	paging_init(h);
	smp_init_boot_cpu();
	trap_init_cpu();
	if (acpi_init(h->rsdp) < 0)
		panic("no ACPI tables");
	if (!lapic_probe(map_device(acpi.lapic_base, PAGE_SIZE)))
		panic("no local APIC");
	lapic_init_cpu();
	timer_calibrate();
	timer_init_cpu();
	if (iommu_start() < 0 || !iommu)
		panic("no IOMMU");
	if (!edu_find(&edu))
		panic("no device edu");
	report_boot("svm", 1, tsc_khz());
	run_tests(h);
	report_end();
	cpu_halt();
}
