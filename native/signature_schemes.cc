#include "signature_schemes.h"

#include <strings.h>

namespace keyless {

namespace {

constexpr SignatureScheme kSchemes[] = {
    {0x0201, KeyType::kRsa, kDigestSha1, false},      {0x0301, KeyType::kRsa, kDigestSha224, false},
    {0x0401, KeyType::kRsa, kDigestSha256, false},    {0x0501, KeyType::kRsa, kDigestSha384, false},
    {0x0601, KeyType::kRsa, kDigestSha512, false},    {0xfe01, KeyType::kRsa, kDigestMd5Sha1, false},
    {0x0804, KeyType::kRsa, kDigestSha256, true},     {0x0805, KeyType::kRsa, kDigestSha384, true},
    {0x0806, KeyType::kRsa, kDigestSha512, true},     {0x0809, KeyType::kRsaPss, kDigestSha256, true},
    {0x080a, KeyType::kRsaPss, kDigestSha384, true},  {0x080b, KeyType::kRsaPss, kDigestSha512, true},
    {0x0203, KeyType::kEc, kDigestSha1, false},       {0x0303, KeyType::kEc, kDigestSha224, false},
    {0x0403, KeyType::kEc, kDigestSha256, false},     {0x0503, KeyType::kEc, kDigestSha384, false},
    {0x0603, KeyType::kEc, kDigestSha512, false},     {0x0807, KeyType::kEd25519, kDigestNone, false},
    {0x0808, KeyType::kEd448, kDigestNone, false},
};

struct DigestSpelling {
  Digest digest;
  const char* name;   // the one OpenSSL fetches by
  const char* alias;
  size_t bytes;
};

constexpr DigestSpelling kDigests[] = {
    {kDigestMd5Sha1, "MD5-SHA1", "MD5-SHA1", 36}, {kDigestSha1, "SHA1", "SHA-1", 20},
    {kDigestSha224, "SHA224", "SHA2-224", 28},    {kDigestSha256, "SHA256", "SHA2-256", 32},
    {kDigestSha384, "SHA384", "SHA2-384", 48},    {kDigestSha512, "SHA512", "SHA2-512", 64},
};

}  // namespace

const SignatureScheme* FindScheme(KeyType key_type, Digest digest, bool pss) {
  for (const SignatureScheme& scheme : kSchemes) {
    if (scheme.key_type == key_type && scheme.digest == digest && scheme.pss == pss) return &scheme;
  }
  return nullptr;
}

const SignatureScheme* FindScheme(KeyType key_type, uint16_t code) {
  for (const SignatureScheme& scheme : kSchemes) {
    if (scheme.key_type == key_type && scheme.code == code) return &scheme;
  }
  return nullptr;
}

uint32_t DigestFromName(const char* name) {
  if (name == nullptr || *name == '\0') return kDigestNone;
  for (const DigestSpelling& spelling : kDigests) {
    if (strcasecmp(name, spelling.name) == 0 || strcasecmp(name, spelling.alias) == 0) return spelling.digest;
  }
  return 0;
}

const char* DigestName(Digest digest) {
  for (const DigestSpelling& spelling : kDigests) {
    if (spelling.digest == digest) return spelling.name;
  }
  return nullptr;
}

size_t DigestSize(Digest digest) {
  for (const DigestSpelling& spelling : kDigests) {
    if (spelling.digest == digest) return spelling.bytes;
  }
  return 0;
}

}  // namespace keyless
