// Session-ticket keys that several servers share: what Node's single key cannot do, several that decrypt and one that
// encrypts. OpenSSL prefers this callback to Node's own, which stays in place and is used by all other contexts.
// Tickets have the format of Node's (RFC 5077 §4, AES-128-CBC and HMAC-SHA256): a plain Node.js with one of the keys
// opens them.
#ifndef NATIVE_TICKET_KEYS_H_
#define NATIVE_TICKET_KEYS_H_

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace keyless {

// Owner: the ContextRecord of an SSL_CTX. Thread: its environment's. The keys are wiped when they go.
class TicketKeys {
 public:
  // Name of the key, HMAC key, AES key, 16 bytes each: as Node's setTicketKeys() takes them.
  static constexpr size_t kKeyBytes = 48;

  TicketKeys() = default;
  ~TicketKeys() { Wipe(); }
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  // The first key encrypts, all decrypt. None: no ticket is accepted, and those that are issued can be opened by nobody
  // (OpenSSL 3.0 cannot leave out a ticket of TLS 1.3 that was promised: it would send a broken one).
  void Set(const uint8_t* keys, size_t size);

  // For SSL_CTX_set_tlsext_ticket_key_evp_cb. Runs on any stack, also a job's; never enters JavaScript.
  static int OnTicket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                      int encrypt);

 private:
  const uint8_t* Find(const unsigned char* name) const;
  void Wipe();

  std::vector<uint8_t> keys_;
};

}  // namespace keyless

#endif  // NATIVE_TICKET_KEYS_H_
