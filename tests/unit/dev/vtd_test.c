/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VT-d from firmware's hands to a VM's device and back, on units that are strict about the order of
 * things: does the start block everything, whatever firmware left; is nothing left cached that was
 * taken away; does each failure of a unit or of memory end as it should?
 */
#include "tests/unit/dev/vtd_sim.h"

#include <cmocka.h> /* last: it has a macro fail() */

#define GIB	(1ull << 30)
#define ON	(GCMD_TE | GCMD_IRE)
#define NIC	((struct pci_address){ 3, 0x08 }) /* 03:01.0 */
#define FIRST	((struct pci_address){ 0, 0x10 }) /* 00:02.0 */
#define RW	(IOMMU_READ | IOMMU_WRITE)
#define CONTEXT 0x31u /* device-selective */
#define IOTLB	0x22u /* domain-selective */

static int setup(void **state)
{
	(void)state;
	sim_reset();
	return 0;
}

static void assert_blocked(unsigned unit)
{
	assert_int_equal(sim[unit].gsts & ON, ON);
	assert_int_equal(sim[unit].gsts & (GCMD_CFI | GCMD_EAFL), 0);
	assert_int_equal(sim[unit].pmen, 0);
	assert_int_equal(sim[unit].fectl, FECTL_IM);
	assert_int_equal(sim[unit].irta & 0xfff, 7);
	for (unsigned bus = 0; bus < 256; bus++)
		assert_int_equal(sim_root(unit, (uint8_t)bus).lo & 1, 0);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(sim_irte(unit, i).lo & 1, 0);
}

/* --- start --- */

static void starts(void **state)
{
	(void)state;
	sim_fault(0, 0x10, 1, true, 0); /* before our time */
	assert_int_equal(sim_start(2), 0);
	assert_blocked(0);
	assert_blocked(1);
	assert_log("iommu: vtd, 2 units, 48-bit addresses, interrupt remapping\n");
	vtd_ops.poll_faults();
	assert_null(strstr(sim_log, "blocked"));
	assert_int_equal(sim_errors, 0);
}

static void takes_over_from_firmware(void **state)
{
	(void)state;
	sim[0].cap |= CAP_PMR;
	sim[0].pmen = (uint32_t)(PMEN_EPM | PMEN_PRS);
	sim_firmware(0,
		     (uint32_t)(GCMD_TE | GCMD_SRTP | GCMD_QIE | GCMD_IRE | GCMD_SIRTP | GCMD_CFI |
				GCMD_EAFL),
		     0);
	assert_int_equal(sim_start(1), 0);
	assert_blocked(0);
	assert_int_equal(sim[0].unblocked, 0); /* from its translation to ours with no gap */
}

static void takes_over_another_mode(void **state)
{
	(void)state;
	sim_firmware(0, (uint32_t)(GCMD_TE | GCMD_SRTP | GCMD_QIE), 1 << 10);
	assert_int_equal(sim_start(1), 0);
	assert_blocked(0);
	assert_int_equal(sim[0].unblocked, 1);
}

static void takes_over_a_broken_queue(void **state)
{
	(void)state;
	sim_firmware(0, (uint32_t)GCMD_QIE, 0);
	sim[0].fsts = (uint32_t)FSTS_IQE;
	sim[0].iqt = 0x80;
	assert_int_equal(sim_start(1), 0);
	assert_int_equal(sim[0].fsts, 0);
	sim_reset();
	sim_firmware(0, (uint32_t)GCMD_QIE, 0);
	sim[0].dead = true;
	sim[0].iqt = 0x80;
	assert_int_equal(sim_start(1), LH_TIMEOUT);
	assert_log("its queue is stuck at 0x40");
}

