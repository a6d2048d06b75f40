#include "operation.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>

#include "openssl/error_guard.h"
#include "premaster.h"

namespace keyless {

namespace {

using EcdsaSigOwner = Owner<ECDSA_SIG, ECDSA_SIG_free>;

constexpr size_t kEd25519SignatureBytes = 64;  // RFC 8032 §5.1.6
constexpr size_t kEd448SignatureBytes = 114;   // RFC 8032 §5.2.6

bool IsEcdsaDer(const uint8_t* data, size_t size) {
  const ErrorGuard errors;
  const uint8_t* end = data;
  const EcdsaSigOwner parsed(d2i_ECDSA_SIG(nullptr, &end, static_cast<long>(size)));  // NOLINT(runtime/int)
  return parsed != nullptr && end == data + size;
}

ResultCheck CheckSignatureShape(const Operation& operation, const uint8_t* data, size_t size) {
  const size_t max = MaxResultSize(*operation.key);
  switch (operation.key->type) {
    case KeyType::kRsa:
    case KeyType::kRsaPss:
      return size == max ? ResultCheck::kAccepted : ResultCheck::kWrongSize;
    case KeyType::kEd25519:
      return size == kEd25519SignatureBytes ? ResultCheck::kAccepted : ResultCheck::kWrongSize;
    case KeyType::kEd448:
      return size == kEd448SignatureBytes ? ResultCheck::kAccepted : ResultCheck::kWrongSize;
    case KeyType::kEc:
      break;
  }
  if (size == 0 || size > max) return ResultCheck::kWrongSize;
  return IsEcdsaDer(data, size) ? ResultCheck::kAccepted : ResultCheck::kMalformed;
}

}  // namespace

ResultCheck CheckShape(const Operation& operation, const uint8_t* data, size_t size) {
  if (operation.kind == OperationKind::kSign) return CheckSignatureShape(operation, data, size);
  const bool fits = size == kPremasterBytes || size == MaxResultSize(*operation.key);
  return fits ? ResultCheck::kAccepted : ResultCheck::kWrongSize;
}

namespace {

MdCtxOwner MakeVerifier(const KeyRecord& key, const SignatureScheme& scheme) {
  MdCtxOwner context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* key_context = nullptr;  // owned by `context`
  if (context == nullptr || EVP_DigestVerifyInit_ex(context.get(), &key_context, DigestName(scheme.digest), nullptr,
                                                    nullptr, key.public_key.get(), nullptr) != 1) {
    return nullptr;
  }
  if (scheme.pss && (EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) != 1 ||
                     EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return nullptr;
  }
  return context;
}

// nullptr: OpenSSL refused.
const EVP_MD_CTX* FindVerifier(const KeyRecord& key, const SignatureScheme* scheme) {
  for (const KeyRecord::Verifier& verifier : key.verifiers) {
    if (verifier.scheme == scheme) return verifier.context.get();
  }
  key.verifiers.push_back({scheme, MakeVerifier(key, *scheme)});
  return key.verifiers.back().context.get();
}

}  // namespace

bool VerifySignature(const Operation& operation, const uint8_t* data, size_t size) {
  const ErrorGuard errors;
  const EVP_MD_CTX* initialised = FindVerifier(*operation.key, operation.scheme);
  const MdCtxOwner context(EVP_MD_CTX_new());
  return initialised != nullptr && context != nullptr && EVP_MD_CTX_copy_ex(context.get(), initialised) == 1 &&
         EVP_DigestVerify(context.get(), data, size, operation.input.data(), operation.input.size()) == 1;
}

}  // namespace keyless
