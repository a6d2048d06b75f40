#include "server_limits.h"

namespace keyless {

namespace {

// All that TLS 1.2 and 1.3 have, in OpenSSL's default order: the peer's side of a limited context.
constexpr char kAllSignatures[] =
    "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512:ed25519:ed448:rsa_pss_pss_sha256:"
    "rsa_pss_pss_sha384:rsa_pss_pss_sha512:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:"
    "RSA+SHA384:RSA+SHA512:ECDSA+SHA224:RSA+SHA224";

bool IsTls13(const SSL_CIPHER* cipher) { return SSL_CIPHER_get_protocol_id(cipher) >> 8 == 0x13; }

// RSA-PSK (RFC 4279 §4) asks for the premaster and then, in the same message, for the pre-shared key, which is JavaScript
// of the user's: it cannot run on a job's stack.
bool CanPause(const SSL_CIPHER* cipher, bool without_decrypt) {
  const int exchange = SSL_CIPHER_get_kx_nid(cipher);
  return exchange != NID_kx_rsa_psk && !(without_decrypt && exchange == NID_kx_rsa);
}

}  // namespace

// libssl reads "conf_sigalgs" for a server's own signatures and a client's offer, and "client_sigalgs" for a client's
// own signatures and a server's request.
void LimitSignatures(SSL* ssl, const std::string& names, bool and_context) {
  SSL_CTX* context = SSL_get_SSL_CTX(ssl);
  if (!SSL_is_server(ssl)) {
    SSL_set1_client_sigalgs_list(ssl, names.c_str());
    if (and_context) SSL_CTX_set1_client_sigalgs_list(context, names.c_str());
    return;
  }
  SSL_set1_client_sigalgs_list(ssl, kAllSignatures);
  SSL_set1_sigalgs_list(ssl, names.c_str());
  if (!and_context) return;
  SSL_CTX_set1_client_sigalgs_list(context, kAllSignatures);
  SSL_CTX_set1_sigalgs_list(context, names.c_str());
}

void LimitCiphers(SSL* ssl, bool without_decrypt, bool and_context) {
  if (!SSL_is_server(ssl)) return;
  STACK_OF(SSL_CIPHER)* ciphers = SSL_get_ciphers(ssl);
  std::string kept;
  bool refused = false;
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
    if (IsTls13(cipher)) continue;
    if (!CanPause(cipher, without_decrypt)) {
      refused = true;
      continue;
    }
    kept += (kept.empty() ? "" : ":") + std::string(SSL_CIPHER_get_name(cipher));
  }
  if (!refused) return;
  if (kept.empty()) {
    SSL_set_min_proto_version(ssl, TLS1_3_VERSION);
    return;
  }
  SSL_set_cipher_list(ssl, kept.c_str());
  if (and_context) SSL_CTX_set_cipher_list(SSL_get_SSL_CTX(ssl), kept.c_str());
}

}  // namespace keyless
