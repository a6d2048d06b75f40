#include "same_name.h"

#include <openssl/x509.h>

#include "openssl/error_guard.h"
#include "openssl/owners.h"

namespace keyless {

namespace {

X509NameOwner ParseName(const uint8_t* der, size_t bytes) {
  const uint8_t* end = der;
  X509NameOwner name(d2i_X509_NAME(nullptr, &end, static_cast<long>(bytes)));  // NOLINT(google-runtime-int)
  return end == der + bytes ? std::move(name) : nullptr;
}

}  // namespace

bool IsSameName(const uint8_t* one, size_t one_bytes, const uint8_t* other, size_t other_bytes) {
  const ErrorGuard guard;
  const X509NameOwner first = ParseName(one, one_bytes);
  const X509NameOwner second = ParseName(other, other_bytes);
  return first != nullptr && second != nullptr && X509_NAME_cmp(first.get(), second.get()) == 0;
}

}  // namespace keyless
