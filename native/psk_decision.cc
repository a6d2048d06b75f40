#include "psk_decision.h"

#include <openssl/async.h>
#include <openssl/crypto.h>

#include <cstring>

#include "handshake.h"

namespace keyless {

namespace {

// Nobody decides outside a job, nor for a connection that goes.
Handshake* Deciding(const SSL* ssl) {
  Handshake* const handshake = Handshake::Of(ssl);
  const bool decides = handshake != nullptr && !handshake->cancelled() && ASYNC_get_current_job() != nullptr;
  return decides ? handshake : nullptr;
}

}  // namespace

PskDecision::~PskDecision() { OPENSSL_cleanse(psk_.data(), psk_.size()); }

void PskDecision::Impose(SSL* ssl) {
  SSL_set_psk_server_callback(ssl, OnServer);
  SSL_set_psk_client_callback(ssl, OnClient);
}

void PskDecision::Decide(const std::string& identity, const uint8_t* psk, size_t psk_size) {
  const bool fits = psk_size <= max_psk_size_ && identity.size() <= max_identity_size_;
  if (fits) psk_.assign(psk, psk + psk_size);
  identity_ = identity;
  pending_ = false;
}

// On the job's stack.
void PskDecision::Await(const char* told, size_t max_identity_size, size_t max_psk_size) {
  told_ = told == nullptr ? std::nullopt : std::optional<std::string>(told);
  max_identity_size_ = max_identity_size;
  max_psk_size_ = max_psk_size;
  pending_ = true;
  while (pending_) {
    if (ASYNC_pause_job() != 1) Decide({}, nullptr, 0);
  }
}

unsigned int PskDecision::TakePsk(unsigned char* psk) {
  const size_t size = psk_.size();
  if (size > 0) std::memcpy(psk, psk_.data(), size);
  OPENSSL_cleanse(psk_.data(), size);
  psk_.clear();
  return static_cast<unsigned int>(size);
}

unsigned int PskDecision::OnServer(SSL* ssl, const char* identity, unsigned char* psk, unsigned int max_psk_size) {
  Handshake* const handshake = Deciding(ssl);
  if (handshake == nullptr) return 0;
  // What comes after this message is Node's to read, whosever RSA key it is for.
  handshake->ReadNoMore();
  handshake->psk().Await(identity, 0, max_psk_size);
  return handshake->psk().TakePsk(psk);
}

unsigned int PskDecision::OnClient(SSL* ssl, const char* hint, char* identity, unsigned int max_identity_size,
                                   unsigned char* psk, unsigned int max_psk_size) {
  Handshake* const handshake = Deciding(ssl);
  if (handshake == nullptr) return 0;
  PskDecision& decision = handshake->psk();
  decision.Await(hint, max_identity_size, max_psk_size);
  const unsigned int size = decision.TakePsk(psk);
  // OpenSSL has zeroed the whole, with one byte more.
  if (size > 0) std::memcpy(identity, decision.identity_.data(), decision.identity_.size());
  return size;
}

}  // namespace keyless
