/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: is the generator ChaCha20, does it replace its key with each block, and does stirring
 * change all that follows? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "hv/cpu/entropy.h"

#include <cmocka.h>

/* RFC 8439, 2.3.2 */
static void test_vector(void **state)
{
	static const uint8_t wanted[ENTROPY_BLOCK] = {
		0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3,
		0x20, 0x71, 0xc4, 0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22,
		0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e, 0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa,
		0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2, 0xb5, 0x12, 0x9c, 0xd1,
		0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e,
	};
	const uint32_t nonce[3] = { 0x09000000, 0x4a000000, 0 };
	uint32_t key[8];
	uint8_t out[ENTROPY_BLOCK], bytes[32];

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	memcpy(key, bytes, sizeof(key));
	chacha20_block(key, 1, nonce, out);
	assert_memory_equal(out, wanted, sizeof(out));
}

static void the_key_is_replaced(void **state)
{
	struct entropy e = { .key = { 1 } }, before = e;
	uint8_t one[ENTROPY_BLOCK], two[ENTROPY_BLOCK], again[ENTROPY_BLOCK];

	(void)state;
	entropy_block(&e, one);
	assert_memory_not_equal(e.key, before.key, sizeof(e.key));
	assert_memory_not_equal(e.key, one, sizeof(e.key)); /* and is not what was given */
	entropy_block(&e, two);
	assert_memory_not_equal(one, two, sizeof(one));
	entropy_block(&before, again);
	assert_memory_equal(one, again, sizeof(one));
}

static void stirring_changes_it(void **state)
{
	struct entropy a = { .key = { 7 } }, b = a, c = a;

	(void)state;
	entropy_stir(&a);
	entropy_stir(&b);
	assert_memory_not_equal(a.key, b.key, sizeof(a.key));
	assert_memory_not_equal(a.key, c.key, sizeof(a.key));
	for (unsigned i = 0; i < 8; i++) /* one in 2^32 each */
		assert_true(a.key[i] != c.key[i] || b.key[i] != c.key[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(the_key_is_replaced),
		cmocka_unit_test(stirring_changes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
