// What becomes of a process when its parent ends (Linux; elsewhere nothing is done).
#ifndef NATIVE_PARENT_H_
#define NATIVE_PARENT_H_

#include <sys/types.h>

namespace keyless {

// From here on this process is killed with the thread that started it, until it becomes another user. System calls only: a new
// process may call both before it is another program. Returns whether that is so, or else errno says why not.
bool EndWithParent();

// As above; and the parent, which may have ended before, is `parent` still, seen from here.
bool EndWithParent(pid_t parent);

}  // namespace keyless

#endif  // NATIVE_PARENT_H_
