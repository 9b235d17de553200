/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's console: the 16550 UART at 0x3f8. Slow (87 us a byte on Bochs): not while measuring. */
#pragma once

void uart_init(void);
void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char uart_key(void); /* the next that was typed, 0: none */
