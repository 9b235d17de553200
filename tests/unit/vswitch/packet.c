/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: do the tests' own eyes (packet.h) see each wrong length and checksum of a packet, and say
 * what it should be? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/vswitch/packet.h"

enum { PAYLOAD = 333, SEED = 7 };

static uint8_t frame[2048];

static uint32_t make(const struct pkt_kind *k)
{
	uint32_t bytes = pkt_make(frame, k, 2, 1, PAYLOAD, SEED, PKT_ACK);

	pkt_complete(frame, bytes, pkt_l4(k), k->udp ? 6 : 16);
	return bytes;
}

/* Puts a wrong number at this place of a sound packet. */
static void spoil(const struct pkt_kind *k, unsigned at, const char *field)
{
	uint32_t bytes = make(k);
	unsigned right = pkt_get16(frame + at), wrong = right ^ 0x0110;
	struct pkt_fault fault;

	assert_null(pkt_fault(frame, bytes, k).field);
	pkt_put16(frame + at, wrong);
	fault = pkt_fault(frame, bytes, k);
	assert_non_null(fault.field);
	assert_string_equal(fault.field, field);
	assert_int_equal(fault.is, wrong);
	assert_int_equal(fault.should, right);
}

static void each_field_is_seen(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		struct pkt_kind k = { .ipv6 = i & 1, .udp = i & 2, .vlan = i & 4 };

		if (i & 8)
			k.ip_options = k.ipv6 ? 24 : 12;
		spoil(&k, pkt_l3(&k) + (k.ipv6 ? 4 : 2), "IP length");
		spoil(&k, pkt_csum_at(&k), "TCP or UDP checksum");
		if (!k.ipv6)
			spoil(&k, pkt_l3(&k) + 10, "IP checksum");
		if (k.udp)
			spoil(&k, pkt_l4(&k) + 4, "UDP length");
	}
}

static void so_is_a_changed_payload(void **state)
{
	struct pkt_kind k = { .ipv6 = true };
	uint32_t bytes = make(&k);

	(void)state;
	frame[bytes - 1] ^= 1;
	assert_string_equal(pkt_fault(frame, bytes, &k).field, "TCP or UDP checksum");
}

static void and_what_is_cut(void **state)
{
	struct pkt_kind k = { .vlan = true };
	uint32_t bytes = make(&k);

	(void)state;
	assert_string_equal(pkt_fault(frame, bytes - 1, &k).field, "IP length");
	assert_string_equal(pkt_fault(frame, pkt_headers(&k) - 1, &k).field, "bytes in all");
}

/* RFC 768: 0 says that there is none. */
static void no_checksum_is_wrong_in_udp(void **state)
{
	struct pkt_kind k = { .udp = true };
	uint32_t bytes = make(&k);
	struct pkt_fault fault;
	uint32_t sum;

	(void)state;
	pkt_put16(frame + pkt_csum_at(&k), 0);
	sum = pkt_pseudo(frame + pkt_l3(&k), false, 17, bytes - pkt_l4(&k));
	sum = pkt_sum(sum, frame + pkt_l4(&k), bytes - pkt_l4(&k));
	/* the payload takes up the difference: now 0 would add up */
	pkt_put16(frame + pkt_headers(&k),
		  pkt_sum(pkt_get16(frame + pkt_headers(&k)) + (0xffff - sum), NULL, 0));
	fault = pkt_fault(frame, bytes, &k);
	assert_string_equal(fault.field, "UDP checksum");
	assert_int_equal(fault.should, 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_field_is_seen),
		cmocka_unit_test(so_is_a_changed_payload),
		cmocka_unit_test(and_what_is_cut),
		cmocka_unit_test(no_checksum_is_wrong_in_udp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
