/* SPDX-License-Identifier: BSD-2-Clause */
/* The packed kind of vq.h's functions: called by vq.c only. */
#pragma once

#include "guest/lib/vq.h"

enum { VQ_WRAP = 0x8000 };

void vq_packed_push(struct vq *vq, uint16_t head);
bool vq_packed_publish(struct vq *vq);
bool vq_packed_pop(struct vq *vq, struct vq_used_elem *elem);
bool vq_packed_arm(struct vq *vq, uint16_t more);
void vq_packed_disarm(struct vq *vq);
