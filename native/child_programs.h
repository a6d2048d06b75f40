// Programs that a Node environment has started, and that do not outlive it.
#ifndef NATIVE_CHILD_PROGRAMS_H_
#define NATIVE_CHILD_PROGRAMS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace keyless {

struct ChildProgram {
  pid_t pid;
  int channel;  // this end of a socket pair; the caller's to close
};

// Not libuv's: a process is told what it is to do when its parent ends before it becomes the other program, which may hang
// before it could say it itself; and who else waits for children of an environment that has ended?
// Owner: an Environment. Thread: its environment's. States of a child: running -> killed -> waited for, and forgotten.
class ChildPrograms {
 public:
  // A session of its own, `/` as its directory, no standard streams, as descriptor 3 the other end of the channel, and no
  // other descriptor but, on Linux, that of its tether to this process (tether.h). `words[0]` is a path. Returns 0, or
  // errno: there is no child.
  int Start(const std::vector<std::string>& words, const std::vector<std::string>& environment, ChildProgram* child);
  // Ends a child if it has not ended. Returns its exit code, or minus the number of its signal; nothing: ask again, it has
  // not ended yet.
  std::optional<int> End(pid_t pid);
  // Of all that are left. In a thread whose process lives on, it waits for them: nobody else will.
  void EndAll();

 private:
  struct Child {
    pid_t pid;
    int tether;  // the end that holds it; -1: let go
  };

  static std::optional<int> KillAndReap(Child* child);

  std::vector<Child> children_;
};

}  // namespace keyless

#endif  // NATIVE_CHILD_PROGRAMS_H_
