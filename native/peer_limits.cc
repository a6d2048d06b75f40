#include "peer_limits.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

namespace keyless {

namespace {

bool IsIn(STACK_OF(X509)* chain, const X509* certificate) {
  for (int i = 0; i < sk_X509_num(chain); i++) {
    if (sk_X509_value(chain, i) == certificate) return true;
  }
  return false;
}

// OpenSSL would keep what was sent with the session, 8 KB for 300 bytes of it. The first one is the peer's own, which
// libssl takes from there when this returns.
int Verify(X509_STORE_CTX* context, void*) {
  const int result = X509_verify_cert(context);
  STACK_OF(X509)* const sent = X509_STORE_CTX_get0_untrusted(context);
  STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(context);
  for (int i = sk_X509_num(sent) - 1; i > 0; i--) {
    if (!IsIn(chain, sk_X509_value(sent, i))) X509_free(sk_X509_delete(sent, i));
  }
  return result;
}

// A KeyUpdate costs us 36 µs and its sender 27 bytes, and nobody above hears of it. A handshake has 6 messages at most;
// whoever renews keys does it once in millions of records.
constexpr uintptr_t kRecordsForMessage = 1024;
constexpr uintptr_t kMostOwed = 16 * kRecordsForMessage;

// `owed`, a number and no address, is the connection's: the records that have still to come for the messages there were.
void OnMessage(int is_sent, int, int type, const void*, size_t, SSL* ssl, void* owed) {
  uintptr_t records = reinterpret_cast<uintptr_t>(owed);
  if (is_sent != 0) return;
  if (type == SSL3_RT_HEADER && records > 0) {
    records -= 1;
  } else if (type == SSL3_RT_HANDSHAKE) {
    records += kRecordsForMessage;
  }
  SSL_set_msg_callback_arg(ssl, reinterpret_cast<void*>(records));
  if (records <= kMostOwed) return;
  // A callback cannot fail. What has ended is read no further, and the error is why: Node looks for it behind each read.
  SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
  ERR_raise(ERR_LIB_SSL, SSL_R_TOO_MANY_KEY_UPDATES);
}

}  // namespace

void LimitPeers(SSL_CTX* context, uint32_t certificate_bytes) {
  SSL_CTX_set_max_cert_list(context, static_cast<long>(certificate_bytes));  // NOLINT(runtime/int)
  SSL_CTX_set_cert_verify_callback(context, Verify, nullptr);
  SSL_CTX_set_msg_callback(context, OnMessage);
}

}  // namespace keyless
