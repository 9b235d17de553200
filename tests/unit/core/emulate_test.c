/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses in every mode, strings, faults, what is refused, random code: what
 * emulate_native_test.c cannot ask the processor is compared with the manual's words.
 *
 * Linked with hv/core/{decode,emulate,alu}.c.
 */
#include "tests/unit/core/emulate_env.h"

/* Is a RIP-relative address counted from the end of the instruction, its immediate included? */
static void test_rip_relative(void **state)
{
	const uint8_t code[] = {
		0x81, 0x05, 0x00, 0x02, 0, 0, 1, 0, 0, 0
	}; /* addl $1, 0x200(%rip) */

	(void)state;
	set_mode(8);
	assert_true(emulate(code, sizeof(code)));
	assert_int_equal(seen.gpa, 0x1000 + sizeof(code) + 0x200);
	assert_int_equal(seen.accesses, 2);
}

/* Which address does each form have, in every mode? Registers: RAX 0x10, RCX 0x20, RDX 0x30, … */
static void test_addresses(void **state)
{
	static const struct {
		unsigned mode;
		uint8_t code[12];
		uint64_t gpa;
		unsigned bytes;
	} table[] = {
		{ 2, { 0x8a, 0x07 }, 0x40 + 0x80 + 0x1000, 1 },		    /* [bx] */
		{ 2, { 0x8b, 0x00 }, 0x40 + 0x70 + 0x1000, 2 },		    /* [bx+si] */
		{ 2, { 0x8b, 0x42, 0xfe }, 0x60 + 0x70 - 2 + 0x2000, 2 },   /* [bp+si-2], SS */
		{ 2, { 0x8b, 0x06, 0x34, 0x12 }, 0x1234 + 0x1000, 2 },	    /* [1234h] */
		{ 2, { 0x66, 0x8b, 0x04 }, 0x70 + 0x1000, 4 },		    /* eax, [si] */
		{ 2, { 0x8b, 0x84, 0xff, 0xff }, 0x6f + 0x1000, 2 },	    /* [si+ffffh] wraps */
		{ 2, { 0x67, 0x8b, 0x04, 0x88 }, 0x10 + 0x80 + 0x1000, 2 }, /* [eax+ecx*4] */
		{ 2, { 0x64, 0xa0, 0x10, 0x00 }, 0x10 + 0x3000, 1 },	    /* al, fs:[10h] */
		{ 4, { 0xa1, 0x78, 0x56, 0, 0 }, 0x5678 + 0x1000, 4 },
		{ 4, { 0x8b, 0x05, 0x78, 0x56, 0, 0 }, 0x5678 + 0x1000, 4 },	 /* no RIP here */
		{ 4, { 0x8b, 0x45, 0x08 }, 0x60 + 8 + 0x2000, 4 },		 /* [ebp+8], SS */
		{ 4, { 0x8b, 0x04, 0x24 }, 0x50 + 0x2000, 4 },			 /* [esp], SS */
		{ 4, { 0x3e, 0x8b, 0x04, 0x24 }, 0x50 + 0x1000, 4 },		 /* ds:[esp] */
		{ 4, { 0x67, 0x8b, 0x07 }, 0x40 + 0x1000, 4 },			 /* [bx] */
		{ 4, { 0x66, 0x8b, 0x04, 0x4d, 1, 0, 0, 0 }, 0x41 + 0x1000, 2 }, /* [ecx*2+1] */
		{ 8, { 0x8b, 0x04, 0x25, 0, 0x10, 0, 0x80 }, 0xffffffff80001000ull, 4 },
		{ 8, { 0x67, 0x8b, 0x04, 0x25, 0, 0x10, 0, 0x80 }, 0x80001000, 4 },
		{ 8, { 0x65, 0x8b, 0x00 }, 0x10 + 0x4000, 4 },	   /* gs: counts */
		{ 8, { 0x2e, 0x8b, 0x00 }, 0x10, 4 },		   /* cs: does not */
		{ 8, { 0x41, 0x8b, 0x04, 0x24 }, 0xd0, 4 },	   /* [r12] */
		{ 8, { 0x42, 0x8b, 0x04, 0x20 }, 0x10 + 0xd0, 4 }, /* [rax+r12] */
		{ 8, { 0x41, 0x8b, 0x45, 0x00 }, 0xe0, 4 },	   /* [r13] */
		{ 8, { 0x48, 0x2e, 0x8b, 0x00 }, 0x10, 4 },	   /* REX not last: void */
		{ 8, { 0x48, 0xa1, 0, 0, 0x10, 0, 0, 0, 0, 0 }, 0x100000, 8 },
		{ 8, { 0x66, 0x48, 0x8b, 0x00 }, 0x10, 8 }, /* REX.W wins */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		set_mode(table[i].mode);
		for (unsigned r = 0; r < GPR_COUNT; r++)
			vcpu.gpr[r] = 0x10 * (r + 1);
		if (table[i].mode == 2 && table[i].code[0] == 0x8a)
			vcpu.gpr[GPR_RBX] = 0x40 + 0x80;
		sregs.seg[SEG_DS].base = 0x1000;
		sregs.seg[SEG_SS].base = 0x2000;
		sregs.seg[SEG_FS].base = 0x3000;
		sregs.seg[SEG_GS].base = 0x4000;
		if (!emulate(table[i].code, sizeof(table[i].code)) || seen.gpa != table[i].gpa ||
		    seen.bytes != table[i].bytes)
			fail_msg("address %u: %u bytes at %lx, wanted %u at %lx", i, seen.bytes,
				 seen.gpa, table[i].bytes, table[i].gpa);
	}
}

