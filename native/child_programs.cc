#include "child_programs.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include <algorithm>
#include <utility>

#include "tether.h"
#include "word_pointers.h"

namespace keyless {

namespace {

constexpr int kChannel = 3;  // the contract with lib/keepers/holder-child.ts; kTether follows it

struct Start {
  char* const* words;
  char* const* environment;
  int ours;
  int theirs;
  Tether tether;
};

void CloseIfOpen(int descriptor) {
  if (descriptor >= 0) close(descriptor);
}

// A parent that has ended before, or ends now, is found out by the closing of the last copy of its end, which is here.
bool TieToParent(const Tether& tether) {
  if (tether.tied >= 0 && !TieTo(tether.tied)) return false;
  CloseIfOpen(tether.holding);
  return true;
}

// Inherited by the program, whatever it was.
bool MoveDescriptor(int from, int to) {
  return from == to ? fcntl(to, F_SETFD, 0) == 0 : dup2(from, to) >= 0;
}

void ResetSignals() {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) sigaction(number, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

#ifdef __linux__
#ifndef SYS_close_range
#define SYS_close_range 436  // on all architectures
#endif

// As getdents64(2) writes it.
struct DirectoryEntry {
  uint64_t inode;
  int64_t next;
  uint16_t length;
  uint8_t type;
  char name[];
};

// -1: not a number.
int NumberOf(const char* name) {
  if (*name < '0' || *name > '9') return -1;
  int number = 0;
  for (; *name >= '0' && *name <= '9'; ++name) number = number * 10 + (*name - '0');
  return number;
}

// Where the system does not know close_range (before Linux 5.9), or a filter of system calls does not.
void CloseListedFrom(int first) {
  const int list = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (list < 0) return;
  alignas(DirectoryEntry) char entries[2048];
  for (;;) {
    const ssize_t bytes = syscall(SYS_getdents64, list, entries, sizeof(entries));
    if (bytes <= 0) break;
    for (ssize_t at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(entries + at);
      const int descriptor = NumberOf(entry->name);
      if (descriptor >= first && descriptor != list) close(descriptor);
      at += entry->length;
    }
  }
  close(list);
}

void CloseFrom(int first) {
  if (syscall(SYS_close_range, first, ~0U, 0) != 0) CloseListedFrom(first);
}

// What an app is given to listen on port 443 (AmbientCapabilities of systemd), all that it starts would have too; and what Node.js's
// file is given for that (setcap), each Node.js. Of root the program keeps what it needs to become another user.
void GiveUpCapabilities() {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (getuid() != 0) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}
#else
void CloseFrom(int first) {
  for (int descriptor = getdtablesize() - 1; descriptor >= first; --descriptor) close(descriptor);
}
void GiveUpCapabilities() {}
#endif

// Addons open descriptors that programs inherit, and so may have who started this process. All that there can be may be open:
// the parent's ends, which are no use here, have made room.
bool ArrangeDescriptors(const Start& start) {
  const int tied = start.tether.tied == kChannel ? dup(kChannel) : start.tether.tied;
  if (!MoveDescriptor(start.theirs, kChannel)) return false;
  if (tied >= 0 && !MoveDescriptor(tied, kTether)) return false;
  CloseFrom(tied >= 0 ? kTether + 1 : kChannel + 1);
  const int nothing = open("/dev/null", O_RDWR);
  if (nothing < 0) return false;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (dup2(nothing, stream) < 0) return false;
  }
  return nothing <= STDERR_FILENO || close(nothing) == 0;
}

// In the new process, which has the memory of the old one until it is another program: system calls, and nothing else.
// Returns errno.
int BecomeChild(const Start& start) {
  close(start.ours);
  if (setsid() < 0 || !TieToParent(start.tether) || !ArrangeDescriptors(start) || chdir("/") != 0) return errno;
  ResetSignals();
  GiveUpCapabilities();
  execve(start.words[0], start.words, start.environment);
  return errno;
}

// Of a process that has gigabytes, a fork() would copy the tables of all pages. Returns the process, or -1, with `problem`.
pid_t ForkAndBecome(const Start& start, volatile int* problem) {
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdeprecated-declarations"
#endif
  const pid_t pid = vfork();
#if defined(__clang__)
#pragma clang diagnostic pop
#endif
  if (pid == 0) {
    *problem = BecomeChild(start);
    _exit(127);
  }
  if (pid < 0) *problem = errno;
  return pid;
}

// A handler that ran in the new process would run in this one's memory.
pid_t StartWithoutSignals(const Start& start, volatile int* problem) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ForkAndBecome(start, problem);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pid;
}

bool OpenPair(int ends[2]) {
#ifdef __linux__
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0;
#else
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return false;
  for (const int end : {ends[0], ends[1]}) fcntl(end, F_SETFD, FD_CLOEXEC);
  return true;
#endif
}

int ResultOf(int status) { return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status); }

