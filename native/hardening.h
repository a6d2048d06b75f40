// What a process that holds keys and nothing else can give up (Linux; elsewhere nothing is done).
#ifndef NATIVE_HARDENING_H_
#define NATIVE_HARDENING_H_

namespace keyless {

// Bits of what HardenProcess did; the contract with lib/engine/hardening.ts.
enum Hardening : int {
  kNotDumpable = 1,       // no core file, no ptrace, no /proc/PID/mem for others of the same user
  kMemoryLocked = 2,      // no key is swapped out; only where the limit allows it
  kFewSystemCalls = 4,    // seccomp: memory, threads, time and the descriptors that are open
  kEndsWithParent = 8,    // killed with the process or thread that started it, also when it is stopped
  kNoNewDescriptors = 16,  // neither files nor sockets, by whatever way
  kNoPrivileges = 32,     // not root any more, nor able to become it again; true where it never was
};

// Irrevocable, for all threads. Call it once, before there are keys, and when all is open that is needed.
int HardenProcess();

}  // namespace keyless

#endif  // NATIVE_HARDENING_H_
