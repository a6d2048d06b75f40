// A user's ALPNCallback is JavaScript, and in TLS 1.2 OpenSSL asks for it in the middle of a job. (In TLS 1.3 it asks
// before the handshake parks, on Node's own stack.) So a callback of ours takes Node's place for one step: it pauses the
// job as an operation would, TypeScript lets Node put its own callback back (handle.enableALPNCb()), which other connections of
// the context need, asks the user and decides.
#ifndef NATIVE_ALPN_DECISION_H_
#define NATIVE_ALPN_DECISION_H_

#include <cstddef>
#include <cstdint>

#include "openssl/owners.h"

namespace keyless {

// Owner: its Handshake. Thread: the handshake's. States: idle -> pending -> idle.
class AlpnDecision {
 public:
  // Puts our callback on the SSL's present context.
  static void Impose(SSL* ssl);

  bool pending() const { return offer_ != nullptr; }
  // The client's ProtocolNameList (RFC 7301 §3.1) without its length; valid while pending.
  const uint8_t* offer() const { return offer_; }
  size_t offer_size() const { return offer_size_; }
  // `offset`: where in the offer the chosen name's length stands; negative: none fits, the client gets the alert.
  void Decide(int offset);

 private:
  static int OnSelect(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                      unsigned int in_size, void* unused);
  int Await(const uint8_t* offer, size_t size);

  const uint8_t* offer_ = nullptr;  // OpenSSL's, while its callback stands paused
  size_t offer_size_ = 0;
  int offset_ = -1;
};

}  // namespace keyless

#endif  // NATIVE_ALPN_DECISION_H_
