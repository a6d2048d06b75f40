// What becomes of this process in the end: another program in its place, which keeps its number, its parent, its signals and
// standard streams; or nothing.
#ifndef NATIVE_PROGRAM_H_
#define NATIVE_PROGRAM_H_

#include <string>
#include <vector>

namespace keyless {

// Looks for `words[0]` as a shell does, and gives it all of `words`, and the environment of this process. Does not return, or
// returns errno; then signals are no more as Node has them, and it should end.
int BecomeProgram(const std::vector<std::string>& words);

// At once, whatever its threads are at: exit(3) waits for those of libuv, one of which may stand in a write that nobody reads,
// or in a file system that does not answer. No handler runs.
[[noreturn]] void EndProcess(int code);

}  // namespace keyless

#endif  // NATIVE_PROGRAM_H_
