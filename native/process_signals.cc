#include "process_signals.h"

#include <signal.h>

namespace keyless {

namespace {

// Of these a process that was sent one cannot know that it did not do it itself.
bool IsFault(int number) {
  return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL || number == SIGTRAP ||
         number == SIGSYS;
}

}  // namespace

void IgnoreSignals() {
  struct sigaction ignored = {};
  ignored.sa_handler = SIG_IGN;
  for (int number = 1; number < NSIG; ++number) {
    // Refused, as it should be, for SIGKILL, SIGSTOP, and what the C library has for itself.
    if (!IsFault(number)) sigaction(number, &ignored, nullptr);
  }
}

void RestoreSignals() {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  // What has a handler the system restores.
  sigaction(SIGPIPE, &standard, nullptr);
  sigaction(SIGXFSZ, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace keyless
