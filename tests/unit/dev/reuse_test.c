/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: do a driver domain's devices read exactly the pages that packets lie in which are lent to it, and so
 * many more as are kept for reuse; and none of a guest that has taken its memory back, whatever translations
 * they have cached?
 */
#include "tests/unit/dev/fakes.h"

#include <stdlib.h>

#include "hv/core/lifecycle.h"
#include "hv/core/pmm.h"
#include "hv/dev/iommu.h"
#include "hv/dev/reuse.h"
#include "vswitch/policy.h"

#include <cmocka.h>

enum { DRIVER, ALICE, BOB, VMS };
enum { GUEST_PAGES = 2 * REUSE_PAGES, SLOTS = 65536 };

static struct config config = {
	.vm_count = VMS,
	.vms = { { .name = "netd", .memory_mib = 32 },
		 { .name = "alice", .memory_mib = 4096 },
		 { .name = "bob", .memory_mib = 64 } },
};
static struct vm vm[VMS];
static struct reuse *r;
static struct share_cost cost;

/* The IOMMU: page tables by hash of the page, and what the device has cached of them. */
struct iommu_domain {
	unsigned mapped;
};
static struct iommu_domain domain;
static struct translation {
	uint64_t iova, hpa;
} table[SLOTS], cached[SLOTS];
static unsigned maps, flushes;
static bool refuses;

static struct translation *slot_of(struct translation *t, uint64_t iova)
{
	struct translation *slot = &t[(iova / PAGE_SIZE + (iova >> 30) * 16384) % SLOTS];

	assert_true(slot->iova == 0 || slot->iova == iova);
	return slot;
}

static int map(struct iommu_domain *d, iova_t iova, hpa_t hpa, uint64_t bytes, unsigned rights)
{
	struct translation *t = slot_of(table, iova.v);

	maps++;
	if (refuses)
		return LH_INVAL;
	assert_ptr_equal(d, &domain);
	assert_int_equal(bytes, PAGE_SIZE);
	assert_int_equal(rights, IOMMU_READ);
	assert_true(iova.v >= 1ull << 32); /* above the domain's RAM, and interrupts */
	d->mapped += t->iova == 0;
	*t = (struct translation){ iova.v, hpa.v };
	return 0;
}

static void unmap(struct iommu_domain *d, iova_t iova, uint64_t bytes)
{
	struct translation *t = slot_of(table, iova.v);

	assert_int_equal(bytes, PAGE_SIZE);
	assert_int_equal(t->iova, iova.v);
	t->iova = 0;
	d->mapped--;
}

static void flush(struct iommu_domain *d)
{
	(void)d;
	memset(cached, 0, sizeof(cached));
	flushes++;
}

static const struct iommu_ops ops = { .map = map, .unmap = unmap, .flush = flush };

/* What the device finds there; NULL: a fault. */
static const void *device_reads(uint64_t address)
{
	struct translation *c = slot_of(cached, address & ~(uint64_t)(PAGE_SIZE - 1));
	struct translation *t = slot_of(table, address & ~(uint64_t)(PAGE_SIZE - 1));

	if (c->iova == 0)
		*c = *t;
	return c->iova == 0 ? NULL
			    : (const uint8_t *)hpa_to_ptr((hpa_t){ c->hpa }) + address % PAGE_SIZE;
}

static int setup(void **state)
{
	(void)state;
	fake_reset(1);
	memset(table, 0, sizeof(table));
	memset(cached, 0, sizeof(cached));
	memset(&cost, 0, sizeof(cost));
	domain.mapped = maps = flushes = 0;
	refuses = false;
	iommu = &ops;
	vm_config = &config;
	policy_set(POLICY_buffer_reuse, REUSE_ON);
	for (unsigned i = 0; i < VMS; i++) {
		vm[i].id = i;
		vm[i].config = &config.vms[i];
		vm[i].mem.count = 2; /* as a VM's RAM is: with a hole */
		vm[i].mem.extent[0] =
			(struct gmem_extent){ 0, 16 * PAGE_SIZE,
					      aligned_alloc(PAGE_SIZE, 16 * PAGE_SIZE) };
		vm[i].mem.extent[1] =
			(struct gmem_extent){ 1 << 20, GUEST_PAGES * PAGE_SIZE,
					      aligned_alloc(PAGE_SIZE,
							    (size_t)GUEST_PAGES * PAGE_SIZE) };
	}
	r = reuse_create(&vm[DRIVER], &domain);
	return r == NULL;
}

