/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is to be known of a VM that hangs: how its earlier lives ended, each vCPU as its own CPU has copied it out
 * (vcpu_look.h), each queue of its ports. What it means is for the host to say. A call asks the vCPUs for
 * another copy and tells the one that is there: a vCPU may wait for the CPU that answers. Names are looked up
 * without the lock: a kernel may have very many.
 */
#include "hv/core/again.h"
#include "hv/core/elf.h"
#include "hv/core/facts.h"
#include "hv/core/images.h"
#include "hv/core/json.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/core/mgmt_see.h"
#include "hv/core/platform.h"
#include "hv/core/pmm.h"
#include "hv/core/vm_past.h"
#include "hv/cpu/msr.h"
#include "lasthop/stats.h"
#include "vswitch/look.h"

#define MOST_QUEUES (2 * CONFIG_MAX_QUEUE_PAIRS)

/* Of each vCPU: its copy, and the name of where it was. One call at a time. */
static struct seen {
	struct vcpu_look look;
	uint64_t address;
	const char *symbol; /* NULL: none is known */
	uint64_t offset;
} seen[CONFIG_MAX_VCPUS];

static uint64_t us_of(uint64_t tsc)
{
	return tsc_to_ns(tsc) / 1000;
}

/* How long ago, by another CPU's TSC, which may be ahead of ours. */
static uint64_t ago_us(uint64_t tsc)
{
	uint64_t now = rdtsc();

	return now > tsc ? us_of(now - tsc) : 0;
}

static void put_hex(struct json *j, const char *name, uint64_t value)
{
	char text[20];

	snprintf(text, sizeof(text), "%llx", (unsigned long long)value);
	json_string(j, name, text);
}

