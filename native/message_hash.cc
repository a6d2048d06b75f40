#include "message_hash.h"

#include <string.h>

#include "openssl/error_guard.h"

namespace keyless {

std::unique_ptr<MessageHash> MessageHash::Create(const char* name) {
  const ErrorGuard guard;
  // Fetched: by another it would be looked up for each message.
  MdOwner hash(EVP_MD_fetch(nullptr, name, nullptr));
  MdCtxOwner context(EVP_MD_CTX_new());
  if (!hash || !context) return nullptr;
  return std::unique_ptr<MessageHash>(new MessageHash(std::move(hash), std::move(context)));
}

bool MessageHash::Matches(const uint8_t* message, size_t message_bytes, const uint8_t* digest, size_t digest_bytes) {
  const ErrorGuard guard;
  uint8_t own[EVP_MAX_MD_SIZE];
  unsigned int own_bytes = 0;
  return EVP_DigestInit_ex(context_.get(), hash_.get(), nullptr) == 1 &&
         EVP_DigestUpdate(context_.get(), message, message_bytes) == 1 &&
         EVP_DigestFinal_ex(context_.get(), own, &own_bytes) == 1 && own_bytes == digest_bytes &&
         memcmp(own, digest, digest_bytes) == 0;
}

}  // namespace keyless
