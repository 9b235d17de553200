/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lasthop-trace: what the switch does with frames, by the switch itself, on the host. It makes the ports
 * that a config describes, with a guest's driver behind each, and sends frames from one of them; what
 * it tells is read from the switch's own table, counters and verdicts. Called by `lasthop trace`.
 *
 * usage: lasthop-trace DTB VM/NODE < frames, a line of hex digits each. It prints a line "STAGE<tab>text"
 * for each stage, "verdict<tab>NAME<tab>text" behind a frame's last one. Exit status 1: the config or the
 * port is wrong, said on stderr.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/core/config.h"
#include "lasthop/stats.h"
#include "tests/unit/vswitch/driver.h"
#include "vswitch/filter.h"
#include "vswitch/frame.h"

#define FDB_ROOM   8192u
#define LINE_BYTES (2 * VS_MAX_FRAME + 64)
#define VLAN_TAG   0x8100u

/* A port of the switch in question. */
struct place {
	const struct config_net *net;
	char name[2 * CONFIG_MAX_NAME + 2];
	struct guest *guest;
	uint64_t before[STAT_COUNT];
};

static struct place places[VS_MAX_PORTS];
static unsigned place_count;
static struct vswitch *sw;

/* A verdict's name and text, and the counter of a receiver that drops for it. */
static const struct {
	const char *name, *text;
} verdicts[] = {
#define VERDICT_ROW(name, stat, text) { #stat, text },
	VERDICT_TABLE(VERDICT_ROW)
#undef VERDICT_ROW
};

static const struct {
	enum stat_id id;
	enum verdict why;
} rx_drops[] = {
	{ STAT_rx_drop_filtered, VERDICT_DROP_FILTERED },
	{ STAT_rx_drop_link_down, VERDICT_DROP_LINK_DOWN },
	{ STAT_rx_drop_no_buffer, VERDICT_DROP_NO_BUFFER },
	{ STAT_rx_drop_buffer_small, VERDICT_DROP_BUFFER_SMALL },
	{ STAT_rx_drop_reset, VERDICT_DROP_RESET },
	{ STAT_rx_drop_broken, VERDICT_DROP_BROKEN },
};

__attribute__((format(printf, 2, 3))) static void say(const char *stage, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("%s\t", stage);
	vprintf(format, args);
	putchar('\n');
	va_end(args);
}

struct mac_text {
	char s[18];
};

static struct mac_text mac_text(uint64_t mac)
{
	struct mac_text t;

	snprintf(t.s, sizeof(t.s), "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(mac >> 40 & 255),
		 (unsigned)(mac >> 32 & 255), (unsigned)(mac >> 24 & 255),
		 (unsigned)(mac >> 16 & 255), (unsigned)(mac >> 8 & 255), (unsigned)(mac & 255));
	return t;
}

/* The port behind which the switch knows the address, or NULL. */
static const struct port *known_behind(uint64_t mac)
{
	static struct fdb_view view[FDB_ROOM];
	unsigned count = switch_fdb(sw, view, FDB_ROOM);

	for (unsigned i = 0; i < count; i++)
		if (mac_load(view[i].mac) == mac)
			return view[i].port;
	return NULL;
}

static uint64_t gained(const struct place *p, enum stat_id id)
{
	return port_counter(p->guest->port, id) - p->before[id];
}

static void remember_counters(void)
{
	for (unsigned i = 0; i < place_count; i++)
		for (unsigned id = 0; id < STAT_COUNT; id++)
			places[i].before[id] =
				port_counter(places[i].guest->port, (enum stat_id)id);
}

/* Guests take what they got and offer the buffers again. */
static void drain(void)
{
	static uint8_t got[VS_MAX_FRAME + VNET_HDR_BYTES];

	for (unsigned i = 0; i < place_count; i++) {
		while (drv_receive(places[i].guest, got, sizeof(got)) != 0)
			;
		drv_publish(&places[i].guest->rx);
	}
}

/* ---- what is told of a frame ---- */

static const char *ethertype_name(unsigned type)
{
	switch (type) {
	case 0x0800:
		return "IPv4";
	case 0x0806:
		return "ARP";
	case 0x86dd:
		return "IPv6";
	case 0x88cc:
		return "LLDP";
	}
	return type < 0x0600 ? "an 802.3 length" : "another protocol";
}

