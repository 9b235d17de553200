/* SPDX-License-Identifier: BSD-2-Clause */
/* The drivers, as nic.c asks them one after the other: see nic_probe(). */
#pragma once

#include "drivers/nic.h"

struct nic *e1000_probe(unsigned devfn, const char **error);
struct nic *e1000e_probe(unsigned devfn, const char **error);
struct nic *virtio_nic_probe(unsigned devfn, const char **error);
