/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shell's commands about the switches; what they tell is collected in facts.c. Ports are looked at
 * under vm_table_lock: it is held while a VM's devices go (and while they are made, nobody knows their
 * port yet but the switch: a port shows up as soon as it exists).
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "hv/core/config_policy.h"
#include "hv/core/console.h"
#include "hv/core/facts.h"
#include "hv/core/lifecycle.h"
#include "hv/core/platform.h"
#include "hv/core/shell_impl.h"
#include "lasthop/stats.h"
#include "vswitch/policy.h"
#include "vswitch/switch.h"

#define COUNT_TEXT 16
#define FDB_SHOWN  256u

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

/* One line that names the side by which offloads are missing, if any are: the switch then does their work
 * in software. Without a driver there is none to name. */
static void warn_of_missing(const struct port_facts *f, const char *before)
{
	char text[80];

	port_warning(f, text, sizeof(text));
	if (text[0])
		console_printf("%swarning: %s\n", before, text);
}

static const char *yes(bool is)
{
	return is ? "yes" : "no";
}

static const char *link_text(const struct port_facts *f)
{
	if (!f->link)
		return "link is down";
	return f->uplinks_away ? "link is down at the guest: no uplink is up" : "link is up";
}

/* One port and its offloads. */
static void show_port(const struct port_facts *f, void *context)
{
	char mac[MAC_TEXT];

	(void)context;
	mac_text(mac, f->mac);
	console_printf("%s\n%s on switch %s, %s\n", f->name, mac, f->switch_name, link_text(f));
	console_printf("%-12s %-7s %-8s %-9s %s\n", "OFFLOAD", "OFFERED", "ACCEPTED", "IN EFFECT",
		       "THE GUEST");
	for (unsigned i = 0; i < OFFLOADS; i++)
		console_printf("%-12s %-7s %-8s %-9s %s\n", offloads[i].name,
			       yes(f->offered & offloads[i].feature),
			       yes(f->accepted & offloads[i].feature),
			       yes(f->used & offloads[i].feature), offloads[i].help);
	warn_of_missing(f, "");
	if (!f->driver)
		console_printf("no driver of the guest runs\n");
}

/* The ports of one switch after another. */
static void list_port(const struct port_facts *f, void *context)
{
	const char **of = context;
	char mac[MAC_TEXT], sent[COUNT_TEXT], received[COUNT_TEXT], dropped[COUNT_TEXT];

	if (*of != f->switch_name) {
		*of = f->switch_name;
		console_printf("switch %s\n", *of);
		console_printf("%-31s %-17s %9s %9s %9s\n", "PORT", "ADDRESS", "SENT", "RECEIVED",
			       "DROPPED");
	}
	mac_text(mac, f->mac);
	console_printf("%-31s %-17s %9s %9s %9s\n", f->name, mac, count_text(sent, f->sent),
		       count_text(received, f->received), count_text(dropped, f->dropped));
	if (!f->link || f->uplinks_away)
		console_printf("  %s\n", link_text(f));
	warn_of_missing(f, "  ");
}

/* One port: its state, or its link as the word says. */
static void run_one_port(const char *name, const char *link)
{
	bool up = link && strcmp(link, "up") == 0, found;

	if (link && !up && strcmp(link, "down") != 0) {
		console_printf("port: %s: up or down?\n", name);
		return;
	}
	if (link) {
		found = port_link_set(name, up);
	} else {
		spin_lock(&vm_table_lock);
		found = ports_each(name, show_port, NULL) != 0;
		spin_unlock(&vm_table_lock);
	}
	if (!found)
		console_printf("port: no port \"%s\": \"port\" lists them\n", name);
	else if (link)
		console_printf("port: %s: link is %s\n", name, link);
}

void run_port(char **args, unsigned count)
{
	const char *of = NULL;

	if (count > 0) {
		run_one_port(args[0], count > 1 ? args[1] : NULL);
		return;
	}
	spin_lock(&vm_table_lock);
	ports_each(NULL, list_port, &of);
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
		char mac[MAC_TEXT];

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

void run_stat(char **args, unsigned count)
{
	uint64_t sum[STAT_COUNT] = { 0 };
	unsigned ports = ports_sum(count ? args[0] : NULL, sum);

	if (ports == 0 && count) {
		console_printf("stat: no port \"%s\": \"port\" lists them\n", args[0]);
		return;
	}
	console_printf("%s: %u port%s\n", count ? args[0] : "all", ports, ports == 1 ? "" : "s");
	console_printf("%-24s %20s %-8s %s\n", "COUNTER", "VALUE", "UNIT", "CLASS");
	for (unsigned id = 0; id < STAT_COUNT; id++)
		console_printf("%-24s %20llu %-8s %s\n", stat_rows[id].name,
			       (unsigned long long)sum[id], stat_rows[id].unit,
			       stat_rows[id].class);
}

void stat_help(void)
{
	for (unsigned id = 0; id < STAT_COUNT; id++)
		console_printf("%-22s %s\n", stat_rows[id].name, stat_rows[id].help);
}

static void set_policy(const char *name, const char *text)
{
	char why[120];

	if (policy_change(name, text, why, sizeof(why)))
		console_printf("set: %s is %s\n", name, text);
	else
		console_printf("set: %s\n", why);
}

void run_set(char **args, unsigned count)
{
	if (count) {
		set_policy(args[0], count > 1 ? args[1] : NULL);
		return;
	}
	for (unsigned id = 0; id < POLICY_COUNT; id++) {
		char value[16], values[POLICY_TEXT];

		policy_value_text(&policies[id], value);
		policy_values_text(&policies[id], values, sizeof(values));
		console_printf("%-24s %-10s of %s\n", policies[id].name, value, values);
	}
}

void set_help(void)
{
	for (unsigned id = 0; id < POLICY_COUNT; id++)
		console_printf("%s:\n  %s\n", policies[id].name, policies[id].help);
}
