/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does an emulated instruction do what the processor does? Each case is executed natively on a buffer,
 * and emulated with its shadow as device memory; registers, flags and memory must agree. What cannot
 * run natively (16-bit and 32-bit code, segments, faults) is compared with the manual's words.
 *
 * Linked with hv/core/{decode,emulate,alu}.c.
 */
#include "hv/core/emulate_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

enum kind { ARITH, LOGIC, KEEP, BITS, STRING }; /* which flags are defined; STRING: KEEP, random DF */

/* A record: kind, length, code, text with its NUL. RBX points into the buffer, RCX is 0-7, RSI and RDI
 * point into its two halves, RAX is any or, for bit strings, small. */
#define CASE(number, text)                                                                         \
	".byte " number ", 8882f-8881f\n8881: " text "\n8882: .asciz \"" text "\"\n"
#define CASE_ARITH(text)  CASE("0", text)
#define CASE_LOGIC(text)  CASE("1", text)
#define CASE_KEEP(text)   CASE("2", text)
#define CASE_BITS(text)   CASE("3", text)
#define CASE_STRING(text) CASE("4", text)
#define CASE_ALU(kind, op)                                                                         \
	kind(op "b %al, (%rbx)") kind(op "b %ah, 5(%rbx)") kind(op "b %r9b, -7(%rbx,%rcx)")        \
	kind(op "w %dx, 0x100(%rbx,%rcx,2)") kind(op "l %edx, (%rbx,%rcx,4)")                      \
	kind(op "q %r8, -0x80(%rbx,%rcx,8)") kind(op "b (%rbx), %sil") kind(op "w (%rbx), %ax")    \
	kind(op "l (%rbx), %r15d") kind(op "q (%rbx,%rcx), %rbp") kind(op "b $0x9c, 3(%rbx)")      \
	kind(op "w $0x8123, (%rbx)") kind(op "w $-3, (%rbx)") kind(op "l $0x87654321, (%rbx)")     \
	kind(op "q $-0x12345678, (%rbx)") kind(op "q $-1, (%rbx)") kind(op "l %edx, (%ebx,%ecx,4)")

