/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Configuration space. The guest sees a function made of these parts, and nothing that is not among
 * them; only the command register and the status bits lead to the device, by way of us:
 *
 *   identity, class, subsystem   the device's, constant
 *   command                      the guest's: memory and I/O as to its own bus (the device decodes as
 *                                long as it is the VM's), bus mastering and INTx disable passed on
 *   status                       error bits the device's, cleared by writing ones
 *   cache line, interrupt line   the guest's own scratch
 *   BARs                         the guest's (passthrough_bar.c); no expansion ROM
 *   power management             D0 and D3hot that change nothing: the device stays in D0
 *   MSI, MSI-X                   the guest's side (passthrough_irq.c), one message of MSI
 *   PCI Express                  of an integrated endpoint without a link; no function-level reset: it
 *                                takes 100 ms, which a guest could ask for over and over. A driver
 *                                resets its device, we do between two owners
 *   vendor-specific              what is read at start, constant (virtio describes itself there)
 *
 * Not there: VPD, slots, SR-IOV and whatever else is in the extended space.
 */
#include "hv/dev/passthrough_impl.h"

#define PM_BYTES	 8u
#define PM_VERSION	 3u /* of the capability: no D1, D2 or PME */
#define PM_CONTROL	 4u
#define PM_STATE	 0x3u
#define PM_NO_SOFT_RESET 0x8u

#define MSI_BYTES	14u
#define MSI_CONTROL	2u
#define MSI_ADDRESS	4u
#define MSI_DATA	12u
#define MSI_ENABLE	0x1u
#define MSI_64		0x80u
#define MSI_ADDRESS_LOW 0xfffffffcu

#define EXPRESS_BYTES  60u
#define EXPRESS_FLAGS  2u
#define EXPRESS_DEVCAP 4u
#define VERSION_2      2u
#define ROLE_BASED     0x8000u /* error reporting: since version 1.1 */

#define STATUS_ERRORS 0xf9u /* the upper byte: write one to clear */
#define VENDOR_LENGTH 2u

static bool touches(unsigned at, unsigned bytes, unsigned first, unsigned count)
{
	return at < first + count && first < at + bytes;
}

void pass_command_update(struct passthrough *p)
{
	uint32_t command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;

	if (p->command & PCI_COMMAND_MASTER && !p->paused)
		command |= PCI_COMMAND_MASTER;
	if (p->command & PCI_COMMAND_INTX_OFF || p->msix_on || p->msi_on || !p->pin.taken)
		command |= PCI_COMMAND_INTX_OFF;
	pass_write(p, PCI_COMMAND, 2, command);
}

static void before_read(struct pci_function *f, struct vcpu *vcpu, unsigned at, unsigned bytes)
{
	struct passthrough *p = container_of(f, struct passthrough, pci);

	(void)vcpu;
	if (touches(at, bytes, PCI_STATUS + 1, 1))
		pci_put(f, PCI_STATUS + 1, 1, pass_read(p, PCI_STATUS, 2) >> 8 & STATUS_ERRORS);
}

static void after_write(struct pci_function *f, struct vcpu *vcpu, unsigned at, unsigned bytes)
{
	struct passthrough *p = container_of(f, struct passthrough, pci);

	(void)vcpu;
	if (touches(at, bytes, PCI_COMMAND, 2)) {
		spin_lock(&p->lock);
		p->command = (uint16_t)pci_get(f, PCI_COMMAND, 2);
		pass_command_update(p);
		spin_unlock(&p->lock);
	}
	if (touches(at, bytes, PCI_STATUS + 1, 1))
		pass_write(p, PCI_STATUS, 2, pci_get(f, PCI_STATUS + 1, 1) << 8);
	if (p->host->msix_entries && touches(at, bytes, p->msix.capability + 2, 2))
		msix_config_written(&p->msix, f);
	if (p->msi_capability && touches(at, bytes, p->msi_capability, MSI_BYTES))
		pass_msi_written(p);
}

static const struct pci_function_ops ops = {
	.before_read = before_read,
	.after_write = after_write,
	.bar_moved = pass_bar_moved,
};

