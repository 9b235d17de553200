/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers and descriptors that the 82540EM and the 82574L have in common, as far as they are used.
 * Numbers of sections are those of Intel's "PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual" (8254x, revision 4.0); the 82574L's data sheet has the same registers in
 * section 10.2 under the same names, and the descriptors in sections 7.1 and 7.2.
 */
#pragma once

#include <stdint.h>

enum intel_reg {
	REG_CTRL = 0x0000,   /* 13.4.1  Device Control */
	REG_STATUS = 0x0008, /* 13.4.2  Device Status */
	REG_EERD = 0x0014,   /* 13.4.4  EEPROM Read */
	REG_ICR = 0x00c0,    /* 13.4.17 Interrupt Cause Read: reading clears */
	REG_ITR = 0x00c4,    /* 13.4.18 Interrupt Throttling, in 256 ns */
	REG_IMS = 0x00d0,    /* 13.4.20 Interrupt Mask Set */
	REG_IMC = 0x00d8,    /* 13.4.21 Interrupt Mask Clear */
	REG_RCTL = 0x0100,   /* 13.4.22 Receive Control */
	REG_TCTL = 0x0400,   /* 13.4.33 Transmit Control */
	REG_TIPG = 0x0410,   /* 13.4.34 Transmit Inter-Packet Gap */
	REG_RDBAL = 0x2800,  /* 13.4.25 Receive Descriptor Base Address Low, High */
	REG_RDBAH = 0x2804,
	REG_RDLEN = 0x2808, /* 13.4.27 … Length, in bytes */
	REG_RDH = 0x2810,   /* 13.4.28 … Head */
	REG_RDT = 0x2818,   /* 13.4.29 … Tail */
	REG_RDTR = 0x2820,  /* 13.4.30 Receive Delay Timer */
	REG_TDBAL = 0x3800, /* 13.4.36 Transmit Descriptor Base Address Low, High */
	REG_TDBAH = 0x3804,
	REG_TDLEN = 0x3808,  /* 13.4.38 … Length, in bytes */
	REG_TDH = 0x3810,    /* 13.4.39 … Head */
	REG_TDT = 0x3818,    /* 13.4.40 … Tail */
	REG_RXCSUM = 0x5000, /* 13.4    Receive Checksum Control */
	REG_MTA = 0x5200,    /* 13.5.1  Multicast Table Array */
	REG_RAL = 0x5400,    /* 13.5.2  Receive Address Low, of entry 0 */
	REG_RAH = 0x5404,    /* 13.5.3  Receive Address High */
};

enum { MTA_WORDS = 128 };

/* 13.7 Statistics: cleared by reading; they stay at their highest value rather than to wrap */
enum intel_stat {
	STAT_CRCERRS = 0x4000, /* CRC Error Count */
	STAT_MPC = 0x4010,     /* Missed Packets Count: the receive FIFO was full */
	STAT_GPRC = 0x4074,    /* Good Packets Received Count */
	STAT_GPTC = 0x4080,    /* Good Packets Transmitted Count */
	STAT_RNBC = 0x40a0,    /* Receive No Buffers Count */
	STAT_RUC = 0x40a4,     /* Receive Undersize Count */
	STAT_ROC = 0x40ac,     /* Receive Oversize Count */
};

/* Device Control */
#define CTRL_ASDE (1u << 5) /* speed as the PHY has negotiated it */
#define CTRL_SLU  (1u << 6) /* Set Link Up */
#define CTRL_RST  (1u << 26)

/* Device Status */
#define STATUS_FD	   (1u << 0)
#define STATUS_LU	   (1u << 1) /* Link Up */
#define STATUS_SPEED_SHIFT 6	     /* 10, 100, 1000, 1000 Mbit/s */

/* Interrupt causes: ICR, IMS, IMC */
#define CAUSE_TXDW   (1u << 0) /* Transmit Descriptor Written Back */
#define CAUSE_LSC    (1u << 2) /* Link Status Change */
#define CAUSE_RXDMT0 (1u << 4) /* Receive Descriptor Minimum Threshold */
#define CAUSE_RXO    (1u << 6) /* Receiver Overrun */
#define CAUSE_RXT0   (1u << 7) /* Receive Timer: a frame is there */