__asm__(".pushsection .rodata\n"
	"cases:\n"
	CASE_ALU(CASE_ARITH, "add") CASE_ALU(CASE_ARITH, "adc") CASE_ALU(CASE_ARITH, "sub")
	CASE_ALU(CASE_ARITH, "sbb") CASE_ALU(CASE_ARITH, "cmp") CASE_ALU(CASE_LOGIC, "and")
	CASE_ALU(CASE_LOGIC, "or") CASE_ALU(CASE_LOGIC, "xor")
	CASE_ARITH("lock addl %edx, (%rbx)") CASE_LOGIC("lock orb $0x40, (%rbx)")
	CASE_ARITH("incb (%rbx)") CASE_ARITH("incw (%rbx)") CASE_ARITH("incl 4(%rbx)")
	CASE_ARITH("incq (%rbx)") CASE_ARITH("decb (%rbx)") CASE_ARITH("decq (%rbx,%rcx)")
	CASE_ARITH("negb (%rbx)") CASE_ARITH("negw (%rbx)") CASE_ARITH("negl (%rbx)")
	CASE_ARITH("negq (%rbx)") CASE_KEEP("notb (%rbx)") CASE_KEEP("notl (%rbx)")
	CASE_KEEP("notq (%rbx)")
	CASE_LOGIC("testb %al, (%rbx)") CASE_LOGIC("testw %dx, (%rbx)")
	CASE_LOGIC("testl %edx, (%rbx)") CASE_LOGIC("testq %r8, (%rbx)")
	CASE_LOGIC("testb $0x81, (%rbx)") CASE_LOGIC("testw $0x8001, (%rbx)")
	CASE_LOGIC("testl $0x80000001, (%rbx)") CASE_LOGIC("testq $-2, (%rbx)")
	CASE_KEEP("movb %al, (%rbx)") CASE_KEEP("movb %bh, (%rbx)") CASE_KEEP("movb %dil, (%rbx)")
	CASE_KEEP("movw %dx, (%rbx)") CASE_KEEP("movl %edx, (%rbx)") CASE_KEEP("movq %r14, (%rbx)")
	CASE_KEEP("movb (%rbx), %dh") CASE_KEEP("movb (%rbx), %r10b") CASE_KEEP("movw (%rbx), %r9w")
	CASE_KEEP("movl (%rbx,%rcx,8), %eax") CASE_KEEP("movq (%rbx), %rax")
	CASE_KEEP("movq %gs:(%rbx), %rax") CASE_KEEP("movl %ds:(%rbx), %edx")
	CASE_KEEP("movb $0x12, (%rbx)") CASE_KEEP("movw $0x1234, 2(%rbx)")
	CASE_KEEP("movl $0x12345678, (%rbx)") CASE_KEEP("movq $-2, (%rbx)")
	CASE_KEEP("movnti %edx, (%rbx)") CASE_KEEP("movnti %r8, (%rbx)")
	CASE_KEEP("movzbw (%rbx), %dx") CASE_KEEP("movzbl (%rbx), %edx")
	CASE_KEEP("movzbq (%rbx), %r8") CASE_KEEP("movzwl (%rbx), %edx")
	CASE_KEEP("movzwq (%rbx), %rdx") CASE_KEEP("movsbw (%rbx), %dx")
	CASE_KEEP("movsbl (%rbx), %edx") CASE_KEEP("movsbq (%rbx), %r8")
	CASE_KEEP("movswl (%rbx), %edx") CASE_KEEP("movswq (%rbx), %rdx")
	CASE_KEEP("movslq (%rbx), %rdx")
	CASE_KEEP("xchgb %al, (%rbx)") CASE_KEEP("xchgb %ch, (%rbx)") CASE_KEEP("xchgw %dx, (%rbx)")
	CASE_KEEP("xchgl %edx, (%rbx)") CASE_KEEP("xchgq %r12, (%rbx)")
	CASE_BITS("btw %ax, (%rbx)") CASE_BITS("btl %eax, (%rbx)") CASE_BITS("btq %rax, (%rbx)")
	CASE_BITS("btsw %ax, (%rbx)") CASE_BITS("btsl %eax, 8(%rbx)") CASE_BITS("btsq %rax, (%rbx)")
	CASE_BITS("lock btrl %eax, (%rbx)") CASE_BITS("btcq %rax, (%rbx)")
	CASE_BITS("btl $35, (%rbx)") CASE_BITS("btsq $63, (%rbx)") CASE_BITS("btrw $17, (%rbx)")
	CASE_BITS("btcl $31, (%rbx)")
	CASE_STRING("movsb") CASE_STRING("movsw") CASE_STRING("movsl") CASE_STRING("movsq")
	CASE_STRING("stosb") CASE_STRING("stosw") CASE_STRING("stosl") CASE_STRING("stosq")
	CASE_STRING("lodsb") CASE_STRING("lodsw") CASE_STRING("lodsl") CASE_STRING("lodsq")
	CASE_STRING("addr32 movsl") CASE_STRING("rep movsl") CASE_STRING("rep stosb")
	CASE_STRING("rep stosq") CASE_STRING("addr32 rep stosb")
	"cases_end:\n"
	".popsection");
extern const uint8_t cases[], cases_end[];

/* ---- native execution ---- */

struct native {
	uint64_t gpr[GPR_COUNT];
	uint64_t rflags;
};
void native_run(struct native *state, const void *code);
extern const char native_back[];

#define FOR_EACH_REG(x)                                                                            \
	x("0x00", "rax") x("0x08", "rcx") x("0x10", "rdx") x("0x18", "rbx") x("0x28", "rbp")       \
	x("0x30", "rsi") x("0x40", "r8") x("0x48", "r9") x("0x50", "r10") x("0x58", "r11")         \
	x("0x60", "r12") x("0x68", "r13") x("0x70", "r14") x("0x78", "r15")
