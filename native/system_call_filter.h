// Which system calls are left to a process that holds keys (seccomp, Linux on x86-64 and arm64).
#ifndef NATIVE_SYSTEM_CALL_FILTER_H_
#define NATIVE_SYSTEM_CALL_FILTER_H_

namespace keyless {

// Irrevocable, for all threads. What is left: memory, threads, time, and the descriptors that are open. Not: other files,
// sockets, programs, processes, their memory and descriptors, namespaces, limits.
//
// Returns false where nothing was done: another architecture, or a kernel or container without seccomp.
bool FilterSystemCalls();

}  // namespace keyless

#endif  // NATIVE_SYSTEM_CALL_FILTER_H_