/* At most 16. */
static void put_bytes(struct json *j, const char *name, const uint8_t *bytes, unsigned count)
{
	char text[2 * 16 + 1] = "";

	for (unsigned i = 0; i < count; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	json_string(j, name, text);
}

/* Copies what the vCPUs have told; how many there are. Under vm_table_lock. */
static unsigned read_looks(const struct vm *vm)
{
	unsigned count = vm ? vm->vcpu_count : 0;

	for (unsigned i = 0; i < count; i++) {
		struct vcpu_look *look = &seen[i].look;

		vcpu_look_read(vm->vcpus[i], look);
		seen[i].address = look->bits64 ? look->rip : (uint32_t)(look->cs_base + look->rip);
	}
	return count;
}

static void find_symbols(const struct config_vm *config, unsigned count)
{
	const struct handover_image *kernel = count ? image_find(config->kernel, false) : NULL;

	for (unsigned i = 0; i < count; i++) {
		struct seen *s = &seen[i], *before = s - 1;

		s->symbol = NULL;
		if (!kernel || !s->look.tsc)
			continue;
		if (i > 0 && s->address == before->address) { /* all sleep alike, perhaps */
			s->symbol = before->symbol;
			s->offset = before->offset;
			continue;
		}
		s->symbol = elf64_symbol(hpa_to_ptr((hpa_t){ kernel->addr }), kernel->bytes,
					 s->address, &s->offset);
	}
}

static void put_exits(struct json *j, const struct last_exits *exits)
{
	unsigned have = exits->count < LAST_EXITS ? exits->count : LAST_EXITS;

	json_array(j, "exits");
	for (unsigned i = 1; i <= have; i++) { /* the last first */
		const struct last_exit *e = &exits->exit[(exits->count - i) % LAST_EXITS];

		json_object(j, NULL);
		json_string(j, "kind", vmexit_kind_name(e->kind));
		json_string(j, "cause", exit_cause_name(e->cause));
		put_hex(j, "detail", e->detail);
		json_u64(j, "ago_us", ago_us(e->tsc));
		json_object_end(j);
	}
	json_array_end(j);
}

static void put_look(struct json *j, const struct seen *s)
{
	const struct vcpu_look *look = &s->look;

	json_u64(j, "look_us", us_of(look->tsc));
	put_hex(j, "rip", look->rip);
	put_hex(j, "rsp", look->rsp);
	put_hex(j, "rflags", look->rflags);
	put_hex(j, "cr0", look->cr0);
	put_hex(j, "cr3", look->cr3);
	put_hex(j, "cr4", look->cr4);
	put_hex(j, "efer", look->efer);
	put_hex(j, "cs", look->cs);
	put_hex(j, "cs_base", look->cs_base);
	if (s->symbol) {
		json_string(j, "symbol", s->symbol);
		json_u64(j, "symbol_offset", s->offset);
	}
	put_bytes(j, "code", look->code, look->code_bytes);
	put_bytes(j, "before", look->before, look->before_bytes);
	json_u64(j, "cpl", look->cpl);
	json_bool(j, "bits64", look->bits64);
	json_bool(j, "interrupts_on", (look->rflags & RFLAGS_IF) != 0);
	json_bool(j, "halted", look->halted);
	json_bool(j, "sipi_awaited", look->sipi_awaited);
	json_bool(j, "can_take", look->can_take);
	if (look->irq >= 0)
		json_u64(j, "irq", (uint64_t)look->irq);
	if (look->timer_tsc != TIMER_NEVER)
		json_u64(j, "timer_us",
			 look->timer_tsc > look->tsc ? us_of(look->timer_tsc - look->tsc) : 0);
	json_u64(j, "exits_total", look->exits.count);
	put_exits(j, &look->exits);
}

static void put_vcpu(struct json *j, const struct seen *s, struct vcpu *v)
{
	static const char *const states[] = { [VCPU_OFF] = "off",
					      [VCPU_RUNNABLE] = "runnable",
					      [VCPU_RUNNING] = "running",
					      [VCPU_BLOCKED] = "blocked" };
	uint32_t state = atomic_load(&v->state);
	struct cpu *cpu = atomic_load(&v->cpu);

	json_object(j, NULL);
	json_u64(j, "index", v->index);
	json_string(j, "state", states[state]);
	if (cpu)
		json_u64(j, "cpu", cpu->index);
	json_u64(j, "wakeups", atomic_load_explicit(&v->wakeups, memory_order_relaxed));
	json_u64(j, "run_us", us_of(atomic_load_explicit(&v->run_tsc, memory_order_relaxed)));
	if (s->look.tsc)
		put_look(j, s);
	json_object_end(j);
	if (state != VCPU_OFF)
		vcpu_signal(v, SIGNAL_LOOK, 0);
}

static void put_queue(struct json *j, unsigned queue, const struct queue_look *q)
{
	static const char *const lives[] = { [QUEUE_LIFE_STOPPED] = "stopped",
					     [QUEUE_LIFE_RUNNING] = "running",
					     [QUEUE_LIFE_BROKEN] = "broken" };

	json_object(j, NULL);
	json_string(j, "queue", queue % 2 ? "transmit" : "receive");
	json_u64(j, "pair", queue / 2);
	json_string(j, "state", lives[q->life]);
	if (q->life == QUEUE_LIFE_RUNNING) {
		json_bool(j, "packed", q->packed);
		json_u64(j, "size", q->size);
		json_bool(j, "available", q->available);
		json_u64(j, "avail", q->avail);
		json_u64(j, "next", q->next);
		json_u64(j, "used", q->used);
		json_bool(j, "kick_wanted", q->kick_wanted);
		if (q->event_idx || q->packed)
			json_u64(j, "kick_at", q->kick_at);
		json_bool(j, "interrupt_wanted", q->interrupt);
		json_bool(j, "interrupt_owed", q->interrupt_owed);
		json_bool(j, "lazy", q->lazy);
		json_bool(j, "polled", q->polled);
		json_bool(j, "held", q->held);
	}
	json_object_end(j);
}

static void put_port(struct json *j, struct port *port)
{
	static const enum stat_id counters[] = {
		STAT_tx_packets,	STAT_rx_packets,	STAT_kicks,
		STAT_rx_drop_no_buffer, STAT_rx_drop_link_down, STAT_queue_stopped
	};
	static const char *const names[] = {
		"tx_packets",	     "rx_packets",	  "kicks",
		"rx_drop_no_buffer", "rx_drop_link_down", "queue_stopped"
	};
	uint64_t offered, accepted;
	struct queue_look q;

	json_object(j, NULL);
	json_string(j, "port", port_name(port));
	json_string(j, "switch", port_switch_name(port));
	json_bool(j, "link", port_link(port));
	json_bool(j, "uplinks_away", platform->port_uplinks_away(port));
	json_bool(j, "driver", platform->port_features(port, &offered, &accepted));
	for (unsigned i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		json_u64(j, names[i], port_counter(port, counters[i]));
	json_array(j, "queues");
	for (unsigned queue = 0; queue < MOST_QUEUES && port_queue_look(port, queue, &q); queue++)
		put_queue(j, queue, &q);
	json_array_end(j);
	json_object_end(j);
}

static void put_past(struct json *j, unsigned id)
{
	static struct vm_past past;

	vm_past_read(id, &past);
	json_u64(j, "ends", past.ends);
	json_array(j, "past");
	for (unsigned i = 0; i < PAST_ENDS && past.last[i].end; i++) {
		json_object(j, NULL);
		json_string(j, "end", past.last[i].end);
		json_string(j, "reason", past.last[i].reason);
		json_u64(j, "ago_us", ago_us(past.last[i].tsc));
		json_u64(j, "lived_us", past.last[i].lived_us);
		json_object_end(j);
	}
	json_array_end(j);
}

static const char *state_of(const struct vm *vm)
{
	if (!vm)
		return "off";
	switch (atomic_load(&vm->state)) {
	case VM_CREATED:
		return "starting";
	case VM_RUNNING:
		return atomic_load(&vm->paused) ? "paused" : "running";
	default:
		return "ending";
	}
}

/* count: of the vCPUs that were seen. */
static void put_vm(struct json *j, unsigned id, unsigned count)
{
	struct vm *vm = vm_table[id];
	struct port *port;

	json_string(j, "state", !vm && again_waits(id) ? "waiting" : state_of(vm));
	json_u64(j, "now_us", us_of(rdtsc()));
	put_past(j, id);
	json_array(j, "vcpus");
	for (unsigned i = 0; vm && i < vm->vcpu_count && i < count; i++)
		put_vcpu(j, &seen[i], vm->vcpus[i]);
	json_array_end(j);
	json_array(j, "ports");
	for (unsigned i = 0; vm && (port = platform->vm_port(vm, i)) != NULL; i++)
		put_port(j, port);
	json_array_end(j);
	if (vm)
		json_u64(j, "up_us", ago_us(vm->start_tsc));
}

void see_why(struct mgmt_call *call)
{
	char name[CONFIG_MAX_NAME + 1];
	struct json *j = mgmt_result(call);
	unsigned count;
	int id;

	if (!mgmt_param_string(call, "vm", name, sizeof(name)))
		return;
	id = vm_by_name(name); /* the config changes on this CPU alone */
	if (id < 0) {
		mgmt_fail(call, MGMT_NOENT, "there is no VM \"%s\": vm list shows them", name);
		return;
	}
	spin_lock(&vm_table_lock);
	count = read_looks(vm_table[id]);
	spin_unlock(&vm_table_lock);
	find_symbols(&vm_config->vms[id], count);
	json_string(j, "vm", name);
	json_string(j, "kernel", vm_config->vms[id].kernel);
	json_bool(j, "driver_domain", vm_config->vms[id].driver_domain);
	spin_lock(&vm_table_lock);
	put_vm(j, (unsigned)id, count);
	spin_unlock(&vm_table_lock);
}
