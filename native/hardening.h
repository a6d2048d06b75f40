// What a process that holds keys and nothing else can give up (Linux; elsewhere nothing is done).
#ifndef NATIVE_HARDENING_H_
#define NATIVE_HARDENING_H_

namespace keyless {

// Bits of what HardenProcess did; the contract with lib/engine/addon.ts.
enum Hardening : int {
  kNotDumpable = 1,   // no core file, no ptrace, no /proc/PID/mem for others of the same user
  kMemoryLocked = 2,  // no key is swapped out; only where the limit allows it
  kNoNetwork = 4,     // sockets, programs and other processes' memory are refused by seccomp
  kEndsWithParent = 8,  // killed with the thread that started it, also when it is stopped
};

// Irrevocable, for all threads. Call it once, before there are keys.
int HardenProcess();

}  // namespace keyless

#endif  // NATIVE_HARDENING_H_