/* Receive Control. Buffers of 2048 bytes are BSIZE 0 without BSEX. */
#define RCTL_EN	   (1u << 1)
#define RCTL_UPE   (1u << 3)  /* Unicast Promiscuous */
#define RCTL_MPE   (1u << 4)  /* Multicast Promiscuous */
#define RCTL_LPE   (1u << 5)  /* Long Packet: more than 1522 bytes with FCS */
#define RCTL_BAM   (1u << 15) /* Broadcast Accept */
#define RCTL_SECRC (1u << 26) /* Strip the Ethernet CRC */

/* Transmit Control */
#define TCTL_EN	  (1u << 1)
#define TCTL_PSP  (1u << 3)		      /* Pad Short Packets */
#define TCTL_CT	  (0x0fu << 4)		      /* Collision Threshold: the manual's value */
#define TCTL_COLD (0x40u << 12)		      /* Collision Distance: full duplex */
#define TIPG_IEEE (10u | 8u << 10 | 6u << 20) /* copper, IEEE 802.3 gaps */

/* Receive Checksum Control */
#define RXCSUM_IPOFL (1u << 8)
#define RXCSUM_TUOFL (1u << 9)

#define RAH_AV (1u << 31) /* Address Valid */

/* 3.2.3 Receive Descriptor Format (82574L 7.1: "legacy") */
struct intel_rx_desc {
	uint64_t address;
	uint64_t result; /* written by the device; read once */
};
_Static_assert(sizeof(struct intel_rx_desc) == 16, "8254x manual, 3.2.3");

#define RX_LENGTH(result) ((uint32_t)(result)&0xffff)
#define RX_DD		  (1ull << 32) /* Descriptor Done */
#define RX_EOP		  (1ull << 33) /* End of Packet: the bits below are valid */
#define RX_IXSM		  (1ull << 34) /* Ignore Checksum Indication */
#define RX_TCPCS	  (1ull << 37) /* TCP or UDP checksum calculated */
#define RX_IPCS		  (1ull << 38) /* IPv4 checksum calculated */
#define RX_CE		  (1ull << 40) /* CRC or alignment error */
#define RX_SE		  (1ull << 41) /* symbol error */
#define RX_SEQ		  (1ull << 42) /* sequence error */
#define RX_CXE		  (1ull << 44) /* carrier extension error */
#define RX_TCPE		  (1ull << 45) /* TCP or UDP checksum error */
#define RX_IPE		  (1ull << 46) /* IPv4 checksum error */
#define RX_RXE		  (1ull << 47) /* data error */
#define RX_DAMAGED	  (RX_CE | RX_SE | RX_SEQ | RX_CXE | RX_RXE)

/* 3.3.3 Transmit descriptors: data (3.3.7 "TCP/IP Data Descriptor") and context (3.3.6 "TCP/IP
 * Context Descriptor"), told apart by DTYP. */
struct intel_tx_desc {
	uint64_t first, second;
};
_Static_assert(sizeof(struct intel_tx_desc) == 16, "8254x manual, 3.3.3");

#define TX_DTYP_DATA (1ull << 20)
#define TX_EOP	     (1ull << 24) /* data: End of Packet */
#define TX_TCP	     (1ull << 24) /* context: TCP, else UDP */
#define TX_IFCS	     (1ull << 25) /* data: insert the FCS */
#define TX_IP	     (1ull << 25) /* context: IPv4, else IPv6 */
#define TX_TSE	     (1ull << 26) /* TCP Segmentation Enable */
#define TX_RS	     (1ull << 27) /* Report Status: DD is written back */
#define TX_DEXT	     (1ull << 29) /* not a legacy descriptor */
#define TX_DD	     (1ull << 32) /* Descriptor Done */
#define TX_IXSM	     (1ull << 40) /* data, POPTS: insert the IPv4 checksum */
#define TX_TXSM	     (1ull << 41) /* data, POPTS: insert the TCP or UDP checksum */
