/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: does a new config change what differs and nothing else, does every failure on the way lead back to
 * what was there, with no memory lost, and does a config with an error do nothing? The life of VMs, their
 * making, switches and memory are faked; each allocation fails once.
 */
#include "tests/unit/core/apply_env.h"

/* The new config: b's arguments are others, c is gone, e is there on a switch of its own, s1 too has d only,
 * which has lost its uplink. */
#define SECOND                                                                                     \
	HEAD SWITCH(s2) SWITCH(s0) SWITCH(s1) "policy { batching = \"off\"; };"                    \
					      "vms {" NODE(e, s2, K) NODE(a, s0, K)                \
						      NODE(b, s0, K "bootargs = \"x\";")           \
							      NODE(d, s1, K) "}; };"

static void as_before(void)
{
	static struct config first;

	assert_int_equal(config_parse(blob, dtc_compile(FIRST, blob), &first, report, NULL), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_memory_equal(&first.vms[i], &running.vms[i], sizeof(first.vms[i]));
		assert_true(vm_table[i] && console[i]);
		assert_ptr_equal(vm_table[i]->config, &running.vms[i]);
	}
	assert_int_equal(running.vm_count, 4);
	assert_int_equal(running.switch_count, 2);
	assert_int_equal(uplinks[3], 1);
	assert_false(console[4]);
	assert_null(switches[2]);
	assert_string_equal(switches[0]->name, "s0");
	assert_string_equal(switches[1]->name, "s1");
	assert_int_equal(policy_get(POLICY_batching), 1);
	assert_int_equal(touched[0], 0);
}

static void does_it(void **state)
{
	const struct vm *a;

	(void)state;
	begin();
	a = vm_table[0];
	waits = 7;
	start();
	assert_int_equal(check(SECOND, true), 0);
	assert_true(changes >= 6);
	assert_int_equal(run(), APPLY_DONE);
	assert_true(takes > 7);
	assert_ptr_equal(vm_table[0], a);
	assert_int_equal(touched[0], 0);
	assert_string_equal(running.vms[1].bootargs, "x");
	assert_true(told_again[1]);
	assert_false(told_again[2]);
	assert_null(vm_table[2]);
	assert_false(console[2]);
	assert_string_equal(running.vms[4].name, "e");
	assert_int_equal(running.vms[4].nets[0].switch_index, 2);
	assert_non_null(vm_table[4]);
	assert_string_equal(switches[2]->name, "s2");
	assert_int_equal(uplinks[3], 0);
	assert_int_equal(policy_get(POLICY_batching), 0);
	assert_true(changed_policies >= 1);

	/* the same again: nothing to do */
	start();
	assert_int_equal(check(SECOND, true), 0);
	assert_int_equal(changes, 0);
	memset(touched, 0, sizeof(touched));
	assert_int_equal(run(), APPLY_DONE);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(touched[i], 0);

	/* and back, at other places */
	start();
	assert_int_equal(check(FIRST, true), 0);
	assert_int_equal(run(), APPLY_DONE);
	assert_string_equal(running.vms[2].name, "c");
	assert_null(vm_table[4]);
	assert_null(switches[2]);
	assert_int_equal(running.vm_count, 4);
	assert_int_equal(running.switch_count, 2);
	as_before();
	end();
}

/* Whatever allocation fails, nothing has changed, and nothing is lost. */
static void each_failure(void **state)
{
	unsigned failures = 0;

	(void)state;
	for (int nth = 1;; nth++) {
		enum apply_state done;

		begin();
		start();
		assert_int_equal(check(SECOND, true), 0);
		fails = nth;
		done = run();
		if (done == APPLY_FAILED) {
			failures++;
			as_before();
		}
		end();
		if (done == APPLY_DONE)
			break;
	}
	assert_true(failures >= 5); /* a switch, a console, three VMs */
}

/* A VM whose devices are being reset is made all the same, later; one whose devices do not come back, not at all. */
static void devices_are_waited_for(void **state)
{
	(void)state;
	for (unsigned nth = 0; nth <= 3; nth++) {
		begin();
		start();
		assert_int_equal(check(SECOND, true), 0);
		joins_later = 5;
		join_fails = nth;
		assert_int_equal(run(), nth ? APPLY_FAILED : APPLY_DONE);
		assert_int_equal(joins_later, 0);
		assert_int_equal(waited, 5); /* a timer each: others have the CPU */
		if (nth)
			as_before();
		end();
	}
}

/* Memory is short on the way back, too: who cannot be made is off, and that is told. */
static void no_way_back(void **state)
{
	(void)state;
	begin();
	start();
	assert_int_equal(check(HEAD SWITCH(s0) SWITCH(s1) "vms {" NODE(a, s0, K)
				       NODE(b, s0, K "cpus = <2>;") NODE(c, s1, K)
					       NODE(d, s1, K UP(s1)) "}; };",
			       true),
			 0);
	fails = 1;
	const char *why;
	assert_int_equal(apply_run(&why), 0);
	while (apply_status().state < APPLY_DONE) {
		if (apply_status().state == APPLY_BACK && !fails)
			fails = 1;
		apply_work();
	}
	assert_int_equal(apply_status().state, APPLY_FAILED);
	assert_non_null(strstr(apply_status().why, "vm b is off now"));
	assert_null(vm_table[1]);
	assert_int_equal(running.vms[1].cpus, 1);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(touched[i] > 0, i == 1);
	end();
}

