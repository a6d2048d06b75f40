#include "alpn_decision.h"

#include "handshake.h"

namespace keyless {

void AlpnDecision::Watch(SSL_CTX* context) { SSL_CTX_set_client_hello_cb(context, OnClientHello, nullptr); }

int AlpnDecision::OnClientHello(SSL* ssl, int*, void*) {
  Handshake* handshake = Handshake::Of(ssl);
  if (handshake == nullptr) return SSL_CLIENT_HELLO_SUCCESS;
  AlpnDecision& decision = handshake->alpn();
  decision.offer_.clear();
  const unsigned char* extension = nullptr;
  size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &extension, &size) != 1 ||
      size <= 2) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  // OpenSSL checks the list's form itself, later, and refuses the handshake where it is wrong.
  decision.offer_.assign(extension + 2, extension + size);
  return SSL_CLIENT_HELLO_SUCCESS;
}

void AlpnDecision::Decide(int offset) {
  offset_ = offset;
  decided_ = true;
}

void AlpnDecision::Impose(SSL* ssl) {
  if (!decided_) return;
  decided_ = false;
  SSL_CTX_set_alpn_select_cb(SSL_get_SSL_CTX(ssl), OnSelect, nullptr);
}

int AlpnDecision::OnSelect(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                           unsigned int in_size, void*) {
  Handshake* handshake = Handshake::Of(ssl);
  if (handshake == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const int offset = handshake->alpn().offset_;
  if (offset < 0 || static_cast<unsigned int>(offset) >= in_size) return SSL_TLSEXT_ERR_ALERT_FATAL;
  const unsigned int size = in[offset];
  if (size == 0 || offset + 1 + size > in_size) return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = in + offset + 1;
  *out_size = static_cast<unsigned char>(size);
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace keyless
