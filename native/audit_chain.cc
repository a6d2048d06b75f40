#include "audit_chain.h"

#include <openssl/evp.h>
#include <string.h>

#include "openssl/error_guard.h"
#include "openssl/owners.h"

namespace keyless {

namespace {

constexpr size_t kDigestBytes = 32;
constexpr size_t kHexDigits = 2 * kDigestBytes;

bool Digest(EVP_MD_CTX* context, const uint8_t* data, size_t bytes, uint8_t* digest) {
  return EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1 && EVP_DigestUpdate(context, data, bytes) == 1 &&
         EVP_DigestFinal_ex(context, digest, nullptr) == 1;
}

void WriteHex(const uint8_t* digest, uint8_t* text) {
  static const char kDigits[] = "0123456789abcdef";
  for (size_t i = 0; i < kDigestBytes; i += 1) {
    text[2 * i] = static_cast<uint8_t>(kDigits[digest[i] >> 4]);
    text[2 * i + 1] = static_cast<uint8_t>(kDigits[digest[i] & 0x0f]);
  }
}

}  // namespace

bool ChainLines(uint8_t* lines, size_t bytes, const uint32_t* ends, size_t count, uint8_t* head) {
  const ErrorGuard guard;
  const MdCtxOwner context(EVP_MD_CTX_new());
  if (context == nullptr) return false;
  size_t start = 0;
  for (size_t i = 0; i < count; i += 1) {
    const size_t end = ends[i];
    if (end > bytes || end < start || end - start < kHexDigits + 2) return false;
    uint8_t* const json = lines + start + kHexDigits + 1;
    // The digest before it stands in front of the JSON, where the line's own will end, while that is made.
    uint8_t* const hashed = json - kDigestBytes;
    memcpy(hashed, head, kDigestBytes);
    if (!Digest(context.get(), hashed, static_cast<size_t>(lines + end - 1 - hashed), head)) return false;
    WriteHex(head, lines + start);
    json[-1] = ' ';
    start = end;
  }
  return true;
}

}  // namespace keyless
