// What stands in for a private key: the public half, a number by which TypeScript finds the PrivateKey object, and what
// that object can do.
#ifndef NATIVE_KEY_RECORD_H_
#define NATIVE_KEY_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "openssl/owners.h"
#include "signature_schemes.h"

namespace keyless {

// The numbers of keys whose last reference is gone, for TypeScript to forget its objects.
// Owner: shared by one environment and its keys. Thread: any (a key may outlive its environment).
class ReleasedKeys {
 public:
  void Add(uint32_t number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    numbers_.push_back(number);
  }
  // 0: none.
  uint32_t TakeOne() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (numbers_.empty()) return 0;
    const uint32_t number = numbers_.back();
    numbers_.pop_back();
    return number;
  }

 private:
  std::mutex mutex_;
  std::vector<uint32_t> numbers_;
};

// What a PrivateKey object offers, so that a handshake never chooses what it cannot do.
struct KeyAbilities {
  uint32_t digests = ~0u;  // bits of Digest
  bool pss = true;
  bool decrypts = true;
};

// Owner: shared_ptr, held by the provider's key data (hence by OpenSSL's EVP_PKEYs) and by operations.
struct KeyRecord {
  KeyRecord(uint32_t number, KeyType type, PkeyOwner public_key, KeyAbilities abilities,
            std::shared_ptr<ReleasedKeys> released)
      : number(number), type(type), public_key(std::move(public_key)), abilities(abilities),
        released(std::move(released)) {}
  ~KeyRecord() { released->Add(number); }
  KeyRecord(const KeyRecord&) = delete;
  KeyRecord& operator=(const KeyRecord&) = delete;

  const uint32_t number;
  const KeyType type;
  const PkeyOwner public_key;  // in OpenSSL's default provider: verifies, never signs
  const KeyAbilities abilities;
  const std::shared_ptr<ReleasedKeys> released;

  // Initialised once and copied for each verification, which spares OpenSSL its look-ups. Thread: the environment's.
  struct Verifier {
    const SignatureScheme* scheme;
    MdCtxOwner context;
  };
  mutable std::vector<Verifier> verifiers;
};

// Bytes of the longest signature (and of a ciphertext, for RSA).
size_t MaxResultSize(const KeyRecord& record);

// The kind of a certificate's key; false: none that this addon can use remotely.
bool KeyTypeOf(const EVP_PKEY* public_key, KeyType* type);

}  // namespace keyless

#endif  // NATIVE_KEY_RECORD_H_
