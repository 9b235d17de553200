/* SPDX-License-Identifier: BSD-2-Clause */
/* What the 82574L has beyond drivers/intel/regs.h. Sections: Intel 82574 data sheet. */
#pragma once

enum {
	REG_CTRL_EXT = 0x0018, /* 10.2.2 Extended Device Control */
	REG_IVAR = 0x00e4,     /* 10.2.4 Interrupt Vector Allocation */
	REG_EITR0 = 0x00e8,    /* 10.2.4 Extended Interrupt Throttle, vector 0 */
	REG_TXDCTL = 0x3828,   /* 10.2.6 Transmit Descriptor Control, queue 0 */
};

/* Device Control, Device Status: 5.2.5.3 "Master Disable" in the PCIe sense */
#define CTRL_MASTER_DISABLE  (1u << 2)
#define STATUS_MASTER_ENABLE (1u << 19)

#define CTRL_EXT_DRV_LOAD (1u << 28) /* a driver is there: for the management firmware */

/* Causes of MSI-X, 7.4 "Interrupts": in ICR, IMS, IMC */
#define CAUSE_RXQ0  (1u << 20)
#define CAUSE_TXQ0  (1u << 22)
#define CAUSE_OTHER (1u << 24)

/* IVAR: three bits of vector and a valid bit for each of RxQ0, RxQ1, TxQ0, TxQ1, other */
#define IVAR_RXQ0_VALID	 (1u << 3)
#define IVAR_TXQ0_VALID	 (1u << 11)
#define IVAR_OTHER_VALID (1u << 19)
#define IVAR_EVERY_WB	 (1u << 31) /* a transmit cause at each write-back */

#define TXDCTL_GRAN (1u << 24) /* thresholds count descriptors */
#define TXDCTL_MUST (1u << 22) /* reserved, to be set */