static int teardown(void **state)
{
	(void)state;
	reuse_close(r);
	reuse_free(r);
	for (unsigned i = 0; i < VMS; i++)
		for (unsigned e = 0; e < 2; e++)
			free(vm[i].mem.extent[e].ptr);
	return fake_allocs != 0;
}

static uint8_t *page(unsigned who, unsigned i)
{
	return vm[who].mem.extent[1].ptr + (size_t)i * PAGE_SIZE;
}

/* One piece, `at` of it. */
static unsigned share(unsigned who, uint8_t *at, uint32_t bytes, struct uplink_piece *piece)
{
	struct seg seg = { at, bytes };

	return reuse_share(r, &vm[who], &seg, bytes, piece, 1, &cost);
}

static void unshare(const struct uplink_piece *piece)
{
	reuse_unshare(r, piece, 1, &cost);
}

static void pieces_are_where_they_say(void **state)
{
	struct uplink_piece p[3];
	struct seg seg[3] = { { page(ALICE, 3) + 100, 3 * PAGE_SIZE },
			      { vm[ALICE].mem.extent[0].ptr + 5, 10 },
			      { page(ALICE, 9) + 4095, 500 } };

	(void)state;
	assert_int_equal(reuse_share(r, &vm[ALICE], seg, 3 * PAGE_SIZE + 10 + 2, p, 3, &cost), 3);
	assert_int_equal(cost.mapped, 4 + 1 + 2);
	assert_int_equal(domain.mapped, 7);
	assert_int_equal(p[0].bytes, 3 * PAGE_SIZE);
	assert_int_equal(p[2].bytes, 2);
	for (unsigned i = 0; i < 3; i++)
		for (uint32_t at = 0; at < p[i].bytes; at++)
			assert_ptr_equal(device_reads(p[i].address + at), seg[i].ptr + at);
	/* too many pieces: none */
	assert_int_equal(reuse_share(r, &vm[ALICE], seg, 3 * PAGE_SIZE + 11, p + 1, 1, &cost), 0);
	/* another VM's are elsewhere */
	assert_int_equal(share(BOB, page(BOB, 3), 1, &p[1]), 1);
	assert_ptr_equal(device_reads(p[1].address), page(BOB, 3));
	assert_ptr_equal(device_reads(p[0].address), seg[0].ptr);
	assert_int_equal(cost.flushes, 0);
}

static void kept_for_the_next_packet(void **state)
{
	struct uplink_piece p, q;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(share(ALICE, page(ALICE, 1) + 7, 2000, &p), 1);
		assert_int_equal(share(ALICE, page(ALICE, 1) + 2007, 2000, &q), 1);
		unshare(&p);
		unshare(&q);
	}
	assert_int_equal(maps, 1);
	assert_int_equal(flushes, 0);
	policy_set(POLICY_buffer_reuse, REUSE_OFF);
	reuse_policy_changed();
	assert_null(device_reads(p.address));
	assert_int_equal(domain.mapped, 0);
}

static void mapped_for_each_packet(void **state)
{
	struct uplink_piece p;

	(void)state;
	policy_set(POLICY_buffer_reuse, REUSE_PER_PACKET);
	for (unsigned i = 1; i <= 10; i++) {
		assert_int_equal(share(ALICE, page(ALICE, 1), 3 * PAGE_SIZE, &p), 1);
		assert_non_null(device_reads(p.address));
		unshare(&p);
		assert_null(device_reads(p.address));
		assert_int_equal(maps, 3 * i);
		assert_int_equal(flushes, i);
	}
}

static void bounded(void **state)
{
	struct uplink_piece p, recent, old;

	(void)state;
	for (unsigned i = 0; i < GUEST_PAGES; i++) {
		assert_int_equal(share(ALICE, page(ALICE, i), 1, &p), 1);
		unshare(&p);
		assert_true(domain.mapped <= REUSE_PAGES);
		if (i == 0)
			old = p;
		assert_int_equal(share(ALICE, page(ALICE, 1), 1, &recent), 1); /* always in use */
		unshare(&recent);
	}
	assert_int_equal(flushes, (GUEST_PAGES - REUSE_PAGES) / REUSE_BATCH);
	assert_int_equal(cost.flushes, flushes);
	assert_int_equal(cost.mapped, GUEST_PAGES);
	assert_null(device_reads(old.address));
	assert_ptr_equal(device_reads(recent.address), page(ALICE, 1));
	assert_ptr_equal(device_reads(p.address), page(ALICE, GUEST_PAGES - 1));
}

