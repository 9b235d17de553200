/* SPDX-License-Identifier: BSD-2-Clause */
/* As vq_split_fuzz.c, with packed rings: ring and event structures are the fuzzer's. */
#define FUZZ_PACKED 1
#include "tests/fuzz/vq_split_fuzz.c"
