#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "process_signals.h"
#include "word_pointers.h"

namespace keyless {

namespace {

// Node has all that it inherits closed on exec, also the standard streams.
void HandOnStandardStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) fcntl(stream, F_SETFD, 0);
}

}  // namespace

int BecomeProgram(const std::vector<std::string>& words) {
  const std::vector<char*> pointers = WordPointers(words);
  HandOnStandardStreams();
  RestoreSignals();
  execvp(pointers.front(), pointers.data());
  return errno;
}

void EndProcess(int code) { _exit(code); }

}  // namespace keyless