/* Does an access to RAM only, which the guest has put there meanwhile, do nothing at all? */
static void test_ram_is_left_to_the_guest(void **state)
{
	static const uint8_t store[] = { 0x89, 0x03 }, movs[] = { 0xa4 };
	static uint8_t ram[8192];

	(void)state;
	set_mode(8);
	vm.mem = (struct gmem){ 1, { { 0x10000, sizeof(ram), ram } } };
	vcpu.gpr[GPR_RBX] = 0x10010;
	vcpu.gpr[GPR_RSI] = 0x10020;
	vcpu.gpr[GPR_RDI] = 0x10030;
	assert_true(emulate(store, sizeof(store)));
	assert_true(emulate(movs, sizeof(movs)));
	assert_int_equal(sregs.rip, 0x1000);
	assert_int_equal(vcpu.gpr[GPR_RDI], 0x10030);
	assert_int_equal(seen.accesses, 0);
}

/* MOVS between RAM and a device: both ways, with the RAM side across two pages? */
static void test_movs_ram_device(void **state)
{
	static const uint8_t movsq[] = { 0x48, 0xa5 };
	static uint8_t ram[8192];
	uint64_t value = 0x0123456789abcdefull;

	(void)state;
	set_mode(8);
	vm.mem = (struct gmem){ 1, { { 0x10000, sizeof(ram), ram } } };
	memcpy(ram + 4093, &value, 8);
	vcpu.gpr[GPR_RSI] = 0x10000 + 4093;
	vcpu.gpr[GPR_RDI] = (uint64_t)buffer;
	assert_true(emulate(movsq, sizeof(movsq)));
	assert_memory_equal(shadow, &value, 8);
	assert_int_equal(vcpu.gpr[GPR_RSI], 0x10000 + 4101);
	sregs.rip = 0x1000;
	vcpu.gpr[GPR_RSI] = (uint64_t)buffer;
	vcpu.gpr[GPR_RDI] = 0x10000 + 4090;
	assert_true(emulate(movsq, sizeof(movsq)));
	assert_memory_equal(ram + 4090, &value, 8);
}

/* Does REP leave RIP with RCX one less, and end with RCX 0? */
static void test_rep(void **state)
{
	static const uint8_t stos[] = { 0xf3, 0xab };

	(void)state;
	set_mode(8);
	vcpu.gpr[GPR_RCX] = 2;
	vcpu.gpr[GPR_RDI] = (uint64_t)buffer;
	assert_true(emulate(stos, sizeof(stos)));
	assert_int_equal(vcpu.gpr[GPR_RCX], 1);
	assert_int_equal(sregs.rip, 0x1000);
	assert_true(emulate(stos, sizeof(stos)));
	assert_int_equal(sregs.rip, 0x1002);
	sregs.rip = 0x1000;
	assert_true(emulate(stos, sizeof(stos)));
	assert_int_equal(seen.accesses, 2);
	assert_int_equal(sregs.rip, 0x1002);
}

/* Are faults the guest's: page fault with its address and code, #GP and #SS if not canonical? */
static void test_faults(void **state)
{
	static const uint8_t store[] = { 0x89, 0x03 }, stack[] = { 0x89, 0x45, 0x00 };

	(void)state;
	set_mode(8);
	sregs.seg[SEG_SS].access |= 3 << 5; /* CPL 3 */
	vcpu.gpr[GPR_RBX] = 0x7008;
	fault_page = 7;
	assert_true(emulate(store, sizeof(store)));
	assert_int_equal(seen.faults, 1);
	assert_int_equal(seen.cr2, 0x7008);
	assert_int_equal(seen.pf_error, 6);
	vcpu.gpr[GPR_RBX] = vcpu.gpr[GPR_RBP] = 1ull << 50;
	assert_true(emulate(store, sizeof(store)));
	assert_int_equal(seen.vector, 13);
	assert_true(emulate(stack, sizeof(stack)));
	assert_int_equal(seen.vector, 12);
	assert_int_equal(sregs.rip, 0x1000);
	assert_int_equal(seen.accesses, 0);
}

