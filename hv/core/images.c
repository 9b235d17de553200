/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/images.h"

#include <string.h>

#include "hv/core/config_diff.h"
#include "hv/core/lock.h"
#include "hv/core/log.h"
#include "hv/core/pmm.h"

/* [i] under images_lock, but for what file.addr points to */
static struct image {
	struct handover_image file; /* [i] no name: the place is free */
	bool staged;		    /* [i] */
	bool ours;		    /* [i] of page_alloc(), not the loader's */
} images[IMAGES_MAX];

static struct spinlock images_lock;

void images_init(const struct handover *h)
{
	const struct handover_image *from = hpa_to_ptr((hpa_t){ h->images });

	memset(images, 0, sizeof(images));
	for (uint32_t i = 0; i < h->image_count && i < IMAGES_MAX; i++) {
		images[i].file = from[i];
		images[i].file.name[sizeof(from[i].name) - 1] = '\0';
	}
}

static bool there(const struct image *image)
{
	return image->file.name[0] != '\0';
}

/* Under the lock. */
static struct image *find(const char *name, bool staged)
{
	for (unsigned i = 0; i < IMAGES_MAX; i++)
		if (images[i].staged == staged && there(&images[i]) &&
		    !strcmp(images[i].file.name, name))
			return &images[i];
	return NULL;
}

const struct handover_image *image_find(const char *name, bool staged)
{
	struct image *image;

	spin_lock(&images_lock);
	image = staged ? find(name, true) : NULL;
	if (!image)
		image = find(name, false);
	spin_unlock(&images_lock);
	return image ? &image->file : NULL;
}

bool image_at(unsigned i, struct handover_image *out)
{
	bool found = false;

	spin_lock(&images_lock);
	for (unsigned at = 0; at < IMAGES_MAX && !found; at++)
		if (there(&images[at]) && !images[at].staged && i-- == 0) {
			*out = images[at].file;
			found = true;
		}
	spin_unlock(&images_lock);
	return found;
}

/* Under the lock. */
static void drop(struct image *image)
{
	if (image->ours)
		page_free(hpa_to_ptr((hpa_t){ image->file.addr }), image->file.bytes);
	memset(image, 0, sizeof(*image));
}

int image_stage(const char *name, void *data, uint64_t bytes)
{
	struct image *place;

	spin_lock(&images_lock);
	place = find(name, true);
	if (place)
		drop(place);
	for (unsigned i = 0; i < IMAGES_MAX && !place; i++)
		if (!there(&images[i]))
			place = &images[i];
	if (place) {
		*place = (struct image){ .staged = true, .ours = true };
		snprintf(place->file.name, sizeof(place->file.name), "%s", name);
		place->file.addr = ptr_to_hpa(data).v;
		place->file.bytes = bytes;
	}
	spin_unlock(&images_lock);
	return place ? 0 : LH_NOMEM;
}

static bool named(const struct config *config, const char *name)
{
	for (unsigned i = 0; i < config->vm_count; i++) {
		const struct config_vm *vm = &config->vms[i];

		if (config_vm_there(vm) && (!strcmp(vm->kernel, name) || !strcmp(vm->initrd, name)))
			return true;
	}
	return false;
}

void images_settle(bool keep, const struct config *config)
{
	spin_lock(&images_lock);
	for (unsigned i = 0; i < IMAGES_MAX; i++) {
		struct image *image = &images[i], *old;

		if (!there(image) || !image->staged)
			continue;
		if (!keep) {
			drop(image);
			continue;
		}
		old = find(image->file.name, false);
		if (old)
			drop(old);
		image->staged = false;
	}
	/* the loader's stay: their memory cannot be had back, and a later config may name them */
	for (unsigned i = 0; i < IMAGES_MAX; i++)
		if (there(&images[i]) && images[i].ours && !named(config, images[i].file.name))
			drop(&images[i]);
	spin_unlock(&images_lock);
}

uint64_t images_bytes(void)
{
	uint64_t bytes = 0;

	spin_lock(&images_lock);
	for (unsigned i = 0; i < IMAGES_MAX; i++)
		if (there(&images[i]) && images[i].ours)
			bytes +=
				(images[i].file.bytes + PAGE_SIZE - 1) & ~(uint64_t)(PAGE_SIZE - 1);
	spin_unlock(&images_lock);
	return bytes;
}
