/* SPDX-License-Identifier: BSD-2-Clause */
/* See vtd_sim.h. */
#include "tests/unit/dev/vtd_sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "hv/core/acpi.h"
#include "hv/core/log.h"
#include "hv/core/paging.h"
#include "hv/core/timer.h"
#include "hv/cpu/lapic.h"

struct sim_unit sim[SIM_UNITS];
char sim_log[8192];
unsigned sim_errors;
int sim_pages, sim_pages_left;
uint64_t sim_written_back;
bool sim_x2apic, sim_foreign, sim_bridge;
jmp_buf *sim_panic;

#define MOST_PAGES 4096
static void *pages[MOST_PAGES]; /* NULL: given back */
static unsigned page_count;

static void require(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "the unit is misused: %s\n", what);
	abort();
}

void sim_reset(void)
{
	while (page_count > 0)
		free(pages[--page_count]);
	sim_pages = 0;
	memset(&vtd, 0, sizeof(vtd));
	memset(sim, 0, sizeof(sim));
	for (unsigned i = 0; i < SIM_UNITS; i++)
		sim[i] = (struct sim_unit){ .cap = SIM_CAP, .ecap = SIM_ECAP, .bad_in = -1 };
	sim_log[0] = 0;
	sim_errors = 0;
	sim_pages_left = -1;
	sim_written_back = 0;
	sim_x2apic = sim_foreign = sim_bridge = false;
	sim_panic = NULL;
}

void assert_log(const char *text)
{
	if (strstr(sim_log, text))
		return;
	fprintf(stderr, "not in the log: %s\n%s", text, sim_log);
	abort();
}

/* --- the table DMAR --- */

static uint8_t *word(uint8_t *p, uint64_t value, size_t bytes)
{
	memcpy(p, &value, bytes);
	return p + bytes;
}

static uint8_t *scope(uint8_t *p, uint8_t type, uint8_t id, uint8_t bus, uint8_t device)
{
	const uint8_t bytes[] = { type, 8, 0, 0, id, bus, device, 0 };

	memcpy(p, bytes, sizeof(bytes));
	return p + sizeof(bytes);
}

int sim_start(unsigned units)
{
	uint8_t table[512] = { [37] = 1 }, *p = table + 48;

	if (units > 1) {
		p = word(word(word(p, 24ull << 16, 8), SIM_BASE(0), 8), 0, 0);
		p = scope(p, DMAR_ENDPOINT, 0, 0, 2);
	}
	p = word(word(p, 1ull << 32 | 24ull << 16, 8), SIM_BASE(units - 1), 8);
	p = scope(p, DMAR_IOAPIC, 8, 0xff, 0);
	p = word(word(word(p, 32ull << 16 | 1, 8), 0x7f000000, 8), 0x7f0fffff, 8);
	p = scope(p, sim_bridge ? DMAR_BRIDGE : DMAR_ENDPOINT, 0, 0, 0x14);
	return vtd_start(table, (size_t)(p - table));
}

/* --- what else the code asks of its surroundings --- */

void *page_alloc(size_t bytes)
{
	size_t whole = (bytes + PAGE_SIZE - 1) & ~(size_t)(PAGE_SIZE - 1);
	void *p;

	if (sim_pages_left >= 0 && sim_pages_left-- == 0)
		return NULL;
	p = aligned_alloc(PAGE_SIZE, whole);
	memset(p, 0, whole);
	require(page_count < MOST_PAGES, "so many pages");
	pages[page_count++] = p;
	sim_pages++;
	return p;
}

void page_free(void *p, size_t bytes)
{
	unsigned i = 0;

	(void)bytes;
	while (i < page_count && pages[i] != p)
		i++;
	require(i < page_count, "page_free() of what is none");
	pages[i] = NULL;
	sim_pages--;
	free(p);
}

static void append(const char *prefix, const char *fmt, va_list ap)
{
	size_t n = strlen(sim_log);

	n += (size_t)snprintf(sim_log + n, sizeof(sim_log) - n, "%s", prefix);
	n += (size_t)vsnprintf(sim_log + n, sizeof(sim_log) - n, fmt, ap);
	require(n < sizeof(sim_log) - 1, "the log is full");
	strcat(sim_log, "\n");
}

void log_printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append("", fmt, ap);
	va_end(ap);
}

void log_limited(struct log_limit *limit, const char *fmt, ...)
{
	va_list ap;

	require(limit, "no limit");
	va_start(ap, fmt);
	append("", fmt, ap);
	va_end(ap);
}

int(fail)(enum lh_err err, const char *fmt, ...)
{
	va_list ap;

	sim_errors++;
	va_start(ap, fmt);
	append("error: ", fmt, ap);
	va_end(ap);
	return err;
}

void panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	append("panic: ", fmt, ap);
	va_end(ap);
	if (sim_panic)
		longjmp(*sim_panic, 1);
	fputs(sim_log, stderr);
	abort();
}

void *map_device(uint64_t hpa, size_t bytes)
{
	return hpa >> 46 || bytes > 0x6000 ? NULL : (void *)hpa;
}

