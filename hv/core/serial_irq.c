/* SPDX-License-Identifier: BSD-2-Clause */
#include "hv/core/serial_irq.h"

#include "hv/core/host_ioapic.h"
#include "hv/core/percpu.h"
#include "hv/core/platform.h"
#include "hv/core/timer.h"
#include "hv/core/trap.h"
#include "hv/cpu/lapic.h"
#include "hv/cpu/x86.h"

#define GAP_US 50    /* between two interrupts of a line: an emulator's can be fast */
#define TRY_US 20000 /* its transmitter takes 16 bytes of 87 us to become empty */

/* All of it is the home CPU's alone, whose interrupt it is. */
static struct line {
	bool works, listens;
	_Atomic bool came; /* while it is tried out */
	uint32_t mail;
	uint64_t last_tsc; /* it has come */
	struct timer gap;
} lines[SERIAL_LINES];

static void listen(struct line *l)
{
	l->listens = true;
	serial_interrupts((enum serial_line)(l - lines), SERIAL_RECEIVED);
}

static void gap_over(struct timer *timer)
{
	struct line *l = container_of(timer, struct line, gap);

	if (!l->listens)
		listen(l);
}

void serial_irq_listen(enum serial_line line)
{
	struct line *l = &lines[line];
	uint64_t next = l->last_tsc + tsc_from_us(GAP_US);

	if (!l->works || l->listens)
		return;
	if (rdtsc() < next)
		timer_set(&l->gap, next);
	else
		listen(l);
}

/* With its interrupts off the line falls: the next edge is that of serial_irq_listen(). */
void serial_irq_came(enum serial_line line)
{
	struct line *l = &lines[line];

	serial_interrupts(line, SERIAL_QUIET);
	l->listens = false;
	l->last_tsc = rdtsc();
	if (l->works)
		cpu_post(this_cpu(), l->mail);
	else
		atomic_store(&l->came, true);
}

/* By its transmitter, which is empty soon. */
static bool tried(enum serial_line line)
{
	struct line *l = &lines[line];
	uint64_t end = rdtsc() + tsc_from_us(TRY_US);

	serial_interrupts(line, SERIAL_SENT);
	while (!atomic_load(&l->came) && rdtsc() < end)
		interrupts_take();
	serial_interrupts(line, SERIAL_QUIET);
	return atomic_load(&l->came);
}

bool serial_irq_start(enum serial_line line, uint32_t mail)
{
	static const uint8_t irq[SERIAL_LINES] = { [SERIAL_FIRST] = 4, [SERIAL_SECOND] = 3 };
	static const char *const names[SERIAL_LINES] = { "COM1", "COM2" };
	const unsigned gsi = host_ioapic_gsi(irq[line]);
	struct line *l = &lines[line];
	uint64_t redirection;
	uint8_t ioapic_id;

	l->mail = mail;
	timer_init(&l->gap, gap_over);
	if (!host_ioapic_free(gsi) || host_ioapic_take(gsi, names[line], &ioapic_id) < 0)
		return false;
	if (platform->pin_route(ioapic_id, (uint8_t)(VECTOR_SERIAL + line), this_cpu()->apic_id,
				&redirection) == 0) {
		host_ioapic_write(gsi, redirection);
		host_ioapic_mask(gsi, false);
		l->works = tried(line);
	}
	if (!l->works)
		host_ioapic_give_back(gsi);
	return l->works;
}
