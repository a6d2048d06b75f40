// OpenSSL's error queue is one per thread and shared with Node: an entry left behind by us surfaces later as an error
// of somebody else's connection. Every scope of ours that may fail without meaning to report it holds one of these.
#ifndef NATIVE_OPENSSL_ERROR_GUARD_H_
#define NATIVE_OPENSSL_ERROR_GUARD_H_

#include <openssl/err.h>

namespace keyless {

// Drops on destruction whatever was added to the queue during its life. Thread: any; nests.
class ErrorGuard {
 public:
  ErrorGuard() { ERR_set_mark(); }
  ~ErrorGuard() { ERR_pop_to_mark(); }
  ErrorGuard(const ErrorGuard&) = delete;
  ErrorGuard& operator=(const ErrorGuard&) = delete;
};

}  // namespace keyless

#endif  // NATIVE_OPENSSL_ERROR_GUARD_H_
