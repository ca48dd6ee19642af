/* Debian's linux.uml sets floating point registers with the length that it knows. On processors whose register file is larger, the
 * machine's kernel refuses a length that is not its own, and the first process dies. Loaded before it, this widens that one request:
 * the whole file is read, the part that the kernel knows laid over it, and the whole written back. */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REGISTERS 0x202 /* NT_X86_XSTATE */

static long ask(long request, long process, void *address, void *data) {
    return syscall(SYS_ptrace, request, process, address, data);
}

long ptrace(enum __ptrace_request request, ...) {
    static __thread unsigned char whole[65536] __attribute__((aligned(64)));
    va_list rest;
    va_start(rest, request);
    long process = va_arg(rest, int);
    void *address = va_arg(rest, void *);
    void *data = va_arg(rest, void *);
    va_end(rest);
    if (request == PTRACE_SETREGSET && (long)address == REGISTERS) {
        struct iovec *part = data, all = {whole, sizeof whole};
        if (ask(PTRACE_GETREGSET, process, address, &all) == 0 && all.iov_len > part->iov_len) {
            memcpy(whole, part->iov_base, part->iov_len);
            return ask(PTRACE_SETREGSET, process, address, &all);
        }
    }
    if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
        long value;
        long result = ask(request, process, address, &value);
        return result < 0 ? result : value;
    }
    return ask(request, process, address, data);
}
