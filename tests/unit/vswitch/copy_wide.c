/* SPDX-License-Identifier: BSD-2-Clause */
/* Do copies by moves, vectors and `rep movsb` write what they should and no byte else, at every length and
 * alignment, and do the vector registers hold afterwards what they held before? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "vswitch/copy.h"
#include "vswitch/copy_wide.h"
#include "vswitch/policy.h"

#define LINE	  64u
#define MOST	  (65536u + 3)
#define GUARD	  128u
#define UNTOUCHED 0xee

typedef void (*routine)(uint8_t *to, const uint8_t *from, uint32_t n);

static _Alignas(64) uint8_t source[MOST + 2 * GUARD], target[MOST + 2 * GUARD];

static void check(routine copy, uint32_t n, unsigned from, unsigned to)
{
	uint8_t *dst = target + GUARD + to;

	memset(dst - GUARD, UNTOUCHED, n + 2 * GUARD - LINE);
	copy(dst, source + from, n);
	if (n > 0)
		assert_memory_equal(dst, source + from, n);
	for (unsigned i = 1; i <= LINE; i++) {
		assert_int_equal(dst[-(int)i], UNTOUCHED);
		assert_int_equal(dst[n + i - 1], UNTOUCHED);
	}
}

static void check_lengths(routine copy, uint32_t least)
{
	static const uint32_t large[] = { 319, 320, 321,  383,	384,  385,   511,   512,
					  513, 576, 1024, 1488, 9000, 65482, 65536, MOST - LINE };
	static const unsigned at[] = { 0, 1, 8, 26, 38, 63 };

	for (unsigned i = 0; i < 6 * 6; i++) {
		for (uint32_t n = least; n <= 300; n++)
			check(copy, n, at[i / 6], at[i % 6]);
		for (unsigned k = 0; k < sizeof(large) / sizeof(large[0]); k++)
			check(copy, large[k], at[i / 6], at[i % 6]);
	}
}

static void check_alignments(routine copy)
{
	static const uint32_t lengths[] = { 128, 191, 192, 193, 256, 300, 577 };

	for (unsigned i = 0; i < LINE * LINE; i++)
		for (unsigned k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++)
			check(copy, lengths[k], i / LINE, i % LINE);
}

static void each_policy(void **state)
{
	(void)state;
	for (uint32_t policy = COPY_AUTO; policy <= COPY_REP; policy++) {
		policy_set(POLICY_copy, policy);
		check_lengths(copy_block, 0);
		check_alignments(copy_block);
	}
	policy_set(POLICY_copy, COPY_AUTO);
}

static void each_routine(void **state)
{
	(void)state;
	check_lengths(copy_vectors16, 128);
	check_alignments(copy_vectors16);
	check_lengths(copy_rep, 128);
	check_alignments(copy_rep);
	if (copy_wide_bytes() == 64) {
		check_lengths(copy_vectors64, 128);
		check_alignments(copy_vectors64);
	}
}

static void before_detection_vectors_of_16(void **state)
{
	(void)state;
	assert_int_equal(copy_wide_bytes(), 16);
	copy_wide_detect();
	assert_true(copy_wide_bytes() == 16 || copy_wide_bytes() == 64);
}

#define REGISTERS 8 /* 0 to 3, 16 to 19 */

/* Fills the registers from in[], calls, and stores them in out[]. The red zone is left alone. */
#define CALL_BETWEEN(load, store)                                                                  \
	__asm__ volatile("sub $128, %%rsp\n\t" load "call *%[copy]\n\t" store "add $128, %%rsp"    \
			 : "+D"(to), "+S"(from), "+d"(n)                                           \
			 : [copy] "r"(copy), [in] "r"(in), [out] "r"(out)                          \
			 : "memory", "cc", "rax", "rcx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", \
			   "xmm2", "xmm3")

static void call64(routine copy, const uint8_t *in, uint8_t *out)
{
	uint8_t *to = target + GUARD;
	const uint8_t *from = source + 3;
	uint64_t n = 1000;

	CALL_BETWEEN("vmovdqu64 (%[in]), %%zmm0\n\tvmovdqu64 64(%[in]), %%zmm1\n\t"
		     "vmovdqu64 128(%[in]), %%zmm2\n\tvmovdqu64 192(%[in]), %%zmm3\n\t"
		     "vmovdqu64 256(%[in]), %%zmm16\n\tvmovdqu64 320(%[in]), %%zmm17\n\t"
		     "vmovdqu64 384(%[in]), %%zmm18\n\tvmovdqu64 448(%[in]), %%zmm19\n\t",
		     "vmovdqu64 %%zmm0, (%[out])\n\tvmovdqu64 %%zmm1, 64(%[out])\n\t"
		     "vmovdqu64 %%zmm2, 128(%[out])\n\tvmovdqu64 %%zmm3, 192(%[out])\n\t"
		     "vmovdqu64 %%zmm16, 256(%[out])\n\tvmovdqu64 %%zmm17, 320(%[out])\n\t"
		     "vmovdqu64 %%zmm18, 384(%[out])\n\tvmovdqu64 %%zmm19, 448(%[out])\n\t"
		     "vzeroupper\n\t");
}

static void call16(routine copy, const uint8_t *in, uint8_t *out)
{
	uint8_t *to = target + GUARD;
	const uint8_t *from = source + 3;
	uint64_t n = 1000;

	CALL_BETWEEN("movups (%[in]), %%xmm0\n\tmovups 16(%[in]), %%xmm1\n\t"
		     "movups 32(%[in]), %%xmm2\n\tmovups 48(%[in]), %%xmm3\n\t",
		     "movups %%xmm0, (%[out])\n\tmovups %%xmm1, 16(%[out])\n\t"
		     "movups %%xmm2, 32(%[out])\n\tmovups %%xmm3, 48(%[out])\n\t");
}

static void registers_survive(void **state)
{
	static uint8_t in[REGISTERS * 64], out[sizeof(in)];

	(void)state;
	for (unsigned i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 31 + 7);
	call16(copy_vectors16, in, out);
	assert_memory_equal(in, out, 64);
	call16(copy_rep, in, out);
	assert_memory_equal(in, out, 64);
	if (copy_wide_bytes() < 64)
		skip();
	memset(out, 0, sizeof(out));
	call64(copy_vectors16, in, out);
	assert_memory_equal(in, out, sizeof(in));
	memset(out, 0, sizeof(out));
	call64(copy_vectors64, in, out);
	assert_memory_equal(in, out, sizeof(in));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_detection_vectors_of_16),
		cmocka_unit_test(each_policy),
		cmocka_unit_test(each_routine),
		cmocka_unit_test(registers_survive),
	};

	for (unsigned i = 0; i < sizeof(source); i++)
		source[i] = (uint8_t)((i * 2654435761u) >> 24);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
