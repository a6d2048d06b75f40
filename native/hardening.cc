#include "hardening.h"

#ifdef __linux__

#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "system_call_filter.h"
#include "tether.h"

namespace keyless {

namespace {

// The kernel's own number for nobody.
constexpr unsigned kNobody = 65534;

bool SetLimit(__rlimit_resource_t what) {
  const rlimit none = {0, 0};
  return setrlimit(what, &none) == 0;
}

bool ForbidDumps() { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && SetLimit(RLIMIT_CORE); }

// Code that has taken over this process could close the tether; what the kernel was told here it cannot take back.
bool EndWithParent() { return TieAgain() && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0; }

// Under a limit, memory that is mapped later could not be locked, and so not be had at all.
bool LockMemory() {
#ifdef MCL_ONFAULT
  rlimit limit;
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur != RLIM_INFINITY) return false;
  return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
#else
  return false;
#endif
}

// Whoever has it in one of the three becomes root again.
bool HasRoot() {
  uid_t real, effective, saved;
  return getresuid(&real, &effective, &saved) != 0 || real == 0 || effective == 0 || saved == 0;
}

bool BecomeNobody() {
  return seteuid(0) == 0 && setgroups(0, nullptr) == 0 && setresgid(kNobody, kNobody, kNobody) == 0 &&
         setresuid(kNobody, kNobody, kNobody) == 0;
}

// An app that was started as root and becomes another user leaves this process behind. glibc does it for all threads; with the
// user go all capabilities. Root that the app has only put aside (seteuid) must be taken up to be given up; where it cannot be,
// it is put aside again.
bool GiveUpRoot() {
  if (!HasRoot()) return true;
  const uid_t before = geteuid();
  if (BecomeNobody()) return true;
  [[maybe_unused]] const bool aside = seteuid(before) == 0;
  return false;
}

// The descriptors that are open stay.
bool ForbidDescriptors() { return SetLimit(RLIMIT_NOFILE); }

}  // namespace

int HardenProcess() {
  int done = LockMemory() ? kMemoryLocked : 0;
  // Another user: then the kernel forgets what was said of the parent and of dumps.
  if (GiveUpRoot()) done |= kNoPrivileges;
  if (EndWithParent()) done |= kEndsWithParent;
  if (ForbidDumps()) done |= kNotDumpable;
  if (ForbidDescriptors()) done |= kNoNewDescriptors;
  if (FilterSystemCalls()) done |= kFewSystemCalls;
  return done;
}

}  // namespace keyless

#else

namespace keyless {

int HardenProcess() { return 0; }

}  // namespace keyless

#endif