/* What cannot be used is not touched. */
static void lacks(void **state)
{
	static const struct {
		uint64_t cap, ecap;
		const char *says;
	} lacking[] = {
		{ SIM_CAP, SIM_ECAP & ~ECAP_QI, "lacks queued invalidation" },
		{ SIM_CAP, SIM_ECAP & ~ECAP_IR, "lacks interrupt remapping" },
		{ SIM_CAP & ~(CAP_SAGAW_39 | CAP_SAGAW_48), SIM_ECAP, "lacks page tables of " },
		{ ~0ull, ~0ull, "no unit answers" },
		{ SIM_CAP | 0x3ffull << 24 | 0xffull << 40, SIM_ECAP, "" },
	};
	const unsigned count = sizeof(lacking) / sizeof(lacking[0]);

	(void)state;
	for (unsigned i = 0; i < count - 1; i++) {
		sim_reset();
		sim[1].cap = lacking[i].cap;
		sim[1].ecap = lacking[i].ecap;
		assert_true(sim_start(2) < 0);
		assert_log(lacking[i].says);
		assert_int_equal(sim[0].writes + sim[1].writes, 0);
		assert_int_equal(sim_errors, 1);
	}
	sim_reset();
	sim[0].cap &= ~CAP_SAGAW_48;
	sim[1].cap &= ~CAP_SAGAW_39;
	assert_int_equal(sim_start(2), LH_UNSUPP);
	assert_log("no depth of page tables is common");
	assert_int_equal(sim[0].writes + sim[1].writes, 0);
}

/* Each command in turn is not obeyed: told, and the unit that had started is off again. */
static void commands_fail(void **state)
{
	static const uint64_t commands[] = { GCMD_QIE, GCMD_SRTP, GCMD_SIRTP, GCMD_TE, GCMD_IRE };

	(void)state;
	for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		sim_reset();
		sim[1].deaf = (uint32_t)commands[i];
		assert_int_equal(sim_start(2), LH_TIMEOUT);
		assert_log("the unit at 0xfed91000 does not answer command");
		assert_int_equal(sim[0].gsts & ON, 0);
		assert_int_equal(sim[1].gsts & ON, 0);
	}
	sim_reset();
	sim_firmware(0, (uint32_t)GCMD_IRE, 0);
	sim[0].deaf = (uint32_t)GCMD_IRE;
	assert_int_equal(sim_start(1), LH_TIMEOUT);
	assert_log("is in doubt");
	sim_reset();
	sim[0].cap |= CAP_PMR;
	sim[0].pmen = (uint32_t)PMEN_PRS;
	sim[0].keeps_regions = true;
	assert_int_equal(sim_start(1), LH_TIMEOUT);
	assert_log("keeps its protected memory regions");
}

static void memory_fails(void **state)
{
	int n = 0;

	(void)state;
	for (;; n++) {
		sim_reset();
		sim_pages_left = n;
		sim_foreign = true;
		if (sim_start(2) == 0)
			break;
		assert_int_equal(sim[0].writes + sim[1].writes, 0);
		assert_int_equal(sim_errors, 1);
	}
	/* the interrupts' table; root table and queue of each unit; firmware's domain, its four
	 * tables, one of the bus */
	assert_int_equal(n, 1 + 2 * 2 + 1 + 4 + 1);
}

/* --- domains and devices --- */

static struct iommu_domain *domain_with(struct pci_address device)
{
	struct iommu_domain *domain = vtd_ops.domain_create();

	assert_non_null(domain);
	assert_int_equal(vtd_ops.attach(domain, device), 0);
	return domain;
}

