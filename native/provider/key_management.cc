// Key management: keys without a private half. There is deliberately no `export` and no `load`: an export that hands
// out the public parts would move the key to the default provider, which then finds no private key in it.
#include <openssl/core_names.h>
#include <openssl/params.h>

#include <cstring>

#include "../openssl/error_guard.h"
#include "dispatch.h"

namespace keyless {

namespace {

template <KeyType type>
void* New(void*) {
  return new ProviderKey(type);
}

void Free(void* key) { delete static_cast<ProviderKey*>(key); }

// OpenSSL asks whether the private half is there: it is, elsewhere.
int Has(const void* key, int selection) {
  const auto* provider_key = static_cast<const ProviderKey*>(key);
  if (provider_key->public_key() == nullptr) return 0;
  const bool wants_private = (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0;
  return !wants_private || provider_key->record != nullptr ? 1 : 0;
}

int Match(const void* left, const void* right, int) {
  const EVP_PKEY* a = static_cast<const ProviderKey*>(left)->public_key();
  const EVP_PKEY* b = static_cast<const ProviderKey*>(right)->public_key();
  return a != nullptr && b != nullptr && EVP_PKEY_eq(a, b) == 1 ? 1 : 0;
}

const char* NameOf(KeyType type) {
  static constexpr const char* kNames[] = {"RSA", "RSA-PSS", "EC", "ED25519", "ED448"};
  return kNames[static_cast<size_t>(type)];
}

// A certificate's public key, by its plain parameters, to be compared with ours.
int ImportPublic(ProviderKey* key, const OSSL_PARAM params[]) {
  const ErrorGuard errors;
  const PkeyCtxOwner context(EVP_PKEY_CTX_new_from_name(nullptr, NameOf(key->type), nullptr));
  if (context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1) return 0;
  EVP_PKEY* imported = nullptr;
  if (EVP_PKEY_fromdata(context.get(), &imported, EVP_PKEY_PUBLIC_KEY, const_cast<OSSL_PARAM*>(params)) != 1) return 0;
  key->imported.reset(imported);
  return 1;
}

int Import(void* key, int, const OSSL_PARAM params[]) {
  auto* provider_key = static_cast<ProviderKey*>(key);
  const OSSL_PARAM* record = OSSL_PARAM_locate_const(params, kRecordParam);
  if (record == nullptr) return ImportPublic(provider_key, params);
  const void* pointer = nullptr;
  size_t size = 0;
  using RecordPointer = std::shared_ptr<const KeyRecord>;
  if (OSSL_PARAM_get_octet_ptr(record, &pointer, &size) != 1 || size != sizeof(RecordPointer)) return 0;
  provider_key->record = *static_cast<const RecordPointer*>(pointer);
  return 1;
}

const OSSL_PARAM* ImportTypes(int) {
  static const OSSL_PARAM kTypes[] = {
      OSSL_PARAM_octet_ptr(kRecordParam, nullptr, 0),
      OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, nullptr, 0),
      OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0),
      OSSL_PARAM_END,
  };
  return kTypes;
}

bool SetInt(OSSL_PARAM params[], const char* name, int value) {
  OSSL_PARAM* param = OSSL_PARAM_locate(params, name);
  return param == nullptr || OSSL_PARAM_set_int(param, value) == 1;
}

bool SetText(OSSL_PARAM params[], const char* name, const char* value) {
  OSSL_PARAM* param = OSSL_PARAM_locate(params, name);
  return param == nullptr || OSSL_PARAM_set_utf8_string(param, value) == 1;
}

// The canonical name; libssl does not know aliases such as P-384 and would disable TLS 1.3 for the key.
bool SetGroup(const ProviderKey& key, OSSL_PARAM params[]) {
  OSSL_PARAM* param = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_GROUP_NAME);
  if (param == nullptr) return true;
  char name[64];
  size_t size = 0;
  return EVP_PKEY_get_group_name(key.public_key(), name, sizeof(name), &size) == 1 &&
         OSSL_PARAM_set_utf8_string(param, name) == 1;
}