static void all_in_flight(void **state)
{
	static struct uplink_piece p[REUSE_PAGES];
	struct uplink_piece more;

	(void)state;
	for (unsigned i = 0; i < REUSE_PAGES; i++)
		assert_int_equal(share(ALICE, page(ALICE, i), 1, &p[i]), 1);
	assert_int_equal(share(ALICE, page(ALICE, REUSE_PAGES), 1, &more), 0);
	/* of two pages one is there: that has no user less and none more afterwards */
	assert_int_equal(share(ALICE, page(ALICE, REUSE_PAGES) - 1, 2, &more), 0);
	assert_int_equal(domain.mapped, REUSE_PAGES);
	for (unsigned i = 0; i < REUSE_PAGES; i++)
		unshare(&p[i]);
	reuse_reclaim(r);
	assert_int_equal(domain.mapped, 0);
}

static void reclaimed(void **state)
{
	struct uplink_piece p, q;

	(void)state;
	assert_int_equal(share(ALICE, page(ALICE, 1), 1, &p), 1);
	assert_int_equal(share(BOB, page(BOB, 2), 1, &q), 1);
	assert_non_null(device_reads(p.address));
	unshare(&p);
	reuse_reclaim(r);
	assert_null(device_reads(p.address));
	assert_ptr_equal(device_reads(q.address),
			 page(BOB, 2)); /* by another uplink of the domain */
	unshare(&q);
}

static void revoked(void **state)
{
	static const uint8_t zeroes[PAGE_SIZE];
	struct uplink_piece idle, out, bobs, again;

	(void)state;
	memset(page(ALICE, 2), 0xa5, PAGE_SIZE);
	assert_int_equal(share(ALICE, page(ALICE, 1), 1, &idle), 1);
	assert_int_equal(share(ALICE, page(ALICE, 2), 1, &out), 1);
	assert_int_equal(share(BOB, page(BOB, 1), 1, &bobs), 1);
	unshare(&idle);
	unshare(&bobs);
	assert_non_null(device_reads(idle.address)); /* cached from here on */
	assert_ptr_equal(device_reads(out.address), page(ALICE, 2));
	reuse_revoke(&vm[ALICE]);
	assert_null(device_reads(idle.address));
	assert_memory_equal(device_reads(out.address), zeroes, PAGE_SIZE);
	assert_ptr_equal(device_reads(bobs.address), page(BOB, 1));
	/* its next life has the same addresses: not before the NIC has let go */
	assert_int_equal(share(ALICE, page(ALICE, 2), 1, &again), 0);
	reuse_revoke(&vm[ALICE]);
	unshare(&out);
	assert_null(device_reads(out.address));
	assert_int_equal(share(ALICE, page(ALICE, 2), 1, &again), 1);
	assert_ptr_equal(device_reads(again.address), page(ALICE, 2));
	unshare(&again);
}

static void disown(const struct uplink_piece *piece)
{
	reuse_disown(r, piece, 1);
	reuse_revoke_disowned(&vm[ALICE]);
}

static void unshare_disowned(const struct uplink_piece *piece)
{
	reuse_unshare_disowned(r, piece, 1, &cost);
}

/* Two NICs of a VM have packets out, and one of them is reset: the other's are sent as they are. */
static void one_of_two_nics_is_reset(void **state)
{
	static const uint8_t zeroes[PAGE_SIZE];
	struct uplink_piece reset, other, idle, again;

	(void)state;
	memset(page(ALICE, 1), 0xa5, 3 * PAGE_SIZE);
	assert_int_equal(share(ALICE, page(ALICE, 1), 1000, &reset), 1);
	assert_int_equal(share(ALICE, page(ALICE, 2), 1000, &other), 1);
	assert_int_equal(share(ALICE, page(ALICE, 3), 1000, &idle), 1);
	unshare(&idle);
	assert_ptr_equal(device_reads(reset.address), page(ALICE, 1)); /* cached from here on */
	assert_ptr_equal(device_reads(other.address), page(ALICE, 2));
	assert_ptr_equal(device_reads(idle.address), page(ALICE, 3));
	disown(&reset);
	assert_int_equal(flushes, 1);
	assert_memory_equal(device_reads(reset.address), zeroes, PAGE_SIZE);
	assert_ptr_equal(device_reads(other.address), page(ALICE, 2));
	assert_null(device_reads(idle.address));
	assert_int_equal(share(ALICE, page(ALICE, 1), 1, &again), 0);
	assert_int_equal(share(ALICE, page(ALICE, 2), 1, &again), 1);
	unshare(&again);
	unshare(&other);
	assert_ptr_equal(device_reads(other.address), page(ALICE, 2)); /* kept for reuse */
	unshare_disowned(&reset);
	assert_null(device_reads(reset.address));
}