static void attach_and_detach(void **state)
{
	struct iommu_domain *domain;
	struct vtd_entry entry;
	unsigned from;
	int pages, tables;

	(void)state;
	assert_int_equal(sim_start(2), 0);
	pages = sim_pages;
	domain = domain_with(NIC);
	entry = sim_context(1, NIC);
	assert_int_equal(entry.lo, ptr_to_hpa(domain->root).v | 1); /* TT 0: untranslated only */
	assert_int_equal(entry.hi, 1u << 8 | 2);		    /* DID 1, AW 2: four levels */
	assert_int_equal(sim_root(1, 3).hi, 0);
	assert_int_equal(sim_root(0, 3).lo & 1, 0);
	assert_int_equal(sim_context(1, (struct pci_address){ 3, 0x09 }).lo, 0);
	assert_int_equal(vtd_ops.attach(domain, NIC), LH_BUSY);

	from = sim[1].seen_count;
	assert_int_equal(vtd_ops.map(domain, (iova_t){ 0 }, (hpa_t){ GIB }, GIB, RW), 0);
	assert_int_equal(sim[1].seen_count, from); /* nothing that was not present is cached */
	vtd_ops.unmap(domain, (iova_t){ 0 }, GIB);
	vtd_ops.flush(domain);
	assert_true(sim_saw(1, from, IOTLB | 1 << 16));
	assert_int_equal(sim[0].seen_count, 3); /* of the start: none of its devices is in it */
	assert_int_equal(vtd_ops.map(domain, (iova_t){ 0 }, (hpa_t){ GIB }, PAGE_SIZE, RW), 0);
	tables = sim_pages;
	vtd_ops.unmap(domain, (iova_t){ 0 }, PAGE_SIZE);
	assert_int_equal(sim_pages, tables); /* may be cached */
	vtd_ops.flush(domain);
	assert_int_equal(sim_pages, tables - 1);

	from = sim[1].seen_count;
	vtd_ops.detach(NIC);
	assert_int_equal(sim_context(1, NIC).lo | sim_context(1, NIC).hi, 0);
	assert_true(sim_saw(1, from, CONTEXT | 1 << 16 | 0x0308ull << 32));
	assert_true(sim_saw(1, from, IOTLB | 1 << 16));
	from = sim[1].seen_count;
	vtd_ops.flush(domain);
	assert_int_equal(sim[1].seen_count, from);
	assert_int_equal(vtd_ops.map(domain, (iova_t){ 0 }, (hpa_t){ GIB }, PAGE_SIZE, RW), 0);
	vtd_ops.unmap(domain, (iova_t){ 0 }, PAGE_SIZE);
	vtd_ops.domain_destroy(domain);
	assert_int_equal(sim_pages, pages + 1); /* the bus's context table stays */
}

static void each_device_with_its_unit(void **state)
{
	struct iommu_domain *domain;
	unsigned first, second;

	(void)state;
	assert_int_equal(sim_start(2), 0);
	domain = domain_with(NIC);
	assert_int_equal(vtd_ops.attach(domain, FIRST), 0);
	assert_int_equal(sim_context(0, FIRST).hi, 1u << 8 | 2);
	first = sim[0].seen_count;
	second = sim[1].seen_count;
	vtd_ops.flush(domain);
	assert_true(sim_saw(0, first, IOTLB | 1 << 16));
	assert_true(sim_saw(1, second, IOTLB | 1 << 16));
	vtd_ops.detach(NIC);
	second = sim[1].seen_count;
	vtd_ops.flush(domain);
	assert_int_equal(sim[1].seen_count, second);
	vtd_ops.detach(FIRST);
	vtd_ops.domain_destroy(domain);
}

static void refused_devices(void **state)
{
	struct iommu_domain *domain;

	(void)state;
	assert_int_equal(sim_start(1), 0);
	domain = vtd_ops.domain_create();
	assert_int_equal(vtd_ops.attach(domain, (struct pci_address){ 0, 0x14 << 3 }), LH_UNSUPP);
	assert_log("pci 00:14.0: firmware keeps memory for it (RMRR)");
	vtd.dmar.unit[0].all = false;
	assert_int_equal(vtd_ops.attach(domain, NIC), LH_NOENT);
	assert_log("pci 03:01.0: no unit of the IOMMU covers it");
	vtd_ops.domain_destroy(domain);
}

