/* SPDX-License-Identifier: BSD-2-Clause */
/* Question: does a trace foresee what the switch then does with a frame, and do looks at queues tell what is
 * in them, without a change of anything? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/vswitch/driver.h"
#include "vswitch/filter.h"
#include "vswitch/look.h"
#include "vswitch/switch_impl.h"

static struct vswitch *sw;
static struct guest *a, *b, *c;
static uint8_t frame[DRV_BUF], got[DRV_BUF];
static struct switch_trace told;

static void begin(uint64_t features)
{
	struct guest_config g = { .name = "g", .features = features };

	sw = switch_create("lan");
	a = guest_create(sw, &g);
	b = guest_create(sw, &g);
	g.uplink = true;
	c = guest_create(sw, &g);
}

static void end(void)
{
	assert_true(switch_counters_balance(sw));
	guest_destroy(a);
	guest_destroy(b);
	guest_destroy(c);
	switch_destroy(sw);
	assert_int_equal(env_allocs, 0);
}

static void drain(void)
{
	struct guest *all[] = { a, b, c };

	for (unsigned i = 0; i < 3; i++) {
		while (drv_receive(all[i], got, sizeof(got)) != 0)
			;
		drv_publish(&all[i]->rx);
	}
}

/* All counters of a port, to see that none changes. */
static uint64_t sum(const struct guest *g)
{
	uint64_t n = 0;

	for (unsigned id = 0; id < STAT_COUNT; id++)
		n = n * 31 + port_counter(g->port, (enum stat_id)id);
	return n;
}

