# SPDX-License-Identifier: BSD-2-Clause
# Unit tests of the NIC drivers and of netd's loop: each program includes the files it tests.
DRIVER_TESTS    := $(notdir $(basename $(wildcard tests/unit/drivers/*_test.c)))
DRIVER_PROGRAMS := $(DRIVER_TESTS:%=$(B)/unit/drivers_%)

$(DRIVER_PROGRAMS): $(B)/unit/drivers_%: tests/unit/drivers/%.c $(wildcard drivers/*.[ch] drivers/*/*.[ch] guest/lib/*.[ch] guest/netd/*.[ch] tests/unit/drivers/*.h)
	@mkdir -p $(@D)
	$(CC) -std=c17 -O1 -g $(WARN) $(INCLUDE) -fsanitize=address,undefined \
		-fno-sanitize-recover=all -fno-omit-frame-pointer $< -lcmocka -o $@
