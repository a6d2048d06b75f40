#include "server_limits.h"

#include "provider/dispatch.h"

namespace keyless {

namespace {

bool IsTls13(const SSL_CIPHER* cipher) { return SSL_CIPHER_get_protocol_id(cipher) >> 8 == 0x13; }

// The key exchanges that one side of a handshake cannot do.
struct Refused {
  bool rsa;
  bool rsa_psk;
  bool Has(const SSL_CIPHER* cipher) const {
    const int exchange = SSL_CIPHER_get_kx_nid(cipher);
    return (rsa && exchange == NID_kx_rsa) || (rsa_psk && exchange == NID_kx_rsa_psk);
  }
};

// RSA-PSK (RFC 4279 §4) asks for the premaster and then, in the same message, for the pre-shared key, which is JavaScript
// of the user's: it cannot run on a job's stack. A server whose RSA key is Node's reads that message on Node's stack; a
// client writes it in its job.
Refused RefusedBy(SSL* ssl) {
  if (SSL_is_server(ssl) == 0) return {false, true};
  const RsaKeyKind kind = RsaKeyOf(ssl);
  return {kind == RsaKeyKind::kOnlySigns, kind != RsaKeyKind::kNotKeyless};
}

// Every handshake of TLS 1.2 asks, and hardly any has one: no names are gathered for it.
bool HasRefused(STACK_OF(SSL_CIPHER)* ciphers, const Refused& refused) {
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
    if (refused.Has(sk_SSL_CIPHER_value(ciphers, i))) return true;
  }
  return false;
}

std::string NamesOfKept(STACK_OF(SSL_CIPHER)* ciphers, const Refused& refused) {
  std::string kept;
  for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(ciphers, i);
    if (IsTls13(cipher) || refused.Has(cipher)) continue;
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
  const Refused refused = RefusedBy(ssl);
  STACK_OF(SSL_CIPHER)* const ciphers = SSL_get_ciphers(ssl);
  if (!HasRefused(ciphers, refused)) return;
  // An empty list is an error to OpenSSL, which takes it all the same: then no cipher is shared.
  SSL_set_cipher_list(ssl, NamesOfKept(ciphers, refused).c_str());
}

}  // namespace keyless
