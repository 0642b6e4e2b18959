/* SPDX-License-Identifier: ISC */
/*
 * The command of the benchmark's script checks, as small as a program can be, for what is
 * to be measured is who starts it. There is no C library in it: on a virtual machine the
 * start of one asks the processor what it can do, which traps, and costs more than all
 * else together.
 *
 * It leaves a mark (when, and its last argument, which is the check's number) in the file
 * "marks" beside itself, says "ok" and ends well. The mark is written to memory, wakes
 * nobody and costs every prober the same.
 */
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

#include "tests/bench/arrivals.h"

#define PATH_SIZE 256

static long
call(long number, long a, long b, long c, long d)
{
#if defined(__x86_64__)
	long result;
	register long fourth __asm__("r10") = d;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(fourth)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long name __asm__("x8") = number;
	register long first __asm__("x0") = a;
	register long second __asm__("x1") = b;
	register long third __asm__("x2") = c;
	register long fourth __asm__("x3") = d;
	__asm__ volatile("svc 0"
			 : "+r"(first)
			 : "r"(name), "r"(second), "r"(third), "r"(fourth)
			 : "memory");
	return first;
#else
#error "tick.c: the system call of this processor is to be written"
#endif
}

static uint32_t
number_of(const char *text)
{
	uint32_t number = 0;
	while (*text >= '0' && *text <= '9')
		number = number * 10 + (uint32_t)(*text++ - '0');
	return number;
}

/* "marks" beside the program; the last slash is the last one that was copied. */
static int
marks_open(const char *program)
{
	static const char name[] = "marks";
	char path[PATH_SIZE];
	size_t base = 0;

	for (size_t i = 0; i < PATH_SIZE - sizeof(name) && program[i] != '\0'; i++) {
		path[i] = program[i];
		if (program[i] == '/')
			base = i + 1;
	}
	for (size_t i = 0; i < sizeof(name); i++)
		path[base + i] = name[i];
	return (int)call(
	    SYS_openat, AT_FDCWD, (long)path, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
}

static int
tick(long argc, char **argv)
{
	struct timespec now = { 0 };

	int fd = marks_open(argv[0]);
	call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0, 0);
	struct arrival mark = {
		.at = now.tv_sec * 1000000000LL + now.tv_nsec,
		.id = number_of(argv[argc - 1]),
	};
	if (call(SYS_write, fd, (long)&mark, sizeof(mark), 0) != sizeof(mark))
		return 1;
	return call(SYS_write, 1, (long)"ok\n", 3, 0) == 3 ? 0 : 1;
}

/* Where a program begins: the stack holds the count of arguments and then them. */
__attribute__((used)) _Noreturn void tick_main(long *stack);

void
tick_main(long *stack)
{
	call(SYS_exit_group, tick(stack[0], (char **)(stack + 1)), 0, 0, 0);
	__builtin_unreachable();
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n"
	"\tand $-16, %rsp\n\tcall tick_main\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl tick_main\n");
#endif
