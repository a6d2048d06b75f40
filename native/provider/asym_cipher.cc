// Decryption of the premaster secret (RFC 5246 §7.4.7.1), the only decryption TLS has. It never fails for what the
// peer sent, nor for what the key's holder answers: see premaster.h.
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "../handshake.h"
#include "../premaster.h"
#include "dispatch.h"

namespace keyless {

namespace {

// OpenSSL's `void*` for one decryption. Owner: OpenSSL, through newctx and freectx. Thread: its SSL's.
struct CipherContext {
  std::shared_ptr<const KeyRecord> key;
  int padding = 0;
  unsigned int client_version = 0;
  unsigned int negotiated_version = 0;
};

void* NewContext(void*) { return new CipherContext(); }

void FreeContext(void* context) { delete static_cast<CipherContext*>(context); }

bool ReadUint(const OSSL_PARAM params[], const char* name, unsigned int* value) {
  const OSSL_PARAM* param = OSSL_PARAM_locate_const(params, name);
  return param == nullptr || OSSL_PARAM_get_uint(param, value) == 1;
}

int SetParams(void* context, const OSSL_PARAM params[]) {
  if (params == nullptr) return 1;
  auto* cipher = static_cast<CipherContext*>(context);
  const OSSL_PARAM* padding = OSSL_PARAM_locate_const(params, OSSL_ASYM_CIPHER_PARAM_PAD_MODE);
  if (padding != nullptr && OSSL_PARAM_get_int(padding, &cipher->padding) != 1) return 0;
  return ReadUint(params, OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, &cipher->client_version) &&
                 ReadUint(params, OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, &cipher->negotiated_version)
             ? 1
             : 0;
}

const OSSL_PARAM* SettableParams(void*, void*) {
  static const OSSL_PARAM kParams[] = {
      OSSL_PARAM_int(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, nullptr),
      OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_CLIENT_VERSION, nullptr),
      OSSL_PARAM_uint(OSSL_ASYM_CIPHER_PARAM_TLS_NEGOTIATED_VERSION, nullptr),
      OSSL_PARAM_END,
  };
  return kParams;
}

int DecryptInit(void* context, void* provider_key, const OSSL_PARAM params[]) {
  auto* cipher = static_cast<CipherContext*>(context);
  cipher->key = static_cast<ProviderKey*>(provider_key)->record;
  return cipher->key != nullptr ? SetParams(context, params) : 0;
}

int Decrypt(void* context, unsigned char* out, size_t* out_size, size_t capacity, const unsigned char* in,
            size_t in_size) {
  const auto& cipher = *static_cast<CipherContext*>(context);
  if (cipher.padding != RSA_PKCS1_WITH_TLS_PADDING) {
    RaiseError(kReasonUnsupported);
    return 0;
  }
  *out_size = kPremasterBytes;
  if (out == nullptr) return 1;
  if (capacity < kPremasterBytes) return 0;
  Handshake* handshake = Handshake::Driving(*cipher.key);
  if (handshake == nullptr) {
    RaiseError(kReasonOutsideHandshake);
    return 0;
  }
  Operation operation;
  operation.kind = OperationKind::kDecrypt;
  operation.key = cipher.key;
  operation.client_version = static_cast<uint16_t>(cipher.client_version);
  operation.negotiated_version = static_cast<uint16_t>(cipher.negotiated_version);
  operation.input.assign(in, in + in_size);
  handshake->Await(std::move(operation));
  const bool selected = SelectPremaster(*handshake->last(), out);
  handshake->ForgetLast();
  return selected ? 1 : 0;
}

const OSSL_DISPATCH kCipher[] = {
    Entry(OSSL_FUNC_ASYM_CIPHER_NEWCTX, NewContext),
    Entry(OSSL_FUNC_ASYM_CIPHER_FREECTX, FreeContext),
    Entry(OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, DecryptInit),
    Entry(OSSL_FUNC_ASYM_CIPHER_DECRYPT, Decrypt),
    Entry(OSSL_FUNC_ASYM_CIPHER_SET_CTX_PARAMS, SetParams),
    Entry(OSSL_FUNC_ASYM_CIPHER_SETTABLE_CTX_PARAMS, SettableParams),
    {0, nullptr},
};

}  // namespace

const OSSL_ALGORITHM* AsymCipherAlgorithms() {
  static const OSSL_ALGORITHM kAlgorithms[] = {
      {"RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=keyless", kCipher, "remote RSA decryption"},
      {nullptr, nullptr, nullptr, nullptr},
  };
  return kAlgorithms;
}

}  // namespace keyless
