// What a handshake must not choose, because its PrivateKey cannot do it.
#ifndef NATIVE_SERVER_LIMITS_H_
#define NATIVE_SERVER_LIMITS_H_

#include <openssl/ssl.h>

#include <string>

namespace keyless {

// What the RSA key that an SSL has by now, perhaps chosen late, does for RSA key exchange.
enum class RsaKeyKind { kNotKeyless, kDecrypts, kOnlySigns };

// The SSL's current certificate stays the current one. May leave errors in OpenSSL's queue.
RsaKeyKind RsaKeyOf(SSL* ssl);

// Both lists are OpenSSL's, for example "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256". `own`: what this side signs with.
// `peers`: what a server lets its client sign with. They hold for this SSL, and never for its SSL_CTX, whose connections may
// be of either role.
void LimitSignatures(SSL* ssl, const std::string& own, const std::string& peers);

// Servers whose RSA key signs but does not decrypt: no RSA key exchange, and no RSA-PSK. The other ciphers keep their order.
// When TLS 1.2 or less is negotiated and no cipher yet.
void LimitCiphers(SSL* ssl);

}  // namespace keyless

#endif  // NATIVE_SERVER_LIMITS_H_
