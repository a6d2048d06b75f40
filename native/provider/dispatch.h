// The dispatch tables of the provider's parts, and what they share.
#ifndef NATIVE_PROVIDER_DISPATCH_H_
#define NATIVE_PROVIDER_DISPATCH_H_

#include <openssl/core.h>
#include <openssl/core_dispatch.h>

#include <memory>

#include "../key_record.h"

namespace keyless {

// OpenSSL's `void*` for a key of this provider. Owner: OpenSSL, through new and free of the key management.
// A certificate's key, imported to be compared, has no record.
struct ProviderKey {
  explicit ProviderKey(KeyType type) : type(type) {}
  const KeyType type;
  std::shared_ptr<const KeyRecord> record;
  PkeyOwner imported;

  const EVP_PKEY* public_key() const { return record != nullptr ? record->public_key.get() : imported.get(); }
};

// The name of the internal import parameter: an octet pointer to a std::shared_ptr<const KeyRecord>.
inline constexpr char kRecordParam[] = "keyless-record";

// An integer that keys of this provider have: whether they decrypt.
inline constexpr char kDecryptsParam[] = "keyless-decrypts";

const OSSL_ALGORITHM* KeyManagementAlgorithms();
const OSSL_ALGORITHM* SignatureAlgorithms();
const OSSL_ALGORITHM* AsymCipherAlgorithms();

// Reasons of the provider's own error library, for whoever reads OpenSSL's error queue.
enum Reason : int { kReasonOutsideHandshake = 1, kReasonOperationFailed = 2, kReasonUnsupported = 3 };
void RaiseError(Reason reason);
bool RegisterReasons();

template <typename Function>
constexpr OSSL_DISPATCH Entry(int id, Function* function) {
  return {id, reinterpret_cast<void (*)(void)>(function)};
}

}  // namespace keyless

#endif  // NATIVE_PROVIDER_DISPATCH_H_
