/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of <stdlib.h> that libfdt uses. */
#pragma once

unsigned long strtoul(const char *s, char **end, int base);