static void tell_frame(const uint8_t *frame, size_t bytes)
{
	struct mac_text dst, src;
	unsigned type, at = 12;
	char vlan[32] = "";

	if (bytes < ETH_HDR_BYTES) {
		say("frame", "%zu bytes", bytes);
		return;
	}
	dst = mac_text(mac_load(frame));
	src = mac_text(mac_load(frame + 6));
	type = load_be16(frame + at);
	if (type == VLAN_TAG && bytes >= ETH_HDR_BYTES + 4) {
		snprintf(vlan, sizeof(vlan), ", VLAN %u", load_be16(frame + 14) & 0xfffu);
		type = load_be16(frame + 16);
	}
	say("frame", "%zu bytes, from %s to %s%s, type 0x%04x (%s)", bytes, src.s, dst.s, vlan,
	    type, ethertype_name(type));
}

/* false: it went no further. */
static bool tell_checks(const struct place *from, const uint8_t *frame, enum verdict verdict)
{
	unsigned longest = from->net->mtu + ETH_SLACK;

	if (verdict == VERDICT_DROP_SHORT || verdict == VERDICT_DROP_LONG) {
		say("length", "%s: %u to %u bytes pass", verdicts[verdict].text, ETH_HDR_BYTES,
		    longest);
		return false;
	}
	say("length", "within the %u to %u bytes that pass", ETH_HDR_BYTES, longest);
	if (verdict != VERDICT_DROP_BAD_SOURCE && verdict != VERDICT_DROP_REFLECTED)
		return true;
	say("source", "%s: %s", mac_text(mac_load(frame + 6)).s, verdicts[verdict].text);
	return false;
}

static void tell_learning(const struct place *from, uint64_t src, const struct port *was)
{
	struct mac_text mac = mac_text(src);

	if (gained(from, STAT_fdb_full))
		say("source", "%s is not learned: there is no room in the table", mac.s);
	else if (!gained(from, STAT_learned))
		say("source", "%s is known behind %s", mac.s, from->name);
	else if (was)
		say("source", "%s is learned behind %s: it was behind %s", mac.s, from->name,
		    port_name(was));
	else
		say("source", "%s is learned behind %s", mac.s, from->name);
}

static void tell_lookup(const struct place *from, uint64_t dst, const struct port *behind)
{
	const char *but = from->net->uplink ? " but uplinks" : "";
	struct mac_text mac = mac_text(dst);

	if (mac_is_group(dst))
		say("lookup", "%s is a group: to every other port%s", mac.s, but);
	else if (behind)
		say("lookup", "%s is behind %s", mac.s, port_name(behind));
	else
		say("lookup", "%s is not known: to every other port%s", mac.s, but);
}

static void tell_receivers(const struct place *from)
{
	for (unsigned i = 0; i < place_count; i++) {
		struct place *to = &places[i];

		if (to == from)
			continue;
		for (unsigned d = 0; d < sizeof(rx_drops) / sizeof(rx_drops[0]); d++)
			if (gained(to, rx_drops[d].id))
				say("receiver", "%s: dropped: %s", to->name,
				    verdicts[rx_drops[d].why].text);
		if (gained(to, STAT_rx_packets))
			say("receiver", "%s: %" PRIu64 " bytes copied once, to its ring", to->name,
			    gained(to, STAT_copied_bytes));
	}
}

static void trace(const struct place *from, const uint8_t *frame, size_t bytes)
{
	bool whole = bytes >= ETH_HDR_BYTES;
	uint64_t dst = whole ? mac_load(frame) : 0, src = whole ? mac_load(frame + 6) : 0;
	const struct port *was = known_behind(src);
	enum verdict verdict;

	remember_counters();
	say("port", "%s on switch %s, MTU %u, link up%s", from->name, switch_name(sw),
	    from->net->mtu, from->net->uplink ? ", uplink" : "");
	tell_frame(frame, bytes);
	verdict = port_inject(from->guest->port, frame, bytes);
	if (tell_checks(from, frame, verdict)) {
		tell_learning(from, src, was);
		tell_lookup(from, dst, known_behind(dst));
		tell_receivers(from);
	}
	say("verdict", "%s\t%s", verdicts[verdict].name, verdicts[verdict].text);
	drain();
}

/* ---- set-up ---- */

/* As a Linux driver asks for when it is up; which groups it has joined is not known. */
static void set_filter(struct port *port, uint64_t mac)
{
	const struct filter filter = { .mac = mac, .allmulti = true };

	port_set_filter(port, &filter);
}

