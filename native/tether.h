// What ties a process to another one: a pipe, or a socket pair, that nobody writes to. When its one end is closed, however
// that comes about, the kernel kills whoever holds the other: also a process that is stopped or hangs, and whoever the two
// have become meanwhile. A signal of the parent's end (PR_SET_PDEATHSIG) has the parent's rights, and a parent that was root
// may have given them up.
#ifndef NATIVE_TETHER_H_
#define NATIVE_TETHER_H_

namespace keyless {

// Of the process that is tied.
constexpr int kTether = 4;

// Two descriptors that no program inherits; -1 where the system has no such thing (elsewhere than on Linux). The caller's to close.
struct Tether {
  int holding = -1;
  int tied = -1;
};

// Returns 0, or errno.
int OpenTether(Tether* tether);
// This process is killed when the last copy of the other end is closed. System calls only. False: errno says why.
bool TieTo(int tied);
// The same for a process that was started with its end alone, whose parent may have ended before: then it does not return.
bool TieOrEnd(int tied);
// For a process that has become another user, in whose name the kernel is to kill it. True where it was never tied.
bool TieAgain();

}  // namespace keyless

#endif  // NATIVE_TETHER_H_
