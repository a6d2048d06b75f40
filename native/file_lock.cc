#include "file_lock.h"

#include <errno.h>
#include <sys/file.h>

namespace keyless {

// flock(2), not fcntl(2): that one is lost when any descriptor of the file is closed, in any thread.
int TryLockFile(int descriptor) { return flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno; }

}  // namespace keyless
