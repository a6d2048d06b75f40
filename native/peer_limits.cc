#include "peer_limits.h"

#include <openssl/x509_vfy.h>

namespace keyless {

namespace {

bool IsIn(STACK_OF(X509)* chain, const X509* certificate) {
  for (int i = 0; i < sk_X509_num(chain); i++) {
    if (sk_X509_value(chain, i) == certificate) return true;
  }
  return false;
}

// OpenSSL would keep what was sent with the session, 8 KB for 300 bytes of it. The first one is the peer's own, which libssl takes from
// there when this returns.
int Verify(X509_STORE_CTX* context, void*) {
  const int result = X509_verify_cert(context);
  STACK_OF(X509)* const sent = X509_STORE_CTX_get0_untrusted(context);
  STACK_OF(X509)* const chain = X509_STORE_CTX_get0_chain(context);
  for (int i = sk_X509_num(sent) - 1; i > 0; i--) {
    if (!IsIn(chain, sk_X509_value(sent, i))) X509_free(sk_X509_delete(sent, i));
  }
  return result;
}

}  // namespace

void LimitPeers(SSL_CTX* context, uint32_t certificate_bytes) {
  SSL_CTX_set_max_cert_list(context, static_cast<long>(certificate_bytes));  // NOLINT(runtime/int)
  SSL_CTX_set_cert_verify_callback(context, Verify, nullptr);
}

}  // namespace keyless