#define LOAD(at, reg)  "mov " at "(%rdi), %" reg "\n"
#define STORE(at, reg) "mov %" reg ", " at "(%rdi)\n"
__asm__(".text\n"
	".globl native_run, native_back\n"
	"native_run: push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rdi, native_state(%rip); mov %rsi, native_code(%rip)\n"
	"push 0x80(%rdi); popfq\n"
	FOR_EACH_REG(LOAD)
	"mov 0x38(%rdi), %rdi\n"
	"jmp *native_code(%rip)\n"
	"native_back: push %rdi; mov native_state(%rip), %rdi\n"
	FOR_EACH_REG(STORE)
	"pop 0x38(%rdi); pushfq; pop 0x80(%rdi); cld\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret\n"
	".bss; native_state: .quad 0; native_code: .quad 0\n"
	".text\n");

#define BUFFER_BYTES 4096u
static uint8_t *code_page, *buffer; /* one mapping below 4 GiB */
static uint8_t shadow[BUFFER_BYTES];

static void run_native(struct native *state, const uint8_t *code, unsigned length)
{
	static const uint8_t jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	uint64_t back = (uint64_t)native_back;

	memcpy(code_page, code, length);
	memcpy(code_page + length, jump, sizeof(jump));
	memcpy(code_page + length + sizeof(jump), &back, sizeof(back));
	native_run(state, code_page);
}

/* ---- what emulate.c finds around it ---- */

static struct vm vm;
static struct vcpu vcpu = { .vm = &vm };
static struct vcpu_sregs sregs;
static uint8_t fetch_bytes[15];
static unsigned fetch_count = 15;
static uint64_t fault_page = ~0ull; /* GVAs here are not mapped */
static struct {
	unsigned accesses, exceptions, faults;
	uint64_t gpa, cr2;
	unsigned bytes;
	uint32_t pf_error;
	uint8_t vector;
} seen;

static void fake_get_sregs(struct vcpu *v, struct vcpu_sregs *out)
{
	(void)v;
	*out = sregs;
}

static void fake_set_sregs(struct vcpu *v, const struct vcpu_sregs *in)
{
	(void)v;
	sregs = *in;
}

static void fake_inject(struct vcpu *v, uint8_t vector, int64_t error_code)
{
	(void)v;
	(void)error_code;
	seen.exceptions++;
	seen.vector = vector;
}

static const struct hvm_ops fake_ops = { .get_sregs = fake_get_sregs,
					 .set_sregs = fake_set_sregs,
					 .inject_exception = fake_inject };
const struct hvm_ops *hvm = &fake_ops;

void vcpu_inject_pf(struct vcpu *v, uint64_t cr2, uint32_t error_code)
{
	(void)v;
	seen.faults++;
	seen.cr2 = cr2;
	seen.pf_error = error_code;
}

int gva_to_gpa(struct vcpu *v, uint64_t gva, uint32_t access, gpa_t *out, uint32_t *pf_error)
{
	(void)v;
	*pf_error = access;
	out->v = gva;
	return gva / 4096 == fault_page ? LH_FAULT : 0;
}

unsigned guest_fetch(struct vcpu *v, uint8_t out[15])
{
	(void)v;
	memcpy(out, fetch_bytes, fetch_count);
	return fetch_count;
}

bool vm_read(const struct vm *m, gpa_t at, void *to, size_t bytes)
{
	const void *p = gmem_ptr(&m->mem, at.v, bytes);

	return p ? memcpy(to, p, bytes) != NULL : false;
}

bool vm_write(const struct vm *m, gpa_t at, const void *from, size_t bytes)
{
	void *p = gmem_ptr(&m->mem, at.v, bytes);

	return p ? memcpy(p, from, bytes) != NULL : false;
}

