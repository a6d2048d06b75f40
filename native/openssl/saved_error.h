// What OpenSSL's error queue says of a handshake that has failed, kept until Node looks at it: the queue is the thread's, and
// other connections' steps come in between.
//
// Node tells of the oldest entry and of no other. Where a write of the user's waits, it takes that one out and calls JavaScript,
// and whoever looks for an error of his own there would find the next.
#ifndef NATIVE_OPENSSL_SAVED_ERROR_H_
#define NATIVE_OPENSSL_SAVED_ERROR_H_

#include <openssl/err.h>

#include <string>

namespace keyless {

// Owner: its Handshake. Thread: any, but the queue is the calling thread's.
class SavedError {
 public:
  // The oldest; empties the queue.
  void Take();
  // Puts it into the queue, in the place of what is there.
  void PutBack() const;

 private:
  unsigned long code_ = 0;  // NOLINT(runtime/int): OpenSSL's; 0: there is none
  int line_ = 0;
  std::string file_;
  std::string function_;
  std::string text_;
};

}  // namespace keyless

#endif  // NATIVE_OPENSSL_SAVED_ERROR_H_
