/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two kinds of virtqueue share (vq_split.c, vq_packed.c): descriptor flags, and turning a
 * descriptor's buffer into pieces of the VM's memory.
 */
#pragma once

#include "vswitch/bytes.h"
#include "vswitch/prefetch.h"
#include "vswitch/vq.h"

#define DESC_BYTES 16u

/* virtio 1.2, 2.7.5 and 2.8.13 */
enum { DESC_F_NEXT = 1, DESC_F_WRITE = 2, DESC_F_INDIRECT = 4 };

/* --- vq_packed.c --- */
int vq_packed_init(struct vq *vq, const struct queue_setup *setup, const struct gmem *mem,
		   const char **why);
unsigned vq_packed_read_singles(const struct vq *vq, uint16_t pos, enum vq_dir dir, struct seg *seg,
				uint16_t *id, unsigned most);
void vq_packed_prefetch(const struct vq *vq, uint16_t pos, unsigned count);
bool vq_packed_wants_interrupt(const struct vq *vq, uint16_t before, uint16_t end);
/* Asks for a kick at the chain put at `pos`, or for none. */
void vq_packed_set_event(const struct vq *vq, uint16_t pos, bool want);

static inline int refuse(const char **why, const char *text)
{
	*why = text;
	return -1;
}

/* The piece of [gpa, gpa+len) that begins at gpa and lies in one extent; 0 bytes: not RAM. */
static inline struct seg first_piece(const struct gmem *mem, uint64_t gpa, uint32_t len)
{
	for (unsigned i = 0; i < mem->count; i++) {
		const struct gmem_extent *e = &mem->extent[i];
		uint64_t offset = gpa - e->gpa;

		if (offset < e->bytes) {
			uint64_t left = e->bytes - offset;

			return (struct seg){ .ptr = e->ptr + offset,
					     .len = left < len ? (uint32_t)left : len };
		}
	}
	return (struct seg){ .ptr = NULL, .len = 0 };
}

/* The buffer, not empty, in one piece, which is being fetched from now on; false: it is not so. */
static inline bool single_piece(const struct gmem *mem, uint64_t gpa, uint32_t len, enum vq_dir dir,
				struct seg *seg)
{
	*seg = first_piece(mem, gpa, len);
	if (seg->len != len || len == 0)
		return false;
	if (dir == VQ_WRITE)
		prefetch_write(seg->ptr);
	else
		prefetch_read(seg->ptr);
	return true;
}

/* Adds one descriptor's buffer: a piece for each extent it lies in. What of *len is left at the end
 * found no room. */
static inline enum vq_fault add_buffer(const struct gmem *mem, uint64_t *gpa, uint32_t *len,
				       struct seg *seg, unsigned room, struct vq_chain *out)
{
	while (*len > 0 && out->nsegs < room) {
		struct seg piece = first_piece(mem, *gpa, *len);

		if (piece.len == 0)
			return VQ_BAD_NOT_RAM;
		seg[out->nsegs++] = piece;
		out->bytes += piece.len;
		*gpa += piece.len;
		*len -= piece.len;
	}
	return VQ_OK;
}

/* A descriptor of the other direction: allowed once, to writable, in a queue that has both. */
static inline bool turn_to_write(enum vq_dir dir, uint16_t flags, uint16_t *write,
				 struct vq_chain *out)
{
	if (dir != VQ_BOTH || !(flags & DESC_F_WRITE))
		return false;
	*write = DESC_F_WRITE;
	out->readable = out->nsegs;
	return true;
}