/* Every guest has sent a frame, as each does when its link comes up. */
static void learn_addresses(void)
{
	uint8_t frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	for (unsigned i = 0; i < place_count; i++) {
		memcpy(frame + 6, places[i].net->mac, 6);
		port_inject(places[i].guest->port, frame, sizeof(frame));
		drain();
	}
}

static void add_place(const struct config_vm *vm, const struct config_net *net)
{
	struct place *p = &places[place_count++];
	struct guest_config guest = {
		.mtu = net->mtu,
		.features = VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX,
		.mac = net->mac,
		.uplink = net->uplink,
	};

	p->net = net;
	snprintf(p->name, sizeof(p->name), "%s/%s", vm->name, net->name);
	guest.name = p->name;
	p->guest = guest_create(sw, &guest);
	if (!net->uplink) /* whoever joins it with a NIC wants all frames */
		set_filter(p->guest->port, mac_load(net->mac));
}

static void print_error(void *context, const struct config_error *error)
{
	char line[512];

	(void)context;
	config_error_format(error, "config", line, sizeof(line));
	fprintf(stderr, "%s\n", line);
}

/* The net that "VM/NODE" names, or NULL, with the names that there are said. */
static const struct config_net *find_net(const struct config *config, const char *name)
{
	const char *separator = "";

	for (unsigned v = 0; v < config->vm_count; v++) {
		const struct config_vm *vm = &config->vms[v];
		size_t length = strlen(vm->name);

		for (unsigned n = 0; n < vm->net_count; n++) {
			if (strncmp(name, vm->name, length) || name[length] != '/' ||
			    strcmp(name + length + 1, vm->nets[n].name))
				continue;
			if (!vm->disabled)
				return &vm->nets[n];
			fprintf(stderr, "%s: VM %s is disabled, so it has no ports\n", name,
				vm->name);
			return NULL;
		}
	}
	fprintf(stderr, "%s: there is no such port: name one of ", name);
	for (unsigned v = 0; v < config->vm_count; v++)
		for (unsigned n = 0; n < config->vms[v].net_count; n++) {
			fprintf(stderr, "%s%s/%s", separator, config->vms[v].name,
				config->vms[v].nets[n].name);
			separator = ", ";
		}
	fputc('\n', stderr);
	return NULL;
}

/* The switch of that net with all its ports; returns the net's place. */
static const struct place *make_switch(const struct config *config, const struct config_net *net)
{
	const struct place *from = NULL;

	sw = switch_create(config->switches[net->switch_index].name);
	for (unsigned v = 0; v < config->vm_count; v++) {
		const struct config_vm *vm = &config->vms[v];

		for (unsigned n = 0; n < vm->net_count && !vm->disabled; n++) {
			if (vm->nets[n].switch_index != net->switch_index)
				continue;
			if (&vm->nets[n] == net)
				from = &places[place_count];
			add_place(vm, &vm->nets[n]);
		}
	}
	learn_addresses();
	return from;
}

/* Returns the bytes read, 0 if there are none: then it is no device tree. */
static size_t read_file(const char *path, void *to, size_t room)
{
	FILE *file = fopen(path, "rb");
	size_t bytes = file ? fread(to, 1, room, file) : 0;

	if (file)
		fclose(file);
	return bytes;
}

static bool is_byte(const char *digits)
{
	return isxdigit((unsigned char)digits[0]) && isxdigit((unsigned char)digits[1]);
}

/* Hex digits to bytes; returns how many. */
static size_t read_bytes(const char *digits, uint8_t *out)
{
	size_t n = 0;

	for (; is_byte(digits + 2 * n); n++) {
		const char two[] = { digits[2 * n], digits[2 * n + 1], '\0' };

		out[n] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

int main(int argc, char **argv)
{
	static char line[LINE_BYTES];
	static uint8_t frame[LINE_BYTES / 2];
	static struct config config;
	static char dtb[CONFIG_MAX_DTB_BYTES + 1];
	const struct config_net *net;
	const struct place *from;

	if (argc != 3) {
		fprintf(stderr, "usage: lasthop-trace DTB VM/NODE < frames\n");
		return 2;
	}
	if (config_parse(dtb, read_file(argv[1], dtb, sizeof(dtb)), &config, print_error, NULL))
		return 1;
	net = find_net(&config, argv[2]);
	if (!net)
		return 1;
	from = make_switch(&config, net);
	while (fgets(line, sizeof(line), stdin))
		trace(from, frame, read_bytes(line, frame));
	return 0;
}
