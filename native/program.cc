#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "process_signals.h"

namespace keyless {

namespace {

// Node has all that it inherits closed on exec, also the standard streams.
void HandOnStandardStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) fcntl(stream, F_SETFD, 0);
}

}  // namespace

int BecomeProgram(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  // execvp() changes nothing of it.
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  HandOnStandardStreams();
  RestoreSignals();
  execvp(pointers.front(), pointers.data());
  return errno;
}

void EndProcess(int code) { _exit(code); }

}  // namespace keyless
