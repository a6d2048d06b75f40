#include "server_limits.h"

#include "provider/dispatch.h"

namespace keyless {

namespace {

bool IsTls13(const SSL_CIPHER* cipher) { return SSL_CIPHER_get_protocol_id(cipher) >> 8 == 0x13; }

bool NeedsDecryption(const SSL_CIPHER* cipher) {
  const int exchange = SSL_CIPHER_get_kx_nid(cipher);
  return exchange == NID_kx_rsa || exchange == NID_kx_rsa_psk;
}

// Every handshake of TLS 1.2 asks, and hardly any has one: no names are gathered for it.
bool HasSome(STACK_OF(SSL_CIPHER)* ciphers) {
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
    if (NeedsDecryption(sk_SSL_CIPHER_value(ciphers, i))) return true;
  }
  return false;
}

std::string NamesOfOthers(STACK_OF(SSL_CIPHER)* ciphers) {
  std::string kept;
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
    if (IsTls13(cipher) || NeedsDecryption(cipher)) continue;
    kept += (kept.empty() ? "" : ":") + std::string(SSL_CIPHER_get_name(cipher));
  }
  return kept;
}

// A key of Node's has no such parameter.
RsaKeyKind KindOf(const EVP_PKEY* key) {
  int decrypts = 0;
  if (key == nullptr || EVP_PKEY_is_a(key, "RSA") != 1) return RsaKeyKind::kNotKeyless;
  if (EVP_PKEY_get_int_param(key, kDecryptsParam, &decrypts) != 1) return RsaKeyKind::kNotKeyless;
  return decrypts != 0 ? RsaKeyKind::kDecrypts : RsaKeyKind::kOnlySigns;
}

}  // namespace

RsaKeyKind RsaKeyOf(SSL* ssl) {
  X509* const current = SSL_get_certificate(ssl);
  if (current == nullptr) return RsaKeyKind::kNotKeyless;
  RsaKeyKind kind = RsaKeyKind::kNotKeyless;
  for (long which = SSL_CERT_SET_FIRST;  // NOLINT(runtime/int)
       kind == RsaKeyKind::kNotKeyless && SSL_set_current_cert(ssl, which) == 1; which = SSL_CERT_SET_NEXT) {
    kind = KindOf(SSL_get_privatekey(ssl));
  }
  SSL_select_current_cert(ssl, current);
  return kind;
}

// libssl reads "conf_sigalgs" for a server's own signatures and a client's offer, and "client_sigalgs" for a client's
// own signatures and a server's request.
void LimitSignatures(SSL* ssl, const std::string& own, const std::string& peers) {
  if (SSL_is_server(ssl)) {
    SSL_set1_client_sigalgs_list(ssl, peers.c_str());
    SSL_set1_sigalgs_list(ssl, own.c_str());
  } else {
    SSL_set1_client_sigalgs_list(ssl, own.c_str());
  }
}

void LimitCiphers(SSL* ssl) {
  if (RsaKeyOf(ssl) != RsaKeyKind::kOnlySigns) return;
  STACK_OF(SSL_CIPHER)* const ciphers = SSL_get_ciphers(ssl);
  if (!HasSome(ciphers)) return;
  // An empty list is an error to OpenSSL, which takes it all the same: then no cipher is shared.
  SSL_set_cipher_list(ssl, NamesOfOthers(ciphers).c_str());
}

}  // namespace keyless
