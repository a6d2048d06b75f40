#include "peer_limits.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "openssl/owners.h"

namespace keyless {

namespace {

bool IsIn(STACK_OF(X509)* chain, const X509* certificate) {
  for (int i = 0; i < sk_X509_num(chain); i++) {
    if (sk_X509_value(chain, i) == certificate) return true;
  }
  return false;
}

// Between a client's own certificate and the authority. Beyond a handful nobody has them.
constexpr int kMostBetween = 7;

// As Node calls them; and as OpenSSL does what Node has no word for. Left out is what is asked for by name only: hosts, DANE,
// Suite B, OCSP, transparency, X509_V_FLAG_X509_STRICT.
const char* NameOf(int error) {
  switch (error) {
#define KEYLESS_NAME(name) \
  case X509_V_ERR_##name:  \
    return #name;
    KEYLESS_NAME(UNABLE_TO_GET_ISSUER_CERT)
    KEYLESS_NAME(UNABLE_TO_GET_CRL)
    KEYLESS_NAME(UNABLE_TO_DECRYPT_CERT_SIGNATURE)
    KEYLESS_NAME(UNABLE_TO_DECRYPT_CRL_SIGNATURE)
    KEYLESS_NAME(UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY)
    KEYLESS_NAME(CERT_SIGNATURE_FAILURE)
    KEYLESS_NAME(CRL_SIGNATURE_FAILURE)
    KEYLESS_NAME(CERT_NOT_YET_VALID)
    KEYLESS_NAME(CERT_HAS_EXPIRED)
    KEYLESS_NAME(CRL_NOT_YET_VALID)
    KEYLESS_NAME(CRL_HAS_EXPIRED)
    KEYLESS_NAME(ERROR_IN_CERT_NOT_BEFORE_FIELD)
    KEYLESS_NAME(ERROR_IN_CERT_NOT_AFTER_FIELD)
    KEYLESS_NAME(ERROR_IN_CRL_LAST_UPDATE_FIELD)
    KEYLESS_NAME(ERROR_IN_CRL_NEXT_UPDATE_FIELD)
    KEYLESS_NAME(OUT_OF_MEM)
    KEYLESS_NAME(DEPTH_ZERO_SELF_SIGNED_CERT)
    KEYLESS_NAME(SELF_SIGNED_CERT_IN_CHAIN)
    KEYLESS_NAME(UNABLE_TO_GET_ISSUER_CERT_LOCALLY)
    KEYLESS_NAME(UNABLE_TO_VERIFY_LEAF_SIGNATURE)
    KEYLESS_NAME(CERT_CHAIN_TOO_LONG)
    KEYLESS_NAME(CERT_REVOKED)
    KEYLESS_NAME(INVALID_CA)
    KEYLESS_NAME(PATH_LENGTH_EXCEEDED)
    KEYLESS_NAME(INVALID_PURPOSE)
    KEYLESS_NAME(CERT_UNTRUSTED)
    KEYLESS_NAME(CERT_REJECTED)
    KEYLESS_NAME(UNHANDLED_CRITICAL_EXTENSION)
    KEYLESS_NAME(INVALID_EXTENSION)
    KEYLESS_NAME(KEYUSAGE_NO_CERTSIGN)
    KEYLESS_NAME(KEYUSAGE_NO_CRL_SIGN)
    KEYLESS_NAME(UNABLE_TO_GET_CRL_ISSUER)
    KEYLESS_NAME(UNHANDLED_CRITICAL_CRL_EXTENSION)
    KEYLESS_NAME(DIFFERENT_CRL_SCOPE)
    KEYLESS_NAME(PERMITTED_VIOLATION)
    KEYLESS_NAME(EXCLUDED_VIOLATION)
    KEYLESS_NAME(UNSUPPORTED_CONSTRAINT_TYPE)
    KEYLESS_NAME(UNSUPPORTED_NAME_SYNTAX)
    KEYLESS_NAME(EE_KEY_TOO_SMALL)
    KEYLESS_NAME(CA_KEY_TOO_SMALL)
    KEYLESS_NAME(CA_MD_TOO_WEAK)
    KEYLESS_NAME(NO_ISSUER_PUBLIC_KEY)
    KEYLESS_NAME(INVALID_NON_CA)
    KEYLESS_NAME(PROXY_PATH_LENGTH_EXCEEDED)
    KEYLESS_NAME(KEYUSAGE_NO_DIGITAL_SIGNATURE)
    KEYLESS_NAME(PROXY_CERTIFICATES_NOT_ALLOWED)
    KEYLESS_NAME(INVALID_POLICY_EXTENSION)
    KEYLESS_NAME(NO_EXPLICIT_POLICY)
    KEYLESS_NAME(UNSUPPORTED_EXTENSION_FEATURE)
    KEYLESS_NAME(UNNESTED_RESOURCE)
    KEYLESS_NAME(SUBTREE_MINMAX)
    KEYLESS_NAME(UNSUPPORTED_CONSTRAINT_SYNTAX)
    KEYLESS_NAME(CRL_PATH_VALIDATION_ERROR)
    KEYLESS_NAME(PATH_LOOP)
    KEYLESS_NAME(INVALID_CALL)
    KEYLESS_NAME(STORE_LOOKUP)
    KEYLESS_NAME(PROXY_SUBJECT_NAME_VIOLATION)
    KEYLESS_NAME(UNSUPPORTED_SIGNATURE_ALGORITHM)
    KEYLESS_NAME(SIGNATURE_ALGORITHM_MISMATCH)
    KEYLESS_NAME(SIGNATURE_ALGORITHM_INCONSISTENCY)
    KEYLESS_NAME(EC_KEY_EXPLICIT_PARAMS)
#undef KEYLESS_NAME
    default:
      return "UNSPECIFIED";
  }
}

// What is wrong is the verifier's, and every peer's of that authority.
bool IsOfLists(int fault) {
  switch (fault) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
      return true;
    default:
      return false;
  }
}

// Node's goes on behind each error: OpenSSL would then check all signatures of a chain that leads nowhere, by keys that
// are a stranger's, 2 ms and more each.
int EndAtFirst(int ok, X509_STORE_CTX*) { return ok; }

// Verifies. Returns the first fault, as Node calls it, or X509_V_OK.
int FaultOf(X509_STORE_CTX* context) {
  if (X509_verify_cert(context) == 1) return X509_V_OK;
  const int error = X509_STORE_CTX_get_error(context);
  // Of a certificate by itself OpenSSL has one more thing to say, and Node tells that.
  if (error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY &&
      sk_X509_num(X509_STORE_CTX_get0_chain(context)) == 1) {
    return X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE;
  }
  return error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
}

constexpr unsigned long kListFlags = X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;  // NOLINT(runtime/int)

bool HasLists(X509_VERIFY_PARAM* rules) { return (X509_VERIFY_PARAM_get_flags(rules) & kListFlags) != 0; }

// Likewise, but for revocation lists, in a context of its own: each can verify once.
int FaultBesideLists(X509_STORE_CTX* context) {
  const Owner<X509_STORE_CTX, X509_STORE_CTX_free> other(X509_STORE_CTX_new());
  if (other == nullptr ||
      X509_STORE_CTX_init(other.get(), X509_STORE_CTX_get0_store(context), X509_STORE_CTX_get0_cert(context),
                          X509_STORE_CTX_get0_untrusted(context)) != 1) {
    return X509_V_ERR_OUT_OF_MEM;
  }
  X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(other.get());
  if (X509_VERIFY_PARAM_set1(rules, X509_STORE_CTX_get0_param(context)) != 1 ||
      X509_VERIFY_PARAM_clear_flags(rules, kListFlags) != 1) {
    return X509_V_ERR_OUT_OF_MEM;
  }
  X509_STORE_CTX_set_verify_cb(other.get(), EndAtFirst);
  return FaultOf(other.get());
}

// As the verification itself, but for what it costs: chains are built first, by names; where that does not lead to the
// authority no signature is checked, and else each by a key that the one above it has vouched for. OpenSSL verifies the
// signatures of revocation lists before all others, each time, which takes 8 ms for 100,000 entries: not for strangers.
int VerifyChain(X509_STORE_CTX* context) {
  X509_VERIFY_PARAM* const rules = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_depth(rules, kMostBetween);
  X509_STORE_CTX_set_verify_cb(context, EndAtFirst);
  ERR_set_mark();
  int fault = HasLists(rules) ? FaultBesideLists(context) : X509_V_OK;
  if (fault == X509_V_OK) fault = FaultOf(context);
  ERR_pop_to_mark();
  if (fault == X509_V_OK) return 1;
  // The alert goes by it: that a list has expired is internal_error, not that the peer's certificate has.
  X509_STORE_CTX_set_error(context, IsOfLists(fault) ? X509_V_ERR_UNSPECIFIED : fault);
  // Node's callback lets the handshake go on, and Node refuses it in the end: what the peer has signed would be verified by
  // its own key, of any kind and size. Of an error Node tells the text, not what OpenSSL knows of the certificate.
  ERR_raise_data(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED, "X509_V_ERR_%s", NameOf(fault));
  return 0;
}

// OpenSSL would keep what was sent with the session, 8 KB for 300 bytes of it. The first one is the peer's own, which
// libssl takes from there when this returns.
int Verify(X509_STORE_CTX* context, void*) {
  const int result = VerifyChain(context);
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
  if (type == SSL3_RT_HANDSHAKE) {
    records += kRecordsForMessage;
  } else if (type == SSL3_RT_HEADER && records > 0) {
    records -= 1;
  } else {
    return;
  }
  SSL_set_msg_callback_arg(ssl, reinterpret_cast<void*>(records));
  if (records <= kMostOwed) return;
  // A callback cannot fail. What has ended is read no further, and the error is why: Node looks for it behind each read.
  SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_RECEIVED_SHUTDOWN);
  ERR_raise(ERR_LIB_SSL, SSL_R_TOO_MANY_KEY_UPDATES);
}

// To send the server's own chain OpenSSL would look for it in each handshake, and verify the lists for that, too: here once.
// What cannot be verified is sent all the same, as it would be.
void BuildOwnChain(SSL_CTX* context) {
  STACK_OF(X509)* chain = nullptr;
  if (!HasLists(X509_STORE_get0_param(SSL_CTX_get_cert_store(context)))) return;
  if (SSL_CTX_get0_chain_certs(context, &chain) != 1 || chain != nullptr) return;
  ERR_set_mark();
  SSL_CTX_build_cert_chain(context, SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR);
  ERR_pop_to_mark();
}

}  // namespace

void LimitPeers(SSL_CTX* context, uint32_t certificate_bytes) {
  SSL_CTX_set_max_cert_list(context, static_cast<long>(certificate_bytes));  // NOLINT(runtime/int)
  SSL_CTX_set_cert_verify_callback(context, Verify, nullptr);
  SSL_CTX_set_msg_callback(context, OnMessage);
  BuildOwnChain(context);
}

}  // namespace keyless
