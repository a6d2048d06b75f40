#include "alpn_decision.h"

#include <openssl/async.h>

#include "handshake.h"

namespace keyless {

void AlpnDecision::Impose(SSL* ssl) { SSL_CTX_set_alpn_select_cb(SSL_get_SSL_CTX(ssl), OnSelect, nullptr); }

void AlpnDecision::Decide(int offset) {
  offset_ = offset;
  offer_ = nullptr;
}

// On the job's stack.
int AlpnDecision::Await(const uint8_t* offer, size_t size) {
  offset_ = -1;
  offer_ = offer;
  offer_size_ = size;
  while (pending()) {
    if (ASYNC_pause_job() != 1) Decide(-1);
  }
  return offset_;
}

int AlpnDecision::OnSelect(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                           unsigned int in_size, void*) {
  Handshake* handshake = Handshake::Of(ssl);
  if (handshake == nullptr || handshake->cancelled() || ASYNC_get_current_job() == nullptr) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  const int offset = handshake->alpn().Await(in, in_size);
  if (offset < 0 || static_cast<unsigned int>(offset) >= in_size) return SSL_TLSEXT_ERR_ALERT_FATAL;
  const unsigned int size = in[offset];
  if (size == 0 || static_cast<unsigned int>(offset) + 1 + size > in_size) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = in + offset + 1;
  *out_size = static_cast<unsigned char>(size);
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace keyless
