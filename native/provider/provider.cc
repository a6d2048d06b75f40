#include "provider.h"

#include <openssl/err.h>
#include <openssl/provider.h>

#include "../openssl/error_guard.h"
#include "dispatch.h"

namespace keyless {

namespace {

constexpr char kProviderName[] = "keyless";

OSSL_LIB_CTX* library_context = nullptr;  // for the life of the process

int error_library = 0;

ERR_STRING_DATA reason_strings[] = {
    {0, "keyless provider"},
    {kReasonOutsideHandshake,
     "a keyless private key works only in TLS handshakes of keyless-tls: use its createServer or connect"},
    {kReasonOperationFailed, "the remote private-key operation failed"},
    {kReasonUnsupported, "not an operation of a TLS handshake"},
    {0, nullptr},
};

const OSSL_ALGORITHM* QueryOperation(void*, int operation, int* no_cache) {
  *no_cache = 0;
  switch (operation) {
    case OSSL_OP_KEYMGMT:
      return KeyManagementAlgorithms();
    case OSSL_OP_SIGNATURE:
      return SignatureAlgorithms();
    case OSSL_OP_ASYM_CIPHER:
      return AsymCipherAlgorithms();
    default:
      return nullptr;
  }
}

const OSSL_DISPATCH kProvider[] = {
    Entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, QueryOperation),
    {0, nullptr},
};

int InitProvider(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH** out, void** context) {
  *out = kProvider;
  *context = library_context;
  return 1;
}

const char* KeyTypeName(KeyType type) {
  switch (type) {
    case KeyType::kRsa:
      return "RSA";
    case KeyType::kRsaPss:
      return "RSA-PSS";
    case KeyType::kEc:
      return "EC";
    case KeyType::kEd25519:
      return "ED25519";
    case KeyType::kEd448:
      return "ED448";
  }
  return nullptr;
}

}  // namespace

bool RegisterReasons() {
  error_library = ERR_get_next_error_library();
  return ERR_load_strings(error_library, reason_strings) == 1;
}

void RaiseError(Reason reason) { ERR_raise(error_library, reason); }

bool LoadProvider() {
  static const bool loaded = [] {
    const ErrorGuard errors;
    library_context = OSSL_LIB_CTX_new();
    return library_context != nullptr && RegisterReasons() &&
           OSSL_PROVIDER_add_builtin(library_context, kProviderName, InitProvider) == 1 &&
           OSSL_PROVIDER_load(library_context, kProviderName) != nullptr;
  }();
  return loaded;
}

PkeyOwner MakeKeylessKey(std::shared_ptr<const KeyRecord> record) {
  const ErrorGuard errors;
  const PkeyCtxOwner context(EVP_PKEY_CTX_new_from_name(library_context, KeyTypeName(record->type), nullptr));
  if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1) return nullptr;
  void* pointer = &record;
  OSSL_PARAM params[] = {
      OSSL_PARAM_octet_ptr(kRecordParam, &pointer, sizeof(record)),
      OSSL_PARAM_END,
  };
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_KEYPAIR, params) != 1) return nullptr;
  return PkeyOwner(key);
}

}  // namespace keyless