/* The trace of a frame, which changed nothing; then the switch's own verdict, which is the same. */
static void foresee(struct guest *from, size_t bytes, unsigned dst, unsigned src)
{
	uint64_t before = sum(a) + sum(b) + sum(c);
	static struct fdb_view fdb[16], after[16];
	unsigned known = switch_fdb(sw, fdb, 16);
	enum verdict verdict;

	frame_make(frame, bytes, dst, src, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(port_trace(from->port, frame, (uint32_t)bytes, &told));
	assert_int_equal(sum(a) + sum(b) + sum(c), before);
	assert_int_equal(switch_fdb(sw, after, 16), known);
	assert_memory_equal(after, fdb, known * sizeof(fdb[0]));
	verdict = port_inject(from->port, frame, bytes);
	assert_int_equal(told.verdict, verdict);
}

static void foresees(void **state)
{
	(void)state;
	begin(0);
	foresee(a, 60, 2, 1); /* unknown: flooded */
	assert_int_equal(told.verdict, VERDICT_FLOODED);
	assert_int_equal(told.receivers, 2);
	assert_int_equal(told.source, TRACE_NEW);
	assert_null(told.behind);
	foresee(a, 60, 2, 1);
	assert_int_equal(told.source, TRACE_KNOWN);
	foresee(b, 60, 1, 2); /* to a, who is known */
	assert_int_equal(told.verdict, VERDICT_DELIVERED);
	assert_ptr_equal(told.behind, a->port);
	assert_int_equal(told.receivers, 1);
	assert_int_equal(told.receiver[0].verdict, VERDICT_DELIVERED);
	foresee(a, 60, 0xff, 1);
	assert_true(told.group);
	foresee(a, 60, 1, 1);
	assert_int_equal(told.verdict, VERDICT_DROP_SAME_PORT);
	foresee(a, 60, 1, 7); /* another address of its own */
	assert_int_equal(told.verdict, VERDICT_DROP_SAME_PORT);
	foresee(a, 13, 2, 1);
	assert_false(told.length_passes);
	foresee(a, 9019, 2, 1);
	assert_int_equal(told.verdict, VERDICT_DROP_LONG);
	assert_int_equal(told.most_bytes, 9018);
	foresee(a, 60, 2, 0xff);
	assert_int_equal(told.verdict, VERDICT_DROP_BAD_SOURCE);
	assert_true(told.length_passes && !told.source_passes);
	foresee(b, 60, 1, 7); /* moves from a */
	assert_int_equal(told.source, TRACE_MOVES);
	assert_ptr_equal(told.was, a->port);
	drain();
	end();
}

static void uplinks(void **state)
{
	struct guest *d;

	(void)state;
	begin(0);
	d = guest_create(sw, &(struct guest_config){ .name = "d", .uplink = true });
	foresee(c, 60, 0xff, 9);
	assert_int_equal(told.receivers, 2); /* not the other uplink */
	foresee(d, 60, 9, 8);
	assert_int_equal(told.verdict, VERDICT_DROP_TRANSIT);
	foresee(c, 60, 2, 1); /* a's own address comes back */
	assert_int_equal(told.verdict, VERDICT_DROP_REFLECTED);
	drain();
	guest_destroy(d);
	guest_destroy(a);
	guest_destroy(b);
	guest_destroy(c);
	switch_destroy(sw);
}

static void receivers(void **state)
{
	struct filter none = { .nouni = true };

	(void)state;
	begin(0);
	foresee(b, 60, 1, 2);
	foresee(a, 3000, 2, 1); /* buffers of 2048, not mergeable */
	assert_int_equal(told.verdict, VERDICT_DROP_BUFFER_SMALL);
	port_set_filter(b->port, &none);
	foresee(a, 60, 2, 1);
	assert_int_equal(told.verdict, VERDICT_DROP_FILTERED);
	port_set_filter(b->port, NULL);
	port_set_link(b->port, false);
	foresee(a, 60, 2, 1);
	assert_int_equal(told.verdict, VERDICT_DROP_LINK_DOWN);
	port_set_link(b->port, true);
	port_set_link(a->port, false);
	foresee(a, 60, 2, 1);
	assert_int_equal(told.verdict, VERDICT_DROP_UNPLUGGED);
	port_set_link(a->port, true);
	do {
		foresee(a, 60, 2, 1);
	} while (told.verdict == VERDICT_DELIVERED);
	assert_int_equal(told.verdict, VERDICT_DROP_NO_BUFFER);
	port_stop_queue(b->port, 0);
	foresee(a, 60, 2, 1);
	assert_int_equal(told.verdict, VERDICT_DROP_LINK_DOWN);
	drain();
	end();
}

/* Its index is nonsense: the trace says so, and leaves the queue as it is. */
static void hostile_receiver(void **state)
{
	struct queue_look q;

	(void)state;
	begin(0);
	foresee(b, 60, 1, 2);
	drain();
	frame_make(frame, 60, 2, 1, 0);
	b->rx.avail[1] += 1000;
	assert_true(port_trace(a->port, frame, 60, &told));
	assert_int_equal(told.verdict, VERDICT_DROP_BROKEN);
	assert_true(port_queue_look(b->port, 0, &q));
	assert_int_equal(q.life, QUEUE_LIFE_RUNNING);
	assert_int_equal(port_inject(a->port, frame, 60), VERDICT_DROP_BROKEN);
	assert_true(port_queue_look(b->port, 0, &q));
	assert_int_equal(q.life, QUEUE_LIFE_BROKEN);
	end();
}

/* Kicks wanted, packets put and taken, buffers gone: for each kind of ring. */
static void queues(uint64_t features)
{
	const bool packed = (features & VIRTIO_F_RING_PACKED) != 0;
	struct queue_look q;

	begin(features);
	foresee(b, 60, 1, 2);
	drain();
	assert_true(port_queue_look(a->port, 1, &q));
	assert_int_equal(q.life, QUEUE_LIFE_RUNNING);
	assert_int_equal(q.packed, packed);
	assert_int_equal(q.size, 256);
	assert_false(q.available);
	assert_true(q.kick_wanted);
	assert_false(q.polled || q.held || q.lazy);
	frame_make(frame, 60, 2, 1, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_true(drv_send(a, NULL, frame, 60, LAYOUT_ONE));
	drv_publish(&a->tx);
	assert_true(port_queue_look(a->port, 1, &q));
	assert_true(q.available);
	assert_int_equal(q.next, q.used);
	if (!packed)
		assert_int_equal((uint16_t)(q.avail - q.next), 3);
	port_kick(a->port, 1, VS_BATCH);
	assert_true(port_queue_look(a->port, 1, &q));
	assert_false(q.available);
	assert_int_equal(q.next & 0x7fff, 3);
	assert_int_equal(q.used & 0x7fff, 3);
	assert_true(q.kick_wanted);
	assert_true(port_poll_begin(a->port, 1));
	port_poll(a->port, 1);
	drv_send(a, NULL, frame, 60, LAYOUT_ONE);
	drv_publish(&a->tx);
	port_poll(a->port, 1);
	assert_true(port_queue_look(a->port, 1, &q));
	assert_true(q.polled);
	assert_false(q.kick_wanted);
	port_poll_end(a->port, 1, VS_BATCH);
	assert_true(port_queue_look(a->port, 1, &q));
	assert_true(q.kick_wanted && !q.polled);
	assert_true(port_queue_look(b->port, 0, &q)); /* buffers are there */
	assert_true(q.available);
	assert_false(q.kick_wanted);
	drain();
	port_stop_queue(a->port, 1);
	assert_true(port_queue_look(a->port, 1, &q));
	assert_int_equal(q.life, QUEUE_LIFE_STOPPED);
	assert_false(port_queue_look(a->port, 2, &q));
	end();
}

static void looks_at_queues(void **state)
{
	(void)state;
	queues(0);
	queues(VIRTIO_F_EVENT_IDX);
	queues(VIRTIO_F_RING_PACKED);
	queues(VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX);
}

static void interrupts(void **state)
{
	struct queue_look q;

	(void)state;
	begin(VIRTIO_F_EVENT_IDX);
	drv_want_interrupt(&b->rx, true);
	assert_true(port_queue_look(b->port, 0, &q));
	assert_true(q.interrupt);
	drv_want_interrupt(&b->rx, false);
	assert_true(port_queue_look(b->port, 0, &q));
	assert_false(q.interrupt);
	end();
}

/* A CPU that has no memory, or is in a batch, says so. */
static void cannot_look(void **state)
{
	struct queue_look q;

	(void)state;
	begin(0);
	env_this_cpu = 3;
	env_alloc_fail = 0;
	assert_false(port_queue_look(a->port, 0, &q));
	env_alloc_fail = 0;
	assert_false(port_trace(a->port, frame, 60, &told));
	env_alloc_fail = -1;
	assert_true(port_trace(a->port, frame, 60, &told));
	env_this_cpu = 0;
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(foresees),	   cmocka_unit_test(uplinks),
		cmocka_unit_test(receivers),	   cmocka_unit_test(hostile_receiver),
		cmocka_unit_test(looks_at_queues), cmocka_unit_test(interrupts),
		cmocka_unit_test(cannot_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
