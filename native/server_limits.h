// What a handshake must not choose, because its PrivateKey cannot do it.
#ifndef NATIVE_SERVER_LIMITS_H_
#define NATIVE_SERVER_LIMITS_H_

#include <openssl/ssl.h>

#include <string>

namespace keyless {

// Both lists are OpenSSL's, for example "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256". `own`: what this side signs with.
// `peers`: what a server lets its client sign with. They hold for this SSL until
// another SSL_CTX is chosen for it; never for the SSL_CTX, whose connections may be of either role.
void LimitSignatures(SSL* ssl, const std::string& own, const std::string& peers);

// No RSA-PSK; and, for servers, no RSA key exchange where the RSA key the SSL has by now, perhaps chosen late, signs but
// does not decrypt. The other ciphers keep their order. For servers when TLS 1.2 or less is negotiated and no cipher yet,
// for clients before they offer any.
void LimitCiphers(SSL* ssl);

}  // namespace keyless

#endif  // NATIVE_SERVER_LIMITS_H_
