#include "key_record.h"

namespace keyless {

size_t MaxResultSize(const KeyRecord& record) {
  const int size = EVP_PKEY_get_size(record.public_key.get());
  return size > 0 ? static_cast<size_t>(size) : 0;
}

bool KeyTypeOf(const EVP_PKEY* public_key, KeyType* type) {
  static constexpr struct {
    const char* name;
    KeyType type;
  } kTypes[] = {
      {"RSA", KeyType::kRsa},         {"RSA-PSS", KeyType::kRsaPss}, {"EC", KeyType::kEc},
      {"ED25519", KeyType::kEd25519}, {"ED448", KeyType::kEd448},
  };
  for (const auto& entry : kTypes) {
    if (!EVP_PKEY_is_a(public_key, entry.name)) continue;
    *type = entry.type;
    return true;
  }
  return false;
}

}  // namespace keyless