/* Is what it cannot do refused without a trace? */
static void test_refused(void **state)
{
	static const uint8_t table[][8] = {
		{ 0xff, 0x33 },		    /* push (%rbx) */
		{ 0x0f, 0x10, 0x03 },	    /* movups */
		{ 0xf7, 0x23 },		    /* mull */
		{ 0x89, 0xc3 },		    /* mov %eax, %ebx: no memory */
		{ 0xc5, 0xf8, 0x10, 0x03 }, /* VEX */
		{ 0x0f, 0xa2 },		    /* cpuid */
		{ 0xf4 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		set_mode(8);
		vcpu.gpr[GPR_RBX] = (uint64_t)buffer;
		assert_false(emulate(table[i], sizeof(table[i])));
		assert_int_equal(seen.accesses, 0);
		assert_int_equal(sregs.rip, 0x1000);
	}
	set_mode(8);
	fetch_count = 1; /* cut off */
	assert_false(emulate((const uint8_t[]){ 0x8b, 0x03 }, 2));
}

static uint32_t port_value;
static unsigned port_accesses;

static bool port(struct vcpu *v, uint16_t number, unsigned bytes, bool write, uint32_t *value)
{
	(void)v;
	assert_int_equal(number, 0x3f8);
	assert_int_equal(bytes, 1);
	port_accesses++;
	if (write)
		port_value = *value;
	else
		*value = 0x5a;
	return true;
}

/* INS and OUTS: one element a call, and nothing if the code is another by now? */
static void test_string_io(void **state)
{
	struct vmexit exit = { .kind = VMEXIT_IO,
			       .io = { .port = 0x3f8, .bytes = 1, .write = true, .string = true } };
	static uint8_t ram[4096] = { 'h', 'i' };

	(void)state;
	set_mode(4);
	vm.mem = (struct gmem){ 1, { { 0x10000, sizeof(ram), ram } } };
	vcpu.gpr[GPR_RSI] = vcpu.gpr[GPR_RDI] = 0x10000;
	vcpu.gpr[GPR_RCX] = 2;
	port_accesses = 0;
	memcpy(fetch_bytes, "\xf3\x6e", 2);
	assert_true(emulate_string_io(&vcpu, &exit, port, device));
	assert_int_equal(port_value, 'h');
	assert_int_equal(sregs.rip, 0x1000);
	assert_true(emulate_string_io(&vcpu, &exit, port, device));
	assert_int_equal(port_value, 'i');
	assert_int_equal(sregs.rip, 0x1002);
	memcpy(fetch_bytes, "\x6c", 1);
	assert_true(emulate_string_io(&vcpu, &exit, port,
				      device)); /* INS, while the exit was an OUTS */
	assert_int_equal(port_accesses, 2);
	exit.io.write = false;
	assert_true(emulate_string_io(&vcpu, &exit, port, device));
	assert_int_equal(ram[0], 0x5a);
	assert_int_equal(vcpu.gpr[GPR_RDI], 0x10001);
	assert_int_equal(sregs.rip, 0x1003);
	vcpu.gpr[GPR_RDI] = (uint64_t)buffer; /* not RAM */
	shadow[0] = 0;
	assert_true(emulate_string_io(&vcpu, &exit, port, device));
	assert_int_equal(shadow[0], 0x5a);
}

/* An operand of which a page is RAM and the next a device's, and one across two of a device's. */
static void test_across_pages(void **state)
{
	static uint8_t ram[4096];

	(void)state;
	set_mode(8);
	vm.mem = (struct gmem){ 1, { { (uint64_t)buffer - 4096, sizeof(ram), ram } } };
	memset(shadow, 0, sizeof(shadow));
	ram[4095] = 0x11;
	shadow[0] = 0x22, shadow[1] = 0x33, shadow[2] = 0x44;
	vcpu.gpr[GPR_RBX] = (uint64_t)buffer - 1;
	assert_true(emulate((const uint8_t[]){ 0x8b, 0x03 }, 2)); /* mov (%rbx),%eax */
	assert_int_equal(vcpu.gpr[GPR_RAX], 0x44332211);
	assert_int_equal(seen.accesses, 3); /* three bytes are no width of a bus */
	vcpu.gpr[GPR_RAX] = 0xa4a3a2a1;
	assert_true(emulate((const uint8_t[]){ 0x89, 0x03 }, 2));
	assert_int_equal(ram[4095], 0xa1);
	assert_memory_equal(shadow, ((uint8_t[]){ 0xa2, 0xa3, 0xa4, 0 }), 4);
	memset(&vm.mem, 0, sizeof(vm.mem));
	vcpu.gpr[GPR_RBX] = (uint64_t)buffer + BUFFER_BYTES - 2;
	seen.accesses = 0;
	assert_true(emulate((const uint8_t[]){ 0x8b, 0x03 }, 2));
	assert_int_equal(vcpu.gpr[GPR_RAX], 0x22110000); /* zeroes, and what lies behind */
	assert_int_equal(seen.accesses, 2);
}

/* What is not known may not be what made the exit: the guest tries a few times, not for ever. */
static void test_rewritten(void **state)
{
	const struct vmexit exit = { .kind = VMEXIT_MMIO };
	unsigned tries = 0;

	(void)state;
	set_mode(8);
	vcpu.mmio_tries = 0;
	vcpu.gpr[GPR_RBX] = (uint64_t)buffer;
	memcpy(fetch_bytes, "\x0f\x0b", 2); /* ud2 */
	assert_true(emulate_mmio(&vcpu, &exit, device));
	memcpy(fetch_bytes, "\x8b\x03", 2);
	assert_true(emulate_mmio(&vcpu, &exit, device));
	memcpy(fetch_bytes, "\x0f\x0b", 2);
	while (emulate_mmio(&vcpu, &exit, device))
		assert_true(++tries < 100);
	assert_in_range(tries, 2, 20);
	assert_int_equal(sregs.rip, 0x1002);
	vcpu.mmio_tries = tries = 0;
	while (emulate_string_io(&vcpu, &exit, port, device))
		assert_true(++tries < 100);
	assert_in_range(tries, 2, 20);
}

/* Are the system instructions' lengths right, prefixes included? */
static void test_lengths(void **state)
{
	static const struct {
		uint8_t code[8];
		uint8_t length;
	} table[] = {
		{ { 0x0f, 0xa2 }, 2 }, /* cpuid */
		{ { 0x66, 0x0f, 0xa2 }, 3 }, { { 0xf4 }, 1 },
		{ { 0x48, 0x0f, 0x30 }, 3 }, { { 0x0f, 0x32 }, 2 },
		{ { 0x0f, 0x01, 0xd9 }, 3 },				  /* vmmcall */
		{ { 0x0f, 0x01, 0xd1 }, 3 }, { { 0x0f, 0x01, 0xc8 }, 3 }, /* xsetbv, monitor */
		{ { 0x0f, 0x08 }, 2 },	     { { 0x0f, 0x09 }, 2 },
		{ { 0xf3, 0x90 }, 2 },	     { { 0x44, 0x0f, 0x22, 0xc0 }, 4 }, /* mov %rax,%cr8 */
		{ { 0x0f, 0x22, 0x24 }, 3 },					/* mod is ignored */
	};
	struct insn insn;

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_true(insn_decode(table[i].code, 8, 8, &insn));
		assert_int_equal(insn.length, table[i].length);
	}
	assert_true(insn_decode((const uint8_t[]){ 0x45, 0x0f, 0x22, 0xc3 }, 4, 8, &insn));
	assert_int_equal(insn.op, OP_MOV_CR);
	assert_int_equal(insn.reg, 8);
	assert_int_equal(insn.base, GPR_R11);
}

