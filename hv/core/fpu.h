/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * FPU, SSE and AVX state of vCPUs. The core is built without them, so a guest's state stays in the
 * registers until another vCPU runs on that CPU (SDM 1, "XSAVE"). Host XCR0 is what all CPUs have
 * of x87, SSE, AVX, AVX-512, PKRU excluded.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

void fpu_init_cpu(void);	 /* CR0, CR4, XCR0 */
size_t fpu_area_bytes(void);	 /* of one state, page-rounded */
uint64_t fpu_xcr0(void);	 /* bits a guest may set in XCR0; 0: no XSAVE on this machine */
void fpu_reset_area(void *area); /* as after RESET */
void fpu_save(void *area);
void fpu_restore(const void *area);
