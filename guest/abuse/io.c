/* SPDX-License-Identifier: BSD-2-Clause */
/* Ports: all of them, all sizes, string instructions over page boundaries and from nowhere. Those
 * that restart or switch off the VM are left out: it would do the same again. */
#include "guest/abuse/abuse.h"
#include "guest/lib/cpu.h"

enum { UART = 0x3f8, MAX_COUNT = 300 };

static const uint16_t known[] = { 0x20,	  0x21,	  0x40,	  0x43,	  0x60,	  0x61,	  0x70,
				  0x71,	  0x80,	  0x92,	  0xa0,	  0xb2,	  0x2f8,  0x3f8,
				  0x3f9,  0x3fa,  0x3fb,  0x3fc,  0x3fd,  0x402,  0x510,
				  0x604,  0xcf8,  0xcfa,  0xcfc,  0xcfd,  0xcff,  0xe9,
				  0x1000, 0x1001, 0x1004, 0x1010, 0xfffc, 0xfffe, 0xffff };

static bool reaches(unsigned port, unsigned bytes, unsigned first, unsigned last)
{
	return port <= last && port + bytes > first;
}

static bool ends_us(unsigned port, unsigned bytes)
{
	return reaches(port, bytes, 0x64, 0x64) || reaches(port, bytes, 0x600, 0x602) ||
	       reaches(port, bytes, 0xcf9, 0xcf9) || reaches(port, bytes, 0x92, 0x92);
}

static void string_io(uint16_t port, unsigned bytes, bool out)
{
	uint64_t at = (uintptr_t)random_arena(8192, 4096) + 4096 - random_below(8);
	uint64_t count =
		port >= UART && port < UART + 8 ? random_below(8) : random_below(MAX_COUNT);

	if (one_in(16))
		count = random_u64();
	if (one_in(8))
		at = fatal_chance() ? random_address() : 1ull << 40; /* not mapped */
	if (count > MAX_COUNT &&
	    at < ram_end()) /* INS would overwrite all there is: up to a fault */
		count = one_in(2) ? MAX_COUNT : 1;
#define STRING_IO(suffix)                                                                          \
	(out ? ({                                                                                  \
		__asm__ volatile("rep outs" suffix                                                 \
				 : "+S"(at), "+c"(count)                                           \
				 : "d"(port)                                                       \
				 : "memory");                                                      \
	})                                                                                         \
	     : ({                                                                                  \
		       __asm__ volatile("rep ins" suffix                                           \
					: "+D"(at), "+c"(count)                                    \
					: "d"(port)                                                \
					: "memory");                                               \
	       }))
	if (one_in(8))
		__asm__ volatile("std");
	if (bytes == 1)
		STRING_IO("b");
	else if (bytes == 2)
		STRING_IO("w");
	else
		STRING_IO("l");
	__asm__ volatile("cld");
#undef STRING_IO
}

static void plain_io(uint16_t port, unsigned bytes, bool out)
{
	uint32_t value = (uint32_t)random_value();

	if (bytes == 1)
		out ? out8(port, (uint8_t)value) : (void)in8(port);
	else if (bytes == 2)
		out ? out16(port, (uint16_t)value) : (void)in16(port);
	else
		out ? out32(port, value) : (void)in32(port);
}

void act_io(void)
{
	for (unsigned i = 0; i < 16; i++) {
		uint16_t port = (uint16_t)random_u64();
		unsigned bytes = 1u << random_below(3);
		bool out = one_in(2);

		if (one_in(2))
			port = known[random_below(sizeof(known) / sizeof(known[0]))];
		if (ends_us(port, bytes))
			continue;
		if (one_in(4))
			string_io(port, bytes, out);
		else
			plain_io(port, bytes, out);
	}
}

/* The ports that restart the VM: it begins again, with the same seed, for ever. */
void act_reset(void)
{
	switch (random_u64() % 3) {
	case 0:
		out8(0x64, 0xfe);
		break;
	case 1:
		out8(0xcf9, 6);
		break;
	default:
		out8(0x602, 1);
	}
}
