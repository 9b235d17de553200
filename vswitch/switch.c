/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A switch: its ports, its FDB, the CPUs' scratch memory, and the grace period by which ports and
 * queues are taken away. A CPU marks its batches in a sequence word, odd inside; entering (store
 * odd, then read states) and leaving something (store state, then read words) are sequentially
 * consistent on both sides, so that one of the two sees the other.
 */
#include "vswitch/switch_impl.h"

#include "vswitch/copy_wide.h"

#define US_PER_S 1000000u

uint64_t switch_features(void)
{
	return VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |
	       VIRTIO_F_RING_PACKED | VIRTIO_NET_F_MRG_RXBUF | OFFLOAD_FEATURES;
}

/* Seen by switch_quiesce() from before this CPU's first batch on. */
static struct vs_cpu *add_cpu(struct vswitch *sw, unsigned number)
{
	struct vs_cpu *cpu = env_alloc(sizeof(*cpu));

	if (cpu == NULL)
		return NULL;
	cpu->cpu = number;
	atomic_store_explicit(&sw->cpu[number], cpu, memory_order_seq_cst);
	return cpu;
}

struct vswitch *switch_create(const char *name)
{
	struct vswitch *sw = env_alloc(sizeof(*sw));

	if (sw == NULL)
		return NULL;
	copy_wide_detect();
	/* boot-time jitter is all the randomness there is */
	sw->fdb = fdb_create(env_now_us() * 0xd1342543de82ef95ull ^ (uintptr_t)sw);
	if (sw->fdb == NULL) {
		env_free(sw, sizeof(*sw));
		return NULL;
	}
	for (unsigned i = 0; i < VS_NAME_BYTES - 1 && name[i] != '\0'; i++)
		sw->name[i] = name[i];
	for (unsigned i = 0; i < env_cpus(); i++) {
		if (add_cpu(sw, i) == NULL) {
			switch_destroy(sw);
			return NULL;
		}
	}
	return sw;
}

void switch_destroy(struct vswitch *sw)
{
	if (sw == NULL)
		return;
	for (unsigned i = 0; i < VS_MAX_CPUS; i++) {
		struct vs_cpu *cpu = atomic_load_explicit(&sw->cpu[i], memory_order_acquire);

		if (cpu != NULL)
			env_free(cpu, sizeof(*cpu));
	}
	fdb_destroy(sw->fdb);
	env_free(sw, sizeof(*sw));
}

const char *switch_name(const struct vswitch *sw)
{
	return sw->name;
}

struct port *switch_port(const struct vswitch *sw, unsigned i)
{
	for (unsigned id = 0; sw != NULL && id < VS_MAX_PORTS; id++) {
		struct port *port = atomic_load_explicit(&sw->port[id], memory_order_acquire);

		if (port != NULL && i-- == 0)
			return port;
	}
	return NULL;
}

unsigned switch_fdb(const struct vswitch *sw, struct fdb_view *out, unsigned room)
{
	uint32_t now_s = (uint32_t)(env_now_us() / US_PER_S);
	unsigned count = 0;

	for (unsigned i = 0; i < FDB_BUCKETS * FDB_WAYS && count < room; i++) {
		struct fdb_entry e = fdb_entry(sw->fdb, i);
		const struct port *port;

		/* signed: another CPU may have seen it after now_s was read; or with a clock behind */
		int32_t age_s = (int32_t)(now_s - e.seen_s);

		if (e.port >= VS_MAX_PORTS || age_s > (int32_t)FDB_AGE_S)
			continue;
		port = atomic_load_explicit(&sw->port[e.port], memory_order_acquire);
		if (port == NULL)
			continue;
		for (unsigned byte = 0; byte < 6; byte++)
			out[count].mac[byte] = (uint8_t)(e.mac >> (40 - 8 * byte));
		out[count].port = port;
		out[count].age_us = age_s > 0 ? (uint64_t)age_s * US_PER_S : 0;
		count++;
	}
	return count;
}

struct vs_cpu *batch_begin(struct vswitch *sw)
{
	unsigned number = env_cpu();
	struct vs_cpu *cpu = atomic_load_explicit(&sw->cpu[number], memory_order_relaxed);
	uint32_t seq;

	if (cpu == NULL)
		cpu = add_cpu(sw, number);
	if (cpu == NULL)
		return NULL;
	seq = atomic_load_explicit(&cpu->seq, memory_order_relaxed);
	if (seq & 1)
		return NULL;
	atomic_store_explicit(&cpu->seq, seq + 1, memory_order_seq_cst);
	cpu->now_s = (uint32_t)(env_now_us() / US_PER_S);
	return cpu;
}

void batch_end(struct vs_cpu *cpu)
{
	uint32_t seq = atomic_load_explicit(&cpu->seq, memory_order_relaxed);

	atomic_store_explicit(&cpu->seq, seq + 1, memory_order_release);
}

void switch_quiesce(struct vswitch *sw)
{
	uint64_t since = env_now_us();

	for (unsigned i = 0; i < VS_MAX_CPUS; i++) {
		struct vs_cpu *cpu = atomic_load_explicit(&sw->cpu[i], memory_order_seq_cst);
		uint32_t seq;

		if (cpu == NULL)
			continue;
		seq = atomic_load_explicit(&cpu->seq, memory_order_seq_cst);
		if (!(seq & 1))
			continue;
		while (atomic_load_explicit(&cpu->seq, memory_order_acquire) == seq)
			env_await(i, since);
	}
}