/* Does any code at all, of any length, in any mode, end in bounds? (ASan, UBSan) */
static void test_random_code(void **state)
{
	const unsigned rounds = getenv("LASTHOP_SOAK") ? 100000000 : 400000;
	static const unsigned modes[] = { 2, 4, 8 };
	static uint8_t ram[8192];
	const struct vmexit exit = { .kind = VMEXIT_MMIO };

	(void)state;
	for (unsigned i = 0; i < rounds; i++) {
		set_mode(modes[i % 3]);
		vm.mem = (struct gmem){ 1, { { 0x10000, sizeof(ram), ram } } };
		for (unsigned j = 0; j < 15; j++)
			fetch_bytes[j] = (uint8_t)random64();
		if (i & 1) /* more of what the table knows */
			fetch_bytes[0] = "\x0f\x66\x48\xf3\x80\x81\xc7\xa4"[random64() & 7];
		for (unsigned r = 0; r < GPR_COUNT; r++)
			vcpu.gpr[r] = random64() & 1 ? random64() : 0x10000 + (random64() & 8191);
		fetch_count = random64() & 1 ? 15 : random64() % 16;
		(void)emulate_mmio(&vcpu, &exit, device);
		assert_in_range(sregs.rip, 0x1000, 0x1000 + 15);
	}
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rip_relative),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_ram_is_left_to_the_guest),
		cmocka_unit_test(test_movs_ram_device),
		cmocka_unit_test(test_rep),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_string_io),
		cmocka_unit_test(test_across_pages),
		cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_random_code),
	};

	return cmocka_run_group_tests(tests, make_pages, NULL);
}
