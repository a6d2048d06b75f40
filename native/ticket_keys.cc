#include "ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>

#include "context_records.h"

namespace keyless {

namespace {

constexpr size_t kPartBytes = 16;

// What the callback returns, from SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
constexpr int kError = -1;
constexpr int kUnknownTicket = 0;
constexpr int kDone = 1;
constexpr int kDoneAndRenew = 2;

bool UseMacKey(EVP_MAC_CTX* mac, const uint8_t* key) {
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, const_cast<uint8_t*>(key), kPartBytes),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, params) == 1;
}

int Encrypt(const uint8_t* key, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  std::memcpy(name, key, kPartBytes);
  if (RAND_bytes(iv, kPartBytes) != 1 || !UseMacKey(mac, key + kPartBytes)) return kError;
  return EVP_EncryptInit_ex(cipher, EVP_aes_128_cbc(), nullptr, key + 2 * kPartBytes, iv) == 1 ? kDone : kError;
}

int EncryptForNobody(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  uint8_t key[TicketKeys::kKeyBytes];
  if (RAND_bytes(key, sizeof(key)) != 1) return kError;
  const int result = Encrypt(key, name, iv, cipher, mac);
  OPENSSL_cleanse(key, sizeof(key));
  return result;
}

}  // namespace

void TicketKeys::Wipe() { OPENSSL_cleanse(keys_.data(), keys_.size()); }

void TicketKeys::Set(const uint8_t* keys, size_t size) {
  Wipe();
  keys_ = std::vector<uint8_t>(keys, keys + size);
}

const uint8_t* TicketKeys::Find(const unsigned char* name) const {
  for (size_t at = 0; at + kKeyBytes <= keys_.size(); at += kKeyBytes) {
    if (std::memcmp(keys_.data() + at, name, kPartBytes) == 0) return keys_.data() + at;
  }
  return nullptr;
}

int TicketKeys::OnTicket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                         int encrypt) {
  // Node gives an SSL the certificate of the context that SNI chose, and never that context itself.
  const ContextRecord* record = RecordOf(SSL_get_SSL_CTX(ssl));
  const TicketKeys* keys = record == nullptr ? nullptr : &record->ticket_keys;
  const bool is_empty = keys == nullptr || keys->keys_.empty();
  if (encrypt != 0) {
    return is_empty ? EncryptForNobody(name, iv, cipher, mac) : Encrypt(keys->keys_.data(), name, iv, cipher, mac);
  }
  const uint8_t* key = is_empty ? nullptr : keys->Find(name);
  if (key == nullptr) return kUnknownTicket;
  if (!UseMacKey(mac, key + kPartBytes)) return kError;
  if (EVP_DecryptInit_ex(cipher, EVP_aes_128_cbc(), nullptr, key + 2 * kPartBytes, iv) != 1) return kError;
  // Clients use a ticket of TLS 1.3 once, so that their visits cannot be linked (RFC 8446 §C.4): whoever comes back gets
  // another one, or the third visit would be a full handshake. (Node's own callback gives none.)
  return SSL_version(ssl) != TLS1_3_VERSION && key == keys->keys_.data() ? kDone : kDoneAndRenew;
}

}  // namespace keyless
