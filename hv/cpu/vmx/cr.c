/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CR0, CR4 and EFER (SDM 3A, "Control Registers"; SDM 3C, "Guest/Host Masks and Read Shadows").
 * The guest owns the bits whose change VT-x handles by itself. Ours are those that VMX wants fixed
 * (CR0.NE, CR4.VMXE), those that would slow down or endanger the machine (CR0.CD, NW; CR4.MCE), the
 * reserved ones, and CR0.PG, whose change switches long mode. The guest reads our bits from the
 * shadow; a write that would change one exits to cr_write(), which does what the processor would.
 */
#include "hv/cpu/vmx/vmx_impl.h"

#include "hv/cpu/msr.h"

#define CR0_GUEST   (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_WP | CR0_AM)
#define CR0_DEFINED (CR0_GUEST | CR0_NE | CR0_NW | CR0_CD | CR0_PG)

/* A change of these reloads the PDPTEs (SDM 3A, "PDPTE Registers"). */
#define CR4_PDPTE (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)

#define ACCESS_L BIT(13) /* in the access-rights fields */
#define TSS_TYPE 0xfu
#define TSS_BUSY 11u

#define PDPTE_PRESENT BIT(0)

static uint64_t cr4_guest(void)
{
	return CR4_GUEST & ~CR4_MCE & vmx_caps.cr4_fixed1;
}

uint64_t cr0_read(void)
{
	return (vmcs_read(VMCS_GUEST_CR0) & CR0_GUEST) | (vmcs_read(VMCS_CR0_SHADOW) & ~CR0_GUEST);
}

uint64_t cr4_read(void)
{
	uint64_t mine = ~cr4_guest();

	return (vmcs_read(VMCS_GUEST_CR4) & ~mine) | (vmcs_read(VMCS_CR4_SHADOW) & mine);
}

static bool paging(void)
{
	return vmcs_read(VMCS_CR0_SHADOW) & CR0_PG;
}

static bool long_mode(void)
{
	return vmcs_read(VMCS_GUEST_EFER) & EFER_LMA;
}

/* EFER.LMA = EFER.LME and CR0.PG, and the entry control says the same. */
static void long_mode_update(void)
{
	uint64_t efer = vmcs_read(VMCS_GUEST_EFER) & ~EFER_LMA;
	uint64_t entry = vmcs_read(VMCS_ENTRY_CONTROLS) & ~ENTRY_GUEST_64;
	enum vmcs_field tr = vmcs_segment(VMCS_GUEST_ES_ACCESS, SEG_TR);

	if ((efer & EFER_LME) && paging()) {
		efer |= EFER_LMA;
		entry |= ENTRY_GUEST_64;
		/* entries into long mode want a busy 32/64-bit TSS, whatever the guest had */
		vmcs_write(tr, (vmcs_read(tr) & ~(uint64_t)TSS_TYPE) | TSS_BUSY);
	}
	vmcs_write(VMCS_GUEST_EFER, efer);
	vmcs_write(VMCS_ENTRY_CONTROLS, entry);
}

void cr0_set(uint64_t cr0)
{
	uint64_t fixed = vmx_caps.cr0_fixed0 & ~(CR0_PE | CR0_PG); /* unrestricted guest */

	vmcs_write(VMCS_CR0_SHADOW, cr0 | CR0_ET);
	vmcs_write(VMCS_GUEST_CR0, (cr0 & ~(CR0_CD | CR0_NW)) | CR0_ET | CR0_NE | fixed);
	long_mode_update();
}

void cr4_set(uint64_t cr4)
{
	vmcs_write(VMCS_CR4_SHADOW, cr4);
	vmcs_write(VMCS_GUEST_CR4,
		   (cr4 & cr4_guest()) | (read_cr4() & CR4_MCE) | CR4_VMXE | vmx_caps.cr4_fixed0);
}

void efer_set(uint64_t efer)
{
	vmcs_write(VMCS_GUEST_EFER, efer);
	long_mode_update();
}

