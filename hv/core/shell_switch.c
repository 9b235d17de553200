/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shell's commands about the switches. The counters, their units and what they mean come from
 * include/lasthop/stats.h. Ports are looked at under vm_table_lock: it is held while a VM's devices
 * go (and while they are made, nobody knows their port yet but the switch: a port shows up as soon
 * as it exists).
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hv/core/config_policy.h"
#include "hv/core/console.h"
#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "hv/core/policy_change.h"
#include "hv/core/shell_impl.h"
#include "lasthop/stats.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"

#define COUNT_TEXT 16
#define FDB_SHOWN  256u

static const struct {
	const char *name, *unit, *class, *help;
} stats[STAT_COUNT] = {
#define STAT_ROW(name, unit, class, help) { #name, #unit, #class, help },
	STATS_TABLE(STAT_ROW)
#undef STAT_ROW
};

/* At most nine characters: what is larger in thousands, millions, … */
static const char *count_text(char out[COUNT_TEXT], uint64_t n)
{
	static const char *const unit[] = { "", "k", "M", "G", "T" };
	unsigned i = 0;

	for (; n > (i ? 99999999u : 999999999u) && i < 4; i++)
		n /= 1000;
	snprintf(out, COUNT_TEXT, "%llu%s", (unsigned long long)n, unit[i]);
	return out;
}

static void mac_text(char out[18], const uint8_t mac[6])
{
	snprintf(out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		 mac[5]);
}

/* The offloads, by the names of virtio 1.2, 5.1.3. */
static const struct {
	uint64_t feature;
	const char *name, *help;
} offloads[] = {
	{ VIRTIO_NET_F_CSUM, "csum", "sends without a checksum" },
	{ VIRTIO_NET_F_HOST_TSO4, "host_tso4", "sends large TCP packets of IPv4" },
	{ VIRTIO_NET_F_HOST_TSO6, "host_tso6", "the same of IPv6" },
	{ VIRTIO_NET_F_HOST_USO, "host_uso", "sends large UDP packets" },
	{ VIRTIO_NET_F_GUEST_CSUM, "guest_csum", "receives without a checksum" },
	{ VIRTIO_NET_F_GUEST_TSO4, "guest_tso4", "receives large TCP packets of IPv4" },
	{ VIRTIO_NET_F_GUEST_TSO6, "guest_tso6", "the same of IPv6" },
	{ VIRTIO_NET_F_GUEST_USO4, "guest_uso4", "receives large UDP packets of IPv4" },
	{ VIRTIO_NET_F_GUEST_USO6, "guest_uso6", "the same of IPv6" },
};
#define OFFLOADS (sizeof(offloads) / sizeof(offloads[0]))

/* Features of a port's device and driver. */
struct port_features {
	uint64_t offered, accepted, used; /* VIRTIO_NET_F_*; used: of the offloads only */
	bool driver;			  /* one runs */
};

static struct port_features features_of(struct port *port)
{
	struct port_features f;

	f.driver = platform->port_features(port, &f.offered, &f.accepted);
	f.used = port_offloads(port);
	return f;
}

/* One line that names the side by which offloads are missing, if any are: the switch then does their work
 * in software. Without a driver there is none to name. */
static void warn_of_missing(const struct port_features *f, const char *before)
{
	unsigned not_offered = 0, declined = 0, off = 0;

	for (unsigned i = 0; i < OFFLOADS; i++) {
		uint64_t bit = offloads[i].feature;

		if (!(f->offered & bit))
			not_offered++;
		else if (!(f->accepted & bit))
			declined++;
		else if (!(f->used & bit))
			off++;
	}
	if (!f->driver)
		return;
	if (not_offered)
		console_printf("%swarning: of %zu offloads the device does not offer %u\n", before,
			       OFFLOADS, not_offered);
	else if (declined)
		console_printf("%swarning: of %zu offloads the guest's driver declined %u\n",
			       before, OFFLOADS, declined);
	else if (off)
		console_printf("%swarning: of %zu offloads the guest's driver has %u off\n", before,
			       OFFLOADS, off);
}

