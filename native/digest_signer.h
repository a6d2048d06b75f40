// A private key that signs by one method, or decrypts: the contexts are made once, where node:crypto makes them each time.
#ifndef NATIVE_DIGEST_SIGNER_H_
#define NATIVE_DIGEST_SIGNER_H_

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <utility>
#include <vector>

#include "openssl/owners.h"

namespace keyless {

// Owner: the JavaScript value that CreateDigestSigner has made, by its finalizer. Thread: one at a time.
// No states: every signature is for itself.
class DigestSigner {
 public:
  // The key is PKCS#8, DER, of RSA or EC. nullptr: no such key, or it does not sign so. An empty hash: RSA as such, c^d mod n, which
  // takes what is as long as the modulus, and is also how RSA decrypts.
  static std::unique_ptr<DigestSigner> Create(const uint8_t* pkcs8, size_t bytes, const char* hash, bool pss);

  // The most bytes that a signature has.
  size_t max_bytes() const { return max_bytes_; }

  // A copy for another thread, until it is given back: on this one, by its destructor.
  class Borrowed;
  // get() of it is nullptr: there was no memory.
  Borrowed Borrow();

  // Writes max_bytes() at most. Returns how many; 0: it failed (a digest of another length).
  size_t Sign(const uint8_t* digest, size_t digest_bytes, uint8_t* signature);
  // As Sign, after hashing.
  size_t SignMessage(const uint8_t* message, size_t message_bytes, uint8_t* signature);

 private:
  DigestSigner(PkeyOwner key, PkeyCtxOwner context, const EVP_MD* hash, size_t max_bytes)
      : key_(std::move(key)), context_(std::move(context)), hash_(hash), max_bytes_(max_bytes) {}

  // The context is copied, the key is shared, which OpenSSL allows. nullptr: there was no memory.
  std::unique_ptr<DigestSigner> Copy() const;

  using Spares = std::vector<std::unique_ptr<DigestSigner>>;

  PkeyOwner key_;
  PkeyCtxOwner context_;
  const EVP_MD* hash_;  // OpenSSL's, for the life of the process
  MdCtxOwner hashing_;  // nullptr: no message was signed yet
  size_t max_bytes_;
  // Copies that nobody has: making one costs as much as hashing. They go when the last of signer and borrowed copies does.
  std::shared_ptr<Spares> spares_ = std::make_shared<Spares>();
};

// Owner: a job. Thread: borrowed and given back on the signer's, used on one other in between.
class DigestSigner::Borrowed {
 public:
  Borrowed(const DigestSigner* of, std::unique_ptr<DigestSigner> copy)
      : of_(of), copy_(std::move(copy)), spares_(of->spares_) {}
  Borrowed(Borrowed&&) = default;
  Borrowed& operator=(Borrowed&&) = delete;
  ~Borrowed() {
    if (copy_ != nullptr) spares_->push_back(std::move(copy_));
  }

  DigestSigner* get() const { return copy_.get(); }
  bool IsOf(const DigestSigner* signer) const { return of_ == signer; }

 private:
  const DigestSigner* of_;  // only compared
  std::unique_ptr<DigestSigner> copy_;
  std::shared_ptr<Spares> spares_;
};

}  // namespace keyless

#endif  // NATIVE_DIGEST_SIGNER_H_
