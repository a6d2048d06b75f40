#include "ssl_slots.h"

#include "context_records.h"
#include "handshake.h"

namespace keyless {

namespace {

int ssl_slot = -1;
int context_slot = -1;

thread_local SSL* last_ssl = nullptr;
thread_local SSL_CTX* last_context = nullptr;

void OnSslNew(void* parent, void*, CRYPTO_EX_DATA*, int, long, void*) {  // NOLINT(runtime/int)
  last_ssl = static_cast<SSL*>(parent);
}

void OnSslFree(void* parent, void* value, CRYPTO_EX_DATA*, int, long, void*) {  // NOLINT(runtime/int)
  if (last_ssl == parent) last_ssl = nullptr;
  if (value != nullptr) Handshake::OnSslFreed(static_cast<Handshake*>(value));
}

// SSL_dup is not used by Node; a copy must not lead to the original's handshake.
int OnSslDup(CRYPTO_EX_DATA*, const CRYPTO_EX_DATA*, void** value, int, long, void*) {  // NOLINT(runtime/int)
  *value = nullptr;
  return 1;
}

void OnContextNew(void* parent, void*, CRYPTO_EX_DATA*, int, long, void*) {  // NOLINT(runtime/int)
  last_context = static_cast<SSL_CTX*>(parent);
}

void OnContextFree(void* parent, void* value, CRYPTO_EX_DATA*, int, long, void*) {  // NOLINT(runtime/int)
  if (last_context == parent) last_context = nullptr;
  const std::unique_ptr<ContextRecord> record(static_cast<ContextRecord*>(value));
  if (record != nullptr) record->names->Remove(record->number);
}

}  // namespace

bool RegisterSlots() {
  static const bool registered = [] {
    ssl_slot = SSL_get_ex_new_index(0, nullptr, OnSslNew, OnSslDup, OnSslFree);
    context_slot = SSL_CTX_get_ex_new_index(0, nullptr, OnContextNew, nullptr, OnContextFree);
    return ssl_slot >= 0 && context_slot >= 0;
  }();
  return registered;
}

SSL* LastSsl() { return last_ssl; }
SSL_CTX* LastSslCtx() { return last_context; }
void ForgetLastSslCtx() { last_context = nullptr; }

Handshake* HandshakeSlot(const SSL* ssl) { return static_cast<Handshake*>(SSL_get_ex_data(ssl, ssl_slot)); }
void SetHandshakeSlot(SSL* ssl, Handshake* handshake) { SSL_set_ex_data(ssl, ssl_slot, handshake); }

ContextRecord* ContextSlot(const SSL_CTX* context) {
  return static_cast<ContextRecord*>(SSL_CTX_get_ex_data(context, context_slot));
}
bool SetContextSlot(SSL_CTX* context, ContextRecord* record) {
  return SSL_CTX_set_ex_data(context, context_slot, record) == 1;
}

}  // namespace keyless