static void add_power(struct pci_function *f)
{
	unsigned at = pci_add_capability(f, PCI_CAP_PM, PM_BYTES);

	pci_put(f, at + 2, 2, PM_VERSION);
	pci_put(f, at + PM_CONTROL, 2, PM_NO_SOFT_RESET);
	pci_put_writable(f, at + PM_CONTROL, 2, PM_STATE);
}

static void add_msi(struct passthrough *p)
{
	unsigned at = pci_add_capability(&p->pci, PCI_CAP_MSI, MSI_BYTES);

	pci_put(&p->pci, at + MSI_CONTROL, 2, MSI_64);
	pci_put_writable(&p->pci, at + MSI_CONTROL, 2, MSI_ENABLE);
	pci_put_writable(&p->pci, at + MSI_ADDRESS, 4, MSI_ADDRESS_LOW);
	pci_put_writable(&p->pci, at + MSI_ADDRESS + 4, 4, ~0u);
	pci_put_writable(&p->pci, at + MSI_DATA, 2, 0xffff);
	p->msi_capability = at;
}

void pass_msi_written(struct passthrough *p)
{
	const struct pci_function *f = &p->pci;
	const unsigned at = p->msi_capability;

	spin_lock(&p->msi.lock);
	p->msi.entry[0] = (struct msix_entry){
		.address = pci_get(f, at + MSI_ADDRESS, 4) |
			   (uint64_t)pci_get(f, at + MSI_ADDRESS + 4, 4) << 32,
		.data = pci_get(f, at + MSI_DATA, 2),
	};
	p->msi.enabled = pci_get(f, at + MSI_CONTROL, 2) & MSI_ENABLE;
	spin_unlock(&p->msi.lock);
	p->msi.changed(&p->msi);
}

static void add_express(struct pci_function *f)
{
	unsigned at = pci_add_capability(f, PCI_CAP_PCIE, EXPRESS_BYTES);

	pci_put(f, at + EXPRESS_FLAGS, 2, VERSION_2 | EXPRESS_INTEGRATED_ENDPOINT << 4);
	pci_put(f, at + EXPRESS_DEVCAP, 4, ROLE_BASED);
}

/* Those that still fit. Their length is in them; the walk is bounded as any. */
static void add_vendor(struct passthrough *p)
{
	struct pci_function *f = &p->pci;
	unsigned from = pass_read(p, PCI_CAPABILITIES, 1) & 0xfc;

	for (unsigned i = 0; from >= PCI_FIRST_CAPABILITY && i < 48; i++) {
		unsigned bytes = pass_read(p, from + VENDOR_LENGTH, 1), at;

		if (pass_read(p, from, 1) == PCI_CAP_VENDOR && bytes > VENDOR_LENGTH &&
		    from + bytes <= PCI_CONFIG_BYTES &&
		    f->capabilities_end + bytes <= PCI_CONFIG_BYTES) {
			at = pci_add_capability(f, PCI_CAP_VENDOR, bytes);
			for (unsigned n = VENDOR_LENGTH; n < bytes; n++)
				pci_put(f, at + n, 1, pass_read(p, from + n, 1));
		}
		from = pass_read(p, from + 1, 1) & 0xfc;
	}
}

void pass_config_init(struct passthrough *p)
{
	const struct host_function *h = p->host;
	const struct pci_identity id = {
		.vendor = h->vendor,
		.device = h->device,
		.subsystem_vendor = h->subsystem_vendor,
		.subsystem = h->subsystem,
		.class_code = h->class_code,
		.revision = h->revision,
	};

	pci_function_init(&p->pci, &id, &ops);
	pci_put_writable(&p->pci, PCI_STATUS + 1, 1, STATUS_ERRORS);
	if (h->pm)
		add_power(&p->pci);
	if (h->msi)
		add_msi(p);
	if (h->pcie)
		add_express(&p->pci);
	if (p->host->msix_entries)
		msix_add_capability(&p->msix, &p->pci, p->host->msix_table, p->host->msix_pba);
	if (pass_read(p, PCI_STATUS, 2) & PCI_STATUS_CAPABILITIES)
		add_vendor(p);
}