static const char *yes(bool is)
{
	return is ? "yes" : "no";
}

/* One port and its offloads. */
static void show_port(struct port *port)
{
	struct port_features f = features_of(port);
	char mac[18];

	mac_text(mac, port_mac(port));
	console_printf("%s\n%s on switch %s, link is %s\n", port_name(port), mac,
		       port_switch_name(port), port_link(port) ? "up" : "down");
	console_printf("%-12s %-7s %-8s %-9s %s\n", "OFFLOAD", "OFFERED", "ACCEPTED", "IN EFFECT",
		       "THE GUEST");
	for (unsigned i = 0; i < OFFLOADS; i++)
		console_printf("%-12s %-7s %-8s %-9s %s\n", offloads[i].name,
			       yes(f.offered & offloads[i].feature),
			       yes(f.accepted & offloads[i].feature),
			       yes(f.used & offloads[i].feature), offloads[i].help);
	warn_of_missing(&f, "");
	if (!f.driver)
		console_printf("no driver of the guest runs\n");
}

static void list_port(struct port *port)
{
	uint64_t drops = port_counter_drops(port, false) + port_counter_drops(port, true);
	char mac[18], sent[COUNT_TEXT], received[COUNT_TEXT], dropped[COUNT_TEXT];
	struct port_features f = features_of(port);

	mac_text(mac, port_mac(port));
	console_printf("%-31s %-17s %9s %9s %9s\n", port_name(port), mac,
		       count_text(sent, port_counter(port, STAT_tx_packets)),
		       count_text(received, port_counter(port, STAT_rx_packets)),
		       count_text(dropped, drops));
	if (!port_link(port))
		console_printf("  link is down\n");
	warn_of_missing(&f, "  ");
}

/* The port of that name, or NULL. Under vm_table_lock. */
static struct port *find_port(const char *name)
{
	struct port *port;

	for (unsigned s = 0; s < vm_config->switch_count; s++)
		for (unsigned i = 0; (port = switch_port(platform->switch_at(s), i)) != NULL; i++)
			if (strcmp(port_name(port), name) == 0)
				return port;
	return NULL;
}

/* One port: its state, or its link as the word says. */
static void run_one_port(const char *name, const char *link)
{
	bool up = link && strcmp(link, "up") == 0;
	struct port *port;

	if (link && !up && strcmp(link, "down") != 0) {
		console_printf("port: %s: up or down?\n", name);
		return;
	}
	spin_lock(&vm_table_lock);
	port = find_port(name);
	if (port && link)
		platform->port_set_link(port, up);
	else if (port)
		show_port(port);
	spin_unlock(&vm_table_lock);
	if (!port)
		console_printf("port: no port \"%s\": \"port\" lists them\n", name);
	else if (link)
		console_printf("port: %s: link is %s\n", name, link);
}

void run_port(char **args, unsigned count)
{
	struct port *port;

	if (count > 0) {
		run_one_port(args[0], count > 1 ? args[1] : NULL);
		return;
	}
	spin_lock(&vm_table_lock);
	for (unsigned s = 0; s < vm_config->switch_count; s++) {
		const struct vswitch *sw = platform->switch_at(s);

		if (!sw)
			continue;
		console_printf("switch %s\n", switch_name(sw));
		console_printf("%-31s %-17s %9s %9s %9s\n", "PORT", "ADDRESS", "SENT", "RECEIVED",
			       "DROPPED");
		for (unsigned i = 0; (port = switch_port(sw, i)) != NULL; i++)
			list_port(port);
	}
	spin_unlock(&vm_table_lock);
}

void run_fdb(char **args, unsigned count)
{
	static struct fdb_view entries[FDB_SHOWN];

	(void)args;
	(void)count;
	spin_lock(&vm_table_lock);
	for (unsigned s = 0; s < vm_config->switch_count; s++) {
		const struct vswitch *sw = platform->switch_at(s);
		unsigned n = sw ? switch_fdb(sw, entries, FDB_SHOWN) : 0;
		char mac[18];

		if (!sw)
			continue;
		console_printf("switch %s\n%-17s %-31s %12s\n", switch_name(sw), "ADDRESS", "PORT",
			       "SEEN");
		for (unsigned i = 0; i < n; i++) {
			mac_text(mac, entries[i].mac);
			console_printf("%-17s %-31s %6llu s ago\n", mac, port_name(entries[i].port),
				       (unsigned long long)(entries[i].age_us / 1000000));
		}
		if (n == FDB_SHOWN)
			console_printf("only the first %u are shown\n", n);
	}
	spin_unlock(&vm_table_lock);
}

