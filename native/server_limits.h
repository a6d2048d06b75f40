// What a handshake must not choose, because its PrivateKey cannot do it.
#ifndef NATIVE_SERVER_LIMITS_H_
#define NATIVE_SERVER_LIMITS_H_

#include <openssl/ssl.h>

#include <string>

namespace keyless {

// `names`: OpenSSL's list, for example "rsa_pss_rsae_sha256:ecdsa_secp256r1_sha256". What the peer may sign with stays
// as it was. With `and_context`, connections that the SSL's context makes later are limited too, at no cost of theirs.
void LimitSignatures(SSL* ssl, const std::string& names, bool and_context);

// Servers: no RSA-PSK, and no RSA key exchange with a key that signs but does not decrypt. The other TLS 1.2 ciphers keep
// their order.
void LimitCiphers(SSL* ssl, bool without_decrypt, bool and_context);

}  // namespace keyless

#endif  // NATIVE_SERVER_LIMITS_H_
