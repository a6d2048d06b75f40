// The TLS signature schemes (RFC 8446 §4.2.3) as OpenSSL's provider interface spells them: key type, digest, padding.
#ifndef NATIVE_SIGNATURE_SCHEMES_H_
#define NATIVE_SIGNATURE_SCHEMES_H_

#include <cstddef>
#include <cstdint>

namespace keyless {

enum class KeyType : uint8_t { kRsa, kRsaPss, kEc, kEd25519, kEd448 };

// Digests as bits, so that a key can say which it signs with. kNone: the scheme hashes for itself (EdDSA).
enum Digest : uint32_t {
  kDigestNone = 1u << 0,
  kDigestMd5Sha1 = 1u << 1,
  kDigestSha1 = 1u << 2,
  kDigestSha224 = 1u << 3,
  kDigestSha256 = 1u << 4,
  kDigestSha384 = 1u << 5,
  kDigestSha512 = 1u << 6,
};

struct SignatureScheme {
  uint16_t code;       // RFC 8446 §4.2.3 code point; 0xfe01: TLS 1.0/1.1's RSA over MD5 and SHA-1, which has none
  KeyType key_type;
  Digest digest;
  bool pss;
};

// nullptr: OpenSSL asked for something TLS does not use.
const SignatureScheme* FindScheme(KeyType key_type, Digest digest, bool pss);
const SignatureScheme* FindScheme(KeyType key_type, uint16_t code);

// Takes both of OpenSSL's spellings ("SHA256", "SHA2-256"); null or empty is kDigestNone. 0: not a digest of TLS.
uint32_t DigestFromName(const char* name);
// nullptr for kDigestNone.
const char* DigestName(Digest digest);
// Bytes; 0 for kDigestNone.
size_t DigestSize(Digest digest);

}  // namespace keyless

#endif  // NATIVE_SIGNATURE_SCHEMES_H_
