// While a job runs, what it writes goes into a memory BIO of ours, and from there to Node's on the main stack: Node's
// BIO accounts for its memory with V8, which may start a garbage collection, and a job's stack has 32 KiB.
#ifndef NATIVE_STAGED_WRITES_H_
#define NATIVE_STAGED_WRITES_H_

#include "openssl/owners.h"

namespace keyless {

// Owner: the stack frame of one step. Thread: the handshake's.
class StagedWrites {
 public:
  explicit StagedWrites(SSL* ssl);
  ~StagedWrites();
  StagedWrites(const StagedWrites&) = delete;
  StagedWrites& operator=(const StagedWrites&) = delete;
  bool ok() const { return staged_; }

 private:
  SSL* const ssl_;
  BIO* const target_;  // ours while staged, the SSL's again afterwards
  BioOwner stage_;
  bool staged_ = false;
};

}  // namespace keyless

#endif  // NATIVE_STAGED_WRITES_H_
