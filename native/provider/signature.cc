// Signing: everything but the last step is local and cheap (libssl asks several times in a handshake whether a digest
// would do); the last step hands the message to the handshake whose job this is and waits.
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include <cstring>

#include "../handshake.h"
#include "dispatch.h"

namespace keyless {

namespace {

// OpenSSL's `void*` for one signature. Owner: OpenSSL, through newctx and freectx. Thread: its SSL's.
struct SignatureContext {
  std::shared_ptr<const KeyRecord> key;
  uint32_t digest = 0;
  bool pss = false;
};

void* NewContext(void*, const char*) { return new SignatureContext(); }

void FreeContext(void* context) { delete static_cast<SignatureContext*>(context); }

bool SetPadding(SignatureContext* context, const OSSL_PARAM* param) {
  if (param->data_type == OSSL_PARAM_UTF8_STRING) {
    const char* name = static_cast<const char*>(param->data);
    if (name == nullptr) return false;
    context->pss = std::strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
    return context->pss || std::strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0;
  }
  int padding = 0;
  if (OSSL_PARAM_get_int(param, &padding) != 1) return false;
  context->pss = padding == RSA_PKCS1_PSS_PADDING;
  return context->pss || padding == RSA_PKCS1_PADDING;
}

// The salt length needs no look: TLS has only one, the digest's (RFC 8446 §4.2.3).
int SetParams(void* context, const OSSL_PARAM params[]) {
  if (params == nullptr) return 1;
  const OSSL_PARAM* padding = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
  if (padding == nullptr || SetPadding(static_cast<SignatureContext*>(context), padding)) return 1;
  RaiseError(kReasonUnsupported);
  return 0;
}

const OSSL_PARAM* SettableParams(void*, void*) {
  static const OSSL_PARAM kParams[] = {
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, nullptr, 0),
      OSSL_PARAM_int(OSSL_SIGNATURE_PARAM_PAD_MODE, nullptr),
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, nullptr, 0),
      OSSL_PARAM_END,
  };
  return kParams;
}

// An RSA-PSS certificate may fix its digest (RFC 4055 §3.1).
bool DigestPermitted(const KeyRecord& key, uint32_t digest) {
  if ((key.abilities.digests & digest) == 0) return false;
  if (key.type != KeyType::kRsaPss) return true;
  char fixed[64];
  size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key.public_key.get(), OSSL_PKEY_PARAM_RSA_DIGEST, fixed, sizeof(fixed),
                                     &size) != 1) {
    return true;
  }
  return DigestFromName(fixed) == digest;
}

int DigestSignInit(void* context, const char* digest_name, void* provider_key, const OSSL_PARAM params[]) {
  auto* signature = static_cast<SignatureContext*>(context);
  if (provider_key != nullptr) signature->key = static_cast<ProviderKey*>(provider_key)->record;
  if (signature->key == nullptr) return 0;
  signature->digest = DigestFromName(digest_name);
  signature->pss = signature->key->type == KeyType::kRsaPss;
  if (signature->digest == 0 || !DigestPermitted(*signature->key, signature->digest)) {
    RaiseError(kReasonUnsupported);
    return 0;
  }
  return SetParams(context, params);
}

bool Sign(const SignatureContext& context, const unsigned char* message, size_t message_size, Handshake* handshake) {
  Operation operation;
  operation.kind = OperationKind::kSign;
  operation.key = context.key;
  operation.scheme = FindScheme(context.key->type, static_cast<Digest>(context.digest), context.pss);
  if (operation.scheme == nullptr) return false;
  operation.input.assign(message, message + message_size);
  return handshake->Await(std::move(operation));
}

int DigestSign(void* context, unsigned char* signature, size_t* signature_size, size_t capacity,
               const unsigned char* message, size_t message_size) {
  const auto& signing = *static_cast<SignatureContext*>(context);
  const size_t max = MaxResultSize(*signing.key);
  if (signature == nullptr) {
    *signature_size = max;
    return 1;
  }
  Handshake* handshake = Handshake::Driving(*signing.key);
  if (handshake == nullptr) {
    RaiseError(kReasonOutsideHandshake);
    return 0;
  }
  if (!Sign(signing, message, message_size, handshake)) {
    RaiseError(kReasonOperationFailed);
    return 0;
  }
  const std::vector<uint8_t>& result = handshake->last()->result;
  if (result.size() > capacity || result.size() > max) return 0;
  std::memcpy(signature, result.data(), result.size());
  *signature_size = result.size();
  return 1;
}

const OSSL_DISPATCH kSignature[] = {
    Entry(OSSL_FUNC_SIGNATURE_NEWCTX, NewContext),
    Entry(OSSL_FUNC_SIGNATURE_FREECTX, FreeContext),
    Entry(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, DigestSignInit),
    Entry(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, DigestSign),
    Entry(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, SetParams),
    Entry(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, SettableParams),
    {0, nullptr},
};

}  // namespace

const OSSL_ALGORITHM* SignatureAlgorithms() {
  static const OSSL_ALGORITHM kAlgorithms[] = {
      {"RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=keyless", kSignature, "remote RSA signatures"},
      {"ECDSA", "provider=keyless", kSignature, "remote ECDSA signatures"},
      {"ED25519:1.3.101.112", "provider=keyless", kSignature, "remote Ed25519 signatures"},
      {"ED448:1.3.101.113", "provider=keyless", kSignature, "remote Ed448 signatures"},
      {nullptr, nullptr, nullptr, nullptr},
  };
  return kAlgorithms;
}

}  // namespace keyless
