// A lock on an open file that the system lets go of when the process ends, however it ends: what a number in a file cannot
// do, which stays after SIGKILL and means another process in each container.
#ifndef NATIVE_FILE_LOCK_H_
#define NATIVE_FILE_LOCK_H_

namespace keyless {

// Never waits. Closing the descriptor gives the lock up; another open of the same file, also in this process, is another
// holder. Returns 0, or errno: EWOULDBLOCK when somebody else has it, others where the file system has no locks.
int TryLockFile(int descriptor);

}  // namespace keyless

#endif  // NATIVE_FILE_LOCK_H_
