// What signals do to this process.
#ifndef NATIVE_PROCESS_SIGNALS_H_
#define NATIVE_PROCESS_SIGNALS_H_

namespace keyless {

// For all threads, from now on: whatever may be ignored does nothing, also what Node has handlers for (SIGUSR1 opens its debugger).
// Faults still end the process, and so does abort().
void IgnoreSignals();

// For a program that is about to take the place of this one: what Node ignores and blocks, it would ignore and block too.
void RestoreSignals();

}  // namespace keyless

#endif  // NATIVE_PROCESS_SIGNALS_H_