/* The buffer's shadow as a device; elsewhere reads give a pattern. */
static bool device(struct vcpu *v, gpa_t gpa, unsigned bytes, bool write, uint64_t *value)
{
	const uint64_t offset = gpa.v - (uint64_t)buffer;

	(void)v;
	assert_true(bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
	seen.accesses++;
	seen.gpa = gpa.v;
	seen.bytes = bytes;
	if (offset >= BUFFER_BYTES || bytes > BUFFER_BYTES - offset) {
		if (!write)
			*value = 0x8877665544332211ull;
		return true;
	}
	if (write)
		memcpy(shadow + offset, value, bytes);
	else
		memcpy(value, shadow + offset, bytes);
	return true;
}

/* ---- helpers ---- */

static uint64_t seed = 88172645463325252ull;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void set_mode(unsigned mode)
{
	memset(&sregs, 0, sizeof(sregs));
	sregs.rip = 0x1000;
	sregs.rflags = RFLAGS_FIXED;
	sregs.seg[SEG_CS].access = mode == 8 ? 0xa9b : mode == 4 ? 0xc9b : 0x9b;
	sregs.seg[SEG_SS].access = 0xc93;
	sregs.efer = mode == 8 ? EFER_LMA | EFER_LME : 0;
	memset(&vm.mem, 0, sizeof(vm.mem));
	memset(&seen, 0, sizeof(seen));
	fault_page = ~0ull;
	fetch_count = 15;
}

static bool emulate(const void *code, unsigned length)
{
	const struct vmexit exit = { .kind = VMEXIT_MMIO };

	memset(fetch_bytes, 0x90, sizeof(fetch_bytes));
	memcpy(fetch_bytes, code, length < 15 ? length : 15);
	return emulate_mmio(&vcpu, &exit, device);
}

#define FLAGS_STATUS 0x8d5u

static uint64_t defined_flags(enum kind kind)
{
	switch (kind) {
	case LOGIC:
		return FLAGS_STATUS & ~0x10u; /* AF is undefined */
	case BITS:
		return 0x41; /* CF, and ZF stays */
	default:
		return FLAGS_STATUS;
	}
}

static void random_state(struct native *n, enum kind kind)
{
	for (unsigned i = 0; i < GPR_COUNT; i++)
		n->gpr[i] = random64() >> (random64() & 3 ? 0 : 40);
	n->gpr[GPR_RBX] = (uint64_t)buffer + 1024;
	n->gpr[GPR_RCX] = random64() & 7;
	n->gpr[GPR_RSI] = (uint64_t)buffer + 512 + (random64() & 63);
	n->gpr[GPR_RDI] = (uint64_t)buffer + 2560 + (random64() & 63);
	if (kind == BITS)
		n->gpr[GPR_RAX] = random64() % 4001 - 2000;
	n->rflags = 0x202 | (random64() & FLAGS_STATUS);
	if (kind == STRING && random64() & 1)
		n->rflags |= BIT(10);
	for (unsigned i = 0; i < BUFFER_BYTES; i++)
		buffer[i] = (uint8_t)random64();
	memcpy(shadow, buffer, BUFFER_BYTES);
}

static void emulate_to_end(const uint8_t *code, unsigned length, const char *text)
{
	for (unsigned i = 0; i < 8; i++) { /* a repeated instruction comes back for each element */
		if (!emulate(code, length))
			fail_msg("%s: not emulated", text);
		if (sregs.rip != 0x1000)
			break;
	}
	if (sregs.rip != 0x1000 + length)
		fail_msg("%s: RIP moved by %d of %u", text, (int)(sregs.rip - 0x1000), length);
}

static void compare(enum kind kind, const uint8_t *code, unsigned length, const char *text)
{
	struct native n;

	random_state(&n, kind);
	set_mode(8);
	memcpy(vcpu.gpr, n.gpr, sizeof(n.gpr));
	sregs.rflags = n.rflags;
	run_native(&n, code, length);
	emulate_to_end(code, length, text);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		if (i != GPR_RSP && vcpu.gpr[i] != n.gpr[i])
			fail_msg("%s: register %u is %lx, the processor's %lx", text, i, vcpu.gpr[i],
				 n.gpr[i]);
	if ((sregs.rflags ^ n.rflags) & defined_flags(kind))
		fail_msg("%s: flags are %lx, the processor's %lx", text, sregs.rflags, n.rflags);
	if (memcmp(buffer, shadow, BUFFER_BYTES))
		fail_msg("%s: memory differs", text);
}

/* ---- tests ---- */

/* Do registers, flags and memory agree with the processor's for every instruction in the table? */
static void test_as_the_processor(void **state)
{
	(void)state;
	for (const uint8_t *p = cases; p < cases_end;) {
		const enum kind kind = p[0];
		const unsigned length = p[1];
		const char *text = (const char *)p + 2 + length;

		for (unsigned i = 0; i < 200; i++)
			compare(kind, p + 2, length, text);
		p += 2 + length + strlen(text) + 1;
	}
}

/* Is a RIP-relative address counted from the end of the instruction, its immediate included? */
static void test_rip_relative(void **state)
{
	const uint8_t code[] = { 0x81, 0x05, 0x00, 0x02, 0, 0, 1, 0, 0, 0 }; /* addl $1, 0x200(%rip) */

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
		{ 2, { 0x8a, 0x07 }, 0x40 + 0x80 + 0x1000, 1 },              /* [bx] */
		{ 2, { 0x8b, 0x00 }, 0x40 + 0x70 + 0x1000, 2 },              /* [bx+si] */
		{ 2, { 0x8b, 0x42, 0xfe }, 0x60 + 0x70 - 2 + 0x2000, 2 },    /* [bp+si-2], SS */
		{ 2, { 0x8b, 0x06, 0x34, 0x12 }, 0x1234 + 0x1000, 2 },       /* [1234h] */
		{ 2, { 0x66, 0x8b, 0x04 }, 0x70 + 0x1000, 4 },               /* eax, [si] */
		{ 2, { 0x8b, 0x84, 0xff, 0xff }, 0x6f + 0x1000, 2 },         /* [si+ffffh] wraps */
		{ 2, { 0x67, 0x8b, 0x04, 0x88 }, 0x10 + 0x80 + 0x1000, 2 },  /* [eax+ecx*4] */
		{ 2, { 0x64, 0xa0, 0x10, 0x00 }, 0x10 + 0x3000, 1 },         /* al, fs:[10h] */
		{ 4, { 0xa1, 0x78, 0x56, 0, 0 }, 0x5678 + 0x1000, 4 },
		{ 4, { 0x8b, 0x05, 0x78, 0x56, 0, 0 }, 0x5678 + 0x1000, 4 }, /* no RIP here */
		{ 4, { 0x8b, 0x45, 0x08 }, 0x60 + 8 + 0x2000, 4 },           /* [ebp+8], SS */
		{ 4, { 0x8b, 0x04, 0x24 }, 0x50 + 0x2000, 4 },               /* [esp], SS */
		{ 4, { 0x3e, 0x8b, 0x04, 0x24 }, 0x50 + 0x1000, 4 },         /* ds:[esp] */
		{ 4, { 0x67, 0x8b, 0x07 }, 0x40 + 0x1000, 4 },               /* [bx] */
		{ 4, { 0x66, 0x8b, 0x04, 0x4d, 1, 0, 0, 0 }, 0x41 + 0x1000, 2 }, /* [ecx*2+1] */
		{ 8, { 0x8b, 0x04, 0x25, 0, 0x10, 0, 0x80 }, 0xffffffff80001000ull, 4 },
		{ 8, { 0x67, 0x8b, 0x04, 0x25, 0, 0x10, 0, 0x80 }, 0x80001000, 4 },
		{ 8, { 0x65, 0x8b, 0x00 }, 0x10 + 0x4000, 4 },               /* gs: counts */
		{ 8, { 0x2e, 0x8b, 0x00 }, 0x10, 4 },                        /* cs: does not */
		{ 8, { 0x41, 0x8b, 0x04, 0x24 }, 0xd0, 4 },                  /* [r12] */
		{ 8, { 0x42, 0x8b, 0x04, 0x20 }, 0x10 + 0xd0, 4 },           /* [rax+r12] */
		{ 8, { 0x41, 0x8b, 0x45, 0x00 }, 0xe0, 4 },                  /* [r13] */
		{ 8, { 0x48, 0x2e, 0x8b, 0x00 }, 0x10, 4 },                  /* REX not last: void */
		{ 8, { 0x48, 0xa1, 0, 0, 0x10, 0, 0, 0, 0, 0 }, 0x100000, 8 },
		{ 8, { 0x66, 0x48, 0x8b, 0x00 }, 0x10, 8 },                  /* REX.W wins */
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
		{ 0xff, 0x33 },             /* push (%rbx) */
		{ 0x0f, 0x10, 0x03 },       /* movups */
		{ 0xf7, 0x23 },             /* mull */
		{ 0x89, 0xc3 },             /* mov %eax, %ebx: no memory */
		{ 0xc5, 0xf8, 0x10, 0x03 }, /* VEX */
		{ 0x0f, 0xa2 },             /* cpuid */
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
	vcpu.gpr[GPR_RBX] = 0x6ffe; /* a device register across two pages */
	assert_false(emulate((const uint8_t[]){ 0x8b, 0x03 }, 2));
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
	assert_true(emulate_string_io(&vcpu, &exit, port));
	assert_int_equal(port_value, 'h');
	assert_int_equal(sregs.rip, 0x1000);
	assert_true(emulate_string_io(&vcpu, &exit, port));
	assert_int_equal(port_value, 'i');
	assert_int_equal(sregs.rip, 0x1002);
	memcpy(fetch_bytes, "\x6c", 1);
	assert_true(emulate_string_io(&vcpu, &exit, port)); /* INS, while the exit was an OUTS */
	assert_int_equal(port_accesses, 2);
	exit.io.write = false;
	assert_true(emulate_string_io(&vcpu, &exit, port));
	assert_int_equal(ram[0], 0x5a);
	assert_int_equal(vcpu.gpr[GPR_RDI], 0x10001);
	assert_int_equal(sregs.rip, 0x1003);
	vcpu.gpr[GPR_RDI] = 0x20000; /* not RAM */
	assert_false(emulate_string_io(&vcpu, &exit, port));
}

/* Are the system instructions' lengths right, prefixes included? */
static void test_lengths(void **state)
{
	static const struct {
		uint8_t code[8];
		uint8_t length;
	} table[] = {
		{ { 0x0f, 0xa2 }, 2 },             /* cpuid */
		{ { 0x66, 0x0f, 0xa2 }, 3 },       { { 0xf4 }, 1 }, { { 0x48, 0x0f, 0x30 }, 3 },
		{ { 0x0f, 0x32 }, 2 },             { { 0x0f, 0x01, 0xd9 }, 3 }, /* vmmcall */
		{ { 0x0f, 0x01, 0xd1 }, 3 },       { { 0x0f, 0x01, 0xc8 }, 3 }, /* xsetbv, monitor */
		{ { 0x0f, 0x08 }, 2 },             { { 0x0f, 0x09 }, 2 },
		{ { 0xf3, 0x90 }, 2 },             { { 0x44, 0x0f, 0x22, 0xc0 }, 4 }, /* mov %rax,%cr8 */
		{ { 0x0f, 0x22, 0x24 }, 3 },       /* mod is ignored */
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

static int make_pages(void **state)
{
	(void)state;
	code_page = mmap(NULL, 4096 + BUFFER_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	buffer = code_page + 4096;
	return code_page == MAP_FAILED;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_processor), cmocka_unit_test(test_rip_relative),
		cmocka_unit_test(test_addresses),	 cmocka_unit_test(test_ram_is_left_to_the_guest),
		cmocka_unit_test(test_movs_ram_device),	 cmocka_unit_test(test_rep),
		cmocka_unit_test(test_faults),		 cmocka_unit_test(test_refused),
		cmocka_unit_test(test_string_io),	 cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_random_code),
	};

	return cmocka_run_group_tests(tests, make_pages, NULL);
}
