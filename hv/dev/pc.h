/* SPDX-License-Identifier: BSD-2-Clause */
/* The guest's platform, as the core sees it; main.c points `platform` here. */
#pragma once

#include "hv/core/platform.h"

extern const struct platform_ops pc_platform;
