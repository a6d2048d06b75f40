#include "digest_signer.h"

#include <openssl/rsa.h>

#include <utility>

#include "openssl/error_guard.h"

namespace keyless {

namespace {

// @param hash nullptr: RSA as such
bool SetMethod(EVP_PKEY_CTX* context, int type, const EVP_MD* hash, bool pss) {
  if (EVP_PKEY_sign_init(context) != 1) return false;
  if (hash == nullptr) return type == EVP_PKEY_RSA && EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING) == 1;
  if (EVP_PKEY_CTX_set_signature_md(context, hash) != 1) return false;
  if (type == EVP_PKEY_EC) return !pss;
  if (!pss) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  // RFC 8446 §4.2.3: the salt is as long as the digest.
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1;
}

}  // namespace

std::unique_ptr<DigestSigner> DigestSigner::Create(const uint8_t* pkcs8, size_t bytes, const char* hash, bool pss) {
  const ErrorGuard guard;
  PkeyOwner key(d2i_AutoPrivateKey(nullptr, &pkcs8, static_cast<long>(bytes)));
  const EVP_MD* md = EVP_get_digestbyname(hash);
  if (!key || (md == nullptr && hash[0] != '\0')) return nullptr;
  const int type = EVP_PKEY_get_base_id(key.get());
  if (type != EVP_PKEY_EC && type != EVP_PKEY_RSA && type != EVP_PKEY_RSA_PSS) return nullptr;
  PkeyCtxOwner context(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (!context || !SetMethod(context.get(), type, md, pss)) return nullptr;
  const int size = EVP_PKEY_get_size(key.get());
  if (size <= 0) return nullptr;
  return std::unique_ptr<DigestSigner>(
      new DigestSigner(std::move(key), std::move(context), md, static_cast<size_t>(size)));
}

std::unique_ptr<DigestSigner> DigestSigner::Copy() const {
  const ErrorGuard guard;
  PkeyCtxOwner context(EVP_PKEY_CTX_dup(context_.get()));
  if (!context || EVP_PKEY_up_ref(key_.get()) != 1) return nullptr;
  return std::unique_ptr<DigestSigner>(new DigestSigner(PkeyOwner(key_.get()), std::move(context), hash_, max_bytes_));
}

DigestSigner::Borrowed DigestSigner::Borrow() {
  if (spares_->empty()) return Borrowed(this, Copy());
  std::unique_ptr<DigestSigner> spare = std::move(spares_->back());
  spares_->pop_back();
  return Borrowed(this, std::move(spare));
}

size_t DigestSigner::Sign(const uint8_t* digest, size_t digest_bytes, uint8_t* signature) {
  const ErrorGuard guard;
  size_t bytes = max_bytes_;
  return EVP_PKEY_sign(context_.get(), signature, &bytes, digest, digest_bytes) == 1 ? bytes : 0;
}

size_t DigestSigner::SignMessage(const uint8_t* message, size_t message_bytes, uint8_t* signature) {
  const ErrorGuard guard;
  if (hashing_ == nullptr) hashing_.reset(EVP_MD_CTX_new());
  uint8_t digest[EVP_MAX_MD_SIZE];
  unsigned int digest_bytes = 0;
  if (hashing_ == nullptr || EVP_DigestInit_ex(hashing_.get(), hash_, nullptr) != 1 ||
      EVP_DigestUpdate(hashing_.get(), message, message_bytes) != 1 ||
      EVP_DigestFinal_ex(hashing_.get(), digest, &digest_bytes) != 1) {
    return 0;
  }
  return Sign(digest, digest_bytes, signature);
}

}  // namespace keyless
