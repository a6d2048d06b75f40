// A hash of messages: its context is made once, where node:crypto makes one each time and memory for each digest.
#ifndef NATIVE_MESSAGE_HASH_H_
#define NATIVE_MESSAGE_HASH_H_

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <utility>

#include "openssl/owners.h"

namespace keyless {

// Owner: the JavaScript value that CreateMessageHash has made, by its finalizer. Thread: the environment's.
// No states: every message is for itself.
class MessageHash {
 public:
  // nullptr: OpenSSL has no such hash here, or no memory.
  static std::unique_ptr<MessageHash> Create(const char* name);

  // Whether `digest` is the message's. False where hashing fails.
  bool Matches(const uint8_t* message, size_t message_bytes, const uint8_t* digest, size_t digest_bytes);

 private:
  MessageHash(MdOwner hash, MdCtxOwner context) : hash_(std::move(hash)), context_(std::move(context)) {}

  const MdOwner hash_;
  const MdCtxOwner context_;
};

}  // namespace keyless

#endif  // NATIVE_MESSAGE_HASH_H_