/* ... in one page: it is the other's until that is back, then nobody's, whoever is the last. */
static void a_page_of_two_nics(void **state)
{
	static const uint8_t zeroes[PAGE_SIZE];
	struct uplink_piece reset, other;

	(void)state;
	memset(page(ALICE, 1), 0xa5, PAGE_SIZE);
	for (unsigned last = 0; last < 2; last++) {
		assert_int_equal(share(ALICE, page(ALICE, 1), 100, &reset), 1);
		assert_int_equal(share(ALICE, page(ALICE, 1) + 100, 100, &other), 1);
		assert_ptr_equal(device_reads(other.address), page(ALICE, 1) + 100);
		disown(&reset);
		assert_ptr_equal(device_reads(other.address), page(ALICE, 1) + 100);
		if (last == 0) {
			unshare_disowned(&reset);
			unshare(&other);
			assert_ptr_equal(device_reads(other.address), page(ALICE, 1) + 100);
			reuse_reclaim(r);
		} else {
			unshare(&other);
			assert_memory_equal(device_reads(reset.address), zeroes, PAGE_SIZE);
			assert_int_equal(share(ALICE, page(ALICE, 1), 100, &other), 0);
			unshare_disowned(&reset);
		}
		assert_null(device_reads(reset.address));
		assert_int_equal(domain.mapped, 0);
	}
}

/* Asked once, and told once by it. */
static void refused(void **state)
{
	struct uplink_piece p, before;

	(void)state;
	assert_int_equal(share(ALICE, page(ALICE, 0), 1, &before), 1);
	refuses = true;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(share(ALICE, page(ALICE, 1), 1, &p), 0);
	assert_int_equal(maps, 2);
	unshare(&before);
	reuse_revoke(&vm[ALICE]);
	assert_int_equal(domain.mapped, 0);
}

static void closed(void **state)
{
	struct uplink_piece p, q;

	(void)state;
	assert_int_equal(share(ALICE, page(ALICE, 0), 1, &p), 1);
	reuse_close(r);
	assert_int_equal(share(ALICE, page(ALICE, 1), 1, &q), 0);
	reuse_revoke(&vm[ALICE]);
	unshare(&p);
	reuse_reclaim(r);
	assert_int_equal(domain.mapped, 1); /* the domain goes as a whole */
}

/* What is lent can be read, and never more than the bound besides. */
static void anything(void **state)
{
	enum { OUT = 64 };
	struct uplink_piece out[OUT];
	unsigned who[OUT], first[OUT], bytes[OUT];
	uint64_t seed = 4711, refusals = 0;

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	for (unsigned n = fake_rounds(200000); n > 0; n--) {
		unsigned i = (unsigned)(fake_random(&seed) % OUT);

		if (bytes[i] != 0) {
			const void *end = page(who[i], first[i]) + bytes[i] - 1;

			assert_ptr_equal(device_reads(out[i].address + bytes[i] - 1), end);
			unshare(&out[i]);
			bytes[i] = 0;
			continue;
		}
		who[i] = fake_random(&seed) % 8 ? ALICE : BOB;
		first[i] = (unsigned)(fake_random(&seed) % (GUEST_PAGES - 17));
		bytes[i] = 1 + (unsigned)(fake_random(&seed) % 65536);
		if (share(who[i], page(who[i], first[i]), bytes[i], &out[i]) == 0) {
			bytes[i] = 0;
			refusals++;
		}
		assert_true(domain.mapped <= REUSE_PAGES);
	}
	assert_int_equal(refusals, 0); /* 64 packets of 16 pages fit */
	for (unsigned i = 0; i < OUT; i++)
		if (bytes[i] != 0)
			unshare(&out[i]);
	reuse_revoke(&vm[ALICE]);
	reuse_revoke(&vm[BOB]);
	assert_int_equal(domain.mapped, 0);
}

static void no_memory(void **state)
{
	(void)state;
	for (long i = 0; i < 2; i++) {
		fake_alloc_fail = i;
		assert_null(reuse_create(&vm[DRIVER], &domain));
	}
	fake_alloc_fail = -1;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pieces_are_where_they_say),
		TEST(kept_for_the_next_packet),
		TEST(mapped_for_each_packet),
		TEST(bounded),
		TEST(all_in_flight),
		TEST(reclaimed),
		TEST(revoked),
		TEST(one_of_two_nics_is_reset),
		TEST(a_page_of_two_nics),
		TEST(refused),
		TEST(closed),
		TEST(anything),
		TEST(no_memory),
	};

	return cmocka_run_group_tests_name("reuse", tests, NULL, NULL);
}
