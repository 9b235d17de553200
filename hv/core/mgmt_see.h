/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Methods of the management channel for who wants to see what happens inside (docs/observing.md). All of
 * them only look, but for see.capture, which has the switch write down what passes a port.
 */
#pragma once

#include "hv/core/mgmt.h"

struct json;
struct port;

extern const struct mgmt_method mgmt_see_methods[];

/* hv/core/mgmt_see.c */
void see_tables(struct mgmt_call *call);
void see_sample(struct mgmt_call *call);
/* hv/core/mgmt_why.c */
void see_why(struct mgmt_call *call);
/* hv/core/mgmt_trace.c */
void see_trace(struct mgmt_call *call);
/* hv/core/mgmt_capture.c */
void see_capture(struct mgmt_call *call);
void see_capture_end(struct mgmt_call *call);

/* The port of that name, or NULL. Under vm_table_lock. */
struct port *see_find_port(const char *name);