static void format_is_what_all_can(void **state)
{
	struct iommu_domain *domain;

	(void)state;
	sim[0].cap = (SIM_CAP & ~(CAP_SAGAW_48 | CAP_SLLPS_1G | 63ull << 16)) | 35ull << 16;
	sim[0].ecap |= ECAP_C | ECAP_SC;
	sim[1].ecap |= ECAP_SC;
	assert_int_equal(sim_start(2), 0);
	assert_log("36-bit addresses");
	assert_int_equal(vtd.format.levels, 3);
	assert_true(vtd.format.large[2] && !vtd.format.large[3]);
	assert_false(vtd.format.coherent || vtd.format.cautious);
	assert_int_equal(vtd.format.leaf_bits, 0x800);
	domain = domain_with(FIRST);
	assert_int_equal(sim_context(0, FIRST).hi, 1u << 8 | 1); /* AW 1 */
	assert_int_equal(vtd_ops.map(domain, (iova_t){ 64 * GIB }, (hpa_t){ 0 }, 4096, RW),
			 LH_INVAL);
	vtd_ops.detach(FIRST);
	vtd_ops.domain_destroy(domain);
}

static void cautious_with_what_was_not_present(void **state)
{
	static const uint64_t why[] = { CAP_CM, CAP_RWBF };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct iommu_domain *domain;
		unsigned from;

		sim_reset();
		sim[0].cap |= why[i];
		assert_int_equal(sim_start(1), 0);
		domain = domain_with(NIC);
		from = sim[0].seen_count;
		assert_int_equal(vtd_ops.map(domain, (iova_t){ 0 }, (hpa_t){ 0 }, 4096, RW), 0);
		assert_true(sim_saw(0, from, IOTLB | 1 << 16));
	}
}

static void written_back_if_not_coherent(void **state)
{
	uint64_t after_start;

	(void)state;
	for (unsigned coherent = 0; coherent < 2; coherent++) {
		sim_reset();
		sim[0].ecap |= coherent ? ECAP_C : 0;
		assert_int_equal(sim_start(1), 0);
		after_start = sim_written_back;
		(void)domain_with(NIC);
		/* the domain's root, the bus's table, root and context entry */
		assert_int_equal(sim_written_back - after_start,
				 coherent ? 0 : 2 * PAGE_SIZE + 2 * 16);
	}
}

static void as_many_domains_as_units_know(void **state)
{
	struct iommu_domain *domain[VTD_MAX_DOMAINS];

	(void)state;
	sim[1].cap &= ~7ull; /* ND 0: 16, of which ID 0 is not for us */
	assert_int_equal(sim_start(2), 0);
	for (unsigned i = 0; i < 15; i++) {
		domain[i] = vtd_ops.domain_create();
		assert_int_equal(domain[i]->id, i + 1);
	}
	assert_null(vtd_ops.domain_create());
	assert_log("no more than 15 domains");
	vtd_ops.domain_destroy(domain[7]);
	domain[7] = vtd_ops.domain_create();
	assert_int_equal(domain[7]->id, 8);
	sim_reset();
	assert_int_equal(sim_start(1), 0);
	for (unsigned i = 0; i < VTD_MAX_DOMAINS; i++)
		assert_non_null(vtd_ops.domain_create());
	assert_null(vtd_ops.domain_create());
}

static void domains_without_memory(void **state)
{
	struct iommu_domain *domain;
	int before;

	(void)state;
	assert_int_equal(sim_start(1), 0);
	before = sim_pages;
	for (int n = 0; n < 2; n++) {
		sim_pages_left = n;
		assert_null(vtd_ops.domain_create());
		assert_int_equal(sim_pages, before);
	}
	sim_pages_left = -1;
	domain = vtd_ops.domain_create();
	sim_pages_left = 0;
	assert_int_equal(vtd_ops.attach(domain, NIC), LH_NOMEM);
	assert_int_equal(sim_root(0, NIC.bus).lo, 0);
	sim_pages_left = 0;
	assert_int_equal(vtd_ops.map(domain, (iova_t){ 0 }, (hpa_t){ 0 }, 4096, RW), LH_NOMEM);
	vtd_ops.domain_destroy(domain);
}

