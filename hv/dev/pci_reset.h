/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Resetting a function of the machine between two owners: function-level reset where it has one (PCI
 * Express Base 4.0, 6.6.2; Advanced Capabilities ECN for conventional PCI), else a reset of the bus
 * behind its bridge if it is alone there (PCI-to-PCI Bridge Architecture 1.2, 3.2.5.17), else, for the
 * NICs that we have drivers for (virtio's included), its own: there are machines that heed no bus mastering bit (Bochs). Else
 * nothing more than silence: what the device still does, its driver ends when it opens it.
 *
 * That is the thorough one. A function is one VM's as long as the core runs; between two lives of that VM,
 * those NICs are reset by their own register first: unless that was done before a life that was short, or the
 * PHY is not as it comes from a reset of its own, which theirs does not give.
 */
#pragma once

#include "hv/core/fail.h"
#include "hv/dev/pci_scan.h"

enum reset_kind { RESET_SILENT, RESET_FUNCTION, RESET_ADVANCED, RESET_BUS, RESET_OWN };

/* For the log: "function-level reset", … */
const char *reset_name(enum reset_kind kind);

/* What firmware has set up, to be brought back after each reset. Before the first of them. */
void reset_save(struct host_function *f);

/*
 * Bus mastering and interrupts of the function go off for good, and its reset begins: it writes to memory no more
 * when this returns. What it has asked to read may still come; the reset of a function or a bus waits for that, in
 * reset_end(). Takes some milliseconds at most. lightly: by its own register, if it has one.
 */
void reset_begin(struct host_function *f, bool lightly);

/*
 * Goes on with the reset, without waiting. 0: it is over, and what firmware had set up is back: in D0, decoding, but
 * neither bus mastering nor interrupts. LH_AGAIN: to be called again at f->ready_tsc, which is about every 10 ms, for
 * 1.3 s at most. Another error, told: the function does not come back; the next call looks once more. One caller at
 * a time.
 */
int reset_end(struct host_function *f) __must_check;
