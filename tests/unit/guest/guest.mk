# SPDX-License-Identifier: BSD-2-Clause
# Unit tests of the guests: each program includes the files it tests; nothing is faked but devices.
GUEST_TESTS         := $(notdir $(basename $(wildcard tests/unit/guest/*_test.c)))
GUEST_TEST_PROGRAMS := $(GUEST_TESTS:%=$(B)/unit/guest_%)

$(GUEST_TEST_PROGRAMS): $(B)/unit/guest_%: tests/unit/guest/%.c $(wildcard guest/lib/*.[ch] guest/bench/*.[ch])
	@mkdir -p $(@D)
	$(CC) -std=c17 -O1 -g $(WARN) $(INCLUDE) -fsanitize=address,undefined \
		-fno-sanitize-recover=all -fno-omit-frame-pointer $< -lcmocka -o $@