bool is_foreign(uint64_t hpa, uint64_t bytes)
{
	return sim_foreign && hpa == 0x7f000000 && bytes == 0x100000;
}

uint64_t tsc_from_us(uint64_t us)
{
	return us; /* so that no test waits for long */
}

bool lapic_is_x2apic(void)
{
	return sim_x2apic;
}

uint32_t host_pci_read(struct pci_address address, unsigned at, unsigned bytes)
{
	(void)bytes;
	if (!sim_bridge || address.bus != 0 || address.devfn != 0x14 << 3)
		return 0;
	return at == 0x0e ? 1 : at == 0x19 ? 5 : 6; /* header type, secondary, subordinate bus */
}

/* --- registers --- */

static struct sim_unit *unit_of(const struct vtd_unit *u)
{
	unsigned i = (unsigned)((u->base - SIM_BASE(0)) / 0x1000);

	require(i < SIM_UNITS, "no such unit");
	return &sim[i];
}

static bool record_pending(const struct sim_unit *s)
{
	for (unsigned i = 0; i < SIM_RECORDS; i++)
		if (s->record[i].hi >> 63)
			return true;
	return false;
}

static uint32_t fault_status(const struct sim_unit *s)
{
	unsigned oldest = s->next_record;

	for (unsigned i = 0; i < SIM_RECORDS; i++) /* next_record is where the oldest may be */
		if (s->record[(s->next_record + i) % SIM_RECORDS].hi >> 63) {
			oldest = (s->next_record + i) % SIM_RECORDS;
			break;
		}
	return s->fsts | (record_pending(s) ? (uint32_t)FSTS_PPF : 0) | oldest << 8;
}

static bool is_record(unsigned at)
{
	return at >= SIM_FRO && at < SIM_FRO + 16 * SIM_RECORDS;
}

uint32_t vtd_read32(const struct vtd_unit *u, unsigned at)
{
	struct sim_unit *s = unit_of(u);

	if (is_record(at))
		return ((uint32_t *)s->record)[(at - SIM_FRO) / 4];
	switch (at) {
	case VTD_VER:
		return s->cap == ~0ull ? ~0u : 0x10;
	case VTD_GSTS:
		return s->gsts;
	case VTD_FSTS:
		return fault_status(s);
	case VTD_PMEN:
		return s->pmen;
	case VTD_IQH:
		return s->iqh;
	case VTD_IQT:
		return s->iqt;
	}
	require(false, "a 32-bit read of another register");
	return 0;
}

uint64_t vtd_read64(const struct vtd_unit *u, unsigned at)
{
	struct sim_unit *s = unit_of(u);

	if (is_record(at))
		return ((uint64_t *)s->record)[(at - SIM_FRO) / 8];
	switch (at) {
	case VTD_CAP:
		return s->cap;
	case VTD_ECAP:
		return s->ecap;
	case VTD_RTADDR:
		return s->rtaddr;
	case VTD_IQH:
		return s->iqh;
	}
	require(false, "a 64-bit read of another register");
	return 0;
}

/* "Hardware Handling of Queued Invalidation Interface Errors" */
static bool execute(struct sim_unit *s, struct vtd_entry d)
{
	bool global = (d.lo >> 4 & 3) == 1;

	if (s->bad_in >= 0 && s->bad_in-- == 0)
		return false;
	switch (d.lo & 15) {
	case 1:
		require((d.lo >> 4 & 3) && !d.hi, "context-cache descriptor");
		s->stale_context = s->stale_context && !global;
		break;
	case 2:
		require((d.lo >> 4 & 3) && !s->stale_context, "IOTLB before the context cache");
		require((d.lo >> 6 & 3) == (s->cap >> 54 & 3), "draining as the unit can");
		s->stale_iotlb = s->stale_iotlb && !global;
		break;
	case 4:
		s->stale_irtes = s->stale_irtes && (d.lo & 16);
		break;
	case 5:
		require((d.lo >> 4 & 15) == 2 && !(d.hi & 3), "wait descriptor");
		s->waits++;
		*(uint32_t *)hpa_to_ptr((hpa_t){ d.hi }) = (uint32_t)(d.lo >> 32);
		return true;
	default:
		return false;
	}
	require(s->seen_count < SIM_SEEN, "room for descriptors");
	s->seen[s->seen_count++] = d;
	return true;
}

static void run_queue(struct sim_unit *s)
{
	const struct vtd_entry *queue = hpa_to_ptr((hpa_t){ s->iqa & ENTRY_ADDRESS });

	while ((s->gsts & GCMD_QIE) && !s->dead && !(s->fsts & (FSTS_IQE | FSTS_ITE)) &&
	       s->iqh != s->iqt) {
		if (!execute(s, queue[s->iqh / 16])) {
			s->fsts |= FSTS_IQE;
			return;
		}
		s->iqh = (s->iqh + 16) % PAGE_SIZE;
	}
}