// Read once by EVP_PKEY and cached there. A size that is too small for any padding keeps libssl from choosing RSA-PSS with this
// key; one of 0 would be an error of EVP_PKEY_get_size since OpenSSL 3.5, which stays in the queue.
int MaxSize(const ProviderKey& key) {
  const bool without_pss = key.type == KeyType::kRsa && key.record != nullptr && !key.record->abilities.pss;
  return without_pss ? 1 : EVP_PKEY_get_size(key.public_key());
}

int Decrypts(const ProviderKey& key) { return key.record != nullptr && key.record->abilities.decrypts ? 1 : 0; }

int GetParams(void* key, OSSL_PARAM params[]) {
  const auto& provider_key = *static_cast<const ProviderKey*>(key);
  const EVP_PKEY* public_key = provider_key.public_key();
  if (public_key == nullptr) return 0;
  const bool hashes_itself = provider_key.type == KeyType::kEd25519 || provider_key.type == KeyType::kEd448;
  return SetInt(params, OSSL_PKEY_PARAM_BITS, EVP_PKEY_get_bits(public_key)) &&
                 SetInt(params, OSSL_PKEY_PARAM_SECURITY_BITS, EVP_PKEY_get_security_bits(public_key)) &&
                 SetInt(params, OSSL_PKEY_PARAM_MAX_SIZE, MaxSize(provider_key)) &&
                 SetInt(params, kDecryptsParam, Decrypts(provider_key)) &&
                 SetText(params, OSSL_PKEY_PARAM_DEFAULT_DIGEST, hashes_itself ? "" : "SHA256") &&
                 (!hashes_itself || SetText(params, OSSL_PKEY_PARAM_MANDATORY_DIGEST, "")) &&
                 (provider_key.type != KeyType::kEc || SetGroup(provider_key, params))
             ? 1
             : 0;
}

const OSSL_PARAM* GettableParams(void*) {
  static const OSSL_PARAM kParams[] = {
      OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, nullptr),
      OSSL_PARAM_int(kDecryptsParam, nullptr),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, nullptr, 0),
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0),
      OSSL_PARAM_END,
  };
  return kParams;
}

// The signature and cipher algorithms to fetch for a kind of key.
const char* EcOperationName(int) { return "ECDSA"; }
const char* RsaOperationName(int) { return "RSA"; }
const char* Ed25519OperationName(int) { return "ED25519"; }
const char* Ed448OperationName(int) { return "ED448"; }

template <KeyType type, const char* (*OperationName)(int)>
const OSSL_DISPATCH kKeyManagement[] = {
    Entry(OSSL_FUNC_KEYMGMT_NEW, New<type>),
    Entry(OSSL_FUNC_KEYMGMT_FREE, Free),
    Entry(OSSL_FUNC_KEYMGMT_HAS, Has),
    Entry(OSSL_FUNC_KEYMGMT_MATCH, Match),
    Entry(OSSL_FUNC_KEYMGMT_IMPORT, Import),
    Entry(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, ImportTypes),
    Entry(OSSL_FUNC_KEYMGMT_GET_PARAMS, GetParams),
    Entry(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, GettableParams),
    Entry(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, OperationName),
    {0, nullptr},
};

}  // namespace

const OSSL_ALGORITHM* KeyManagementAlgorithms() {
  // With all the names the default provider has for them: libssl looks for a key's slot by name.
  static const OSSL_ALGORITHM kAlgorithms[] = {
      {"RSA:rsaEncryption:1.2.840.113549.1.1.1", "provider=keyless", kKeyManagement<KeyType::kRsa, RsaOperationName>,
       "remote RSA keys"},
      {"RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", "provider=keyless",
       kKeyManagement<KeyType::kRsaPss, RsaOperationName>, "remote RSA-PSS keys"},
      {"EC:id-ecPublicKey:1.2.840.10045.2.1", "provider=keyless", kKeyManagement<KeyType::kEc, EcOperationName>,
       "remote EC keys"},
      {"ED25519:1.3.101.112", "provider=keyless", kKeyManagement<KeyType::kEd25519, Ed25519OperationName>,
       "remote Ed25519 keys"},
      {"ED448:1.3.101.113", "provider=keyless", kKeyManagement<KeyType::kEd448, Ed448OperationName>,
       "remote Ed448 keys"},
      {nullptr, nullptr, nullptr, nullptr},
  };
  return kAlgorithms;
}

}  // namespace keyless