/* A config with an error, or one that cannot be had, does nothing. */
static void errors_do_nothing(void **state)
{
	static const struct {
		const char *source, *error;
	} bad[] = {
		{ HEAD SWITCH(s0) "vms {" NODE(a, s0, K "cpus = <99>;") "}; };",
		  "cpus: 99 is too large" },
		{ HEAD SWITCH(s0) "vms {" NODE(a, s0, K "cpu-affinity = <4>;") "}; };",
		  "CPU 4 is not there" },
		{ HEAD SWITCH(s0) "vms {" NODE(a, s0, K) NODE(z, s0, "kernel = \"y\";") "}; };",
		  "y is missing" },
		{ HEAD SWITCH(s0) "vms {" NODE(a, s0, K) NODE(z, s0, K "initrd = \"y\";") "}; };",
		  "y is missing" },
		{ HEAD SWITCH(s0) "vms {" NODE(a, s0, K)
			  NODE(z, s0,
			       K "role = \"driver-domain\"; nic { compatible = "
				 "\"lasthop,passthrough\"; pci-id = <1 1>; };") "}; };",
		  "cannot change while lasthop runs" },
		{ HEAD SWITCH(s0) "vms { big { compatible = \"lasthop,vm\"; memory-mib = <200>; "
				  "kernel = \"k\"; }; }; };",
		  "200 MiB wanted" },
		{ HEAD SWITCH(s0) "vms {" NODE(a, s0, K) NODE(unconfined, s0, K) "}; };",
		  "no IOMMU" },
		{ HEAD "};", "has no node vms" },
	};

	(void)state;
	begin();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *why;

		start();
		assert_true(check(bad[i].source, true) > 0);
		if (!strstr(first_error, bad[i].error))
			fail_msg("wanted \"%s\", got \"%s\"", bad[i].error, first_error);
		assert_true(apply_run(&why) < 0);
		as_before();
	}
	end();
}

/* A file of the same name: VMs that use it are made again, from the new one; a failure leaves them the old. */
static void other_file(void **state)
{
	(void)state;
	for (unsigned nth = 0; nth < 2; nth++) {
		uint8_t *file;

		begin();
		start();
		assert_true(apply_declare("k"));
		assert_int_equal(check(FIRST, false), 0); /* to look only */
		assert_int_equal(changes, 4);
		file = page_alloc(sizeof(kernel) + 8);
		memcpy(file, kernel, sizeof(kernel));
		assert_int_equal(image_stage("k", file, sizeof(kernel) + 8), 0);
		assert_int_equal(check(FIRST, true), 0);
		fails = nth ? 3 : 0;
		assert_int_equal(run(), nth ? APPLY_FAILED : APPLY_DONE);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(vm_table[i]->nested.v, sizeof(kernel) + (nth ? 0 : 8));
		assert_int_equal(image_find("k", true)->bytes, sizeof(kernel) + (nth ? 0 : 8));
		end();
	}
}

/* A file that came and is no kernel is told before anything ends. */
static void bad_file(void **state)
{
	(void)state;
	begin();
	start();
	assert_true(apply_declare("k"));
	assert_int_equal(image_stage("k", page_alloc(64), 64), 0);
	assert_true(check(FIRST, true) > 0);
	assert_non_null(strstr(first_error, "k is no kernel"));
	apply_drop();
	as_before();
	end();
}

/* status: starts and stops; one that has ended stays off unless its config is another. */
static void power(void **state)
{
	(void)state;
	begin();
	start();
	assert_int_equal(check(HEAD SWITCH(s0) SWITCH(s1) "vms {" NODE(a, s0, K)
				       NODE(b, s0, K "status = \"disabled\";") NODE(c, s1, K)
					       NODE(d, s1, K UP(s1)) "}; };",
			       true),
			 0);
	assert_int_equal(run(), APPLY_DONE);
	assert_null(vm_table[1]);
	assert_true(console[1]);
	page_free(vm_table[2], sizeof(struct vm)); /* c ends by itself */
	vm_table[2] = NULL;
	start();
	assert_int_equal(check(HEAD SWITCH(s0) SWITCH(s1) "vms {" NODE(a, s0, K) NODE(b, s0, K)
				       NODE(c, s1, K) NODE(d, s1, K UP(s1)) "}; };",
			       true),
			 0);
	assert_int_equal(run(), APPLY_DONE);
	assert_non_null(vm_table[1]);
	assert_null(vm_table[2]);
	start();
	assert_int_equal(check(HEAD SWITCH(s0) SWITCH(s1) "vms {" NODE(a, s0, K) NODE(b, s0, K)
				       NODE(c, s1, K "bootargs = \"again\";")
					       NODE(d, s1, K UP(s1)) "}; };",
			       true),
			 0);
	assert_int_equal(run(), APPLY_DONE);
	assert_non_null(vm_table[2]);
	end();
}

/* One at a time. */
static void busy(void **state)
{
	const char *why;

	(void)state;
	begin();
	assert_true(apply_run(&why) < 0);
	start();
	assert_true(apply_run(&why) < 0);
	assert_int_equal(check(SECOND, true), 0);
	assert_int_equal(apply_run(&why), 0);
	assert_int_equal(apply_begin(&why), LH_BUSY);
	apply_drop();
	assert_true(apply_run(&why) < 0);
	while (apply_status().state < APPLY_DONE)
		apply_work();
	assert_int_equal(apply_status().state, APPLY_DONE);
	assert_int_equal(apply_status().done, apply_status().of);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(does_it),
		cmocka_unit_test(each_failure),
		cmocka_unit_test(no_way_back),
		cmocka_unit_test(errors_do_nothing),
		cmocka_unit_test(other_file),
		cmocka_unit_test(bad_file),
		cmocka_unit_test(power),
		cmocka_unit_test(busy),
		cmocka_unit_test(devices_are_waited_for),
	};

	syscall(SYS_arch_prctl, ARCH_SET_GS, &cpu); /* this_cpu() */
	make_kernel();
	return cmocka_run_group_tests_name("apply", tests, NULL, NULL);
}