static void obey(struct sim_unit *s, uint64_t bit, bool on)
{
	if (bit == GCMD_TE && on)
		require((s->gsts & GCMD_SRTP) && !s->stale_context && !s->stale_iotlb,
			"translation on with no root table, or an old one's cache");
	if (bit == GCMD_IRE && on)
		require((s->gsts & GCMD_SIRTP) && !s->stale_irtes, "no interrupt remapping table");
	if (bit == GCMD_TE && !on && (s->gsts & GCMD_TE))
		s->unblocked++;
	if (bit == GCMD_QIE && on)
		require(s->iqt == 0 && !(s->iqa & 0xfff), "a queue of a page, empty");
	if (bit == GCMD_QIE)
		s->iqh = 0;
	if (bit == GCMD_SRTP) {
		require(!(s->gsts & GCMD_TE) ||
				(s->root & RTADDR_MODE) == (s->rtaddr & RTADDR_MODE),
			"the mode changes under translation");
		s->root = s->rtaddr;
		s->stale_context = s->stale_iotlb = true;
	}
	if (bit == GCMD_SIRTP) {
		s->irtes = s->irta;
		s->stale_irtes = true;
	}
	s->gsts = (uint32_t)(on ? s->gsts | bit : s->gsts & ~bit);
}

static void command(struct sim_unit *s, uint32_t value)
{
	const uint64_t one_shot = GCMD_SRTP | GCMD_SIRTP;
	uint64_t bits = ((value ^ s->gsts) & GSTS_PERSISTENT) | (value & one_shot);

	require(__builtin_popcountll(bits) <= 1, "one command a write");
	if (bits & ~(uint64_t)s->deaf)
		obey(s, bits, value & bits);
	else if (bits & one_shot)
		s->gsts &= (uint32_t)~bits;
}

void vtd_write32(const struct vtd_unit *u, unsigned at, uint32_t value)
{
	struct sim_unit *s = unit_of(u);

	s->writes++;
	if (is_record(at) && at % 16 == 12) {
		uint64_t *hi = &s->record[(at - SIM_FRO) / 16].hi;

		*hi &= ~((uint64_t)value << 32 & BIT(63));
		return;
	}
	switch (at) {
	case VTD_GCMD:
		command(s, value);
		return;
	case VTD_FSTS:
		s->fsts &= ~value;
		run_queue(s);
		return;
	case VTD_FECTL:
		s->fectl = value;
		return;
	case VTD_PMEN:
		if (!s->keeps_regions)
			s->pmen = value & (uint32_t)PMEN_EPM ? (uint32_t)(PMEN_EPM | PMEN_PRS) : 0;
		return;
	}
	require(false, "a 32-bit write of another register");
}

void vtd_write64(const struct vtd_unit *u, unsigned at, uint64_t value)
{
	struct sim_unit *s = unit_of(u);

	s->writes++;
	switch (at) {
	case VTD_RTADDR:
		s->rtaddr = value;
		return;
	case VTD_IRTA:
		s->irta = value;
		return;
	case VTD_IQA:
		require(!(s->gsts & GCMD_QIE), "the queue moves while it is on");
		s->iqa = value;
		return;
	case VTD_IQT:
		require(value < PAGE_SIZE && value % 16 == 0, "tail");
		s->iqt = (uint32_t)value;
		run_queue(s);
		return;
	}
	require(false, "a 64-bit write of another register");
}

void vtd_write_back(const void *p, size_t bytes)
{
	(void)p;
	sim_written_back += bytes;
}

/* --- what the tests look at --- */

void sim_firmware(unsigned unit, uint32_t gsts, uint64_t mode)
{
	static struct vtd_entry queue[256] __attribute__((aligned(4096)));
	struct sim_unit *s = &sim[unit];

	s->gsts = gsts;
	s->root = s->rtaddr = 0x5000 | mode;
	s->iqa = ptr_to_hpa(queue).v | 0x800; /* of 256 bits */
	s->iqh = s->iqt = 0x40;
}

void sim_fault(unsigned unit, uint16_t source, uint8_t reason, bool read, uint64_t info)
{
	struct sim_unit *s = &sim[unit];

	if (s->record[s->next_record].hi >> 63) {
		s->fsts |= FSTS_PFO;
		return;
	}
	s->record[s->next_record] = (struct vtd_entry){
		.lo = info,
		.hi = BIT(63) | (read ? BIT(62) : 0) | (uint64_t)reason << 32 | source,
	};
	s->next_record = (s->next_record + 1) % SIM_RECORDS;
}

static struct vtd_entry *table_at(uint64_t address)
{
	return hpa_to_ptr((hpa_t){ address & ENTRY_ADDRESS });
}

struct vtd_entry sim_root(unsigned unit, uint8_t bus)
{
	return table_at(sim[unit].root)[bus];
}

struct vtd_entry sim_context(unsigned unit, struct pci_address device)
{
	struct vtd_entry root = sim_root(unit, device.bus);

	require(root.lo & 1, "a root entry");
	return table_at(root.lo)[device.devfn];
}

struct vtd_entry sim_irte(unsigned unit, unsigned handle)
{
	return table_at(sim[unit].irtes)[handle];
}

bool sim_saw(unsigned unit, unsigned from, uint64_t lo)
{
	for (unsigned i = from; i < sim[unit].seen_count; i++)
		if (sim[unit].seen[i].lo == lo)
			return true;
	return false;
}
