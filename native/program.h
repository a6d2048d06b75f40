// Another program in the place of this one: the process stays, with its number, its parent, its signals and standard streams.
#ifndef NATIVE_PROGRAM_H_
#define NATIVE_PROGRAM_H_

#include <string>
#include <vector>

namespace keyless {

// Looks for `words[0]` as a shell does, and gives it all of `words`, and the environment of this process. Does not return, or
// returns errno; then signals are no more as Node has them, and it should end.
int BecomeProgram(const std::vector<std::string>& words);

}  // namespace keyless

#endif  // NATIVE_PROGRAM_H_