// The result; nothing: it runs.
std::optional<int> Reap(pid_t pid) {
  int status = 0;
  const pid_t reaped = waitpid(pid, &status, WNOHANG);
  if (reaped == 0) return std::nullopt;
  // Somebody who waits for every child of the process has been told how it ended.
  return reaped == pid ? ResultOf(status) : 0;
}

bool IsMainThread() {
#ifdef __linux__
  return syscall(SYS_gettid) == getpid();
#else
  return pthread_main_np() != 0;
#endif
}

// A process that was killed ends within milliseconds, unless the system keeps it from running (a frozen cgroup).
constexpr int kMostWaits = 1000;
constexpr timespec kWait = {0, 1000 * 1000};

}  // namespace

int ChildPrograms::Start(const std::vector<std::string>& words, const std::vector<std::string>& environment,
                         ChildProgram* child) {
  int ends[2];
  if (!OpenPair(ends)) return errno;
  Tether tether;
  volatile int problem = OpenTether(&tether);
  pid_t pid = -1;
  if (problem == 0) {
    const std::vector<char*> word_pointers = WordPointers(words);
    const std::vector<char*> environment_pointers = WordPointers(environment);
    pid = StartWithoutSignals({word_pointers.data(), environment_pointers.data(), ends[0], ends[1], tether}, &problem);
  }
  close(ends[1]);
  CloseIfOpen(tether.tied);
  if (problem == 0) {
    children_.push_back({pid, tether.holding});
    *child = {pid, ends[0]};
    return 0;
  }
  if (pid > 0) waitpid(pid, nullptr, 0);
  CloseIfOpen(tether.holding);
  close(ends[0]);
  return problem;
}

// A child that has not been waited for keeps its number: no other process is meant. It may be a user's whom this
// process may not signal any more.
std::optional<int> ChildPrograms::KillAndReap(Child* child) {
  const std::optional<int> result = Reap(child->pid);
  CloseIfOpen(std::exchange(child->tether, -1));
  if (result.has_value()) return result;
  kill(child->pid, SIGKILL);
  return Reap(child->pid);
}

std::optional<int> ChildPrograms::End(pid_t pid) {
  const auto found =
      std::find_if(children_.begin(), children_.end(), [pid](const Child& child) { return child.pid == pid; });
  if (found == children_.end()) return 0;
  const std::optional<int> result = KillAndReap(&*found);
  if (result.has_value()) children_.erase(found);
  return result;
}

void ChildPrograms::EndAll() {
  const auto is_gone = [](Child& child) { return KillAndReap(&child).has_value(); };
  for (int waits = 0; waits < kMostWaits; ++waits) {
    children_.erase(std::remove_if(children_.begin(), children_.end(), is_gone), children_.end());
    if (children_.empty() || IsMainThread()) return;
    nanosleep(&kWait, nullptr);
  }
}

}  // namespace keyless
