#include "session_names.h"

#include "openssl/error_guard.h"

namespace keyless {

namespace {

constexpr int kGoOn = 1;

// A ticket is about to be made of the session. TLS 1.3 tells the name of each ClientHello.
int OnTicketMade(SSL* ssl, void*) {
  // Node would take what is left in the queue for the handshake's failure.
  const ErrorGuard errors;
  SSL_SESSION* const session = SSL_get_session(ssl);
  const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (session == nullptr || name == nullptr || SSL_version(ssl) > TLS1_2_VERSION) return kGoOn;
  // Of a session that is resumed `name` is its own. Without memory it goes without a name, as it would.
  if (SSL_SESSION_get0_hostname(session) == nullptr) SSL_SESSION_set1_hostname(session, name);
  return kGoOn;
}

}  // namespace

void NameSessions(SSL_CTX* context) { SSL_CTX_set_session_ticket_cb(context, OnTicketMade, nullptr, nullptr); }

}  // namespace keyless
