/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of all drivers. */
#include "drivers/nic.h"

#include <stddef.h>

#include "drivers/nic_impl.h"

static struct nic *(*const probes[])(unsigned devfn, const char **error) = {
	e1000_probe,
	e1000e_probe,
	virtio_nic_probe,
};

struct nic *nic_probe(unsigned devfn, const char **error)
{
	*error = NULL;
	for (unsigned i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
		struct nic *nic = probes[i](devfn, error);

		if (nic || *error)
			return nic;
	}
	return NULL;
}
