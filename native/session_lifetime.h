// The whole life of a session of TLS 1.3, from its full handshake on. Whoever resumes one gets another ticket, for which OpenSSL
// begins to count anew: without a limit the client is never asked for its certificate again (RFC 8446 §4.6.1).
#ifndef NATIVE_SESSION_LIFETIME_H_
#define NATIVE_SESSION_LIFETIME_H_

#include <openssl/ssl.h>

namespace keyless {

// For the tickets to come of a context, in the place of NameSessions(). Thread: as of that.
void LimitSessions(SSL_CTX* context);

}  // namespace keyless

#endif  // NATIVE_SESSION_LIFETIME_H_
