// A user's ALPNCallback is JavaScript, and OpenSSL asks for it in the middle of a job. So it is asked before: the
// client's offer is read from the ClientHello on the main stack, TypeScript decides, and a native callback hands the
// decision out inside the job. TypeScript then lets Node put its own callback back (handle.enableALPNCb()).
#ifndef NATIVE_ALPN_DECISION_H_
#define NATIVE_ALPN_DECISION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "openssl/owners.h"

namespace keyless {

// Owner: its Handshake. Thread: the handshake's. States: [offered] -> decided -> imposed; each handshake anew.
class AlpnDecision {
 public:
  // Makes every ClientHello that reaches this context leave its offer with its handshake.
  static void Watch(SSL_CTX* context);

  // The client's ProtocolNameList (RFC 7301 §3.1) without its length; empty: none was offered.
  const std::vector<uint8_t>& offer() const { return offer_; }
  // `offset`: where in the offer the chosen name's length stands; negative: none fits, the client gets the alert.
  void Decide(int offset);
  // If a decision was made, puts our callback on the SSL's context; it lasts for one step.
  void Impose(SSL* ssl);

 private:
  static int OnClientHello(SSL* ssl, int* alert, void* unused);
  static int OnSelect(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                      unsigned int in_size, void* unused);

  std::vector<uint8_t> offer_;
  int offset_ = -1;
  bool decided_ = false;
};

}  // namespace keyless

#endif  // NATIVE_ALPN_DECISION_H_