/* --- the invalidation queue --- */

static void queue_wraps(void **state)
{
	struct iommu_domain *domain;

	(void)state;
	sim[0].cap |= 3ull << 54; /* drains */
	assert_int_equal(sim_start(1), 0);
	domain = domain_with(NIC);
	for (unsigned i = 0; i < 3 * 256; i++) {
		unsigned from = sim[0].seen_count, waits = sim[0].waits;

		vtd_ops.flush(domain);
		assert_int_equal(sim[0].waits, waits + 1);
		assert_int_equal(sim[0].seen_count, from + 1);
		assert_true(sim_saw(0, from, 0xc0 | IOTLB | 1 << 16));
		assert_int_equal(sim[0].iqh, sim[0].iqt);
	}
	assert_int_equal(sim_errors, 0);
}

/* A descriptor is refused: the queue is started anew, and everything invalidated instead. */
static void queue_error(void **state)
{
	struct iommu_domain *domain;
	unsigned from;

	(void)state;
	assert_int_equal(sim_start(1), 0);
	domain = domain_with(NIC);
	from = sim[0].seen_count;
	sim[0].bad_in = 0;
	vtd_ops.flush(domain);
	assert_log("refuses descriptor ");
	assert_log("queue started anew, everything invalidated");
	assert_true(sim_saw(0, from, 0x11) && sim_saw(0, from, 0x12) && sim_saw(0, from, 4));
	assert_int_equal(sim[0].fsts, 0);
	from = sim[0].seen_count;
	vtd_ops.flush(domain); /* as if nothing had been */
	assert_int_equal(sim[0].seen_count, from + 1);
	/* a Device-TLB's errors stop it, too */
	sim[0].fsts = (uint32_t)FSTS_ITE;
	vtd_ops.flush(domain);
	assert_int_equal(sim[0].fsts, 0);
	vtd_ops.detach(NIC);
	vtd_ops.domain_destroy(domain);
}

static void queue_that_is_dead(void **state)
{
	struct iommu_domain *domain;
	jmp_buf dead;

	(void)state;
	assert_int_equal(sim_start(1), 0);
	domain = domain_with(NIC);
	sim[0].dead = true;
	sim_panic = &dead;
	if (setjmp(dead) == 0) {
		vtd_ops.flush(domain);
		fail_msg("%s", "returned, with everything still cached");
	}
	assert_log("does not invalidate");
	assert_log("panic: iommu: the unit at 0xfed90000 keeps what it has cached");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(starts, setup),
		cmocka_unit_test_setup(takes_over_from_firmware, setup),
		cmocka_unit_test_setup(takes_over_another_mode, setup),
		cmocka_unit_test_setup(takes_over_a_broken_queue, setup),
		cmocka_unit_test_setup(lacks, setup),
		cmocka_unit_test_setup(commands_fail, setup),
		cmocka_unit_test_setup(memory_fails, setup),
		cmocka_unit_test_setup(attach_and_detach, setup),
		cmocka_unit_test_setup(each_device_with_its_unit, setup),
		cmocka_unit_test_setup(refused_devices, setup),
		cmocka_unit_test_setup(format_is_what_all_can, setup),
		cmocka_unit_test_setup(cautious_with_what_was_not_present, setup),
		cmocka_unit_test_setup(written_back_if_not_coherent, setup),
		cmocka_unit_test_setup(as_many_domains_as_units_know, setup),
		cmocka_unit_test_setup(domains_without_memory, setup),
		cmocka_unit_test_setup(queue_wraps, setup),
		cmocka_unit_test_setup(queue_error, setup),
		cmocka_unit_test_setup(queue_that_is_dead, setup),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	sim_reset(); /* frees */
	return failed;
}
