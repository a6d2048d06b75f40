#include "system_call_filter.h"

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <initializer_list>
#include <vector>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

namespace keyless {

namespace {

#ifdef __x86_64__
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// x32 numbers the same system calls otherwise.
constexpr uint32_t kOtherNumbers = 0x40000000;
// From here on all architectures have the same numbers. Libraries that know such a new one do without it when it is not there.
constexpr uint32_t kNewNumbers = 424;

constexpr uint32_t kRefused = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kNotThere = SECCOMP_RET_ERRNO | ENOSYS;

// What Node.js 20 to 26 and OpenSSL use once they run, and what they may use (V8 and glibc, for memory and threads).
constexpr int kAllowed[] = {
    // The descriptors that are open. Of io_uring only what enters a ring: libuv may have made one for its loop (Node.js 22 on), and
    // would abort. It can open nothing where there is no room for a descriptor (hardening.cc).
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_close, SYS_fstat, SYS_shutdown, SYS_epoll_ctl, SYS_epoll_pwait,
#ifdef SYS_epoll_wait
    SYS_epoll_wait,
#endif
#ifdef SYS_epoll_pwait2
    SYS_epoll_pwait2,
#endif
#ifdef SYS_io_uring_enter
    SYS_io_uring_enter,
#endif
    // Memory.
    SYS_brk, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise,
#ifdef SYS_pkey_mprotect
    SYS_pkey_mprotect, SYS_pkey_alloc, SYS_pkey_free,
#endif
    // Threads.
    SYS_futex, SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_set_robust_list,
    SYS_gettid, SYS_getpriority, SYS_setpriority, SYS_exit, SYS_exit_group,
#ifdef SYS_membarrier
    SYS_membarrier,
#endif
#ifdef SYS_rseq
    SYS_rseq,
#endif
    // Signals to this process.
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack, SYS_restart_syscall,
    // Time, chance, and what this process is.
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getrandom, SYS_getpid,
    SYS_getppid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getrusage, SYS_getcpu, SYS_uname, SYS_sysinfo,
};

using Program = std::vector<sock_filter>;

void Load(Program* program, size_t offset) {
  program->push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
}

void Return(Program* program, uint32_t action) { program->push_back(BPF_STMT(BPF_RET | BPF_K, action)); }

void ReturnIfEqual(Program* program, uint32_t value, uint32_t action) {
  program->push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
  Return(program, action);
}

void ReturnIfNotBelow(Program* program, uint32_t value, uint32_t action) {
  program->push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, 0, 1));
  Return(program, action);
}

// Of an argument of 32 bits, which the kernel takes as such; both architectures are little-endian.
size_t OffsetOf(int argument) {
  return offsetof(seccomp_data, args) + static_cast<size_t>(argument) * sizeof(uint64_t);
}

// Allowed if `argument` & `mask` is one of `values`; refused otherwise.
void AllowWith(Program* program, int call, int argument, uint32_t mask, std::initializer_list<uint32_t> values) {
  Program body;
  Load(&body, OffsetOf(argument));
  body.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, mask));
  for (const uint32_t value : values) ReturnIfEqual(&body, value, SECCOMP_RET_ALLOW);
  Return(&body, kRefused);
  program->push_back(
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 0, static_cast<uint8_t>(body.size())));
  program->insert(program->end(), body.begin(), body.end());
}

constexpr uint32_t kAll = 0xffffffff;

// A thread of this process, in its namespaces.
constexpr uint32_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                 CLONE_NEWPID | CLONE_NEWNET;

Program MakeProgram() {
  Program program;
  Load(&program, offsetof(seccomp_data, arch));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0));
  Return(&program, kRefused);
  Load(&program, offsetof(seccomp_data, nr));
  ReturnIfNotBelow(&program, kOtherNumbers, kRefused);
  for (const int call : kAllowed) ReturnIfEqual(&program, static_cast<uint32_t>(call), SECCOMP_RET_ALLOW);
  const auto self = static_cast<uint32_t>(getpid());
  AllowWith(&program, SYS_clone, 0, CLONE_THREAD | kNamespaces, {CLONE_THREAD});
  AllowWith(&program, SYS_tgkill, 0, kAll, {self});
  AllowWith(&program, SYS_kill, 0, kAll, {self});
  AllowWith(&program, SYS_prctl, 0, kAll, {PR_SET_NAME, PR_SET_VMA});
  AllowWith(&program, SYS_ioctl, 1, kAll, {FIONBIO, FIOCLEX});
  AllowWith(&program, SYS_fcntl, 1, kAll, {F_GETFL, F_SETFL, F_GETFD, F_SETFD});
  // pthread_getattr_np(); with a new limit it would set one.
  AllowWith(&program, SYS_prlimit64, 2, kAll, {0});
  // clone3() is among them, whose flags a filter cannot see: glibc falls back to clone().
  ReturnIfNotBelow(&program, kNewNumbers, kNotThere);
  Return(&program, kRefused);
  return program;
}

}  // namespace

bool FilterSystemCalls() {
  Program filter = MakeProgram();
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

}  // namespace keyless

#else

namespace keyless {

bool FilterSystemCalls() { return false; }

}  // namespace keyless

#endif