/* Adds the counters of the ports of that name, or of all for NULL: how many ports. */
static unsigned sum_ports(const char *name, uint64_t sum[STAT_COUNT])
{
	unsigned found = 0;
	struct port *port;

	spin_lock(&vm_table_lock);
	for (unsigned s = 0; s < vm_config->switch_count; s++) {
		const struct vswitch *sw = platform->switch_at(s);

		for (unsigned i = 0; (port = switch_port(sw, i)) != NULL; i++) {
			if (name && strcmp(port_name(port), name) != 0)
				continue;
			found++;
			for (unsigned id = 0; id < STAT_COUNT; id++)
				sum[id] += port_counter(port, (enum stat_id)id);
		}
	}
	spin_unlock(&vm_table_lock);
	return found;
}

void run_stat(char **args, unsigned count)
{
	uint64_t sum[STAT_COUNT] = { 0 };
	unsigned ports = sum_ports(count ? args[0] : NULL, sum);

	if (ports == 0 && count) {
		console_printf("stat: no port \"%s\": \"port\" lists them\n", args[0]);
		return;
	}
	console_printf("%s: %u port%s\n", count ? args[0] : "all", ports, ports == 1 ? "" : "s");
	console_printf("%-24s %20s %-8s %s\n", "COUNTER", "VALUE", "UNIT", "CLASS");
	for (unsigned id = 0; id < STAT_COUNT; id++)
		console_printf("%-24s %20llu %-8s %s\n", stats[id].name,
			       (unsigned long long)sum[id], stats[id].unit, stats[id].class);
}

void stat_help(void)
{
	for (unsigned id = 0; id < STAT_COUNT; id++)
		console_printf("%-22s %s\n", stats[id].name, stats[id].help);
}

/* The values that a policy takes, for people. */
static void values_text(const struct policy *p, char *out, size_t room)
{
	size_t fill = 0;
	const char *word;

	if (!p->words)
		snprintf(out, room, "%u to %u", p->least, p->most);
	for (uint32_t i = 0; (word = policy_word(p, i)) != NULL && fill < room; i++)
		fill += (size_t)snprintf(out + fill, room - fill, "%s%s", i ? ", " : "", word);
}

static void value_text(const struct policy *p, char out[16])
{
	uint32_t value = policy_get((enum policy_id)(p - policies));
	const char *word = policy_word(p, value);

	if (word)
		snprintf(out, 16, "%s", word);
	else
		snprintf(out, 16, "%u", value);
}

static void set_policy(const char *name, const char *text)
{
	const struct policy *p = policy_by_name(name);
	char values[32];
	uint32_t value;

	if (!p) {
		console_printf("set: no policy \"%s\": \"set\" lists them\n", name);
	} else if (!text || !policy_parse(p, text, &value)) {
		values_text(p, values, sizeof(values));
		console_printf("set: %s takes %s\n", name, values);
	} else {
		policy_change((enum policy_id)(p - policies), value);
		console_printf("set: %s is %s\n", name, text);
	}
}

void run_set(char **args, unsigned count)
{
	if (count) {
		set_policy(args[0], count > 1 ? args[1] : NULL);
		return;
	}
	for (unsigned id = 0; id < POLICY_COUNT; id++) {
		char value[16], values[32];

		value_text(&policies[id], value);
		values_text(&policies[id], values, sizeof(values));
		console_printf("%-24s %-10s of %s\n", policies[id].name, value, values);
	}
}

void set_help(void)
{
	for (unsigned id = 0; id < POLICY_COUNT; id++)
		console_printf("%s:\n  %s\n", policies[id].name, policies[id].help);
}