void cr_set_up(void)
{
	vmcs_write(VMCS_CR0_MASK, ~CR0_GUEST);
	vmcs_write(VMCS_CR4_MASK, ~cr4_guest());
	vmcs_write(VMCS_GUEST_CR3, 0);
	vmcs_write(VMCS_GUEST_EFER, 0);
	cr4_set(0);
	cr0_set(0);
}

bool pdptes_load(struct vm *vm)
{
	unsigned address_bits = cpuid(0x80000008, 0).eax & 0xff;
	uint64_t reserved = ~0ull << address_bits | 0x1e6; /* PWT and PCD are allowed */
	uint64_t pdpte[4];
	gpa_t table = { vmcs_read(VMCS_GUEST_CR3) & 0xffffffe0u };

	if (!paging() || long_mode() || !(vmcs_read(VMCS_GUEST_CR4) & CR4_PAE))
		return true;
	if (!vm_read(vm, table, pdpte, sizeof(pdpte)))
		return false;
	for (unsigned i = 0; i < 4; i++)
		if ((pdpte[i] & PDPTE_PRESENT) && (pdpte[i] & reserved))
			return false;
	vmcs_write(VMCS_GUEST_PDPTE0, pdpte[0]);
	vmcs_write(VMCS_GUEST_PDPTE1, pdpte[1]);
	vmcs_write(VMCS_GUEST_PDPTE2, pdpte[2]);
	vmcs_write(VMCS_GUEST_PDPTE3, pdpte[3]);
	return true;
}

/* What MOV to CR0 raises #GP for. */
static bool cr0_allowed(uint64_t old, uint64_t value)
{
	bool cs_l = vmcs_read(vmcs_segment(VMCS_GUEST_ES_ACCESS, SEG_CS)) & ACCESS_L;
	uint64_t cr4 = vmcs_read(VMCS_GUEST_CR4);

	if (value >> 32 || (value & (CR0_PG | CR0_PE)) == CR0_PG ||
	    (value & (CR0_NW | CR0_CD)) == CR0_NW)
		return false;
	if (!(old & CR0_PG) && (value & CR0_PG) && (vmcs_read(VMCS_GUEST_EFER) & EFER_LME))
		return (cr4 & CR4_PAE) && !cs_l;
	if ((old & CR0_PG) && !(value & CR0_PG))
		return !(long_mode() && cs_l);
	return true;
}

static bool cr0_write(struct vmx_vcpu *v, uint64_t value)
{
	uint64_t old = cr0_read();

	if (!cr0_allowed(old, value))
		return false;
	value &= CR0_DEFINED;
	cr0_set(value);
	if (((old ^ value) & (CR0_PG | CR0_CD | CR0_NW)) && !pdptes_load(v->vcpu.vm)) {
		cr0_set(old);
		return false;
	}
	vpid_flush(v);
	return true;
}

/* What MOV to CR4 raises #GP for. */
static bool cr4_allowed(uint64_t value)
{
	if (value & ~(cr4_guest() | CR4_MCE))
		return false;
	return !long_mode() || value & CR4_PAE;
}

static bool cr4_write(struct vmx_vcpu *v, uint64_t value)
{
	uint64_t old = cr4_read();

	if (!cr4_allowed(value))
		return false;
	cr4_set(value);
	if (((old ^ value) & CR4_PDPTE) && !pdptes_load(v->vcpu.vm)) {
		cr4_set(old);
		return false;
	}
	vpid_flush(v);
	return true;
}

bool cr_write(struct vmx_vcpu *v, unsigned cr, uint64_t value)
{
	return cr == 0 ? cr0_write(v, value) : cr4_write(v, value);
}

bool efer_write(struct vmx_vcpu *v, uint64_t value)
{
	uint64_t old = vmcs_read(VMCS_GUEST_EFER);
	uint64_t has = EFER_SCE | EFER_LME | EFER_LMA;

	if (cpuid(0x80000001, 0).edx & BIT(20)) /* execute disable */
		has |= EFER_NXE;
	if ((value & ~has) || (paging() && ((old ^ value) & EFER_LME)))
		return false;
	efer_set(value);
	if ((old ^ value) & EFER_NXE)
		vpid_flush(v);
	return true;
}
