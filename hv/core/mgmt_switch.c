/* SPDX-License-Identifier: BSD-2-Clause */
/* Methods of the management channel about the switches: ports, addresses, counters, policies. */
#include "hv/core/config.h"
#include "hv/core/config_policy.h"
#include "hv/core/facts.h"
#include "hv/core/lifecycle.h"
#include "hv/core/log.h"
#include "hv/core/mgmt_impl.h"
#include "hv/core/platform.h"

#define PORT_NAME (2 * CONFIG_MAX_NAME + 2)
#define FDB_MOST  4096u /* entries of one switch told */

/* Of an answer, kept free for what is begun then: an entry, switches of which nothing is told, the end. */
#define SPARE 4096u

static void tell_offload(struct json *j, const struct offload *o, const struct port_facts *f)
{
	json_object(j, o->name);
	json_bool(j, "offered", f->offered & o->feature);
	json_bool(j, "accepted", f->accepted & o->feature);
	json_bool(j, "used", f->used & o->feature);
	json_object_end(j);
}

static void tell_port(const struct port_facts *f, void *context)
{
	struct json *j = context;
	char text[80];

	json_object(j, NULL);
	json_string(j, "port", f->name);
	json_string(j, "switch", f->switch_name);
	mac_text(text, f->mac);
	json_string(j, "mac", text);
	json_string(j, "link", f->link ? "up" : "down");
	json_bool(j, "uplinks_away", f->uplinks_away);
	json_bool(j, "driver", f->driver);
	json_u64(j, "sent", f->sent);
	json_u64(j, "received", f->received);
	json_u64(j, "dropped", f->dropped);
	json_object(j, "offloads");
	for (unsigned i = 0; i < OFFLOADS; i++)
		tell_offload(j, &offloads[i], f);
	json_object_end(j);
	port_warning(f, text, sizeof(text));
	json_string(j, "warning", text);
	json_object_end(j);
}

static bool no_such_port(struct mgmt_call *call, const char *name)
{
	mgmt_fail(call, MGMT_NOENT, "there is no port \"%s\": port list shows them", name);
	return false;
}

static void port_list(struct mgmt_call *call)
{
	bool one = mgmt_param_given(call, "port");
	char name[PORT_NAME] = "";
	unsigned found;

	if (one && !mgmt_param_string(call, "port", name, sizeof(name)))
		return;
	json_array(mgmt_result(call), "ports");
	spin_lock(&vm_table_lock);
	found = ports_each(one ? name : NULL, tell_port, mgmt_result(call));
	spin_unlock(&vm_table_lock);
	json_array_end(mgmt_result(call));
	if (one && !found)
		no_such_port(call, name);
}

static void port_link_change(struct mgmt_call *call)
{
	char name[PORT_NAME];
	bool up;

	if (!mgmt_param_string(call, "port", name, sizeof(name)) ||
	    !mgmt_param_bool(call, "up", &up))
		return;
	if (!port_link_set(name, up))
		no_such_port(call, name);
	json_string(mgmt_result(call), "port", name);
	json_string(mgmt_result(call), "link", up ? "up" : "down");
}

static void tell_fdb(struct json *j, const struct vswitch *sw)
{
	static struct fdb_view entries[FDB_MOST];
	unsigned n = switch_fdb(sw, entries, FDB_MOST), told = 0;
	char mac[MAC_TEXT];

	json_object(j, NULL);
	json_string(j, "switch", switch_name(sw));
	json_array(j, "entries");
	for (; told < n && json_left(j) >= SPARE; told++) {
		json_object(j, NULL);
		mac_text(mac, entries[told].mac);
		json_string(j, "mac", mac);
		json_string(j, "port", port_name(entries[told].port));
		json_u64(j, "age_us", entries[told].age_us);
		json_object_end(j);
	}
	json_array_end(j);
	json_bool(j, "all", told == n && n < FDB_MOST);
	json_object_end(j);
}

static void fdb_list(struct mgmt_call *call)
{
	json_array(mgmt_result(call), "switches");
	spin_lock(&vm_table_lock);
	for (unsigned s = 0; s < vm_config->switch_count; s++)
		if (platform->switch_at(s))
			tell_fdb(mgmt_result(call), platform->switch_at(s));
	spin_unlock(&vm_table_lock);
	json_array_end(mgmt_result(call));
}

static void stat_list(struct mgmt_call *call)
{
	bool one = mgmt_param_given(call, "port");
	struct json *j = mgmt_result(call);
	uint64_t sum[STAT_COUNT] = { 0 };
	char name[PORT_NAME] = "";
	unsigned ports;

	if (one && !mgmt_param_string(call, "port", name, sizeof(name)))
		return;
	ports = ports_sum(one ? name : NULL, sum);
	if (one && !ports)
		no_such_port(call, name);
	json_string(j, "port", one ? name : "all");
	json_u64(j, "ports", ports);
	json_array(j, "counters");
	for (unsigned id = 0; id < STAT_COUNT; id++) {
		json_object(j, NULL);
		json_string(j, "name", stat_rows[id].name);
		json_u64(j, "value", sum[id]);
		json_string(j, "unit", stat_rows[id].unit);
		json_string(j, "class", stat_rows[id].class);
		json_string(j, "help", stat_rows[id].help);
		json_object_end(j);
	}
	json_array_end(j);
}

static void policy_list(struct mgmt_call *call)
{
	struct json *j = mgmt_result(call);

	json_array(j, "policies");
	for (unsigned id = 0; id < POLICY_COUNT; id++) {
		char value[16], values[POLICY_TEXT];

		policy_value_text(&policies[id], value);
		policy_values_text(&policies[id], values, sizeof(values));
		json_object(j, NULL);
		json_string(j, "policy", policies[id].name);
		json_string(j, "value", value);
		json_string(j, "values", values);
		json_string(j, "help", policies[id].help);
		json_object_end(j);
	}
	json_array_end(j);
}

static void set_policy(struct mgmt_call *call)
{
	char name[CONFIG_MAX_NAME + 1], value[16], why[120];

	if (!mgmt_param_string(call, "policy", name, sizeof(name)) ||
	    !mgmt_param_string(call, "value", value, sizeof(value)))
		return;
	if (!policy_change(name, value, why, sizeof(why)))
		mgmt_fail(call, MGMT_PARAMS, "%s", why);
	json_string(mgmt_result(call), "policy", name);
	json_string(mgmt_result(call), "value", value);
}

const struct mgmt_method mgmt_switch_methods[] = {
	{ "port.list", "port?", "the switches' ports with their offloads, or one", port_list },
	{ "port.link", "port up", "take its link up (true) or down", port_link_change },
	{ "fdb.list", "", "the addresses the switches have learned", fdb_list },
	{ "stat.list", "port?", "all counters of a port, or of all together", stat_list },
	{ "policy.list", "", "the switches' policies", policy_list },
	{ "policy.set", "policy value", "change one while traffic runs", set_policy },
	{ NULL, NULL, NULL, NULL },
};
