/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether this machine, which runs Linux, has what lasthop uses. */
#pragma once

/* One JSON object a line on stdout for each feature (hv/cpu/feature.h). 0; 2: it cannot be looked at. */
int check_host(void);
