/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/dev/iommu.h"

#include <stddef.h>

const struct iommu_ops *iommu;
