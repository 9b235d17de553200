/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The VM property `console`: which device brings what is typed. The UART is there in any case, for a
 * kernel's first messages.
 */
#include "hv/core/config_impl.h"

void config_set_console(struct config_parser *p, const struct config_value *v)
{
	const char *word = (const char *)v->data;

	p->vm->virtio_console = !strcmp(word, "virtio");
	if (!p->vm->virtio_console && strcmp(word, "serial"))
		config_unknown_word(&p->reporter, "console", word, "serial", "virtio");
}

void config_check_console(struct config_parser *p)
{
	const struct config_vm *vm = p->vm;

	if (vm->virtio_console && vm->net_count + vm->passthrough_count == CONFIG_MAX_NETS)
		config_fail(&p->reporter, "console",
			    "\"virtio\" takes the place of one of the VM's %u devices: leave out a "
			    "net or passthrough node",
			    CONFIG_MAX_NETS);
}
