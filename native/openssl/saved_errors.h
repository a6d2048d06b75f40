// What OpenSSL's error queue says of a handshake that has failed, kept until Node looks at it: the queue is the thread's, and
// other connections' steps come in between.
#ifndef NATIVE_OPENSSL_SAVED_ERRORS_H_
#define NATIVE_OPENSSL_SAVED_ERRORS_H_

#include <openssl/err.h>

#include <string>
#include <vector>

namespace keyless {

// Owner: its Handshake. Thread: any, but the queue is the calling thread's.
class SavedErrors {
 public:
  // Empties the queue.
  void Take();
  // Puts them into the queue, in the place of what is there.
  void PutBack() const;

 private:
  struct Entry {
    unsigned long code;  // NOLINT(runtime/int)
    int line;
    std::string file;
    std::string function;
    std::string data;
  };
  std::vector<Entry> entries_;
};

}  // namespace keyless

#endif  // NATIVE_OPENSSL_SAVED_ERRORS_H_
