/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does the driver's way from a virtio device's capabilities to its registers end, whatever they say? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "guest/lib/virtio_pci.c"

enum { FIRST = 0x40, BYTES = 16, MOST = 1000 };

static uint8_t kinds[8]; /* of the capabilities, which follow each other */
static unsigned count, circle, asked;

uint8_t pci_capability(unsigned devfn, uint8_t id, uint8_t after)
{
	unsigned next = after ? (after - FIRST) / BYTES + 1u : 0;

	(void)devfn;
	assert_int_equal(id, PCI_CAP_VENDOR);
	if (asked++ > MOST)
		fail_msg("it would be asked for ever");
	if (next == count)
		return circle ? FIRST : 0;
	return (uint8_t)(FIRST + BYTES * next);
}

uint8_t pci_read8(unsigned devfn, unsigned offset)
{
	(void)devfn;
	return offset % BYTES == CAP_TYPE ? kinds[(offset - FIRST) / BYTES] : 0;
}

uint32_t pci_read32(unsigned devfn, unsigned offset)
{
	(void)devfn;
	(void)offset;
	return 0;
}

void pci_write16(unsigned devfn, unsigned offset, uint16_t value)
{
	(void)devfn;
	(void)offset;
	(void)value;
}

bool pci_region(unsigned devfn, unsigned bar, uint32_t offset, struct pci_region *region)
{
	(void)devfn;
	(void)bar;
	(void)offset;
	(void)region;
	return true;
}

uint64_t clock_ms(uint64_t ms)
{
	return ms << 20;
}

uint8_t region_read8(const struct pci_region *r, uint32_t offset)
{
	(void)r;
	(void)offset;
	return 0;
}

uint16_t region_read16(const struct pci_region *r, uint32_t offset)
{
	return region_read8(r, offset);
}

uint32_t region_read32(const struct pci_region *r, uint32_t offset)
{
	return region_read8(r, offset);
}

void region_write8(const struct pci_region *r, uint32_t offset, uint8_t value)
{
	(void)r;
	(void)offset;
	(void)value;
}

void region_write16(const struct pci_region *r, uint32_t offset, uint16_t value)
{
	region_write8(r, offset, (uint8_t)value);
}

void region_write32(const struct pci_region *r, uint32_t offset, uint32_t value)
{
	region_write8(r, offset, (uint8_t)value);
}

void vq_init(struct vq *vq, struct vq_memory *memory, uint16_t size, bool event_idx,
	     enum vq_kind kind)
{
	(void)vq;
	(void)memory;
	(void)size;
	(void)event_idx;
	(void)kind;
}

static const char *opened(unsigned capabilities, bool in_a_circle)
{
	static struct virtio_device dev;

	for (unsigned i = 0; i < capabilities; i++)
		kinds[i] = (uint8_t)(i + 1);
	count = capabilities;
	circle = in_a_circle;
	asked = 0;
	return virtio_open(&dev, 8);
}

static void all_are_found(void **state)
{
	(void)state;
	assert_null(opened(4, false));
	assert_null(opened(6, false)); /* and some of no interest */
	assert_non_null(opened(3, false));
}

static void a_circle_ends(void **state)
{
	(void)state;
	assert_null(opened(4, true));
	assert_non_null(opened(1, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_found),
		cmocka_unit_test(a_circle_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
