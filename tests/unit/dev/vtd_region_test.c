/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that firmware keeps for a device's DMA (RMRR): is it the device's, and no other's, from the start on? */
#include "tests/unit/dev/vtd_sim.h"

#include <cmocka.h> /* last: it has a macro fail() */

static int setup(void **state)
{
	(void)state;
	sim_reset();
	return 0;
}

/* What firmware keeps for its device stays reachable from the first moment on, and nothing else. */
static void of_a_device(void **state)
{
	struct pci_address display = { 0, 0x14 << 3 };
	struct vtd_entry entry;
	struct iommu_domain *domain;

	(void)state;
	sim_foreign = true;
	sim_firmware(0, (uint32_t)(GCMD_TE | GCMD_SRTP), 0);
	assert_int_equal(sim_start(1), 0);
	assert_int_equal(sim[0].unblocked, 0);
	assert_log("iommu: 00:14.0 keeps 0x7f000000 to 0x7f0fffff, firmware's memory (RMRR)\n");
	entry = sim_context(0, display);
	assert_int_equal(entry.hi, 1u << 8 | 2);
	for (unsigned i = 0; i < 256; i++)
		assert_int_equal(sim_context(0, (struct pci_address){ 0, (uint8_t)i }).lo & 1,
				 i == display.devfn);
	domain = vtd_ops.domain_create();
	assert_int_equal(domain->id, 2);
	assert_int_equal(vtd_ops.attach(domain, display), LH_UNSUPP);

	sim_reset(); /* it says so of memory that is ours */
	assert_int_equal(sim_start(1), 0);
	assert_log("iommu: 00:14.0 loses 0x7f000000 to 0x7f0fffff (RMRR): ");
	assert_int_equal(sim_root(0, 0).lo & 1, 0);
}

/* For all that may be behind a bridge, too. */
static void behind_a_bridge(void **state)
{
	struct iommu_domain *domain;

	(void)state;
	sim_foreign = sim_bridge = true;
	assert_int_equal(sim_start(1), 0);
	assert_log("iommu: 00:14.0, with all behind it, keeps 0x7f000000 to 0x7f0fffff, ");
	for (unsigned bus = 0; bus < 256; bus++)
		assert_int_equal(sim_root(0, (uint8_t)bus).lo & 1,
				 bus == 0 || bus == 5 || bus == 6);
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		const uint8_t at = (uint8_t)devfn;

		assert_int_equal(sim_context(0, (struct pci_address){ 0, at }).lo & 1,
				 devfn == 0x14 << 3);
		assert_int_equal(sim_context(0, (struct pci_address){ 5, at }).hi, 1u << 8 | 2);
		assert_int_equal(sim_context(0, (struct pci_address){ 6, at }).lo & 1, 1);
	}
	domain = vtd_ops.domain_create();
	assert_int_equal(vtd_ops.attach(domain, (struct pci_address){ 6, 8 }), LH_UNSUPP);
	vtd_ops.domain_destroy(domain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(of_a_device, setup),
		cmocka_unit_test_setup(behind_a_bridge, setup),
	};

	return cmocka_run_group_tests_name("VT-d's reserved regions", tests, NULL, NULL);
}
