/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffer reuse: pages of guests that the devices of a driver domain may read, and only read, because
 * packets in them are lent to it (vswitch/lend.c). They lie in device addresses of their own, above the
 * domain's RAM, those of each VM at a fixed place: sharing a page is no more than an entry in the IOMMU's
 * page tables. No CPU of the domain reaches them.
 *
 * A page stays mapped when its packet has been sent, since the next packet is likely to lie in it (policy
 * buffer-reuse, "on"). REUSE_PAGES bounds what a domain's devices can read: for more, the pages that
 * have not been used for longest are unmapped, REUSE_BATCH of them with one invalidation.
 *
 * A guest that takes its memory back while a device may still be reading it (it resets its NIC, or ends)
 * loses no time: the page is replaced by one of zeroes, which the device may go on reading. Nothing that is
 * not there makes a DMA fault, at which a real NIC may stop. Its other NICs' packets stay what they are: a page
 * that one of them lies in as well is replaced when that has been sent.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lasthop/uplink.h"
#include "vswitch/env.h"
#include "vswitch/vq.h"

struct iommu_domain;
struct reuse;
struct vm;

#define REUSE_PAGES 4096u /* of 4 KiB, a driver domain */
#define REUSE_BATCH 64u

/* For the devices of a driver domain, with its domain of the IOMMU; NULL: no memory, all is copied. */
struct reuse *reuse_create(const struct vm *driver, struct iommu_domain *domain);
/* The domain of the IOMMU goes, no device is attached to it any more: nothing is shared from now on. */
void reuse_close(struct reuse *r);
/* Nobody has a pointer to it any more. NULL is allowed. */
void reuse_free(struct reuse *r);

/* See env_share() and env_unshare(). Any CPU. */
unsigned reuse_share(struct reuse *r, const struct vm *from, const struct seg *seg, uint32_t bytes,
		     struct uplink_piece *piece, unsigned room, struct share_cost *cost);
void reuse_unshare(struct reuse *r, const struct uplink_piece *piece, unsigned pieces,
		   struct share_cost *cost);

/* See env_disown(), env_unshare_disowned(), env_revoke(). */
void reuse_disown(struct reuse *r, const struct uplink_piece *piece, unsigned pieces);
void reuse_unshare_disowned(struct reuse *r, const struct uplink_piece *piece, unsigned pieces,
			    struct share_cost *cost);
void reuse_revoke_disowned(const struct vm *from);

/* The VM ends, and sends no more: no device of any driver domain reads its memory any more. */
void reuse_revoke(const struct vm *from);
/* Devices of this one read only pages that are shared now. */
void reuse_reclaim(struct reuse *r);
/* The running config has another VM, or more memory, at a place where no VM is now. */
void reuse_vm_changed(unsigned id);
/* The policy was changed: what is kept for reuse, and is not to be, goes. */
void reuse_policy_changed(void);
