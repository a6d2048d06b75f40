// What peers may cost a server whose listener is Node's: bounds of OpenSSL's that node:tls has no options for.
#ifndef NATIVE_PEER_LIMITS_H_
#define NATIVE_PEER_LIMITS_H_

#include <openssl/ssl.h>

#include <cstdint>

namespace keyless {

// For the connections to come of a context: a peer's Certificate message has at most so many bytes, or the handshake
// fails; and of what is in it, only the peer's own certificate and those by which OpenSSL has verified it are kept. A
// chain with more than seven certificates between the peer's and the authority's, or that is wrong anywhere, is verified
// no further, revocation lists are looked at last, and the handshake fails then and there: the peer's key verifies
// nothing. The text of the error ends its first line with X509_V_ERR_ and the name of the first fault. Where there are
// lists, the chain that the context sends is looked for now. And of what a peer sends, the most is to be data: a
// connection with too many handshake messages (KeyUpdate, or asking for renegotiation) fails. Thread: any; the callbacks
// run on that of each connection.
void LimitPeers(SSL_CTX* context, uint32_t certificate_bytes);

}  // namespace keyless

#endif  // NATIVE_PEER_LIMITS_H_
