/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netd with a bug, for demos and tests: all of its sources as they are, linked with the linker's
 * --wrap=nic_probe, so that it gets its NICs from here. A driver of ours is the real one, until it
 * has received a number of frames: then it follows a pointer that leads nowhere. The
 * hypervisor starts a fresh image, which does the same.
 *
 * Boot arguments: those of netd (guest/netd/netd.h), and
 *   crash-after-frames=N      received by a NIC or from the switch, since the start (1000)
 */
#include "drivers/nic.h"
#include "guest/lib/args.h"
#include "guest/lib/runtime.h"

enum { FRAMES = 1000, MOST_NICS = 8 };

static struct crash {
	struct nic *nic;
	const struct nic_ops *real;
	struct nic_ops ops; /* the real ones but for receive */
} crashes[MOST_NICS];
static unsigned crash_count;
static uint64_t frames_left;

/* Nobody's address: not canonical (SDM 1, "Canonical Addressing"). */
static volatile uint8_t *const nowhere = (volatile uint8_t *)0x6b636f6c64616564;

struct nic *__real_nic_probe(unsigned devfn, const char **error);
struct nic *__wrap_nic_probe(unsigned devfn, const char **error);

static struct nic_frame *receive(struct nic *nic)
{
	struct nic_frame *frame;
	unsigned i = 0;

	while (crashes[i].nic != nic)
		i++;
	frame = crashes[i].real->receive(nic);
	if (frame && --frames_left == 0)
		*nowhere = 0;
	return frame;
}

struct nic *__wrap_nic_probe(unsigned devfn, const char **error)
{
	struct nic *nic = __real_nic_probe(devfn, error);
	struct crash *c = &crashes[crash_count];

	if (!nic || crash_count == MOST_NICS)
		return nic;
	if (crash_count++ == 0 &&
	    (!args_u64(guest_cmdline(), "crash-after-frames", FRAMES, &frames_left) ||
	     !frames_left))
		guest_fail("crash-after-frames: a number, 1 or more, is wanted");
	c->nic = nic;
	c->real = nic->ops;
	c->ops = *nic->ops;
	c->ops.receive = receive;
	nic->ops = &c->ops;
	return nic;
}
