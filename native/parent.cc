#include "parent.h"

#ifdef __linux__

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace keyless {

bool EndWithParent() { return prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0; }

bool EndWithParent(pid_t parent) {
  if (!EndWithParent()) return false;
  // The parent may have ended before, or not be seen from here (another namespace of processes): it would never be heard of.
  errno = ESRCH;
  return getppid() == parent;
}

}  // namespace keyless

#else

namespace keyless {

bool EndWithParent() { return true; }

bool EndWithParent(pid_t) { return true; }

}  // namespace keyless

#endif
