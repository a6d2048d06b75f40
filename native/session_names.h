// Sessions of TLS 1.2 that say which name they were made for. Of a connection that resumes one, OpenSSL and so Node have the
// name of the session, not the ClientHello's; and it has none where Node chooses the context late, on Node 20 and 26.
#ifndef NATIVE_SESSION_NAMES_H_
#define NATIVE_SESSION_NAMES_H_

#include <openssl/ssl.h>

namespace keyless {

// For the tickets to come of a context. Thread: any; the callback runs on that of each connection, on any stack, also a job's.
void NameSessions(SSL_CTX* context);

}  // namespace keyless

#endif  // NATIVE_SESSION_NAMES_H_
