/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does an emulated instruction do what the processor does? Each case is executed natively on a
 * buffer, and emulated with its shadow as device memory; registers, flags and memory must agree.
 *
 * Linked with hv/core/{decode,emulate,alu}.c.
 */
#include "tests/unit/core/emulate_env.h"

/* Which flags are defined; STRING: as KEEP, with any DF. */
enum kind { ARITH, LOGIC, KEEP, BITS, STRING };

/* A record: kind, length, code, text with its NUL. RBX points into the buffer, RCX is 0-7, RSI and
 * RDI point into its two halves, RAX is any or, for bit strings, small. */
#define CASE(number, text)                                                                         \
	".byte " number ", 8882f-8881f\n8881: " text "\n8882: .asciz \"" text "\"\n"
#define CASE_ARITH(text)  CASE("0", text)
#define CASE_LOGIC(text)  CASE("1", text)
#define CASE_KEEP(text)	  CASE("2", text)
#define CASE_BITS(text)	  CASE("3", text)
#define CASE_STRING(text) CASE("4", text)
/* clang-format off */
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
/* clang-format on */
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
		x("0x30", "rsi") x("0x40", "r8") x("0x48", "r9") x("0x50", "r10") x("0x58", "r11") \
			x("0x60", "r12") x("0x68", "r13") x("0x70", "r14") x("0x78", "r15")
#define LOAD(at, reg)  "mov " at "(%rdi), %" reg "\n"
#define STORE(at, reg) "mov %" reg ", " at "(%rdi)\n"
__asm__(".text\n"
	".globl native_run, native_back\n"
	"native_run: push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rdi, native_state(%rip); mov %rsi, native_code(%rip)\n"
	"push 0x80(%rdi); popfq\n" FOR_EACH_REG(
		LOAD) "mov 0x38(%rdi), %rdi\n"
		      "jmp *native_code(%rip)\n"
		      "native_back: push %rdi; mov native_state(%rip), %rdi\n" FOR_EACH_REG(
			      STORE) "pop 0x38(%rdi); pushfq; pop 0x80(%rdi); cld\n"
				     "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; "
				     "ret\n"
				     ".bss; native_state: .quad 0; native_code: .quad 0\n"
				     ".text\n");
static void run_native(struct native *state, const uint8_t *code, unsigned length)
{
	static const uint8_t jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	uint64_t back = (uint64_t)native_back;

	memcpy(code_page, code, length);
	memcpy(code_page + length, jump, sizeof(jump));
	memcpy(code_page + length + sizeof(jump), &back, sizeof(back));
	native_run(state, code_page);
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
			fail_msg("%s: register %u is %lx, the processor's %lx", text, i,
				 vcpu.gpr[i], n.gpr[i]);
	if ((sregs.rflags ^ n.rflags) & defined_flags(kind))
		fail_msg("%s: flags are %lx, the processor's %lx", text, sregs.rflags, n.rflags);
	if (memcmp(buffer, shadow, BUFFER_BYTES))
		fail_msg("%s: memory differs", text);
}
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
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_the_processor),
	};

	return cmocka_run_group_tests(tests, make_pages, NULL);
}
